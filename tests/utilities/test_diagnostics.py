"""`prefect.utilities.diagnostics` and `Flow.diagnostics`."""

import json
import platform

import pytest

import prefect
from prefect import Flow, Parameter, task
from prefect.utilities import diagnostics


@pytest.fixture
def settings(monkeypatch):
    """Set settings and a secret."""
    monkeypatch.setenv("PREFECT__LOGGING__LEVEL", "DEBUG")
    monkeypatch.setenv("PREFECT__DEBUG", "false")  # as by default
    monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__MY_KEY", "hunter2")
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", "hunter2")


def test_a_flow_tells_what_a_helper_needs(settings):
    """Versions, the platform, the kinds of its tasks, and which settings were changed."""
    with Flow("f", executor="threads:2") as flow:
        task(lambda x: x, name="same")(Parameter("x"))
    told = json.loads(flow.diagnostics())
    assert told["system_information"]["python_version"] == platform.python_version()
    assert told["system_information"]["prefect_version"] == prefect.__version__
    assert told["system_information"]["dependencies"]["cloudpickle"]
    assert told["flow_information"] == {
        "environment": False,
        "executor": {"type": "threads"},
        "result": False,
        "run_config": False,
        "schedule": False,
        "storage": False,
        "task_count": 2,
        "tasks": {"same-1": "FunctionTask", "x": "Parameter"},
    }
    assert told["config_overrides"]["logging"] == {"level": True}
    assert "debug" not in told["config_overrides"]
    assert "PREFECT_ENCRYPTION_KEY" in told["env_vars"]


def test_secrets_are_named_only_where_that_is_asked_for(settings):
    """No value is told in any case."""
    told = diagnostics.diagnostic_info()
    asked = diagnostics.diagnostic_info(include_secret_names=True)
    assert "MY_KEY" not in told
    assert json.loads(told)["config_overrides"]["context"] == {"secrets": True}
    assert json.loads(asked)["config_overrides"]["context"] == {"secrets": {"MY_KEY": True}}
    assert "hunter2" not in told + asked
    assert "flow_information" not in told


def test_settings_of_which_one_is_above_the_other(monkeypatch):
    """A variable may be named as the beginning of another."""
    monkeypatch.setenv("PREFECT__MINE", "1")
    monkeypatch.setenv("PREFECT__MINE__OTHER", "2")
    assert diagnostics.config_overrides()["config_overrides"]["mine"] == {"other": True}
