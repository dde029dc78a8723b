"""`prefect run` of an image, in a real container: secrets that a run names, and other versions."""

import json
import os
import re
from importlib import metadata

import pytest
from faulty_daemon import FaultyDaemon

from prefect.environments import ContainerEnvironment
from prefect.oci.references import Reference
from prefect.oci.registry.client import resolve

pytestmark = pytest.mark.services

VALUE = "canary ä\"' 7461-9932"
TELLS = """
import os
from prefect import Flow, task

@task
def tell():
    print("tells", os.environ.get("MORE"), os.environ.get("OWN"))

with Flow("NAME") as flow:
    tell()
"""
USES = """
import iniconfig
from prefect import Flow, task

@task
def use():
    print("used", iniconfig.__name__)

with Flow("NAME") as flow:
    use()
"""


@pytest.fixture
def tells(prefect, daemon, base_image, unique):
    """The name of an image whose flow needs the secret OWN, and prints it with the value of MORE."""
    (prefect.directory / "tells.py").write_text(TELLS.replace("NAME", unique))
    prefect(
        "build", "tells.py", "--image", base_image, "--tag", unique, "-r", "cloudpickle",
        "--secret", "OWN",
    )  # fmt: skip
    return f"image:{unique}"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_secret_is_named_with_the_run_of_an_image(prefect, tells, options, tmp_path):
    """Beside the image's own, from a variable or a file; the task has it, and all output a mask."""
    out, err = prefect("run", tells, "--secret", "MORE", *options, MORE=VALUE, OWN="canary-own")
    assert "tells *** ***" in out
    assert "canary" not in out + err
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "MORE").write_text(VALUE)
    there = {"PREFECT_SECRETS_DIR": str(directory), "OWN": "canary-own"}
    out, err = prefect("run", tells, "--secret", "MORE", *options, **there)
    assert "tells *** ***" in out
    assert "canary" not in out + err
    assert "tells None ***" in prefect("run", tells, *options, MORE=VALUE, OWN="canary-own")[0]


def test_a_secret_without_a_value_starts_no_container(prefect, tells, daemon):
    """Nor does one that is named twice, or that is no name: exit status 2."""
    without = {name: value for name, value in os.environ.items() if name != "MORE"}
    out, err = prefect("run", tells, "--secret", "MORE", status=2, **without, OWN="x-own")
    assert "MORE" in err
    assert out == ""
    for wrong in (["A B"], ["MORE", "--secret", "MORE"]):
        out, _ = prefect("run", tells, "--secret", *wrong, status=2, MORE=VALUE, OWN="x-own")
        assert out == ""
    filters = {"ancestor": tells.removeprefix("image:")}
    assert daemon.containers.list(all=True, filters=filters) == []


@pytest.fixture
def uses(prefect, daemon, base_image, unique):
    """The name of an image that has an older iniconfig than its flow was packaged with."""
    (prefect.directory / "uses.py").write_text(USES.replace("NAME", unique))
    _, err = prefect(
        "build", "uses.py", "--image", base_image, "--tag", unique, "-r", "iniconfig<2"
    )
    assert "Not as here: iniconfig 1" in err
    return unique


@pytest.fixture
def changed(daemon, uses):
    """The name of an image like it, in which somebody changed the version of iniconfig by hand."""
    site = "/opt/prefect/lib/python3.11/site-packages"
    script = f"cd {site} && mv iniconfig-1.*.dist-info iniconfig-0.5.dist-info && sed -i "
    script += "'s/^Version: .*/Version: 0.5/' iniconfig-0.5.dist-info/METADATA"
    container = daemon.containers.run(
        uses, [script], entrypoint=["sh", "-c"], user="root", detach=True
    )
    try:
        assert container.wait()["StatusCode"] == 0
        image = daemon.images.get(uses)
        config = {name: image.attrs["Config"][name] for name in ("Entrypoint", "Cmd", "User")}
        container.commit(f"{uses}-changed", conf=config)
    finally:
        container.remove(force=True)
    return f"{uses}-changed"


def test_what_the_build_chose_is_no_warning_and_what_was_changed_since_is(prefect, uses, changed):
    """A run compares with the image's own lock, within the container, before a task runs."""
    for options in ([], ["--strict"]):
        out, err = prefect("run", f"image:{uses}", *options)
        assert "used iniconfig" in out
        assert "Packaged with" not in out + err
    out, _ = prefect("run", f"image:{changed}")
    assert "used iniconfig" in out
    (line,) = [line for line in out.splitlines() if "Packaged with" in line]
    assert re.search(r"Packaged with iniconfig==1\.[0-9.]+, and here is 0\.5$", line)
    for options in ([], ["--json"]):
        out, err = prefect("run", f"image:{changed}", "--strict", *options, status=2)
        assert "used" not in out
        assert "iniconfig" in (out if options else err)
        if options:
            assert [json.loads(line) for line in out.splitlines()]


def test_a_run_asks_the_container_engine_for_nothing_twice(prefect, uses, tmp_path):
    """Nor for the manifest of an image that was built here: no container is made to look into that."""
    recording = FaultyDaemon(os.environ["DOCKER_HOST"], tmp_path / "engine.sock")
    try:
        prefect("run", f"image:{uses}", DOCKER_HOST=recording.address)
    finally:
        recording.stop()
    asked = [
        re.sub(r"/v[0-9.]+/|[0-9a-f]{64}", "/", line.partition("?")[0]) for line in recording.seen
    ]
    assert asked == [
        "GET /_ping",
        f"GET /images/{uses}/json",
        "GET /containers/json",
        "POST /containers/create",
        "POST /containers///start",
        "GET /containers///logs",
        "POST /containers///wait",
        "GET /containers///archive",  # the worker's report, without which the run is no success
        "DELETE /containers//",
    ]


def test_an_image_tells_of_itself_and_not_of_who_built_it(prefect, uses, base_image):
    """Its base by digest, Python and platform; what its lock has, as lines that make the same again."""
    digest = resolve(Reference.parse(base_image))
    out, _ = prefect("info", f"image:{uses}")
    told = {
        name: text.strip() for name, _, text in (x.strip().partition(" ") for x in out.splitlines())
    }
    assert told["Python"].startswith("cpython 3.11; packaged by cpython ")
    assert told["base"] == f"{base_image}@{digest}"
    assert told["platform"] == f"linux/{'amd64' if os.uname().machine == 'x86_64' else 'arm64'}"
    assert told["requires"].startswith("iniconfig==1.")
    assert told["with"].startswith("cloudpickle ")
    assert told["locked"] == "2 packages with hashes, for this image"
    lines = prefect("info", f"image:{uses}", "--requirements")[0].splitlines()
    assert [line.partition("==")[0] for line in lines] == ["cloudpickle", "iniconfig"]
    assert all(" --hash=sha256:" in line for line in lines)
    manifest = json.loads(prefect("info", f"image:{uses}", "--json")[0])
    assert manifest["image"]["lock"].splitlines() == lines
    out, _ = prefect("check", f"image:{uses}")
    for part in (f"{base_image}@{digest}", "Python 3.11;", "iniconfig==1."):
        assert part in out
    (line,) = (line for line in lines if line.startswith("iniconfig"))
    prefect("build", "uses.py", "--image", base_image, "--tag", f"{uses}-next")
    out, _ = prefect("diff", f"image:{uses}", f"image:{uses}-next", status=1)
    version = line.split()[0].partition("==")[2]
    assert [line for line in out.splitlines() if " requirement " in line] == [
        f"  requirement iniconfig: {version} -> {metadata.version('iniconfig')}"
    ]


def test_a_container_that_is_started_strictly_refuses_with_status_2(changed, base_image):
    """As a run without waiting has it: the container's logs say why."""
    environment = ContainerEnvironment(base_image, tag=changed)
    for strict, status in ((False, 0), (True, 2)):
        container = environment.run(strict=strict)
        assert container.wait()["StatusCode"] == status
        logs = container.logs().decode()
        assert "iniconfig" in logs
        assert ("used iniconfig" in logs) is not strict
        container.remove()
    with pytest.raises(ValueError, match="strict"):
        environment.run(["true"], strict=True)
