"""What a worker process prints, written where the one that runs the flow does, in whole lines."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, TextIO

_LONGEST_LINE = 1 << 20
"""Bytes that are kept of a line that has not ended."""


def pass_on(pipe: IO[bytes], name: str) -> None:
    """Write what a process prints where this one does, in whole lines: there, secrets are masked."""
    rest = b""
    with pipe:
        while data := os.read(pipe.fileno(), 1 << 16):
            rest += data
            end = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
            if not end and len(rest) > _LONGEST_LINE:
                end = len(rest)
            _write(name, rest[:end])
            rest = rest[end:]
    _write(name, rest)


def _write(name: str, data: bytes) -> None:
    """Write it; without a stream, or with one that does not take it, nothing is: who prints goes on."""
    stream: TextIO | None = getattr(sys, name)
    if data and stream is not None:
        with suppress(Exception):  # closed, or of somebody else's making
            stream.write(data.decode(errors="replace"))
            stream.flush()
