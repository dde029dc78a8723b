"""What workers of a Dask cluster keep: what many jobs need, and values as they go from job to job."""

from __future__ import annotations

import threading
from contextvars import ContextVar

from distributed.protocol import pickle as dask_pickle

from prefect.engine.executors.dask.modules import Carried, carried
from prefect.engine.executors.travelling import NAMELESS, are_names_known, dumps_with_modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def dumps(value: Any) -> bytes:
    """Pickle something: plainly, or as cloudpickle can."""
    if are_names_known():
        data = bytes(dask_pickle.dumps(value))  # type: ignore[no-untyped-call]
        if NAMELESS.encode() not in data:
            return data
    return dumps_with_modules(value)


def loads(data: bytes) -> Any:
    """Unpickle what came from the other side."""
    return dask_pickle.loads(data)  # type: ignore[no-untyped-call]


class Kept:
    """What many jobs need, such as a task: sent once a run, unpickled once on each worker."""

    __slots__ = ("_data", "_found", "_lock")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._found: list[Any] = []
        self._lock = threading.Lock()

    def load(self) -> Any:
        """Return it; the same one every time."""
        with self._lock:
            if not self._found:
                self._found.append(loads(self._data))
            return self._found[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (self._data,)

    def __sizeof__(self) -> int:
        return 2 * len(self._data)


class Packed:
    """A value that has been pickled already."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return loads, (self._data,)


class Small:
    """A small value, as a worker keeps it: pickled, so that each job that takes it gets one of its own."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def load(self) -> Any:
        """Return it; another one every time."""
        return loads(self._data)

    def __sizeof__(self) -> int:
        return 2 * len(self._data)

    def __reduce__(self) -> tuple[Any, ...]:
        return Small, (self._data,)


_CARRIERS = frozenset({Kept, Carried, Small})
taken: ContextVar[Sequence[Any]] = ContextVar("prefect.taken")
"""The values that came for the references of the job that is loaded."""


def opened(value: Any) -> Any:
    """Return what a worker has kept, or what it kept it in."""
    return value.load() if type(value) in _CARRIERS else value


def take(number: int) -> Any:
    """Return the value that came for a reference, when inputs are unpickled."""
    return opened(taken.get()[number])


def take_item(number: int, index: int) -> Any:
    """Return one item of it."""
    return take(number)[index]


def item(value: Any, index: int) -> Any:
    """Split a value where it lies."""
    return carried(opened(value)[index])
