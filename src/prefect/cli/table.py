"""What the command answers without click. Written by `make table`; not to be edited."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Option: TypeAlias = tuple[str, tuple[str, ...] | None, tuple[str, ...]]
    Command: TypeAlias = tuple[str, dict[str, Option], tuple[str, ...]]

HELP: dict[int, str] = {
    80: """\
Usage: prefect [OPTIONS] COMMAND [ARGS]...

  Package a workflow, and run exactly that elsewhere.

  As one encrypted file:
    prefect keygen flow.key
    prefect build etl.py -o etl.flow --key-file flow.key
    prefect info etl.flow --key-file flow.key       (executes nothing)
    prefect run etl.flow --key-file flow.key -p year=2013
    prefect build etl.py -o etl.pyz --key-file flow.key --vendor
    python etl.pyz --key-file flow.key -p year=2013 (needs nothing but Python)

  For somebody else, by their public key, and signed with yours:
    prefect keygen --signing me.key                 (others get me.key.pub)
    prefect keygen --recipient them.key             (they do this, and send them.key.pub)
    prefect build etl.py -o etl.flow --recipient them.key.pub --signing-key me.key
    prefect run etl.flow --key-file them.key --trusted-signer me.key.pub

  As a container image, in a container engine, a registry or a file:
    prefect build etl.py --image python:3.11-slim --tag etl -r pandas
    prefect build etl.py --image python:3.11-slim --push ghcr.io/team/etl:1
    prefect build etl.py --image python:3.11-slim --export etl.tar
    prefect info etl.tar
    prefect run etl.tar                             (in a sandbox: no container engine)
    prefect run image:etl -p year=2013

  What an argument names is told by how it is written, whatever is there:
    etl.py etl.py:FLOW             a file whose flow is loaded from its source
    etl  etl.flow  etl.pyz  ./etl  a file, as is all else with a leading / ./ ../ or ~/
    etl:1  ghcr.io/team/etl        an image: with a tag, a digest or a registry's host
    file:etl:1  image:etl          the one and the other outright
    -                              a sealed flow, or a key, from standard input

  A key comes from a file or from the variable PREFECT_ENCRYPTION_KEY, never
  from an argument. The exit status is 0 for success, 1 when the flow failed,
  2 for wrong usage, bad input or output that cannot be written, and 130 or
  143 when Ctrl-C or SIGTERM stopped it.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  build       Package a flow into a sealed file or a container image.
  info        Look into a sealed flow or an image without running it.
  check       Tell whether an artifact can run in a place.
  run         Run a sealed flow, an image, or a file's flow.
  runs        Show the runs that were kept, or one of them.
  why         Say why a task of a kept run ran again, or did not.
  report      Show what became of a run, as a page or text.
  view        Follow a run in a browser while it goes on.
  graph       Draw a flow's tasks.
  diff        Tell what differs between two packaged flows.
  manifest    Print what a platform applies to run an image there.
  verify      Authenticate every byte of a sealed flow.
  sign        Sign a sealed flow.
  rewrap      Change who can open a sealed flow.
  keygen      Make an encryption key, or a pair of keys.
  cache       Show or clear what builds and runs keep on disk.
  completion  Print what makes a shell complete these commands.
  help        Show the help of prefect or of a command.
""",
    100: """\
Usage: prefect [OPTIONS] COMMAND [ARGS]...

  Package a workflow, and run exactly that elsewhere.

  As one encrypted file:
    prefect keygen flow.key
    prefect build etl.py -o etl.flow --key-file flow.key
    prefect info etl.flow --key-file flow.key       (executes nothing)
    prefect run etl.flow --key-file flow.key -p year=2013
    prefect build etl.py -o etl.pyz --key-file flow.key --vendor
    python etl.pyz --key-file flow.key -p year=2013 (needs nothing but Python)

  For somebody else, by their public key, and signed with yours:
    prefect keygen --signing me.key                 (others get me.key.pub)
    prefect keygen --recipient them.key             (they do this, and send them.key.pub)
    prefect build etl.py -o etl.flow --recipient them.key.pub --signing-key me.key
    prefect run etl.flow --key-file them.key --trusted-signer me.key.pub

  As a container image, in a container engine, a registry or a file:
    prefect build etl.py --image python:3.11-slim --tag etl -r pandas
    prefect build etl.py --image python:3.11-slim --push ghcr.io/team/etl:1
    prefect build etl.py --image python:3.11-slim --export etl.tar
    prefect info etl.tar
    prefect run etl.tar                             (in a sandbox: no container engine)
    prefect run image:etl -p year=2013

  What an argument names is told by how it is written, whatever is there:
    etl.py etl.py:FLOW             a file whose flow is loaded from its source
    etl  etl.flow  etl.pyz  ./etl  a file, as is all else with a leading / ./ ../ or ~/
    etl:1  ghcr.io/team/etl        an image: with a tag, a digest or a registry's host
    file:etl:1  image:etl          the one and the other outright
    -                              a sealed flow, or a key, from standard input

  A key comes from a file or from the variable PREFECT_ENCRYPTION_KEY, never from an argument. The
  exit status is 0 for success, 1 when the flow failed, 2 for wrong usage, bad input or output
  that cannot be written, and 130 or 143 when Ctrl-C or SIGTERM stopped it.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  build       Package a flow into a sealed file or a container image.
  info        Look into a sealed flow or an image without running it.
  check       Tell whether an artifact can run in a place.
  run         Run a sealed flow, an image, or a file's flow.
  runs        Show the runs that were kept, or one of them.
  why         Say why a task of a kept run ran again, or did not.
  report      Show what became of a run, as a page or text.
  view        Follow a run in a browser while it goes on.
  graph       Draw a flow's tasks.
  diff        Tell what differs between two packaged flows.
  manifest    Print what a platform applies to run an image there.
  verify      Authenticate every byte of a sealed flow.
  sign        Sign a sealed flow.
  rewrap      Change who can open a sealed flow.
  keygen      Make an encryption key, or a pair of keys.
  cache       Show or clear what builds and runs keep on disk.
  completion  Print what makes a shell complete these commands.
  help        Show the help of prefect or of a command.
""",
}
"""The first page by the width of the terminal."""

COMMANDS: dict[str, Command] = {
    "": (
        "Package a workflow, and run exactly that elsewhere",
        {
            "--version": ("Show the version and exit", None, ("--version",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "build": (
        "Package a flow into a sealed file or a container image",
        {
            "-o": ("Write a sealed flow to this file", (), ("-o", "--output")),
            "--output": ("Write a sealed flow to this file", (), ("-o", "--output")),
            "--key-file": ("File with the encryption key that seals", (), ("--key-file",)),
            "--recipient": ("A recipient, who may open the file too", (), ()),
            "--signing-key": ("File with your signing key", (), ("--signing-key",)),
            "--image": ("Build a container image on this base", (), ("--image",)),
            "--tag": ("Name of the built image", (), ("--tag",)),
            "--push": (
                "Push the image to a registry under this name, such as ghcr.io/team/etl:1, and not into the container engine",
                (),
                ("--push",),
            ),
            "--export": ("Write the image to disk", (), ("--export",)),
            "--check": (
                "Build the image, keep it nowhere, and compare its digest or id",
                (),
                ("--check",),
            ),
            "--platform": ("Platform of the image, such as linux/arm64", (), ("--platform",)),
            "--setup": (
                "A shell command to run in the base as root first, such as 'apt-get update && apt-get install -y libpq5'",
                (),
                (),
            ),
            "--lock": (
                "Locked dependencies with hashes, as requirement lines or as a pylock.toml",
                (),
                ("--lock",),
            ),
            "--relock": (
                "Resolve the dependencies anew, and replace the --lock FILE",
                None,
                ("--relock",),
            ),
            "--project": (
                "Take the versions of a project's pylock.toml, or of the uv.lock beside its pyproject.toml",
                (),
                ("--project",),
            ),
            "--for": (
                "Platforms for which the dependencies of a sealed flow are locked, such as linux/amd64,linux/arm64,macos/arm64",
                (),
                ("--for",),
            ),
            "--python": (
                "Series of Python for which they are locked, such as 3.11,3.12",
                (),
                ("--python",),
            ),
            "--vendor": (
                "Take the wheels of all that is locked along in a sealed flow, for each --for and --python, so that it runs where no index can be reached",
                None,
                ("--vendor",),
            ),
            "-r": (
                "A dependency, such as 'pandas>=2', a project's directory such as '.', a wheel, or a file of such lines, beside what the flow imports",
                (),
                (),
            ),
            "--requirement": (
                "A dependency, such as 'pandas>=2', a project's directory such as '.', a wheel, or a file of such lines, beside what the flow imports",
                (),
                (),
            ),
            "--no-infer": (
                "Do not add what the flow imports, in the versions installed here, to what -r asks for",
                None,
                ("--no-infer",),
            ),
            "--try": (
                "Once the image is built, import in a container of it what the flow imports",
                None,
                ("--try",),
            ),
            "--allow-source": (
                "Build this dependency here from its source, where it has no wheel that fits",
                (),
                (),
            ),
            "--include": (
                "A file or directory that travels with the flow, or a pattern such as 'sql/*.sql' or 'data/**/*.csv'",
                (),
                (),
            ),
            "--secret": ("Name of a secret that the flow needs when it runs", (), ()),
            "--allow-secret-like": (
                "The name of something that looks like a well-known token and is none, as a build has told it",
                (),
                (),
            ),
            "--network": (
                "The container engine's network for the set-up commands, such as host",
                (),
                ("--network",),
            ),
            "--dockerfile": (
                "Write a Dockerfile and what it copies there instead of building",
                (),
                ("--dockerfile",),
            ),
            "-v": ("Show every line of an image's build", None, ("-v", "--verbose")),
            "--verbose": ("Show every line of an image's build", None, ("-v", "--verbose")),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "info": (
        "Look into a sealed flow or an image without running it",
        {
            "--key-file": ("File with a key that opens it", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "--requirements": (
                "Print what is locked for this Python and platform, or for an image, as lines with hashes, for `uv pip install --require-hashes -r -` or a file of pip's",
                None,
                ("--requirements",),
            ),
            "--json": ("Print the manifest as JSON", None, ("--json",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "check": (
        "Tell whether an artifact can run in a place",
        {
            "-p": ("A parameter", (), ()),
            "--parameter": ("A parameter", (), ()),
            "--key-file": ("File with a key that opens it", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "--secret": (
                "Name of a secret that the flow needs beside those that it names itself",
                (),
                (),
            ),
            "--json": ("Print one JSON object with all findings", None, ("--json",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "run": (
        "Run a sealed flow, an image, or a file's flow",
        {
            "-p": ("A parameter", (), ()),
            "--parameter": ("A parameter", (), ()),
            "--in": ("Where it runs", ("here", "venv", "sandbox", "engine"), ("--in",)),
            "--image": (
                "Run FILE.py in an image on this base, in a sandbox or, with --in engine, in a container engine",
                (),
                ("--image",),
            ),
            "-r": (
                "A dependency of FILE.py there, beside what it imports, or a file of such lines",
                (),
                (),
            ),
            "--requirement": (
                "A dependency of FILE.py there, beside what it imports, or a file of such lines",
                (),
                (),
            ),
            "--include": (
                "A file or directory that goes there with FILE.py, as `prefect build` takes it",
                (),
                (),
            ),
            "--key-file": ("File with a key that opens it", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "--secret": (
                "Name of a secret that the flow needs beside those that it names itself",
                (),
                (),
            ),
            "--executor": (
                "Where tasks run",
                ("local", "threads", "processes", "dask"),
                ("--executor",),
            ),
            "--result": ("Write what the run came to", (), ("--result",)),
            "--output": ("For files that tasks make", (), ("--output",)),
            "--keep": (
                "Keep the tasks' results, and a record of the run, in ~/.local/share/prefect",
                None,
                ("--keep",),
            ),
            "--store": (
                "Keep them there instead, in a directory or wherever fsspec reaches, such as s3://bucket/runs",
                (),
                ("--store",),
            ),
            "--resume": (
                "Go on with a run that was kept, by its name or an end of it",
                (),
                ("--resume",),
            ),
            "--report": (
                "Write what became of it to this file, however it ends, as `prefect report` does",
                (),
                ("--report",),
            ),
            "--otel": (
                "Tell OpenTelemetry of the run and its tasks, as the variables OTEL_",
                None,
                ("--otel",),
            ),
            "--volume": ("For an image", (), ()),
            "--env": ("A variable, or the name of one that is passed on from here", (), ()),
            "--memory": ("Memory at most, such as 512m or 2g", (), ("--memory",)),
            "--cpus": ("Processors at most, such as 1.5", (), ("--cpus",)),
            "--gpus": ("GPUs", (), ("--gpus",)),
            "--user": ("Who runs it, in an image", (), ("--user",)),
            "--network": ("The network of an image's run", (), ("--network",)),
            "--workdir": ("The directory that it runs in, in the place", (), ("--workdir",)),
            "--strict": (
                "Refuse to run where what the flow needs is there in other versions than where it was packaged",
                None,
                ("--strict",),
            ),
            "--on-schedule": (
                "Wait for each time of the flow's own schedule, and run it then, until there are no more",
                None,
                ("--on-schedule",),
            ),
            "--json": ("Report one JSON object a line", None, ("--json",)),
            "-q": ("Tell only warnings, errors and what the flow came to", None, ("-q", "--quiet")),
            "--quiet": (
                "Tell only warnings, errors and what the flow came to",
                None,
                ("-q", "--quiet"),
            ),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "runs": (
        "Show the runs that were kept, or one of them",
        {
            "--store": ("The store that has the runs", (), ("--store",)),
            "--flow": ("Of this flow alone", (), ("--flow",)),
            "--all": ("All of them, and not the last 20 alone", None, ("--all",)),
            "--older-than": ("prune", (), ("--older-than",)),
            "--larger-than": ("prune", (), ("--larger-than",)),
            "--json": ("As JSON", None, ("--json",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "why": (
        "Say why a task of a kept run ran again, or did not",
        {
            "--store": ("The store that has the runs", (), ("--store",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "report": (
        "Show what became of a run, as a page or text",
        {
            "-o": ("Write to this file, in the form of its ending", (), ("-o", "--output")),
            "--output": ("Write to this file, in the form of its ending", (), ("-o", "--output")),
            "--text": ("Print text, as without any option", None, ("--text",)),
            "--svg": ("Print the graph as SVG", None, ("--svg",)),
            "--all": ("In text, all tasks, failures and log lines", None, ("--all",)),
            "--store": ("The store that has the runs", (), ("--store",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "view": (
        "Follow a run in a browser while it goes on",
        {
            "--port": ("Its port", (), ("--port",)),
            "--open": ("Open it in the browser of this machine", None, ("--open",)),
            "--store": ("The store that has the runs", (), ("--store",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "graph": (
        "Draw a flow's tasks",
        {
            "-o": ("Write to this file, in the form of its ending", (), ("-o", "--output")),
            "--output": ("Write to this file, in the form of its ending", (), ("-o", "--output")),
            "--format": (
                "What to print where no file is named",
                ("text", "mermaid", "dot"),
                ("--format",),
            ),
            "--key-file": ("File with a key that opens it", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "diff": (
        "Tell what differs between two packaged flows",
        {
            "--key-file": ("File with a key that opens it", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "--json": ("Print one JSON object with all changes", None, ("--json",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "manifest": (
        "Print what a platform applies to run an image there",
        {
            "--kind": (
                "For which platform",
                ("kubernetes-job", "kubernetes-cronjob", "compose", "slurm", "systemd"),
                ("--kind",),
            ),
            "-p": ("A parameter of the flow, as for `prefect run`, checked now", (), ()),
            "--parameter": ("A parameter of the flow, as for `prefect run`, checked now", (), ()),
            "-e": ("A variable of the container", (), ()),
            "--env": ("A variable of the container", (), ()),
            "--key-file": ("File with a key that opens it", (), ()),
            "--secret": (
                "Name of a secret that the flow needs beside those that it names itself",
                (),
                (),
            ),
            "--secret-name": (
                "Where the platform has the values of secrets",
                (),
                ("--secret-name",),
            ),
            "-m": ("Memory at most, such as 512m or 2g", (), ("-m", "--memory")),
            "--memory": ("Memory at most, such as 512m or 2g", (), ("-m", "--memory")),
            "--cpus": ("Processors at most, such as 2 or 1.5", (), ("--cpus",)),
            "--gpus": ("NVIDIA GPUs", (), ("--gpus",)),
            "--retries": ("How often a flow that failed (1) is run again", (), ("--retries",)),
            "--time-limit": ("For all of it, retries too", (), ("--time-limit",)),
            "--schedule": ("When it runs, such as '0 6 * * *' or @daily", (), ("--schedule",)),
            "--timezone": ("Of the schedule, such as Europe/Berlin", (), ("--timezone",)),
            "--name": ("Of the job", (), ("--name",)),
            "-u": ("Run as this", (), ("-u", "--user")),
            "--user": ("Run as this", (), ("-u", "--user")),
            "-v": ("Mount a path of the machine, or a volume (for Kubernetes, a claim)", (), ()),
            "--volume": (
                "Mount a path of the machine, or a volume (for Kubernetes, a claim)",
                (),
                (),
            ),
            "--writable": (
                "Let it write elsewhere than to /tmp and volumes",
                None,
                ("--writable",),
            ),
            "-n": ("Kubernetes' namespace", (), ("-n", "--namespace")),
            "--namespace": ("Kubernetes' namespace", (), ("-n", "--namespace")),
            "--service-account": (
                "Kubernetes' account, whose token it gets",
                (),
                ("--service-account",),
            ),
            "--pull-secret": ("Kubernetes' Secret with the registry's login", (), ()),
            "--engine": (
                "What the service of systemd runs the container with",
                ("podman", "docker"),
                ("--engine",),
            ),
            "-o": ("Write to this file", (), ("-o", "--output")),
            "--output": ("Write to this file", (), ("-o", "--output")),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "verify": (
        "Authenticate every byte of a sealed flow",
        {
            "--key-file": ("File with a key that opens it", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "sign": (
        "Sign a sealed flow",
        {
            "--signing-key": ("File with your signing key", (), ("--signing-key",)),
            "--ssh-key": ("An OpenSSH private key", (), ("--ssh-key",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "rewrap": (
        "Change who can open a sealed flow",
        {
            "--key-file": ("File with a key that opens it", (), ()),
            "--to-key-file": ("File with an encryption key that is to open it", (), ()),
            "--recipient": ("A recipient, who may open the file too", (), ()),
            "--trusted-signer": ("Refuse what none of these signers has signed", (), ()),
            "-o": ("Write to this file", (), ("-o", "--output")),
            "--output": ("Write to this file", (), ("-o", "--output")),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "keygen": (
        "Make an encryption key, or a pair of keys",
        {
            "--recipient": ("An identity, and its recipient in FILE.pub", None, ("--recipient",)),
            "--signing": ("A signing key, and its signer in FILE.pub", None, ("--signing",)),
            "--public": ("Only write FILE.pub anew, from the key in FILE", None, ("--public",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "cache": (
        "Show or clear what builds and runs keep on disk",
        {
            "--clear": ("Delete it, but for what running builds and flows use", None, ("--clear",)),
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (),
    ),
    "completion": (
        "Print what makes a shell complete these commands",
        {
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        ("bash", "zsh", "fish"),
    ),
    "help": (
        "Show the help of prefect or of a command",
        {
            "-h": ("Show this message and exit", None, ("-h", "--help")),
            "--help": ("Show this message and exit", None, ("-h", "--help")),
        },
        (
            "build",
            "info",
            "check",
            "run",
            "runs",
            "why",
            "report",
            "view",
            "graph",
            "diff",
            "manifest",
            "verify",
            "sign",
            "rewrap",
            "keygen",
            "cache",
            "completion",
            "help",
        ),
    ),
}
"""Each subcommand, and "" for `prefect` itself: description, options, choices of its argument.

An option is a description, its choices (None: it takes no value), and the names of which one alone
can be given.
"""
