"""`prefect.places.run`: a packaged flow in a place, from Python."""

import logging
from pathlib import Path

import pytest

from prefect import Flow, Parameter, context, places, task
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.errors import ParameterError, PlaceError, SignaturePolicyError


@task
def tell(n):
    print("printed", n)
    context.logger.warning("logged %s", n)
    return (n, {n})


@task
def fail(n):
    raise ValueError(f"{n} is too much")


def flow_of(name="etl"):
    """A flow that prints, logs and fails."""
    with Flow(name) as flow:
        n = Parameter("n", default=2)
        tell(n)
        fail.map([n])
    return flow


@pytest.mark.parametrize(
    "place",
    [
        "here",
        "venv",
        *(
            pytest.param(p, marks=pytest.mark.services)
            for p in ("sealed-sandbox", "sandbox", "engine")
        ),
    ],
)
def test_a_run_is_told_and_has_its_values(place, request, tmp_path, capsys, caplog):
    """Prints, log records, changes of states and the tasks' states, whatever the place."""
    if place in ("here", "venv", "sealed-sandbox"):
        place = place.rpartition("-")[2]
        environment = PickleEnvironment()
        artifact = environment.build(flow_of())
        options = {"encryption_key": environment.encryption_key}
    else:
        base, unique = request.getfixturevalue("base_image"), request.getfixturevalue("unique")
        request.getfixturevalue("daemon")
        environment = ContainerEnvironment(base, unique, ["cloudpickle"])
        options = {}
        if place == "engine":
            environment.load(flow_of(unique))
            artifact = unique
        else:
            artifact = tmp_path / "etl.tar"
            environment.export(artifact, flow_of(unique))
    events = []
    with caplog.at_level(logging.WARNING):
        state = places.run(artifact, place, parameters={"n": 3}, on_state=events.append, **options)
    assert state.is_failed()
    assert state.result["tell-1"].result == (3, {3})
    (child,) = state.result["fail-1"].map_states
    assert isinstance(child.result, ValueError)
    assert "3 is too much" in child.traceback
    assert "printed 3" in capsys.readouterr().out
    assert ("prefect.task.tell", logging.WARNING, "logged 3") in caplog.record_tuples
    kinds = {(event.task_slug, event.map_index, type(event.state).__name__) for event in events}
    assert {
        ("tell-1", None, "Success"),
        ("fail-1", 0, "Failed"),
        ("fail-1", None, "Mapped"),
    } <= kinds


def test_what_cannot_be_is_refused(tmp_path):
    """A place of the other kind, a wrong parameter, a signer for an image."""
    environment = PickleEnvironment()
    path = tmp_path / "etl.flow"
    environment.build_to(path, flow_of())
    key = {"encryption_key": environment.encryption_key}
    for place in ("engine", "moon"):
        with pytest.raises(PlaceError, match=place):
            places.run(path, place, **key)
    for place in ("here", "venv"):
        with pytest.raises(ParameterError, match="no parameter 'm'"):
            places.run(path, place, parameters={"m": 1}, **key)
    with pytest.raises(PlaceError, match="--memory"):
        places.run(path, "here", surroundings=places.Surroundings(memory=1 << 30), **key)
    with pytest.raises(SignaturePolicyError, match="image"):
        places.run("etl:1", trusted_signers="x")
    with pytest.raises(PlaceError, match="here"):
        places.run(Path(tmp_path), "here")


@pytest.mark.services
def test_an_image_on_disk_is_named_by_a_str_as_well(base_image, tmp_path, monkeypatch):
    """By its ending, or as a path; it runs in a sandbox, and no container engine is asked."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with Flow("etl") as flow:
        tell(1)
    ContainerEnvironment(base_image, None, ["cloudpickle"]).export(tmp_path / "etl.tar", flow)
    monkeypatch.chdir(tmp_path)
    for name in ("etl.tar", "./etl.tar"):
        assert places.run(name).result["tell-1"].result == (1, {1})
    with pytest.raises(PlaceError, match="on disk"):
        places.run("etl.tar", "engine")


def test_what_a_run_gets_may_be_written_as_a_dict(tmp_path, monkeypatch):
    """In the words of docker's users; a path may be a str, and what makes no sense is an error of ours."""
    environment = PickleEnvironment()
    with Flow("etl") as flow:
        tell(1)
    environment.build_to(tmp_path / "etl.flow", flow)
    monkeypatch.chdir(tmp_path)
    key = {"encryption_key": environment.encryption_key}
    state = places.run("etl.flow", "here", surroundings={"output": "files"}, **key)
    assert state.is_successful()
    assert (tmp_path / "files").is_dir()
    with pytest.raises(PlaceError, match="--memory"):
        places.run("etl.flow", "venv", surroundings={"memory": "1g"}, **key)
    for wrong, error in (({"memory": "much"}, ValueError), ("much", TypeError)):
        with pytest.raises(error, match=r"size|Surroundings"):
            places.run("etl.flow", "here", surroundings=wrong, **key)
