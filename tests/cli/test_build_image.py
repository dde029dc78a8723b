"""`prefect build --image`, without a container engine unless it says so, on a base made by hand."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from unittest.mock import Mock

import pytest
from base_making import layout
from validation import validate

from prefect import Flow
from prefect.cli.build_image import Destinations, build_image
from prefect.environments import PickleEnvironment
from prefect.oci.archives import archive as archives
from prefect.oci.references import Reference
from prefect.oci.registry import client as registry
from prefect.sealed.keys.recipients import Identity

NOWHERE = "unix:///nowhere.sock"
NOTHING = ("-r", "cloudpickle")  # but what every image has
ONE_WAY = {"PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": ""}


@pytest.fixture
def offline(prefect, monkeypatch):
    """The command, no container engine, and a base in ./base."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    layout(prefect.directory / "base")
    return prefect


def build(prefect, *arguments, **options):
    return prefect("build", "etl.py", "--image", "./base", *NOTHING, *arguments, **options)


def test_an_image_is_exported_checked_and_looked_into(offline):
    """As an archive and as a layout: standard output is the digest, which --check compares."""
    out, err = build(offline, "--export", "etl.tar")
    digest = out.strip()
    assert "Wrote 'etl & co' as an image into etl.tar" in err
    image = archives.read(offline.directory / "etl.tar")
    validate(image)
    assert image.digest == digest
    build(offline, "--export", "layout", "--tag", "etl:1")
    for path in ("./etl.tar", "layout"):
        manifest = json.loads(offline("info", path, "--json")[0])
        assert manifest["flow"]["name"] == "etl & co"
    assert "transform" in offline("info", "etl.tar")[0]
    assert "transform" in offline("graph", "etl.tar")[0]


def test_check_tells_by_its_exit_status(offline):
    """0 for the digest or the id of what this file makes, bare or with a name; else 1."""
    digest = build(offline, "--export", "etl.tar", **ONE_WAY)[0].strip()
    image_id = archives.read(offline.directory / "etl.tar").id
    for same in (digest, image_id, f"ghcr.io/team/etl@{digest}"):
        out, _ = build(offline, "--check", same, **ONE_WAY)
        assert "The same" in out
    other = "sha256:" + "0" * 64
    out, err = build(offline, "--check", other, status=1, **ONE_WAY)
    assert (out, "Not the same" in err, digest in err) == ("", True, True)
    (offline.directory / "etl.py").write_text(
        (offline.directory / "etl.py").read_text().replace("default=3", "default=4")
    )
    build(offline, "--check", digest, status=1, **ONE_WAY)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--push", "Not A Name"], "no image reference"),
        (["--push", "a@sha256:" + "0" * 64], "leave it out"),
        (["--push", "t/a", "-o", "etl.flow"], "choose one"),
        (["--check", "latest"], "no digest"),
        (["--check", "sha256:" + "0" * 64, "--key-file", "flow.key"], "each time that it is sealed"),
        (["--export", "etl.tar.gz"], "packed twice: layers are. An archive ends with .tar"),
        (["--export", "etl.zip"], "and the directory of an OCI layout has no ending"),
        (["--export", "etl.py"], "an ending that no image archive has. An archive ends with .tar"),
        (["--export", "new.flow"], "An archive ends with .tar"),
        (["--export", "flow.key.txt"], "no image archive"),
        (["--export", "."], "no image layout"),
        (["--export", "etl.py/etl.tar"], "etl.py"),
        (["--platform", "arm64"], "linux/arm64"),
        (["--platform", "linux/riscv64", "--export", "x.tar"], "no image for linux/riscv64"),
        (["--setup", "true"], "load the image there"),
        (["--lock", "base", "--export", "x.tar"], "is a directory"),
        (["--lock", "/dev/zero", "--export", "x.tar"], "zero cannot be read: /dev/zero has more"),
        (["-r", "huge.txt", "--export", "x.tar"], "huge.txt has more than the 16 MiB"),
        (["--lock", "binary.lock", "--export", "x.tar"], "cannot be read"),
        (["--lock", "foreign.lock", "--export", "x.tar"], "not a version with hashes"),
        (["--lock", "empty.lock", "-r", "six", "--export", "x.tar"], "it lacks"),
        (["--relock", "--export", "x.tar"], "name the file"),
        (["--lock", "tampered.lock", "--export", "x.tar"], "none of the hashes that are locked"),
        (["--lock", "etl.py/new.lock", "--export", "x.tar"], "etl.py/new.lock"),
        (["--key-file", "me", "--export", "x.tar"], "an encryption key is needed"),
        (["--recipient", "me.pub"], "not for images"),
        (["-r", "no-such-distribution-1", "--export", "x.tar"], "no-such-distribution-1"),
        (["-r", "index.txt", "--export", "x.tar"], "index.txt, line 2: --index-url is an option of pip's"),
        (["-r", "pins.txt", "--export", "x.tar"], "None of the hashes that are asked for"),
        (["--dockerfile", "context"], "push it to a registry"),
        (["--tag", "UPPER"], "lower-case"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_leaves_nothing(offline, arguments, says):
    """Each with exit status 2, one message, and no file of it."""
    directory = offline.directory
    (directory / "binary.lock").write_bytes(b"\xff\xfe")
    with (directory / "huge.txt").open("wb") as file:
        file.truncate(2**40)
    (directory / "foreign.lock").write_text("pandas>=2\n")
    (directory / "empty.lock").write_text("# nothing\n")
    (directory / "pins.txt").write_text(f"six==1.17.0 \\\n    --hash=sha256:{'0' * 64}\n")
    (directory / "flow.key.txt").write_text("not an image")
    (directory / "index.txt").write_text("# ours\n--index-url https://index.example/\nsix\n")
    (directory / "tampered.lock").write_text(
        "cloudpickle==3.1.1 --hash=sha256:" + "0" * 64 + "\n"
    )  # fmt: skip
    (directory / "flow.key").write_text(PickleEnvironment().encryption_key)
    identity = Identity.generate()
    (directory / "me").write_text(identity.encode())
    (directory / "me.pub").write_text(identity.recipient.encode())
    before = {path.name for path in directory.iterdir()}
    _, err = build(offline, *arguments, status=2)
    assert says in err
    assert {path.name for path in directory.iterdir()} == before


@pytest.mark.parametrize("option", ["--tag", "--push"])
def test_the_bases_name_is_not_the_images(offline, option):
    """Neither in the container engine nor in a registry: exit status 2, before anything is made."""
    arguments = ["build", "etl.py", "--image", "docker.io/library/python:3.11"]
    _, err = offline(*arguments, option, "docker.io/library/python:3.11", status=2)
    assert "would overwrite the base" in err
    assert "another tag" in err


def test_options_of_images_need_an_image(prefect):
    """Also --push, --export and --check; a key for a flow that makes its own image is not lost."""
    for option in (["--push", "t/a"], ["--export", "a"], ["--check", "sha256:" + "0" * 64]):
        assert "give --image BASE" in prefect("build", "etl.py", *option, status=2)[1]
    for option in (["--platform", "linux/arm64"], ["--setup", "x"], ["--network", "x"]):
        assert "go with --image" in prefect("build", "etl.py", *option, status=2)[1]
    (prefect.directory / "own.py").write_text(
        "from prefect import Flow\nfrom prefect.environments import ContainerEnvironment\n"
        "flow = Flow('own', environment=ContainerEnvironment('./base', python_dependencies=[]))\n"
    )
    layout(prefect.directory / "base")
    (prefect.directory / "flow.key").write_text(PickleEnvironment().encryption_key)
    own = ["build", "own.py", "--export", "own.tar"]
    assert "would not be sealed" in prefect(*own, "--key-file", "flow.key", status=2)[1]
    prefect(*own, DOCKER_HOST=NOWHERE)


def test_a_lock_is_written_once_and_then_taken(offline):
    """The second build resolves nothing; a lock that does not fit is refused, and relocked if asked."""
    (offline.directory / "locks").mkdir()
    first, _ = build(offline, "--lock", "locks/etl.lock", "--export", "1.tar")
    lock = (offline.directory / "locks/etl.lock").read_text()
    assert "cloudpickle==" in lock
    assert "--hash=sha256:" in lock
    again, _ = build(offline, "--lock", "locks/etl.lock", "--export", "2.tar")
    assert again == first
    assert (offline.directory / "locks/etl.lock").read_text() == lock
    more = ["--lock", "locks/etl.lock", "-r", "markupsafe", "--export", "3.tar"]
    assert "lacks markupsafe" in build(offline, *more, status=2)[1]
    assert (offline.directory / "locks/etl.lock").read_text() == lock
    build(offline, *more, "--relock")
    assert "markupsafe==" in (offline.directory / "locks/etl.lock").read_text()
    build(offline, *more)
    newer = ["--lock", "locks/etl.lock", "-r", "markupsafe>=99", "--export", "3.tar"]
    assert "not >=99" in build(offline, *newer, status=2)[1]


def test_an_archive_is_not_looked_for_in_a_registry(offline):
    """The error says how to spell a path."""
    (offline.directory / "base.tar").write_text("")
    _, err = offline("build", "etl.py", "--image", "base.tar", "--export", "x.tar", status=2)
    assert "./base.tar" in err


def test_nonsense_in_a_variable_is_said(offline):
    """Not by a traceback."""
    _, err = build(offline, "--export", "x.tar", status=2, PREFECT_CACHE_SIZE="much")
    assert "PREFECT_CACHE_SIZE" in err


def test_a_dependency_without_a_wheel_is_named(offline):
    """What has a source alone would have to run here to be built: the error says what allows it."""
    _, err = build(offline, "-r", "docopt==0.6.2", "--export", "x.tar", status=2)
    assert "--allow-source docopt" in err


def test_an_image_on_disk_is_not_in_a_container_engine(offline):
    """`run --in engine` and `verify` say what the file is and what to do with it."""
    build(offline, "--export", "etl.tar")
    build(offline, "--export", "layout")
    engine = ("--in", "engine")
    _, err = offline("run", "etl.tar", *engine, status=2)
    assert "docker load --input etl.tar" in err
    assert "skopeo copy oci:layout" in offline("run", "layout", *engine, status=2)[1]
    assert "docker load" in offline("run", "./etl.tar", *engine, status=2)[1]
    (offline.directory / "flow.key").write_text(PickleEnvironment().encryption_key)
    _, err = offline("verify", "etl.tar", "--key-file", "flow.key", status=2)
    assert "not a sealed flow" in err
    (offline.directory / "other.tar").write_bytes(b"\0" * 600)
    for command in ("info", "run"):
        offline(command, "other.tar", status=2)


def test_a_directory_of_an_images_name_hides_no_image(offline):
    """Only a layout counts as an image on disk: many a directory is called as its image is."""
    (offline.directory / "etl").mkdir()
    assert "DOCKER_HOST" in offline("info", "image:etl", status=2)[1]


def test_a_sealed_image_is_looked_into_with_its_key(offline):
    """By a file or the variable; another key opens nothing."""
    for name in ("flow.key", "other.key"):
        (offline.directory / name).write_text(PickleEnvironment().encryption_key)
    build(offline, "--key-file", "flow.key", "--export", "etl.tar", "--tag", "sealed")
    assert "etl & co" in offline("info", "etl.tar", "--key-file", "flow.key")[0]
    key = (offline.directory / "flow.key").read_text().strip()
    assert "etl & co" in offline("info", "etl.tar", PREFECT_ENCRYPTION_KEY=key)[0]
    assert "--key-file" in offline("info", "etl.tar", status=2)[1]
    assert "cannot be opened" in offline("info", "etl.tar", "--key-file", "other.key", status=2)[1]


def test_progress_does_not_control_the_terminal(tmp_path, capsys):
    """What a container engine, a registry or a package says is text, as it is in errors."""

    def export(*_):
        logging.getLogger("prefect.environments").info("Pulling \x1b[2J it")
        return "digest"

    to = Destinations(push=None, export=tmp_path / "a.tar", check=None, dockerfile=None)
    build_image(Flow("etl"), Mock(export=export), to, verbose=True)
    assert "Pulling \\x1b[2J it" in capsys.readouterr().err


def test_what_is_exported_and_pushed_is_packaged_once(tmp_path):
    """A sealed flow is another one each time, and the image in the registry is that on disk."""
    environment = Mock(**{"export.return_value": "digest", "push.return_value": "name"})
    to = Destinations(push="host:1/a", export=tmp_path / "a.tar", check=None, dockerfile=None)
    build_image(Flow("etl"), environment, to, verbose=False)
    assert environment.export.call_args.args[1].name == "etl"
    assert environment.push.call_args.args[1] is None


def test_ctrl_c_leaves_nothing(offline, tmp_path):
    """Neither a part of the file nor of a layer, whenever it comes; the next build succeeds."""
    cache = tmp_path / "cache"
    command = [sys.executable, "-m", "prefect", "build", "etl.py", "--image", "./base",
               "-r", "numpy", "--export", "etl.tar", "-v"]  # fmt: skip
    for word in (b"Installing", b"Packed"):
        process = subprocess.Popen(
            command, cwd=offline.directory, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"XDG_CACHE_HOME": str(cache)}, start_new_session=True,
        )  # fmt: skip
        for line in process.stderr:
            if word in line:
                os.killpg(process.pid, signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, b""), err
        assert b"Stopped." in err
        assert b"Traceback" not in err
        assert not [p for p in offline.directory.iterdir() if "etl.tar" in p.name]
        assert not list((cache / "prefect").rglob("work/*"))
    build(offline, "--export", "etl.tar", XDG_CACHE_HOME=str(cache))


# ---- reproducible -------------------------------------------------------------------------------


VARIATIONS = {
    "another umask": {"umask": 0o077},
    "another clock and zone": {"TZ": "Pacific/Auckland", "SOURCE_DATE_EPOCH": "1700000000"},
    "another locale": {"LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
    "a cold cache": {"XDG_CACHE_HOME": "{work}/cold"},
    "no cache": {"XDG_CACHE_HOME": "/dev/null"},
    "another user and host": {
        "USER": "nobody",
        "HOSTNAME": "other",
        "PYTHONDONTWRITEBYTECODE": "1",
    },
}


@pytest.fixture
def source(offline, tmp_path_factory):
    """Flow, base and lock."""
    build(offline, "-r", "markupsafe", "--lock", "etl.lock", "--export", "first.tar")
    directory = tmp_path_factory.mktemp("source") / "files"
    shutil.copytree(offline.directory, directory, ignore=shutil.ignore_patterns("*.tar", "home"))
    return directory


def vary(source: Path, target: Path, *, umask=0o022, **environment) -> str:
    """Build in a process of its own, in a copy of the source; return digest and archive's size."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    # The files in another order, with the times of now.
    for path in sorted(source.iterdir(), reverse=len(environment) % 2 == 0):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target / path.name)
    settings = {name: value.format(work=target.parent) for name, value in environment.items()}
    command = [sys.executable, "-m", "prefect", "build", "etl.py", "--image", "./base", "--lock",
               "etl.lock", "-r", "markupsafe", "--tag", "etl", "--export", "out.tar"]  # fmt: skip
    done = subprocess.run(
        command, cwd=target, env=os.environ | ONE_WAY | {"DOCKER_HOST": NOWHERE} | settings,
        umask=umask, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    image = archives.read(target / "out.tar")
    validate(image)
    assert image.digest == done.stdout.strip()
    return f"{image.digest} in {(target / 'out.tar').stat().st_size} bytes"


def test_a_build_is_reproducible(source, tmp_path_factory):
    """Under another umask, zone, locale, user, with a cold cache or none: one digest.

    Directory and hash seed are the same here.
    """
    work = tmp_path_factory.mktemp("reproducible")
    expected = vary(source, work / "same")
    for what, how in VARIATIONS.items():
        assert vary(source, work / "same", **how) == expected, what


def test_a_build_is_reproducible_elsewhere(source, tmp_path_factory):
    """In another directory, and by processes of other hash seeds."""
    work = tmp_path_factory.mktemp("seeds")
    found = {vary(source, work / seed / "x", PYTHONHASHSEED=seed) for seed in ("0", "1", "2")}
    assert len(found) == 1


# ---- with registry and container engine
# -------------------------------------------------------------------


@pytest.mark.services
def test_an_image_is_pushed_and_looked_into_without_a_daemon(offline, base_image, unique):
    """Standard output is its name by digest, by which everybody finds just this image."""
    name = f"{os.environ['PREFECT_TEST_REGISTRY']}/{unique}:1"
    out, err = build(offline, "--push", name)
    pushed = out.strip()
    assert f"Pushed 'etl & co' to {name}" in err
    validate(registry.fetch(Reference.parse(pushed)))
    for reference in (name, pushed):
        manifest = json.loads(offline("info", reference, "--json")[0])
        assert manifest["flow"]["name"] == "etl & co"
    _, err = offline("info", f"{name}0", status=2)
    assert "Nor can it be had from its registry" in err


@pytest.mark.services
def test_a_sealed_image_is_run_with_its_key(prefect, daemon, base_image, unique):
    """By a file, one of several, or the variable; the key is in no output."""
    for name in ("flow.key", "other.key"):
        (prefect.directory / name).write_text(PickleEnvironment().encryption_key)
    (prefect.directory / "me").write_text(Identity.generate().encode())
    prefect("build", "etl.py", "--image", base_image, "--tag", unique, "--key-file", "flow.key")
    key = (prefect.directory / "flow.key").read_text().strip()
    for arguments, environment in (
        (["--key-file", "flow.key"], {}),
        (["--key-file", "other.key", "--key-file", "flow.key"], {}),
        ([], {"PREFECT_ENCRYPTION_KEY": key}),
    ):
        out, err = prefect("run", f"image:{unique}", "-p", "n=2", *arguments, **environment)
        assert "loaded [0, 2]" in out
        assert key not in out + err
    of_image = {"ancestor": unique}
    for arguments, says in (
        ([], "--key-file"),
        (["--key-file", "other.key"], "cannot be opened"),
        (["--key-file", "me"], "An identity opens"),
    ):
        assert says in prefect("run", f"image:{unique}", *arguments, status=2)[1]
    assert daemon.containers.list(all=True, filters=of_image) == []


@pytest.mark.services
def test_a_daemon_loads_and_runs_what_was_exported(prefect, daemon, base_image, unique):
    """By `docker load` alone, under the name that it was given."""
    prefect("build", "etl.py", "--image", base_image, "--tag", unique, "--export", "etl.tar",
            DOCKER_HOST=NOWHERE)  # fmt: skip
    image_id = archives.read(prefect.directory / "etl.tar").id
    done = subprocess.run(
        ["docker", "load", "--input", "etl.tar"], cwd=prefect.directory, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert unique in done.stdout
    assert daemon.images.get(unique).id == image_id
    assert "loaded [0, 2, 4]" in prefect("run", f"image:{unique}")[0]


def test_an_archive_is_a_base_as_the_error_says_to_write_it(offline):
    """A path with a leading dot works; without one, the error says how to write it, and that works."""
    with tarfile.open(offline.directory / "base.tar", "w") as archive:
        archive.add(offline.directory / "base", ".")
    arguments = ["etl.py", *NOTHING, "--export", "etl.tar", "--image"]
    _, err = offline("build", *arguments, "base.tar", status=2)
    assert "slash: ./base.tar" in err
    offline("build", *arguments, "./base.tar")


def test_where_a_base_on_disk_is_is_not_in_the_image(offline):
    """By a relative path, an absolute one and that of a copy it makes the same image, which names none."""
    (offline.directory / "own.py").write_text(
        OWN.replace("./base", "~/nowhere").replace(
            'encryption_key=open("flow.key").read().strip(),', ""
        )
    )
    elsewhere = offline.directory / "of Eve"
    shutil.copytree(offline.directory / "base", elsewhere / "copy")
    digests = set()
    for base in ("./base", f"{offline.directory}/base", f"{elsewhere}/copy"):
        out, _ = offline(
            "build", "own.py", "--image", base, "--secret", "OWN", "--export", "own", **ONE_WAY
        )
        digests.add(out)
    assert len(digests) == 1
    out, _ = offline("info", "./own", "--json")
    environment = json.loads(out)["flow"]["environment"]
    assert environment["image"] == environment["tag"] == "./base"
    assert "Eve" not in out
    assert "ContainerEnvironment on a base on disk" in offline("info", "./own")[0]


OWN = """
from prefect import Flow, task
from prefect.environments import ContainerEnvironment

@task
def nothing():
    pass

with Flow("own") as flow:
    nothing()

flow.environment = ContainerEnvironment(
    "./base", tag="own:1", python_dependencies=["iniconfig"], lock="own.lock", secrets=["OWN"],
    encryption_key=open("flow.key").read().strip(),
)
"""


def test_what_the_flows_own_environment_says_holds(offline):
    """Options change what they name, or add to it: dependencies, lock, key and secrets stay."""
    directory = offline.directory
    (directory / "own.py").write_text(OWN)
    offline("keygen", "flow.key")
    shutil.copytree(directory / "base", directory / "other")
    for options, name, dependencies in (
        ([], "own:1", ["iniconfig"]),
        (["--tag", "mine:2"], "mine:2", ["iniconfig"]),
        (["--image", "./other"], "own:1", ["iniconfig"]),
        (["-r", "idna", "--relock"], "own:1", ["iniconfig", "idna"]),
    ):
        offline("build", "own.py", *options, "--export", "own.tar")
        with tarfile.open(directory / "own.tar") as archive:
            listed = json.loads(archive.extractfile("manifest.json").read())
        assert listed[0]["RepoTags"] == [name]
        out, _ = offline("info", "own.tar", "--json", "--key-file", "flow.key")
        environment = json.loads(out)["flow"]["environment"]
        assert environment["python_dependencies"] == dependencies
        assert environment["secrets"] == ["OWN"]
        assert "iniconfig" in (directory / "own.lock").read_text()
        (directory / "own.tar").unlink()
    assert "go with --image" in offline("build", "etl.py", "--tag", "x", status=2)[1]
    options = ("--key-file", "flow.key", "-o", "x.flow", "--tag", "x")
    assert "go with --image" in offline("build", "own.py", *options, status=2)[1]


def test_what_is_written_heeds_the_umask(offline):
    """Archives, layouts, locks and pictures are for their owner alone where the umask says so."""
    directory = offline.directory
    for arguments in (
        ("build", "etl.py", "--image", "./base", *NOTHING, "--lock", "a.lock", "--export", "a.tar"),
        ("build", "etl.py", "--image", "./base", *NOTHING, "--export", "layout"),
        ("build", "etl.py", "--image", "python:3.11", *NOTHING, "--dockerfile", "context"),
        ("graph", "etl.py", "-o", "etl.dot"),
    ):
        command = [sys.executable, "-m", "prefect", *arguments]
        subprocess.run(command, cwd=directory, umask=0o077, check=True, capture_output=True)
    written = [directory / name for name in ("a.lock", "a.tar", "etl.dot", "layout", "context")]
    written += [*(directory / "layout").rglob("*"), directory / "context/flow"]
    assert {path: path.stat().st_mode & 0o077 for path in written} == dict.fromkeys(written, 0)
    # A Dockerfile copies modes into the image, where any user may have to read them.
    for path in (directory / "context/runtime").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


IMPORTS = """
import iniconfig
from prefect import Flow, task

@task
def use():
    return iniconfig.__name__

with Flow("imports") as flow:
    use()
"""


@pytest.mark.services
def test_imports_are_tried_in_the_finished_image(prefect, daemon, base_image, unique):
    """What fails there is said, with exit status 2; building alone executes nothing."""
    (prefect.directory / "imports.py").write_text(IMPORTS)
    build = ["build", "imports.py", "--image", base_image, "--tag", unique, "-r", "idna"]
    _, err = prefect(*build, "--try")
    assert "All that the flow imports can be imported" in err
    _, err = prefect(*build, "--no-infer", "--try", status=2)
    assert "The flow imports iniconfig (iniconfig==" in err
    assert "In the image, import iniconfig fails: ModuleNotFoundError" in err
    out = [each.name for each in daemon.containers.list(all=True) if unique in str(each.image.tags)]
    assert out == []
    for elsewhere in (["--export", "x.tar"], ["-o", "x.flow"]):
        prefect("build", "imports.py", *elsewhere, "--try", status=2)


@pytest.mark.services
def test_wheels_that_do_not_work_together_are_told_by_trying_them(
    prefect, daemon, base_image, unique
):
    """A resolver believes what wheels promise: an old pandas, made for NumPy 1, lets a NumPy 2 in."""
    (prefect.directory / "imports.py").write_text(IMPORTS.replace("iniconfig", "pandas"))
    build = ["build", "imports.py", "--image", base_image, "--tag", unique]
    _, err = prefect(*build, "-r", "pandas<2", "-r", "scikit-learn", "--try", status=2)
    assert "Not as here: pandas 1." in err
    assert "In the image, import pandas fails: ValueError: numpy.dtype size changed" in err
    _, err = prefect(*build, "-r", "pandas<2", "-r", "numpy<2", "--try")
    assert "All that the flow imports can be imported" in err
