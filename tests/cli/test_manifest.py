"""`prefect manifest`: what is printed runs the image elsewhere, as it is and with its secrets."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from base_making import layout

from prefect.cli.manifest import _KINDS
from prefect.images.deploying.kinds import KINDS

FLOW = """
import os
from datetime import date
from prefect import Flow, Parameter, task

@task
def tell(limit, day, greeting):
    print("told", limit, repr(day), repr(greeting), os.environ.get("DB_PASSWORD"), os.getuid())
    open("/tmp/there", "w").write("x")
    if limit == 99:
        raise RuntimeError("as asked")

with Flow("NAME") as flow:
    tell(
        Parameter("limit", default=3), Parameter("day", type=date, default=None),
        Parameter("greeting", default="hello"),
    )
"""
ODD = "a 'b' \"c\" $HOME $(id) %d \\ ; ä"
VALUE = "hunter2-7461-9932"
COMPOSE = Path(sys.executable).with_name("docker-compose")


@pytest.fixture
def pushed(prefect, registry, unique, monkeypatch):
    """The name of an image in the registry, on a base made by hand: it can be looked into, not run."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    (prefect.directory / "tells.py").write_text(FLOW.replace("NAME", "tells & co"))
    base = layout(prefect.directory / "base", User="1000:1000")
    name = f"{registry}/{unique}:1.0"
    prefect("build", "tells.py", "--image", base, "--push", name, "--secret", "DB_PASSWORD")
    return name


@pytest.fixture
def runnable(prefect, registry, base_image, unique):
    """The name of an image in the registry that runs in the container engine."""
    (prefect.directory / "tells.py").write_text(FLOW.replace("NAME", unique))
    name = f"{registry}/{unique}:1"
    prefect("build", "tells.py", "--image", base_image, "--push", name, "--secret", "DB_PASSWORD")
    return name


def digest_of(prefect, name):
    out, _ = prefect("manifest", name, "--kind", "slurm")
    return re.search(r"sha256:[0-9a-f]{64}", out)[0]


def test_the_options_choices_are_the_kinds():
    """Click knows them without importing what writes them."""
    assert tuple(KINDS) == _KINDS


@pytest.mark.services
@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_names_the_image_by_the_registrys_digest(prefect, pushed, kind):
    """And its tag no more, nor the value of a secret; the tag may move."""
    schedule = ["--schedule", "0 6 * * *"] if KINDS[kind].needs_schedule else []
    out, _ = prefect("manifest", pushed, "--kind", kind, *schedule, DB_PASSWORD=VALUE)
    assert f"{pushed.rpartition(':')[0]}@sha256:" in out
    assert pushed not in out
    assert "DB_PASSWORD" in out
    assert VALUE not in out
    by_digest = f"{pushed}@{digest_of(prefect, pushed)}"
    assert prefect("manifest", by_digest, "--kind", kind, *schedule)[0] == out


@pytest.mark.services
def test_the_image_says_the_user_and_the_flow_the_name(prefect, pushed):
    """Both can be said by an option."""
    out, err = prefect("manifest", pushed, "--kind", "kubernetes-job")
    made = yaml.safe_load(out)
    assert made["metadata"]["name"] == "tells-co"
    assert made["metadata"]["labels"]["app.kubernetes.io/version"] == "1.0"
    (architecture,) = made["spec"]["template"]["spec"]["nodeSelector"].values()
    assert architecture in {"amd64", "arm64"}
    assert made["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 1000
    assert "root" not in err
    out, err = prefect(
        "manifest", pushed, "--kind", "kubernetes-job", "--name", "own", "--user", "0", "-n", "data",
        "--pull-secret", "login", "--service-account", "runner", "--secret-name", "vault",
        "--secret", "MORE",
    )  # fmt: skip
    made = yaml.safe_load(out)
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("own", "data")
    pod = made["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "login"}]
    assert [one["key"] for one in pod["volumes"][0]["secret"]["items"]] == ["MORE", "DB_PASSWORD"]
    assert "runs as root" in err


@pytest.mark.services
def test_parameters_are_checked_now(prefect, pushed):
    """Against the flow's own description, as `prefect run` does."""
    kind = ("--kind", "kubernetes-job")
    out, _ = prefect("manifest", pushed, *kind, "-p", "day=2024-01-01", "-p", f"greeting={ODD}")
    (container,) = yaml.safe_load(out)["spec"]["template"]["spec"]["containers"]
    assert container["args"][1] == "--parameter=day=2024-01-01"
    for wrong, told in (
        ("day=tomorrow", "of type date"), ("limt=3", "limit"), ("limit", "no parameter"),
    ):  # fmt: skip
        out, err = prefect("manifest", pushed, *kind, "-p", wrong, status=2)
        assert (out, told in err, "Usage" in err) == ("", True, False), err


@pytest.mark.services
def test_a_secrets_value_is_written_nowhere(prefect, pushed):
    """Neither as a parameter nor as a variable; nor is what looks like a token."""
    token = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    for option in (
        ("-p", f"greeting={VALUE}"), ("-e", f"OTHER={VALUE}"), ("-e", "DB_PASSWORD=x"),
        ("-p", f"greeting={token}"), ("-e", f"TOKEN={token}"), ("-e", "PREFECT_ENCRYPTION_KEY=x"),
    ):  # fmt: skip
        out, err = prefect(
            "manifest", pushed, "--kind", "slurm", *option, status=2, DB_PASSWORD=VALUE
        )
        assert out == ""
        assert "secret" in err.lower()
        assert VALUE not in err
        assert token not in err


@pytest.mark.services
def test_the_key_of_a_sealed_flow_is_a_secret_of_its_run(prefect, registry, unique):
    """It opens the flow here, and is not written."""
    (prefect.directory / "tells.py").write_text(FLOW)
    base = layout(prefect.directory / "base")
    name = f"{registry}/{unique}:1"
    prefect("keygen", "flow.key")
    prefect(
        "build", "tells.py", "--image", base, "--push", name, "--secret", "DB_PASSWORD",
        "--key-file", "flow.key",
    )  # fmt: skip
    out, _ = prefect("manifest", name, "--kind", "kubernetes-job", "--key-file", "flow.key")
    (volume, _) = yaml.safe_load(out)["spec"]["template"]["spec"]["volumes"]
    assert [one["key"] for one in volume["secret"]["items"]] == [
        "DB_PASSWORD", "PREFECT_ENCRYPTION_KEY",
    ]  # fmt: skip
    assert (prefect.directory / "flow.key").read_text().strip() not in out
    assert "--key-file" in prefect("manifest", name, "--kind", "slurm", status=2)[1]


@pytest.mark.services
def test_what_no_platform_can_pull_is_refused_with_the_way_there(
    prefect, daemon, base_image, unique, registry
):
    """An image of the container engine alone, one that the registry lacks, a file."""
    (prefect.directory / "tells.py").write_text(FLOW.replace("NAME", unique))
    prefect("build", "tells.py", "--image", base_image, "--tag", unique)
    _, err = prefect("manifest", f"image:{unique}", "--kind", "slurm", status=2)
    assert "is in the container engine here" in err
    assert "docker push" in err
    _, err = prefect("manifest", "image:nothing-of-this-name", "--kind", "slurm", status=2)
    assert "names no registry" in err
    daemon.images.get(unique).tag(f"{registry}/{unique}", "1")
    _, err = prefect("manifest", f"{registry}/{unique}:1", "--kind", "slurm", status=2)
    assert f"`docker push {registry}/{unique}:1` first" in err
    _, err = prefect("manifest", f"{registry}/{unique}:2", "--kind", "slurm", status=2)
    assert f"--push {registry}/{unique}:2" in err
    prefect("keygen", "flow.key")
    prefect("build", "tells.py", "--key-file", "flow.key")
    _, err = prefect("manifest", "tells.flow", "--kind", "slurm", status=2)
    assert "is a sealed flow" in err
    assert "--push" in err
    _, err = prefect("manifest", "tells.py", "--kind", "slurm", status=2)
    assert "is a flow's source" in err
    assert "--push" in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--kind", "kubernetes-job", "--schedule", "@daily"], "choose --kind kubernetes-cronjob"),
        (["--kind", "systemd", "--timezone", "UTC"], "give --schedule"),
        (["--kind", "systemd", "--schedule", "61 * * * *"], "as minute"),
        (["--kind", "compose", "--namespace", "x"], "Kubernetes'"),
        (["--kind", "compose", "--time-limit", "1h"], "timeout 1h docker compose up"),
        (["--kind", "slurm", "--user", "1"], "as who submits it"),
        (["--kind", "slurm", "--engine", "docker"], "systemd's"),
        (["--kind", "systemd", "--pull-secret", "x"], "docker login"),
        (["--kind", "slurm", "--name", "Etl Daily"], "etl-daily"),
        (["--kind", "slurm", "--memory", "much"], "512m or 2g"),
        (["--kind", "kubernetes-cronjob", "--schedule", "@daily", "--name", "x" * 53], "at most 52"),
        (["--kind", "nothing"], "kubernetes-job"),
        ([], "--kind"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused_before_anything_is_asked(prefect, options, told):
    """Each error says what to do instead; no registry is spoken to."""
    out, err = prefect("manifest", "registry.invalid/etl:1", *options, status=2)
    assert out == ""
    assert told in " ".join(err.split())


@pytest.mark.services
def test_files_are_written_whole(prefect, pushed):
    """A timer goes beside its service, and what is there already is replaced."""
    options = ("--kind", "systemd", "--name", "own", "-o", "units/own.service")
    directory = prefect.directory / "units"
    assert "There is no directory units" in prefect("manifest", pushed, *options, status=2)[1]
    directory.mkdir()
    _, err = prefect("manifest", pushed, *options, "--schedule", "@daily")
    assert sorted(path.name for path in directory.iterdir()) == ["own.service", "own.timer"]
    assert "Wrote units/own.service and units/own.timer." in err
    assert "OnCalendar" in (directory / "own.timer").read_text()
    out, _ = prefect("manifest", pushed, *options[:-2], "--schedule", "@daily")
    both = [(directory / f"own.{ending}").read_text() for ending in ("service", "timer")]
    assert out == "\n".join(both)


@pytest.mark.services
def test_the_pages_commands_work(prefect, pushed):
    """Those of docs/platforms.md, for an image that there is; each kind is among them."""
    page = (Path(__file__).parents[2] / "docs/platforms.md").read_text()
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    lines = commands.replace("\\\n", " ").splitlines()
    kinds = set()
    for line in lines:
        program, *words = shlex.split(line)
        kinds.add(words[words.index("--kind") + 1])
        assert program == "prefect"
        prefect(*[pushed if word == "ghcr.io/team/etl:1" else word for word in words])
    assert kinds == {*_KINDS}


def compose(directory, *arguments, **environment):
    """Run docker compose with a file that was written."""
    return subprocess.run(
        [COMPOSE, f"--file={directory}/compose.yaml", *arguments],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.mark.services
@pytest.mark.parametrize("place", ["variables", "files"])
def test_docker_compose_runs_what_is_printed(prefect, runnable, unique, place):
    """With the secret's value, the parameters and the user as they were given; it ends as the flow does."""
    options = ["-p", f"greeting={ODD}", "--user", "1234", "--memory", "512m", "-o", "compose.yaml"]
    environment = {"DB_PASSWORD": VALUE}
    if place == "files":
        secrets = prefect.directory / "secrets"
        secrets.mkdir()
        (secrets / "DB_PASSWORD").write_text(VALUE)
        options += ["--secret-name", str(secrets)]
        environment = {}
    try:
        for limit, status in ((3, 0), (99, 1)):
            prefect("manifest", runnable, "--kind", "compose", "-p", f"limit={limit}", *options)
            done = compose(
                prefect.directory, "up", "--no-color", "--exit-code-from=flow", **environment
            )
            assert done.returncode == status, done.stderr
            assert f"told {limit} None {ODD!r} *** 1234" in done.stdout
        inspected = compose(prefect.directory, "ps", "--all", "--format=json", **environment).stdout
        assert json.loads(inspected)["ExitCode"] == 1
        assert VALUE not in inspected
    finally:
        compose(prefect.directory, "down", **environment)


@pytest.mark.services
def test_what_the_cluster_starts_runs(prefect, runnable, daemon, tmp_path):
    """The pod's container, started by its own description: user, secrets, read-only files."""
    out, _ = prefect(
        "manifest", runnable, "--kind", "kubernetes-job", "-p", f"greeting={ODD}", "-u", "1234:1234"
    )
    pod = yaml.safe_load(out)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (secrets, tmp) = container["volumeMounts"]
    values = tmp_path / "values"
    values.mkdir()
    (values / "DB_PASSWORD").write_text(VALUE)
    os.chown(values / "DB_PASSWORD", 0, pod["securityContext"]["fsGroup"])
    (values / "DB_PASSWORD").chmod(pod["volumes"][0]["secret"]["defaultMode"])
    values.chmod(0o755)
    daemon.images.pull(container["image"])
    logs = daemon.containers.run(
        container["image"],
        [word.replace("$$", "$") for word in container["args"]],
        environment={one["name"]: one["value"] for one in container["env"]},
        read_only=container["securityContext"]["readOnlyRootFilesystem"],
        cap_drop=container["securityContext"]["capabilities"]["drop"],
        security_opt=["no-new-privileges"],
        user=pod["securityContext"]["runAsUser"],
        group_add=[pod["securityContext"]["fsGroup"]],
        tmpfs={tmp["mountPath"]: ""},
        volumes={str(values): {"bind": secrets["mountPath"], "mode": "ro"}},
        remove=True,
    ).decode()
    assert f"told 3 None {ODD!r} *** 1234" in logs


@pytest.mark.services
@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize("user", ["0", "1234"])
def test_the_services_command_runs_the_container(
    prefect, runnable, unique, tmp_path, user, engine, podman
):
    """As systemd would call it, with its credentials in a directory that is root's."""
    programs = {"/usr/bin/podman": ["/usr/bin/podman", "--remote", f"--url={podman}"]}
    prefect(
        "manifest", runnable, "--kind", "systemd", "--engine", engine, "--name", unique, "-u", user,
        "-p", f"greeting={ODD}", "-p", "limit=99", "--cpus", "1", "-o", "etl.service",
    )  # fmt: skip
    unit = (prefect.directory / "etl.service").read_text().replace("\\\n", " ")
    credentials, run = tmp_path / "credentials", tmp_path / "run"
    credentials.mkdir(mode=0o700)
    (credentials / "DB_PASSWORD").write_text(VALUE)
    (credentials / "DB_PASSWORD").chmod(0o400)
    (run / unique).mkdir(parents=True)
    specifiers = {"%%": "%", "%d": str(credentials), "%t": str(run)}
    statuses = []
    for line in re.findall(r"^Exec(?:StartPre|Start)=(.*)$", unit, re.MULTILINE):
        words = [re.sub("%.", lambda found: specifiers[found[0]], one) for one in shlex.split(line)]
        program, *words = [word.replace("$$", "$") for word in words]
        program = program.lstrip("+-")
        done = subprocess.run(
            [*programs.get(program, [program]), *words], capture_output=True, text=True, check=False
        )
        statuses.append(done.returncode)
    assert f"told 99 None {ODD!r} *** {user}" in done.stdout + done.stderr
    assert statuses[-1] == 1
