"""`prefect.secrets.secret`."""

import copy
import json
import pickle

import cloudpickle
import pytest

from prefect.environments import Secret
from prefect.errors import SecretError
from prefect.secrets.secret import (
    exported,
    parse_secrets,
    resolve,
    secrets_of,
)

VALUE = "s3cret-canary-value"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("TOKEN", raising=False)
    return tmp_path


def test_a_value_is_looked_up_in_its_order_whenever_it_is_read(directory, monkeypatch):
    """The value that was set comes before the variable, and that before the file."""
    secret = Secret("TOKEN")
    (directory / "TOKEN").write_text("from the file\n")
    assert secret.value == "from the file"
    monkeypatch.setenv("TOKEN", "from the variable")
    assert secret.value == "from the variable"
    secret.value = "set"
    assert secret.value == "set"
    secret.value = None
    assert secret.value == "from the variable"


def test_a_file_loses_one_newline_and_no_more(directory):
    """An editor's final newline is not the secret's, other white space is."""
    (directory / "TOKEN").write_text(" a\nb \n\n")
    assert Secret("TOKEN").value == " a\nb \n"


def test_a_secret_without_a_value_says_where_to_put_it(directory):
    """The error names the secret, the variable and the directory."""
    with pytest.raises(SecretError, match="TOKEN") as caught:
        _ = Secret("TOKEN").value
    assert str(directory) in str(caught.value)
    assert Secret("TOKEN").find() is None


def test_an_unreadable_file_is_an_error_of_ours(directory):
    """A directory or bytes that are no text in the file's place are said, not passed over."""
    (directory / "TOKEN").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="cannot be read"):
        _ = Secret("TOKEN").value


@pytest.mark.parametrize("dump", [pickle.dumps, cloudpickle.dumps])
def test_a_value_is_never_pickled(directory, dump):
    """The name travels, the value does not."""
    secret = Secret("TOKEN")
    secret.value = VALUE
    data = dump({"secret": secret})
    assert VALUE.encode() not in data
    copied = pickle.loads(data)["secret"]
    assert copied.name == "TOKEN"
    assert copied.find() is None
    assert copy.deepcopy(secret).find() is None


def test_a_value_is_never_shown(directory):
    """Neither repr nor str nor format gives it away."""
    secret = Secret("TOKEN")
    secret.value = VALUE
    assert VALUE not in f"{secret!r} {secret} {[secret]}"
    with pytest.raises(TypeError):
        json.dumps(secret)


@pytest.mark.parametrize("name", ["", "A B", "1A", "A-B", "A=B", "../A", "Ä", "A\n"])
def test_a_name_is_an_environment_variables(name):
    """A name that no variable can have is refused, and none can reach out of the directory."""
    with pytest.raises(ValueError, match="cannot be a secret's name"):
        Secret(name)


def test_types_are_checked():
    """Names and values are str, and a list of secrets is not one secret."""
    with pytest.raises(TypeError, match="name is a str"):
        Secret(b"TOKEN")
    secret = Secret("TOKEN")
    with pytest.raises(TypeError, match="value is a str"):
        secret.value = 5
    with pytest.raises(SecretError, match="NUL"):
        secret.value = "a\0b"
    with pytest.raises(TypeError, match=r"secrets=\['TOKEN'\]"):
        parse_secrets("TOKEN")
    with pytest.raises(ValueError, match="named twice: TOKEN"):
        parse_secrets(["TOKEN", secret])
    assert parse_secrets(None) == ()


def test_all_missing_secrets_are_named_at_once(directory, monkeypatch):
    """One run tells all that has to be set."""
    monkeypatch.setenv("THERE", "x")
    with pytest.raises(SecretError, match="MISSING_1, MISSING_2"):
        resolve(parse_secrets(["MISSING_1", "THERE", "MISSING_2"]))
    assert resolve(parse_secrets(["THERE"])) == {"THERE": "x"}


def test_exported_values_are_gone_afterwards(monkeypatch):
    """The environment is as before, whatever happened meanwhile."""
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("NEW", raising=False)
    import os

    with pytest.raises(ZeroDivisionError), exported({"KEPT": "now", "NEW": "now"}):
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("now", "now")
        raise ZeroDivisionError
    assert os.environ["KEPT"] == "before"
    assert "NEW" not in os.environ


def test_the_secrets_of_a_serialized_flow_are_found():
    """Names come from the manifest's environment, if it has one."""
    assert secrets_of({"environment": None}) == ()
    assert secrets_of({"environment": {"secrets": ["A"]}}) == (Secret("A"),)
