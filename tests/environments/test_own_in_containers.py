"""The user's own projects in real containers: put together, by a Dockerfile, and sealed."""

import pytest
from project_making import project

from prefect import Flow, task
from prefect.environments import ContainerEnvironment

pytestmark = pytest.mark.services
CODE = "def say():\n    print('said by the project')\n"


@task
def use():
    import subprocess
    from importlib import metadata

    import ownlib

    ownlib.say()
    print("version", metadata.version("ownlib"))
    subprocess.run(["ownlib-say"], check=True)


@task
def only_import():
    import ownlib

    ownlib.say()


@pytest.mark.parametrize("way", ["assembled", "dockerfile"])
def test_an_own_project_is_installed_in_its_image(daemon, base_image, unique, tmp_path, way):
    """With its metadata and its programs, by either way of making the image."""
    source = project(tmp_path / "ownlib", backend="setuptools", code=CODE)
    with Flow("own") as flow:
        use()
    environment = ContainerEnvironment(
        base_image, tag=unique, python_dependencies=[str(source)], infer=False
    )
    if way == "assembled":
        environment.build(flow)
    else:
        environment.create_dockerfile(tmp_path / "context", flow=flow)
        daemon.images.build(path=str(tmp_path / "context"), tag=unique, rm=True)
    container = ContainerEnvironment(base_image, tag=unique).run()
    assert container.wait()["StatusCode"] == 0
    logs = container.logs().decode()
    assert logs.count("said by the project") == 2
    assert "version 1.0" in logs
    lock = ContainerEnvironment(base_image, tag=unique).run("cat /opt/prefect/requirements.lock")
    lock.wait()
    assert "ownlib==1.0" in lock.logs().decode()


def test_a_sealed_image_has_an_own_project_within_what_is_sealed(
    daemon, base_image, unique, tmp_path
):
    """Its container opens it, and imports it; nobody else finds it."""
    source = project(tmp_path / "ownlib", backend="hatchling", code=CODE)
    with Flow("own") as flow:
        only_import()
    environment = ContainerEnvironment(
        base_image,
        tag=unique,
        python_dependencies=[str(source)],
        infer=False,
        encryption_key=b"k" * 32,
    )
    environment.build(flow)
    container = environment.run()
    assert container.wait()["StatusCode"] == 0, container.logs()
    assert b"said by the project" in container.logs()
    found = environment.run("sh -c 'find / -xdev -name \"*ownlib*\" 2>/dev/null | wc -l'")
    found.wait()
    assert found.logs().decode().split() == ["0"]
