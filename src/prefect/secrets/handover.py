"""Secrets inside a container: taken off a stream, kept in memory, awaited by the program."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import SecretError
from prefect.secrets.secret import Secret, read_value, secrets_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.005
_LOCK = ".receiving"
_BYTES = ("utf-8", "surrogateescape")  # carries any bytes in a str


def carried(values: Mapping[str, str]) -> dict[str, str]:
    """Return values as JSON carries them: bytes that are no text stand for themselves."""
    # The other side may have another encoding. So what travels are the bytes.
    return {name: os.fsencode(value).decode(*_BYTES) for name, value in values.items()}


def bytes_carried(text: str) -> bytes:
    """Return the bytes of a value that was carried."""
    return text.encode(*_BYTES)


def one_line(values: Mapping[str, str]) -> bytes:
    """Return values as the line that `receive` reads."""
    return json.dumps(carried(values)).encode() + b"\n"


def receive(stream: BinaryIO) -> None:
    """Write the secrets of one line of JSON to the secrets directory, each complete at once.

    Raises:
        SecretError: the line is incomplete or no JSON object of strings.
    """
    line = stream.readline()
    try:
        values = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise SecretError("The secrets arrived incomplete")
    directory = secrets_directory()
    # Held until this process has ended, see `await_values`.
    lock = os.open(directory / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for name, value in values.items():
        part = directory / f".{Secret(name).name}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(as_file(bytes_carried(value)))
        part.rename(directory / name)


def as_file(value: bytes) -> bytes:
    """Return what a file has that `read_value` reads a value from, whatever its bytes are."""
    # Of the newlines at the end, it leaves out one, of which kind there is.
    return value + (b"\r\n" if value.endswith(b"\r") else b"\n")


def await_values(names: Sequence[str]) -> dict[str, str]:
    """Wait until every secret is in its directory, and return the values.

    Raises:
        SecretError: they do not arrive within a minute.
    """
    directory = secrets_directory()
    deadline = time.monotonic() + _WAIT_SECONDS
    while absent := [name for name in names if not (directory / name).exists()]:
        if time.monotonic() > deadline:
            raise SecretError(
                f"Nobody handed over the secrets {', '.join(absent)} within "
                f"{_WAIT_SECONDS:.0f} seconds. A container that was started by run() cannot be "
                "restarted by hand: its secrets were in memory only. Call run() again"
            )
        time.sleep(_POLL_SECONDS)
    # A container's first process takes all others with it when it ends. Were the one that writes
    # the secrets among them, its sender would hear of a failure.
    if (directory / _LOCK).exists():
        with (directory / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
    # Read here and not through Secret: what was delivered outranks a variable of the image.
    return {name: read_value(directory / name) for name in names}
