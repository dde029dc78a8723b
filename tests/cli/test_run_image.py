"""`prefect run` of an image, in a real container: secrets that a run names, and other versions."""

import json
import os
from importlib import metadata

import pytest

from prefect.environments import ContainerEnvironment

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


def test_other_versions_in_an_image_are_told_and_with_strict_refused(prefect, uses, base_image):
    """Within the container, before a task runs; an image with the same ones runs in either way."""
    name = f"image:{uses}"
    out, _ = prefect("run", name)
    assert "used iniconfig" in out
    assert f"Packaged with iniconfig=={metadata.version('iniconfig')}, and here is 1." in out
    for options in ([], ["--json"]):
        out, _ = prefect("run", name, "--strict", *options, status=2)
        assert "used" not in out
        assert "iniconfig" in out
        if options:
            assert [json.loads(line) for line in out.splitlines()]
    prefect("build", "uses.py", "--image", base_image, "--tag", uses)
    out, _ = prefect("run", name, "--strict")
    assert "used iniconfig" in out


def test_a_container_that_is_started_strictly_refuses_with_status_2(prefect, uses, base_image):
    """As a run without waiting has it: the container's logs say why."""
    environment = ContainerEnvironment(base_image, tag=uses)
    for strict, status in ((False, 0), (True, 2)):
        container = environment.run(strict=strict)
        assert container.wait()["StatusCode"] == status
        logs = container.logs().decode()
        assert "iniconfig" in logs
        assert ("used iniconfig" in logs) is not strict
        container.remove()
    with pytest.raises(ValueError, match="strict"):
        environment.run(["true"], strict=True)
