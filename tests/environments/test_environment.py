"""`prefect.environments.Environment`."""

import json
import subprocess
import sys

import pytest

from prefect import Flow, environments
from prefect.environments import Environment, Secret


def test_the_base_class_builds_nothing():
    """`build` is a subclass's business, and says so."""
    with pytest.raises(NotImplementedError, match="PickleEnvironment or ContainerEnvironment"):
        Environment().build()
    with pytest.raises(NotImplementedError):
        Environment().build(flow=Flow("f"))


def test_secrets_are_names_or_objects():
    """Both spellings give Secret objects, and nobody's value is serialized."""
    secret = Secret("B")
    secret.value = "canary-of-b"
    environment = Environment(secrets=["A", secret])
    assert [s.name for s in environment.secrets] == ["A", "B"]
    flow = Flow("f", environment=environment)
    described = json.dumps(flow.serialize())
    assert '"secrets": ["A", "B"]' in described
    assert "canary" not in described + repr(environment)


def test_the_public_names_are_the_promised_ones():
    """`prefect.environments` offers what design and documentation name."""
    assert environments.__all__ == [
        "ContainerEnvironment", "Environment", "PickleEnvironment", "Secret",
    ]  # fmt: skip
    assert all(hasattr(environments, name) for name in environments.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = environments.Nothing


def test_the_container_environment_is_made_without_docker():
    """Importing and constructing it loads neither docker nor cryptography."""
    code = (
        "import sys; from prefect.environments import ContainerEnvironment; "
        "ContainerEnvironment('python:3.11'); "
        "print({'docker', 'cryptography', 'click', 'rich', 'distributed'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
