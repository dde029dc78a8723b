"""`prefect.secrets.secret`."""

import copy
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

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
    secret.value = "set here"
    assert secret.value == "set here"
    secret.value = None
    assert secret.value == "from the variable"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b" a\nb \n\n", b" a\nb \n"),
        (b"one\r\ntwo\rthree\r\n", b"one\r\ntwo\rthree"),
        (b"no newline\r", b"no newline\r"),
        (b"\xff\xfe no text\n", b"\xff\xfe no text"),
        ("päß☃\n".encode(), "päß☃".encode()),
    ],
)
def test_a_file_loses_one_newline_and_no_more(directory, content, value):
    """An editor's final newline is not the secret's; every other byte is, text or not."""
    (directory / "TOKEN").write_bytes(content)
    assert os.fsencode(Secret("TOKEN").value) == value
    with exported(resolve([Secret("TOKEN")])):
        assert os.environb[b"TOKEN"] == value


def test_a_secret_without_a_value_says_where_to_put_it(directory):
    """The error names the secret, the variable and the directory."""
    with pytest.raises(SecretError, match="TOKEN") as caught:
        _ = Secret("TOKEN").value
    assert str(directory) in str(caught.value)
    assert Secret("TOKEN").find() is None


def test_an_empty_variable_is_no_directory(tmp_path, monkeypatch):
    """It would be the one in which somebody happens to be, whose files are no secrets."""
    (tmp_path / "NOT_SET_ANYWHERE").write_text("a file of the project's")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_SECRETS_DIR", "")
    assert Secret("NOT_SET_ANYWHERE").find() is None


def test_an_unreadable_file_is_an_error_of_ours(directory):
    """A directory in the file's place, or what no environment carries, is said, not passed over."""
    (directory / "TOKEN").mkdir()
    with pytest.raises(SecretError, match="cannot be read"):
        _ = Secret("TOKEN").value
    with (directory / "HUGE").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SecretError, match=r"HUGE cannot be read: .*more than the 1 MiB"):
        _ = Secret("HUGE").value
    (directory / "BINARY").write_bytes(b"a\0b")
    with pytest.raises(SecretError, match="BINARY holds a NUL"):
        _ = Secret("BINARY").value


def test_a_pipe_is_not_waited_for(directory):
    """A FIFO in the directory of secrets may never have a writer: it is an error that names it."""
    os.mkfifo(directory / "TOKEN")
    with pytest.raises(SecretError, match="TOKEN is a pipe; put the value into a file"):
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
    with pytest.raises(SecretError, match="cannot carry") as caught:
        secret.value = "half of a pair: \ud83d"
    assert "half of" not in str(caught.value)
    with pytest.raises(TypeError, match=r"secrets=\['TOKEN'\]"):
        parse_secrets("TOKEN")
    with pytest.raises(ValueError, match="named twice: TOKEN"):
        parse_secrets(["TOKEN", secret])
    assert parse_secrets(None) == ()


@pytest.mark.parametrize("spelled", ["SOME_TOKEN", "some_token"])
def test_a_variable_of_classic_prefects_is_no_secret_and_that_is_said(
    directory, monkeypatch, spelled
):
    """Who has exported it as for classic Prefect learns its name here, and its value is not shown."""
    monkeypatch.setenv(f"PREFECT__CONTEXT__SECRETS__{spelled}", "hunter2")
    with pytest.raises(
        SecretError, match=r"environment variable SOME_TOKEN: here .*SECRETS__$"
    ) as caught:
        Secret("SOME_TOKEN").value  # noqa: B018
    assert "hunter2" not in str(caught.value)


def test_all_missing_secrets_are_named_at_once(directory, monkeypatch):
    """One run tells all that has to be set."""
    monkeypatch.setenv("THERE", "a value")
    with pytest.raises(SecretError, match="MISSING_1, MISSING_2"):
        resolve(parse_secrets(["MISSING_1", "THERE", "MISSING_2"]))
    assert resolve(parse_secrets(["THERE"])) == {"THERE": "a value"}


def test_exported_values_are_gone_afterwards(monkeypatch):
    """The environment is as before, whatever happened meanwhile."""
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("NEW", raising=False)
    with pytest.raises(ZeroDivisionError), exported({"KEPT": "now", "NEW": "now"}):
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("now", "now")
        raise ZeroDivisionError
    assert os.environ["KEPT"] == "before"
    assert "NEW" not in os.environ


def test_the_secrets_of_a_serialized_flow_are_found():
    """Names come from the manifest's environment, if it has one."""
    assert secrets_of({"environment": None}) == ()
    assert secrets_of({"environment": {"secrets": ["A"]}}) == (Secret("A"),)


def _run_in_thread(function):
    """Call a function in a thread of its own; return what it raised, if anything."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).exception()


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"A_TOKEN": "a"}, {"B_TOKEN": "b"}, "A_TOKEN, B_TOKEN"),
        ({"A_TOKEN": "a"}, {"A_TOKEN": "other"}, "A_TOKEN"),
        ({"A_TOKEN": "a"}, {}, "A_TOKEN"),
        ({}, {"B_TOKEN": "b"}, "B_TOKEN"),
    ],
)
def test_runs_in_threads_do_not_see_secrets_of_each_other(first, second, named):
    """A run that would see the values of another, or show it its own, is refused."""

    def overlapping():
        with exported(second):
            raise AssertionError

    with exported(first):
        before = dict(os.environ)
        error = _run_in_thread(overlapping)
        assert dict(os.environ) == before
    assert isinstance(error, SecretError)
    assert f"other secrets: {named}." in str(error)
    with exported(second):  # one after the other
        assert second.items() <= os.environ.items()


def test_runs_with_the_same_secrets_overlap():
    """They see nothing that is not theirs, and the first to end takes nothing away."""
    values = {"A_TOKEN": "a"}
    first, second = exported(values), exported(values)
    with ThreadPoolExecutor(1) as thread:
        first.__enter__()
        thread.submit(second.__enter__).result()
        first.__exit__(None, None, None)
        assert os.environ["A_TOKEN"] == "a"
        thread.submit(second.__exit__, None, None, None).result()
    assert "A_TOKEN" not in os.environ


def test_a_run_within_a_run_may_have_more_secrets():
    """A task that runs another flow hands it what it sees itself; but never another value."""
    with exported({"A_TOKEN": "a"}):
        with exported({"B_TOKEN": "b"}):
            assert (os.environ["A_TOKEN"], os.environ["B_TOKEN"]) == ("a", "b")
            with pytest.raises(SecretError, match="another value for the secret A_TOKEN"):
                exported({"A_TOKEN": "other"}).__enter__()
        assert "B_TOKEN" not in os.environ


def test_a_run_does_not_take_a_value_that_another_has_put_into_the_environment(monkeypatch):
    """A value that was set on one environment's own secret is nobody else's."""
    monkeypatch.setenv("A_TOKEN", "of the shell")
    with exported({"A_TOKEN": "of a run", "B_TOKEN": "of a run"}):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(resolve, [Secret("A_TOKEN")]).result() == {"A_TOKEN": "of the shell"}
        assert isinstance(_run_in_thread(lambda: resolve([Secret("B_TOKEN")])), SecretError)
        # A run within it is handed what it sees.
        assert resolve([Secret("A_TOKEN")]) == {"A_TOKEN": "of a run"}
