"""`prefect.secrets.handover`."""

import io
import os
import stat
import subprocess
import sys

import pytest

from prefect.errors import SecretError
from prefect.secrets import handover as container_secrets
from prefect.secrets.handover import await_values, one_line, receive


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_SECRETS_DIR", str(tmp_path))
    return tmp_path


def sent(values) -> io.BytesIO:
    return io.BytesIO(one_line(values))


def deliver(values):
    """Send values to a process of its own, as an engine does."""
    command = [sys.executable, "-m", "prefect.worker", "receive-secrets"]
    subprocess.run(command, input=sent(values).read(), check=True)


@pytest.mark.parametrize(
    "value",
    [
        "simple",
        "ends with a newline\n",
        "two\nlines",
        "",
        " ä ☃ ",
        "CR\rand\r\nCRLF\r\n",
        "ends with CR\r",
        os.fsdecode(b"no \xff\xfe text"),
    ],
)
def test_what_is_sent_arrives_as_it_was(directory, value):
    """Every value is the same after it went through its file."""
    deliver({"TOKEN": value})
    assert await_values(["TOKEN"]) == {"TOKEN": value}


def test_files_are_their_owners_alone(directory):
    """Nobody else in the container can read a secret, not even for a moment."""
    receive(sent({"A": "x", "B": "y"}))
    for name in ("A", "B"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert not list(directory.glob("*.part"))


@pytest.mark.parametrize("data", [b"", b'{"A": "x"}', b"[]\n", b'{"A": 1}\n', b"no json\n"])
def test_an_incomplete_transmission_writes_nothing(directory, data):
    """A broken stream is an error, and no half of a secret is left."""
    with pytest.raises(SecretError, match="incomplete"):
        receive(io.BytesIO(data))
    assert not list(directory.iterdir())


def test_a_name_cannot_leave_the_directory(directory):
    """A path instead of a name is refused."""
    with pytest.raises(ValueError, match="cannot be a secret's name"):
        receive(sent({"../outside": "x"}))


def test_what_does_not_arrive_is_named(directory, monkeypatch):
    """After the wait, the error says what is missing and why it cannot come."""
    monkeypatch.setattr(container_secrets, "_WAIT_SECONDS", 0.05)
    (directory / "A").write_text("x\n")
    with pytest.raises(SecretError, match="B within") as caught:
        await_values(["A", "B"])
    assert "run() again" in str(caught.value)


def test_a_delivered_value_outranks_a_variable(directory, monkeypatch):
    """What was handed over counts, whatever the image set by that name."""
    monkeypatch.setenv("TOKEN", "of the image")
    deliver({"TOKEN": "delivered"})
    assert await_values(["TOKEN"]) == {"TOKEN": "delivered"}
