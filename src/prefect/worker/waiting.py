"""A worker that was started before there was anything to do: it waits for its order, and enters an environment.

On a machine nothing but this package and Python's own library is imported until then, nor can be found: the order
comes from who has authenticated the flow. In a sandbox the environment is the image's, and what it is told to import
is imported. The order is a length in four bytes, and an object of JSON.
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
        options: of the worker. --handover tells the descriptor that the order comes through, --import
            modules to import meanwhile.

    Raises:
        SystemExit: who started this process has ended, or has no use for it.
    """
    told = dict(option.split("=", 1) for option in options)
    if "--import" in told:
        _import(told["--import"].split(","))
    order = _read(int(told["--handover"]))
    if "python" in order:
        _keep(order["lock"])
        for name in order["without"]:
            os.environ.pop(name, None)
        os.environ.update(order["variables"])
        enter(order["python"])
    arguments: list[str] = order["arguments"]
    sys.argv[1:] = arguments
    return arguments


def _import(names: list[str]) -> None:
    from contextlib import suppress  # noqa: PLC0415 - Python has imported it

    for name in names:
        with suppress(Exception, SystemExit):  # as the flow will tell, if it imports it
            __import__(name)


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
