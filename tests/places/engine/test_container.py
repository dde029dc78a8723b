"""`prefect.places.engine.container`: what is to be done, checked before anything starts."""

import enum
import json
from datetime import date
from pathlib import Path

import pytest

from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment, Secret
from prefect.errors import ImageError, ParameterError, PlaceError, SecretError
from prefect.images.flow_files import package
from prefect.payload.image_facts import ImageFacts
from prefect.places.engine.container import RunnableImage
from prefect.places.protocol import Work
from prefect.places.surroundings import Surroundings, Volume
from prefect.places.work import work_in_image


class Level(enum.IntEnum):
    """Whose members JSON takes for numbers."""

    LOW = 1


class HeldImage:
    """An image as the container engine's client gives it."""

    id = "sha256:abc"

    def __init__(self, labels):
        self.labels = labels


class HeldDaemon:
    """A container engine that has one image and no way to start anything."""

    def __init__(self, labels):
        self.image = HeldImage(labels)

    def find(self, name):
        return self.image if name == "demo:1" else None


def held(packaged=None) -> RunnableImage:
    """Return an image of the container engine with the files of a packaged flow."""
    labels = {"prefect.version": "1"} | (packaged.labels if packaged else {})
    image = RunnableImage(HeldDaemon(labels), "demo:1")
    facts = ImageFacts("", "", "linux/amd64", "3.11", (), "")
    files = packaged.files(facts) if packaged else {}
    image._copy = lambda path, file, _: file.write(files[path.rpartition("/")[2]])
    return image


@pytest.fixture
def secretive() -> Flow:
    """A flow whose environment names a secret."""
    from prefect.environments import ContainerEnvironment

    with Flow("secretive", environment=ContainerEnvironment("python", secrets=["TOKEN"])) as made:
        task(lambda x: x)(Parameter("x", default=1))
    return made


def test_a_run_awaits_its_secrets_and_has_their_values_elsewhere(secretive, monkeypatch):
    """Names are arguments, which everybody sees; values are not, nor in the repr."""
    monkeypatch.setenv("TOKEN", "canary-8872")
    request = work_in_image(held(package(secretive, (), None)), parameters={"x": 2})
    assert request.awaiting() == ["run", "--secret=TOKEN", '--parameters={"x": 2}']
    assert request.secrets == {"TOKEN": "canary-8872"}
    assert "canary-8872" not in repr(request)


def test_what_is_missing_is_said(secretive, monkeypatch):
    """A secret without a value, a flow without an image, an image without a flow."""
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(SecretError, match="TOKEN"):
        work_in_image(held(package(secretive, (), None)))
    with pytest.raises(ImageError, match="give a command"):
        work_in_image(held())
    with pytest.raises(ImageError, match="no image other:1"):
        RunnableImage(HeldDaemon({}), "other:1")
    with pytest.raises(ImageError, match="not built by prefect"):
        RunnableImage(HeldDaemon({}), "demo:1")


def test_a_secret_that_was_set_outranks_the_variable(secretive, monkeypatch):
    """As with every other way to run a flow."""
    monkeypatch.setenv("TOKEN", "of the environment")
    secret = Secret("TOKEN")
    secret.value = "set here"
    request = work_in_image(held(package(secretive, (), None)), secrets=[secret])
    assert request.secrets == {"TOKEN": "set here"}


def test_a_sealed_flow_gets_the_key_that_opens_it(flow):
    """Of several, and only where the flow is to run."""
    sealing = PickleEnvironment()
    image = held(package(flow, (), sealing.keyring))
    several = PickleEnvironment([PickleEnvironment().encryption_key, sealing.encryption_key])
    for opening in (sealing, several):
        request = work_in_image(image, keyring=opening.keyring)
        assert request.awaiting() == ["run", "--secret=PREFECT_ENCRYPTION_KEY"]
        assert request.secrets == {"PREFECT_ENCRYPTION_KEY": sealing.encryption_key}
    command = work_in_image(image, "id -u", keyring=sealing.keyring)
    assert command == Work(["exec", "--", "id", "-u"], {})
    with pytest.raises(ImageError, match="sealed"):
        work_in_image(image)


def test_commands_are_split_as_a_shell_would(flow):
    """A list is taken as it is; with a terminal the container stays up."""
    image = held(package(flow, (), None))
    assert work_in_image(image, "sh -c 'a b'").arguments == ["exec", "--", "sh", "-c", "a b"]
    assert work_in_image(image, ["a b"], tty=True).arguments == ["exec", "--hold", "--", "a b"]
    assert work_in_image(image, tty=True).arguments == ["run", "--hold"]
    assert work_in_image(held(), tty=True).arguments == ["exec", "--hold"]
    assert work_in_image(image, json_lines=True).arguments == ["run", "--json"]
    for empty in ("", []):
        with pytest.raises(ValueError, match="empty"):
            work_in_image(image, empty)
    with pytest.raises(ValueError, match="quotation"):
        work_in_image(image, "sh -c 'a")


@pytest.mark.parametrize("bad", [{"a": object()}, {"a": float("inf")}, {1, 2}, "a=1", [("a", 1)]])
def test_parameters_that_are_no_json_are_refused(flow, bad):
    """Before anything starts."""
    with pytest.raises(ParameterError):
        work_in_image(held(package(flow, (), None)), parameters=bad)


def test_parameters_are_json_whatever_they_hold():
    """Quotes, lines and other scripts arrive as they are; what JSON lacks has a form in it."""
    with Flow("typed") as flow:
        for name in ("any", "of", "level"):
            flow.add_task(Parameter(name, type=Level if name == "level" else None))
        flow.add_task(Parameter("day", type=date))
    given = {"any": ["ä\n'\"", None, {"b": 1.5}], "of": (date(2024, 2, 29), Path("a"))}
    typed = {"level": Level.LOW, "day": date(2024, 2, 29)}
    request = work_in_image(held(package(flow, (), None)), parameters=given | typed)
    assert json.loads(request.arguments[1].partition("=")[2]) == {
        "any": given["any"], "of": ["2024-02-29", "a"], "level": "LOW", "day": "2024-02-29",
    }  # fmt: skip


def test_parameters_of_another_type_are_refused(secretive):
    """As the flow's description says, and before a secret is looked for."""
    image = held(package(secretive, (), None))
    with pytest.raises(ParameterError, match="'x' is of type int, a whole number; 'two' is not"):
        work_in_image(image, parameters={"x": "two"})
    with pytest.raises(ParameterError, match="no parameter 'y'"):
        work_in_image(image, parameters={"y": 2})
    with pytest.raises(ParameterError, match="holds no flow"):
        work_in_image(held(), tty=True, parameters={"x": 2})


def test_a_volume_that_would_hide_the_secrets_is_refused(secretive, monkeypatch):
    """They are handed over in memory, in that very directory."""
    monkeypatch.setenv("TOKEN", "canary-8872")
    over = Surroundings(volumes=(Volume("/tmp", "/run/secrets/"),))
    with pytest.raises(PlaceError, match="/run/secrets"):
        work_in_image(held(package(secretive, (), None)), surroundings=over)
