"""A flow and its secrets handed to a worker by the process that started it: through a pipe, in memory.

What goes through it: an object of JSON and a line feed, then the manifest's and the payload's bytes.
Nothing of it is on a disk, among arguments, or in an environment. The pipe stays open: when it ends,
whoever started the worker is gone, and so is the reason to work.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import ArtifactError
from prefect.frozen import field, frozen
from prefect.secrets.handover import bytes_carried, carried

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@frozen
class Handed:
    """What a worker gets.

    Args:
        manifest: of the flow, as JSON.
        payload: authenticated by who hands it over.
        secrets: values by name.
        files: absolute, where the files that travelled are; None where there are none.
        wheels: the same for the wheels that are the worker's to make importable.
    """

    manifest: bytes
    payload: bytes | bytearray = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    files: Path | None = None
    wheels: Path | None = None

    def pieces(self) -> Iterator[bytes | bytearray]:
        """Yield what goes through the pipe."""
        told = {
            "manifest": len(self.manifest),
            "payload": len(self.payload),
            "secrets": carried(self.secrets),
            "files": _text(self.files),
            "wheels": _text(self.wheels),
        }
        yield json.dumps(told).encode() + b"\n"
        yield self.manifest
        yield self.payload


def take_handed(number: int) -> Handed:
    """Read what was handed over through a file descriptor, and end this process when that ends.

    Raises:
        ArtifactError: it ends before all has come.
    """
    os.set_inheritable(number, False)
    pipe = os.fdopen(number, "rb")
    line = pipe.readline()
    try:
        told = json.loads(line)
        manifest = _exactly(pipe, told["manifest"])
        payload = _exactly(pipe, told["payload"])
        secrets = {name: os.fsdecode(bytes_carried(x)) for name, x in told["secrets"].items()}
        files, wheels = (told[name] and Path(told[name]) for name in ("files", "wheels"))
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError("Who started this worker handed over no flow") from error
    threading.Thread(target=_end_with, args=(pipe,), name="prefect-starter", daemon=True).start()
    return Handed(manifest, payload, secrets, files, wheels)


def _text(path: Path | None) -> str | None:
    return None if path is None else os.fspath(path)


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise ValueError("it ended early")
    return data


def _end_with(pipe: BinaryIO) -> None:
    while pipe.read(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
