"""A worker that was started before there was anything to do: it waits for its order, and enters an environment.

Until then nothing but this package and Python's own library is imported, nor can be found: the order comes from
who has authenticated the flow. It is a length in four bytes, and an object of JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from typing import Any

_kept: list[int] = []


def take_order(options: list[str]) -> list[str]:
    """Wait for what to do; return the worker's arguments, in the environment that they are for.

    Args:
        options: of the worker, the first of which tells the descriptor that the order comes through.

    Raises:
        SystemExit: who started this process has ended, or has no use for it.
    """
    number = int(options[0].partition("=")[2])
    order = _read(number)
    _keep(order["lock"])
    for name in order["without"]:
        os.environ.pop(name, None)
    os.environ.update(order["variables"])
    enter(order["python"])
    arguments: list[str] = order["arguments"]
    sys.argv[1:] = arguments
    return arguments


def enter(python: str) -> None:
    """Have this interpreter be that of a virtual environment, as if its program had been started.

    Args:
        python: that program, of the same Python.
    """
    import site  # noqa: PLC0415 - Python has imported it

    prefix = os.path.dirname(os.path.dirname(python))  # noqa: PTH120 - as light as can be
    sys.executable = python
    sys.prefix = sys.exec_prefix = prefix
    site.PREFIXES[:] = [prefix]
    site.addsitepackages({*sys.path}, [prefix])
    site.execsitecustomize()


def _keep(lock: str) -> None:
    """Hold the environment, which who started this process still holds: should that be killed."""
    handle = os.open(lock, os.O_RDONLY)
    _kept.append(handle)
    fcntl.flock(handle, fcntl.LOCK_SH)


def _read(number: int) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(_exactly(number, int.from_bytes(_exactly(number, 4), "big")))
    return order


def _exactly(number: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(number, size - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data
