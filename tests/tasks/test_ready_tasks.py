"""Tasks that come with the package. What they come to is compared with classic Prefect in tests/classic."""

import logging

import pytest

from prefect import Flow, context, resource_manager
from prefect.engine import signals
from prefect.environments import PickleEnvironment
from prefect.errors import FlowError, SecretError
from prefect.tasks.secrets import EnvVarSecret, PrefectSecret
from prefect.tasks.shell import ShellTask


def test_a_shells_lines_are_logged_as_they_come(caplog):
    """With `stream_output`; and with `log_stderr` those of a command that fails, at its end."""
    with caplog.at_level(logging.INFO, "prefect"):
        ShellTask(stream_output=True).run("echo one; echo two")
        with pytest.raises(signals.FAIL, match="exit code 2") as failed:
            ShellTask(log_stderr=True).run("echo why >&2; exit 2")
    assert failed.value.state.result == "why"
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["one", "two", "Command failed with exit code 2: why"]


def test_a_secret_has_its_value_where_it_runs(monkeypatch):
    """PrefectSecret is `prefect.Secret` as a task: the context's value, the variable's, else an error."""
    monkeypatch.setenv("CLASSIC_TOKEN", "of the variable")
    assert PrefectSecret("CLASSIC_TOKEN").run() == "of the variable"
    with context(secrets={"CLASSIC_TOKEN": "of the context"}):
        assert PrefectSecret("CLASSIC_TOKEN").run() == "of the context"
    with pytest.raises(SecretError, match="NOT_SET_ANYWHERE"):
        PrefectSecret("NOT_SET_ANYWHERE").run()


def test_secrets_are_named_when_the_flow_is_written():
    """A name that no variable can have is refused then, and a task without any when it runs."""
    with pytest.raises(ValueError, match="cannot be a secret's name"):
        PrefectSecret("not a name")
    for made in (PrefectSecret(), EnvVarSecret()):
        with pytest.raises(ValueError, match="needs the name"):
            made.run()


log = []


@resource_manager
class Resource:
    """Notes what becomes of it."""

    def __init__(self, name="it"):
        self.name = name

    def setup(self):
        log.append(f"set up {self.name}")
        return self

    def cleanup(self, resource):
        log.append(f"cleaned up {resource.name}")


def test_a_packaged_flow_has_its_resource():
    """Its class travels with the flow, though its name is the manager's now."""
    with Flow("f") as flow, Resource("db"):
        ShellTask()(command="true")
    environment = PickleEnvironment()
    environment.build(flow)
    assert environment.run().is_successful()


def test_resources_need_a_flow():
    """Outside of one, it is an error that says so."""
    with pytest.raises(FlowError, match=r"Resource\(...\) is used within"):
        Resource()
