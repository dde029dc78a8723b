"""Secrets on workers: asked for when a run's first job begins there, over TLS, and gone with the run.

They are in the memory of the worker's process, by run: not in its environment, which runs share, and in no graph,
which schedulers keep.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import contextmanager
from time import monotonic

from prefect.core.secret_values import RunSecrets, in_task, of_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any


PATIENCE = 60.0
"""Seconds in which they have to come."""
AGAIN = 5.0
"""Seconds after which they are asked for again: an answer may be lost, or come before its worker is known."""
_LOOK = 0.2  # so that who waits can be interrupted

_of_runs: dict[str, Future[Received]] = {}
_lock = threading.Lock()


def is_encrypted(address: str) -> bool:
    """Tell whether what goes to an address of Dask's goes over TLS."""
    return address.startswith(("tls://", "wss://"))


class Handed:
    """Secrets on their way to a worker. It is sent as an argument, which Dask shows in logs."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: RunSecrets) -> None:
        self._secrets = secrets

    def __reduce__(self) -> tuple[Any, ...]:
        secrets = self._secrets
        return _handed, (dict(secrets.values), secrets.lacking, secrets.masked)

    def __repr__(self) -> str:
        return "<secrets>"

    def received(self) -> Received:
        """Return them for a worker, masked there from now on."""
        return Received(self._secrets)


def _handed(values: Mapping[str, str], lacking: Any, masked: Any) -> Handed:
    return Handed(RunSecrets(values, lacking, masked))


class Received:
    """Secrets of one run on a worker."""

    def __init__(self, secrets: RunSecrets) -> None:
        self.values = dict(secrets.values)
        self.secrets = RunSecrets(self.values, secrets.lacking, secrets.masked)
        self._masked: AbstractContextManager[None] = secrets.masked(list(self.values.values()))
        self._masked.__enter__()

    def forget(self) -> None:
        """Let go of the values, also for jobs that go on."""
        self.values.clear()
        self._masked.__exit__(None, None, None)


def expect(run: str, ask: Callable[[], object]) -> Future[Received]:
    """Return what is going to have the secrets of a run; the first who wants them asks for them."""
    with _lock:
        found = _of_runs.get(run)
        if found is not None:
            return found
        found = _of_runs[run] = Future()
    ask()
    return found


def receive(run: str, handed: Handed) -> None:
    """Take the secrets of a run; called by its coordinator."""
    with _lock:
        waiting = _of_runs.get(run)
        if waiting is not None and not waiting.done():
            waiting.set_result(handed.received())


def forget(run: str) -> None:
    """Forget the secrets of a run that is over."""
    with _lock:
        found = _of_runs.pop(run, None)
    if found is not None and not found.cancel() and not found.cancelled():
        found.result().forget()


def came(run: str) -> Received | None:
    """Return the secrets of a run, if they have come."""
    found = _of_runs.get(run)
    return found.result() if found and found.done() and not found.cancelled() else None


def wait(run: str, ask: Callable[[], object]) -> Received:
    """Return the secrets of a run when they have come.

    Raises:
        TimeoutError: they do not.
    """
    coming, begun = expect(run, ask), monotonic()
    asked = begun
    while True:
        try:
            return coming.result(_LOOK)
        except TimeoutError:
            moment = monotonic()
            if moment > begun + PATIENCE:
                raise
            if moment > asked + AGAIN:
                asked = moment
                ask()


@contextmanager
def having(received: Received | None) -> Iterator[None]:
    """Have secrets found in this context, here and by runs that it starts."""
    if received is None:
        yield
        return
    tokens = in_task.set(received.values), of_run.set(received.secrets)
    try:
        yield
    finally:
        in_task.reset(tokens[0])
        of_run.reset(tokens[1])
