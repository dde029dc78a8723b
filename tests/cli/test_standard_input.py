"""Standard input by the name of "-": sealed flows and keys are read from it, or it is refused."""

import os
import pty
import subprocess
import sys
from contextlib import nullcontext

import pytest

KEY = ("--key-file", "flow.key")


@pytest.fixture
def read(sealed):
    """Runs the command with a file of its directory, or something else, as standard input."""

    def run(stdin, *arguments, status=0):
        path = sealed.directory / stdin if isinstance(stdin, str) else None
        with path.open("rb") if path else nullcontext(stdin) as file:
            done = subprocess.run(
                [sys.executable, "-m", "prefect", *arguments],
                cwd=sealed.directory, stdin=file, capture_output=True, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    return run


def test_a_sealed_flow_is_read_from_it(sealed, read):
    """By each command that reads one, from a pipe and from a file; `./-` is a file of that name."""
    for command, words in {
        "info": "transform", "graph": "transform", "run": "loaded [0, 2, 4]", "verify": "Standard input is",
    }.items():  # fmt: skip
        assert words in read("etl.flow", command, "-", *KEY)
        with subprocess.Popen(
            ["cat", "etl.flow"], cwd=sealed.directory, stdout=subprocess.PIPE
        ) as cat:
            assert words in read(cat.stdout, command, "-", *KEY)
    assert "There is no file -" in read("etl.flow", "info", "./-", *KEY, status=2)


def test_a_key_is_read_from_it(read):
    """With each option that names a key, to open, to seal, to sign and to trust."""
    read(None, "keygen", "--signing", "me")
    read("me", "build", "etl.py", "-o", "etl.flow", *KEY, "--signing-key", "-")
    assert "trusted" in read("me.pub", "verify", "etl.flow", *KEY, "--trusted-signer", "-")
    read("flow.key", "build", "etl.py", "-o", "etl.flow", "--key-file", "-")
    assert "is authentic" in read("flow.key", "verify", "etl.flow", "--key-file", "-")
    read("me", "sign", "etl.flow", "--signing-key", "-")


def test_it_is_read_but_once(read):
    """A flow and a key, or two keys, cannot both come from it."""
    for arguments in (
        ["info", "-", "--key-file", "-"],
        ["verify", "etl.flow", "--key-file", "-", "--key-file", "-"],
        ["run", "-", *KEY, "--trusted-signer", "-"],
    ):
        assert "can be read but once" in read("etl.flow", *arguments, status=2)


def test_it_is_refused_where_it_cannot_be(read, sealed):
    """As source, as a file to replace, as an image, empty, closed, or a terminal."""
    (sealed.directory / "a.tar").write_bytes(bytes(257) + b"ustar" + bytes(250))
    cases = [
        ("etl.py", ["build", "-", *KEY], "a FILE.py, not from standard input"),
        ("etl.flow", ["sign", "-", "--signing-key", "flow.key"], "no file that could be replaced"),
        ("etl.flow", ["rewrap", "-", *KEY, "--to-key-file", "flow.key"], "could be replaced"),
        ("a.tar", ["info", "-"], "Standard input is an image in a pipe"),
        ("etl.py", ["info", "-"], "Standard input is not a sealed flow: it does not begin"),
        (
            subprocess.DEVNULL,
            ["run", "-", *KEY],
            "Standard input is not a sealed flow: it is empty",
        ),
    ]
    for stdin, arguments, message in cases:
        assert message in read(stdin, *arguments, status=2)
    ours, theirs = pty.openpty()
    assert "send something into it" in read(theirs, "info", "-", status=2)
    assert "send something into it" in read(theirs, "info", "etl.flow", "--key-file", "-", status=2)
    os.close(ours)
    os.close(theirs)
    closed = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m prefect info - <&-"], capture_output=True, check=False
    )
    assert (closed.returncode, b"it is closed" in closed.stderr) == (2, True)


def test_what_is_no_sealed_flow_is_not_read_to_its_end(sealed):
    """A pipe without an end is refused by its beginning."""
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "info", "-"],
            stdin=endless.stdout, capture_output=True, check=False,
        )  # fmt: skip
        endless.kill()
    assert (done.returncode, b"is not a sealed flow" in done.stderr) == (2, True)
