"""`prefect build`."""

import json
import os

import pytest


def test_a_sealed_flow_is_written(sealed):
    """The file is there, complete, and nothing else is left."""
    names = {path.name for path in sealed.directory.iterdir()} - {"__pycache__"}
    assert names == {"etl.py", "helper_beside_it.py", "etl.flow", "flow.key"}
    assert (sealed.directory / "etl.flow").read_bytes().startswith(b"prefect sealed flow 1\n")


def test_the_key_can_come_from_the_environment(prefect):
    """PREFECT_ENCRYPTION_KEY does where there is no file."""
    key = prefect("keygen", "-")[0].strip()
    out, err = prefect("build", "etl.py", PREFECT_ENCRYPTION_KEY=key)
    assert "Sealed 'etl & co' into etl.flow" in err
    assert key not in out + err
    prefect("info", "etl.flow", PREFECT_ENCRYPTION_KEY=key)


def test_without_a_key_the_fix_is_named(prefect):
    """No file is written, and the message says how to make a key."""
    _, err = prefect("build", "etl.py", "-o", "x.flow", status=2)
    assert "--key-file" in err
    assert "prefect keygen" in err
    assert not (prefect.directory / "x.flow").exists()


def test_a_failed_build_leaves_the_former_file(sealed):
    """What could not be built anew is not lost."""
    before = (sealed.directory / "etl.flow").read_bytes()
    (sealed.directory / "etl.py").write_text(
        "import threading\nfrom prefect import Flow, task\nlock = threading.Lock()\n"
        "@task\ndef bad():\n    return lock\n\nwith Flow('bad') as flow:\n    bad()\n"
    )
    arguments = ["build", "etl.py", "-o", "etl.flow", "--key-file", "flow.key"]
    _, err = sealed(*arguments, status=2)
    assert "Task 'bad'" in err
    assert (sealed.directory / "etl.flow").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.py"], "no file nothing.py"),
        (["etl.py:other"], "no flow 'other'; its flows are: flow ('etl & co')"),
        (["empty.py"], "no flow among its top-level names"),
        (["two.py"], "several flows, write two.py:FLOW for one of: a ('A'), b ('B')"),
        (["broken.py"], "NameError: name 'undefined'"),
        (["etl.py", "--tag", "x"], "go with --image"),
        (["etl.py", "--image", "python", "-o", "x.flow"], "choose one"),
        (["etl.py", "--image", "python", "--recipient", "x"], "not for images"),
        (["etl.py", "--image", "Not A Name"], "no image reference"),
        (["etl.py", "--image", "python", "-r", "missing.txt"], "no requirements file"),
        (["etl.py", "--key-file", "missing.key"], "does not exist"),
        (["etl.py", "--key-file", "etl.py"], "etl.py holds no key, and an encryption key"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_said_and_is_exit_status_2(prefect, arguments, says):
    """Each mistake has a message of its own."""
    files = {
        "empty.py": "",
        "two.py": "from prefect import Flow\na = Flow('A')\nb = Flow('B')\n",
        "broken.py": "undefined\n",
    }
    for name, text in files.items():
        (prefect.directory / name).write_text(text)
    _, err = prefect("build", *arguments, status=2)
    assert says in err


def test_one_of_several_flows_is_chosen(prefect):
    """By the name of its variable, or by its own."""
    (prefect.directory / "two.py").write_text(
        "from prefect import Flow\na = Flow('A')\nb = Flow('B')\n"
    )
    prefect("keygen")
    for chosen in ("b", "B"):
        _, err = prefect("build", f"two.py:{chosen}", "--key-file", "prefect.key")
        assert "Sealed 'B' into two.flow" in err


def test_a_dockerfile_is_written_instead(prefect):
    """With --dockerfile no container engine is needed, and the directory has all that is copied."""
    out, _ = prefect(
        "build", "etl.py", "--image", "python:3.11-slim", "--dockerfile", "context",
        DOCKER_HOST="unix:///nowhere.sock",
    )  # fmt: skip
    assert "context/Dockerfile" in out
    manifest = json.loads((prefect.directory / "context/flow/manifest.json").read_text())
    assert manifest["flow"]["environment"]["image"] == "python:3.11-slim"


def test_without_a_daemon_an_image_is_not_built(prefect):
    """The message says where a container engine was looked for."""
    _, err = prefect("build", "etl.py", "--image", "python", status=2, DOCKER_HOST="unix:///no")
    assert "DOCKER_HOST" in err


def test_an_output_replaces_nothing_by_accident(sealed):
    """Source and key are refused by any path; links are followed; devices are written to."""
    build = ["build", "etl.py", "--key-file", "flow.key", "-o"]
    key = (sealed.directory / "flow.key").read_bytes()
    (sealed.directory / "link").symlink_to("etl.py")
    for output in ("./flow.key", "link"):
        assert "not overwritten" in sealed(*build, output, status=2)[1]
    assert "name it FILE.flow" in sealed(*build, "etl.py", status=2)[1]
    assert (sealed.directory / "flow.key").read_bytes() == key
    (sealed.directory / "target").write_text("old")
    (sealed.directory / "link.flow").symlink_to("target")
    sealed(*build, "link.flow")
    assert (sealed.directory / "link.flow").is_symlink()
    assert (sealed.directory / "target").read_bytes().startswith(b"prefect sealed flow")
    os.mkfifo(sealed.directory / "pipe")
    reader = os.open(sealed.directory / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sealed(*build, "pipe")
    assert os.read(reader, 19) == b"prefect sealed flow"
    os.close(reader)
    assert "unclosed" not in sealed("graph", "etl.py", "-o", "etl.txt")[1]


def test_the_flows_own_secrets_are_kept(prefect):
    """What its environment names stays a secret, whatever else the options name."""
    (prefect.directory / "own.py").write_text(
        "from prefect import Flow\nfrom prefect.environments import Environment\n"
        "flow = Flow('own', environment=Environment(secrets=['OWN']))\n"
    )
    prefect("keygen")
    prefect("build", "own.py", "--secret", "MORE", "--key-file", "prefect.key")
    manifest = json.loads(prefect("info", "own.flow", "--key-file", "prefect.key", "--json")[0])
    assert manifest["flow"]["environment"]["secrets"] == ["OWN", "MORE"]
    prefect("build", "own.py", "--image", "python:3.11", "--dockerfile", "x",
            DOCKER_HOST="unix:///nowhere.sock")  # fmt: skip
    manifest = json.loads((prefect.directory / "x/flow/manifest.json").read_text())
    assert manifest["flow"]["environment"]["secrets"] == ["OWN"]


def test_a_foreign_dockerfile_is_not_overwritten(prefect):
    """A directory that somebody else keeps a Dockerfile in stays as it is; ours is renewed."""
    arguments = ["build", "etl.py", "--image", "python:3.11", "--dockerfile", "."]
    (prefect.directory / "Dockerfile").write_text("FROM scratch\n")
    assert "not overwritten" in prefect(*arguments, status=2)[1]
    (prefect.directory / "Dockerfile").unlink()
    for _ in range(2):
        prefect(*arguments)


def test_a_file_that_exits_is_not_built(prefect):
    """sys.exit() at the top of a file is a failure to load it, whatever its status."""
    (prefect.directory / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    assert "SystemExit" in prefect("build", "leaves.py", status=2)[1]


@pytest.mark.parametrize("line", ["load(1, 2, 3)", "load.map(1)", "import beside"])
def test_a_file_that_fails_shows_its_own_frames_alone(prefect, line):
    """Whoever raised: neither this package's frames, nor those of imports, nor how to call it."""
    text = (
        "from prefect import Flow, task\n@task\ndef load(x):\n    pass\nwith Flow('x') as flow:\n"
    )
    (prefect.directory / "fails.py").write_text(f"{text}    {line}\n")
    (prefect.directory / "beside.py").write_text("1 / 0\n")
    _, err = prefect("build", "fails.py", status=2)
    assert err.startswith("Error: fails.py failed while it was loaded:\nTraceback")
    files = [
        each.split('"')[1].rpartition("/")[2] for each in err.splitlines() if "  File " in each
    ]
    assert files == ["fails.py", "beside.py"][: 1 + ("beside" in line)]


def test_requirement_files_are_read_as_they_are_written(prefect):
    """Comments, continued lines and hashes are understood; other bytes are an error of the file."""
    arguments = ["build", "etl.py", "--image", "python:3.11", "--dockerfile", "x", "-r", "r.txt"]
    offline = {"DOCKER_HOST": "unix:///nowhere.sock"}
    (prefect.directory / "r.txt").write_text("# note\niniconfig==2.0.0  # small\nidna \\\n >=3\n")
    prefect(*arguments, **offline)
    lock = (prefect.directory / "x/requirements.lock").read_text()
    assert "iniconfig==2.0.0" in lock
    assert "idna==" in lock
    for bad, says in [
        ("no requirement", "'no requirement' is not a requirement"),
        ("--pre", "--pre is an option of pip's"),
        ("./nowhere", "There is no"),
        ("six @ https://example.org/six.whl", "'six' is asked for by an address"),
        ("-r nowhere.txt", "there is no requirements file nowhere.txt"),
    ]:
        (prefect.directory / "r.txt").write_text(f"# note\nidna \\\n >=3\n\n{bad}\n")
        assert f"r.txt, line 5: {says}" in prefect(*arguments, status=2, **offline)[1]
    (prefect.directory / "r.txt").write_bytes(b"\xff\xfe")
    assert "r.txt" in prefect(*arguments, status=2, **offline)[1]
    arguments[-1] = "idna @ https://user:token@example.org/idna.whl"
    assert "by an address" in prefect(*arguments, status=2, **offline)[1]


@pytest.mark.services
def test_an_image_is_built_described_and_run(prefect, daemon, base_image, unique):
    """The way of the README, with a requirements file, a secret and parameters."""
    (prefect.directory / "needs.txt").write_text("# what it needs\niniconfig  # small\n\n")
    out, err = prefect(
        "build", "etl.py", "--image", base_image, "--tag", unique, "-r", "needs.txt",
        "--secret", "TOKEN",
    )  # fmt: skip
    assert f"prefect run {unique}:latest" in out
    assert "Building the image" in err
    manifest = json.loads(prefect("info", f"image:{unique}", "--json")[0])
    assert manifest["flow"]["environment"]["secrets"] == ["TOKEN"]
    assert manifest["flow"]["environment"]["python_dependencies"] == ["iniconfig"]

    of_image = {"ancestor": unique}
    out, _ = prefect("run", f"image:{unique}", "-p", "n=2", TOKEN="some token")
    assert "loaded [0, 2]" in out
    out, _ = prefect("run", f"image:{unique}", "-p", "fail=true", status=1, TOKEN="some token")
    assert "RuntimeError: as asked" in out
    out, _ = prefect("run", f"image:{unique}", "--json", TOKEN="some token")
    assert json.loads(out.splitlines()[-1])["state"] == "Success"
    environment = {name: value for name, value in os.environ.items() if name != "TOKEN"}
    assert "TOKEN" in prefect("run", f"image:{unique}", status=2, **environment)[1]
    prefect("run", f"image:{unique}", "--executor", "threads", TOKEN="some token")
    assert daemon.containers.list(all=True, filters=of_image) == []


@pytest.mark.services
def test_the_command_needs_no_docker_py(prefect, daemon, base_image, unique):
    """A container engine is spoken to without it, and without what speaks to registries."""
    prefect("build", "etl.py", "--image", base_image, "--tag", unique, "--secret", "TOKEN")
    changed = (prefect.directory / "etl.py").read_text().replace("timeout=60", "timeout=61")
    (prefect.directory / "etl.py").write_text(changed)
    for arguments in (
        ("build", "etl.py", "--image", base_image, "--tag", unique, "--secret", "TOKEN"),
        ("info", f"image:{unique}"),
        ("run", f"image:{unique}"),
    ):
        _, err = prefect(*arguments, TOKEN="some token", PYTHONPROFILEIMPORTTIME="1")
        imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
        assert "prefect.oci.daemon.transport" in imported
        assert not imported & {"docker", "requests", "urllib3"}


def test_what_looks_like_a_token_is_refused_for_an_image_and_warned_of_in_a_flow(prefect):
    """The message names its kind and place, and how to allow it after a look."""
    token = "AKIA" + "QWERTZUIOP234567"
    (prefect.directory / "leaky.py").write_text(
        f"from prefect import Flow, task\nKEY = 'AKIA' + {token[4:]!r}\n"
        "@task\ndef load():\n    return len(KEY)\n\nwith Flow('leaky') as flow:\n    load()\n"
    )
    image = ["build", "leaky.py", "--image", "python:3.11", "--export", "leaky.tar"]
    _, err = prefect(*image, status=2)
    place = "what looks like an AWS access key ID (the global KEY of leaky)"
    assert f"{place} in the flow's payload" in err
    _, err = prefect(*image, "--allow-secret-like", "x", status=2)
    assert "cannot name what looks like a secret" in err
    prefect("keygen", "flow.key")
    sealed = ["build", "leaky.py", "--key-file", "flow.key"]
    _, err = prefect(*sealed)
    assert f"Warning: the sealed flow 'leaky' holds {place}." in err
    assert token not in err
    name = err.partition("--allow-secret-like ")[2].partition(",")[0]
    _, err = prefect(*sealed, "--allow-secret-like", name)
    assert "Warning" not in err


def test_files_travel_in_a_sealed_flow_and_are_listed(prefect):
    """`info` shows each with its size; the file has a section for them."""
    (prefect.directory / "data").mkdir()
    (prefect.directory / "data" / "a.csv").write_bytes(b"x" * 5000)
    (prefect.directory / "b.txt").write_bytes(b"")
    prefect("keygen", "flow.key")
    prefect("build", "etl.py", "--key-file", "flow.key", "--include", "data", "--include", "*.txt")
    assert (prefect.directory / "etl.flow").read_bytes().startswith(b"prefect sealed flow 2\n")
    out, _ = prefect("info", "etl.flow", "--key-file", "flow.key")
    assert ["data/a.csv", "4.9", "KiB"] in [line.split() for line in out.splitlines()]
    assert ["b.txt", "0", "bytes"] in [line.split() for line in out.splitlines()]
    out, _ = prefect("info", "etl.flow", "--key-file", "flow.key", "--json")
    assert json.loads(out)["files"]["data/a.csv"]["size"] == 5000
    prefect("run", "etl.flow", "--key-file", "flow.key")
    prefect("verify", "etl.flow", "--key-file", "flow.key")


def test_paths_on_the_command_line_are_relative_to_the_current_directory(prefect):
    """Those of an environment to its file; both travel."""
    (prefect.directory / "flows").mkdir()
    for path in ("flows/own.txt", "asked.txt"):
        (prefect.directory / path).write_text(path)
    (prefect.directory / "flows" / "f.py").write_text(
        "from prefect import Flow\nfrom prefect.environments import PickleEnvironment\n"
        "flow = Flow('f', PickleEnvironment(include=['own.txt']))\n"
    )
    prefect("keygen", "flow.key")
    prefect(
        "build", "flows/f.py", "--key-file", "flow.key", "--include", "asked.txt", "-o", "f.flow"
    )
    out, _ = prefect("info", "f.flow", "--key-file", "flow.key", "--json")
    assert list(json.loads(out)["files"]) == ["asked.txt", "flows/own.txt"]


def test_a_file_with_a_secret_does_not_travel(prefect):
    """Neither a declared secret's value nor, into an image, a token; a sealed flow warns of that."""
    prefect("keygen", "flow.key")
    build = ("build", "etl.py", "--key-file", "flow.key", "--include", "x.txt", "-o", "x.flow")
    (prefect.directory / "x.txt").write_text("password = hunter2hunter2\n")
    _, err = prefect(*build, "--secret", "DB", status=2, DB="hunter2hunter2")
    assert "secret DB occurs in the file x.txt" in err
    assert not (prefect.directory / "x.flow").exists()
    (prefect.directory / "x.txt").write_text("token = ghp_" + "a1B2" * 9)
    _, err = prefect(*build)
    assert "a GitHub token" in err


def test_what_is_to_travel_and_is_not_there_is_said(prefect):
    """Before anything is written."""
    prefect("keygen", "flow.key")
    _, err = prefect("build", "etl.py", "--key-file", "flow.key", "--include", "no*.csv", status=2)
    assert "nothing to include" in err
    assert not (prefect.directory / "etl.flow").exists()


READS = """
from pathlib import Path
from importlib import resources
import mypackage
from prefect import Flow, task

@task
def read():
    beside = (Path(__file__).parent / "sql/a.sql").read_text()
    print("found", beside, resources.files("mypackage").joinpath("t.csv").read_text())

with Flow("reads") as flow:
    read()
"""


@pytest.mark.services
def test_files_travel_in_images(prefect, base_image, unique):
    """In the open in a layer of their own, or sealed with the flow; and by a Dockerfile."""
    for path, text in {
        "reads.py": READS,
        "sql/a.sql": "1",
        "mypackage/__init__.py": "",
        "mypackage/t.csv": "2",
    }.items():
        (prefect.directory / path).parent.mkdir(exist_ok=True)
        (prefect.directory / path).write_text(text)
    prefect("keygen", "flow.key")
    include = ("--include", "sql/*", "--include", "mypackage/t.csv")
    build = ("build", "reads.py", "--image", base_image, *include)
    for more, key in (((), ()), (("--key-file", "flow.key"), ("--key-file", "flow.key"))):
        tag = f"{unique}-{len(more)}"
        prefect(*build, *more, "--tag", tag)
        out, _ = prefect("run", f"image:{tag}", *key)
        assert "found 1 2" in out
        out, _ = prefect("info", f"image:{tag}", *key)
        assert ["sql/a.sql", "1", "byte"] in [line.split() for line in out.splitlines()]
    prefect(*build, "--dockerfile", "context")
    assert (prefect.directory / "context/files/sql/a.sql").read_text() == "1"
    assert (
        "COPY files/ /opt/prefect/flow/files/"
        in (prefect.directory / "context/Dockerfile").read_text()
    )
    digests = set()
    for content in ("1", "1", "3"):
        (prefect.directory / "sql/a.sql").write_text(content)
        prefect(*build, "--export", "image")
        digests.add((prefect.directory / "image/index.json").read_text())
    assert len(digests) == 2


NEEDY = """import idna
from prefect import Flow, task
@task
def encode():
    return idna.encode("x")

with Flow("needy") as flow:
    encode()
"""


@pytest.fixture
def needy(prefect, monkeypatch):
    """The command in a directory with a flow that imports something installed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(prefect.directory / "cache"))
    (prefect.directory / "needy.py").write_text(NEEDY)
    prefect("keygen", "flow.key")
    return prefect


def test_a_sealed_flows_requirements_are_locked(needy):
    """The build says that it locks, the file has the lock, and info tells what for."""
    arguments = ["build", "needy.py", "--key-file", "flow.key"]
    _, err = needy(
        *arguments, "--for", "linux/amd64,macos/arm64", "--python", "3.11,3.13", "-r", "six"
    )
    assert "Locking the requirements for Python 3.1" in err
    out, _ = needy("info", "needy.flow", "--key-file", "flow.key")
    assert "2 packages for Python 3.11, 3.13 on linux/amd64, macos/arm64" in out
    out, _ = needy("info", "needy.flow", "--key-file", "flow.key", "--json")
    assert 'name = "six"' in json.loads(out)["lock"]
    assert "://" not in json.loads(out)["lock"]
    needy("run", "needy.flow", "--key-file", "flow.key")


def test_a_sealed_flow_without_an_index_is_told_to_lack_a_lock(needy):
    """It is built, unless a lock was asked for; info says that nothing is locked."""
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_NO_CACHE": "1"}
    arguments = ["build", "needy.py", "--key-file", "flow.key"]
    _, err = needy(*arguments, **nowhere)
    assert "Not locked, for the index cannot be reached" in err
    out, _ = needy("info", "needy.flow", "--key-file", "flow.key")
    assert "no: versions as installed, without hashes" in out
    nowhere["UV_HTTP_RETRIES"] = "0"
    needy(*arguments, "-o", "x.flow", "--lock", "x.lock", status=2, **nowhere)
    assert not (needy.directory / "x.flow").exists()
    assert not (needy.directory / "x.lock").exists()


def test_a_projects_lock_that_is_not_used_is_said(needy):
    """One line, with the option that takes it; with the option, it is taken."""
    arguments = ["build", "needy.py", "--key-file", "flow.key"]
    needy(*arguments, "--lock", "pylock.toml")
    _, err = needy(*arguments)
    assert "pylock.toml is not used" in err
    _, err = needy(*arguments, "--project", ".")
    assert "is not used" not in err


def test_what_a_flows_own_environment_says_of_its_lock_holds(needy):
    """Its requirements are kept beside those of options, and its targets unless an option says others."""
    text = NEEDY.replace(
        'Flow("needy")',
        'Flow("needy", environment=PickleEnvironment(python_dependencies=["six"], pythons=["3.12"]))',
    )
    imports = "from prefect.environments import PickleEnvironment\n"
    (needy.directory / "needy.py").write_text(imports + text)
    needy("build", "needy.py", "--key-file", "flow.key", "-r", "iniconfig")
    out, _ = needy("info", "needy.flow", "--key-file", "flow.key")
    assert "3 packages for Python 3.12 on" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--image", "python:3.11", "--for", "linux/arm64"], "where a sealed flow may run"),
        (["--for", "windows/amd64"], "is no platform that packages are locked for"),
        (["--python", "2.7"], "is no series of Python"),
        (["--relock"], "nothing to lock anew"),
        (["-r", "own.whl"], "there is no own.whl"),
        (["-o", "x.flow", "--platform", "linux/arm64"], "go with --image"),
    ],
)
def test_options_of_a_lock_that_mean_nothing_are_refused(needy, arguments, says):
    """With the option's name, before anything is written."""
    _, err = needy("build", "needy.py", "--key-file", "flow.key", *arguments, status=2)
    assert says in " ".join(err.split())
    assert not list(needy.directory.glob("*.flow"))


def test_an_image_takes_a_pylock_and_a_projects_lock(needy):
    """As it takes requirement lines; what its runtime needs is added."""
    version = "3.10"
    (needy.directory / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "someone"\n\n[[packages]]\nname = "idna"\n'
        f'version = "{version}"\nwheels = [{{ url = "https://user:hunter2@files.example/idna-{version}'
        f'-py3-none-any.whl", hashes = {{ sha256 = "{"a" * 64}" }} }}]\n'
    )
    for option in (("--lock", "pylock.toml"), ("--project", ".")):
        arguments = ["build", "needy.py", "--image", "python:3.11", "--dockerfile", "x", *option]
        needy(*arguments, DOCKER_HOST="unix:///nowhere.sock")
        lock = (needy.directory / "x/requirements.lock").read_text()
        assert f"idna=={version}" in lock
        assert f"--hash=sha256:{'a' * 64}" in lock
        assert "cloudpickle==" in lock
        assert "files.example" not in lock
