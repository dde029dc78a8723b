"""`prefect.config`."""

import pytest

from prefect import config
from prefect.errors import SettingError
from prefect.utilities.configuration import set_temporary_config


def test_settings_are_those_of_variables(monkeypatch):
    """PREFECT__A__B is `config.a.b`, read when it is asked for, as a number or a list where it is one."""
    monkeypatch.setenv("PREFECT__MINE__LIMIT", "3")
    monkeypatch.setenv("PREFECT__MINE__NAMES", "['a']")
    monkeypatch.setenv("PREFECT__LOGGING__LEVEL", "DEBUG")
    assert (config.mine.limit, config.mine["names"], config.logging.level) == (3, ["a"], "DEBUG")
    assert config.get("nothing") is None
    assert config.flows.checkpointing is False


def test_settings_cannot_be_set(monkeypatch):
    """Neither they nor a name that is not there are silent; secrets are not among them."""
    monkeypatch.setenv("PREFECT__CONTEXT__SECRETS__TOKEN", "value")
    with pytest.raises(AttributeError, match="read only"):
        config.debug = True
    with pytest.raises(AttributeError, match="has no context"):
        config.context  # noqa: B018
    with pytest.raises(KeyError):
        config["nothing"]


@pytest.mark.parametrize("name", ["", ".", ".a", "a..b", "a."])
def test_a_setting_without_a_name_is_an_error_that_says_what_to_write(name):
    """Also within a dict, and nothing is set."""
    for given in ({"limit": 1, name: 1}, {"limit": 1, "mine": {name: 1}}):
        with (
            pytest.raises(SettingError, match=r"is no name of a setting.*'flows.run_on_schedule'"),
            set_temporary_config(given),
        ):
            pass
    assert config.get("limit") is None
