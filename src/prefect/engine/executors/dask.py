"""Runs tasks on a Dask cluster. Alone in importing `distributed`, and only when it is used."""

from __future__ import annotations

import logging
import os
import socket
from asyncio import CancelledError
from contextvars import ContextVar
from itertools import count
from queue import Empty, SimpleQueue

from prefect.core import check
from prefect.core.state import Failed
from prefect.core.tracebacks import describe
from prefect.engine.executors.base import ARCHIVES, Executor, Session
from prefect.engine.job import run_job
from prefect.errors import ExecutorError, RemoteTaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.job import Job

LARGE = 1 << 20
"""Bytes of a job from which on it is put on a worker directly, not through the scheduler."""
_ANSWER_SECONDS = 10  # a scheduler that listens answers in far less


class DaskExecutor(Executor):
    """Tasks run in the processes of a Dask cluster, which is the only engine for several machines.

    Inputs and results travel through the process that runs the flow: keep large data where all
    workers can reach it, and pass on where it is.

    Args:
        address: a running scheduler. Without one, a cluster is made for the run and closed
            after it; in a script, the run must then be under `if __name__ == "__main__":`.
        cluster_class: makes the cluster: `dask_kubernetes.KubeCluster`, for example. By default
            a `distributed.LocalCluster` of processes on this machine.
        cluster_kwargs: arguments for it.
        client_kwargs: arguments for `distributed.Client`.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: both an address and a cluster class are given, or the address is empty.
    """

    def __init__(
        self,
        address: str | None = None,
        cluster_class: Callable[..., Any] | None = None,
        cluster_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if address is not None and (cluster_class is not None or cluster_kwargs):
            raise ValueError("DaskExecutor takes the address of a cluster or makes one, not both")
        self.address = None if address is None else check.text("address", address)
        if cluster_class is not None:
            check.function("cluster_class", cluster_class)
        self.cluster_class = cluster_class
        self.cluster_kwargs = _arguments("cluster_kwargs", cluster_kwargs)
        self.client_kwargs = _arguments("client_kwargs", client_kwargs)

    def start(self) -> Session:
        """Connect to the cluster, or make it first.

        Raises:
            ExecutorError: Dask is not installed, or no scheduler answers at the address.
        """
        try:
            import distributed  # noqa: PLC0415  # an extra
        except ModuleNotFoundError as error:
            # Not as an extra of this package, whose name is another product's where packages are public.
            raise ExecutorError(
                "DaskExecutor needs Dask where the flow runs: pip install 'dask[distributed]'; for an "
                "image, build it with -r 'dask[distributed]'"
            ) from error
        connect: Any = distributed.Client
        # Not the client of whatever else this process computes with Dask.
        options = {"set_as_default": False, **self.client_kwargs}
        if self.address is not None:
            options = {"timeout": _ANSWER_SECONDS, **options}
            try:
                _require_listener(self.address, options["timeout"])
                return _DaskSession(_with_archives(connect(self.address, **options)))
            except (OSError, ValueError) as error:
                raise ExecutorError(
                    f"No Dask scheduler answers at {self.address}: {error}. Check the address; "
                    "`dask scheduler` starts one"
                ) from error
        settings = self.cluster_kwargs
        if self.cluster_class is None:
            settings = {"processes": True, "dashboard_address": ":0", **settings}
        cluster = (self.cluster_class or distributed.LocalCluster)(**settings)
        try:
            client = connect(cluster, **options)
            # Processes of this machine find what is on this one's path.
            elsewhere = self.cluster_class is not None
            return _DaskSession(_with_archives(client) if elsewhere else client, cluster)
        except BaseException:
            cluster.close()
            raise

    def text(self) -> str | None:
        """Return its text form; None where it has arguments that text does not say."""
        if self.cluster_class is not None or self.cluster_kwargs or self.client_kwargs:
            return None
        return "dask" if self.address is None else f"dask:{self.address}"

    def __repr__(self) -> str:
        return f"DaskExecutor({self.address or self.cluster_class or ''!r})"


def _with_archives(client: Any) -> Any:
    """Have the workers of a cluster import what the run has brought in wheels."""
    for archive in ARCHIVES:
        client.upload_file(str(archive))
    return client


def _arguments(what: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if given is None else dict(check.mapping(what, "arguments", given))


def _require_listener(address: str, timeout: Any) -> None:
    """Refuse an address where nothing listens at once: Dask's client tries again for half a minute.

    Raises:
        OSError: nobody listens there.
        ValueError: it is no address.
    """
    from distributed.comm.addressing import (  # noqa: PLC0415  # an extra
        get_address_host_port,
        parse_address,
    )

    if parse_address(address)[0] in {"tcp", "tls", "ws", "wss"}:
        seconds = timeout if isinstance(timeout, int | float) else _ANSWER_SECONDS
        socket.create_connection(get_address_host_port(address), timeout=seconds).close()


class _DaskSession(Session):
    """Jobs as futures of a client.

    They and their states are pickled here rather than by Dask, so that what cannot be pickled is
    a task's failure, with a message about that task.
    """

    def __init__(self, client: Any, cluster: Any = None) -> None:
        from uuid import uuid4  # noqa: PLC0415  # not free

        self._client = client
        self._cluster = cluster
        self._pickle = _pickle()
        self._done: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
        self._futures: dict[Any, Any] = {}
        # The same key would give the same result again: other runs use the cluster, too.
        self._run = uuid4().hex
        self._numbers = count()

    def submit(self, token: Any, job: Job) -> None:
        try:
            payload = self._pickle.dumps(job)
        except Exception as error:  # noqa: BLE001  # anything that an object's pickling raises
            message = f"the task or its inputs cannot be pickled: {describe(error)}"
            self._done.put((token, Failed(message, error)))
            return
        data = self._client.scatter(payload, hash=False) if len(payload) > LARGE else payload
        key = f"{job.slug}-{self._run}-{next(self._numbers)}"
        level = logging.getLogger("prefect").getEffectiveLevel()
        future = self._client.submit(_run_pickled, data, level, os.getpid(), pure=False, key=key)
        self._futures[token] = future
        future.add_done_callback(lambda done: self._done.put((token, done)))

    def next_completed(self, timeout: float | None) -> tuple[Any, State] | None:
        try:
            token, outcome = self._done.get(timeout=timeout)
        except Empty:
            return None
        if isinstance(outcome, Failed):
            return token, outcome
        self._futures.pop(token, None)
        try:
            pickled, records = outcome.result()
        except (Exception, CancelledError) as error:  # noqa: BLE001  # workers and schedulers die
            message = f"lost on the cluster: {describe(error)}"
            return token, Failed(message, error.with_traceback(None))  # which is all Dask's
        for record in records:
            logging.getLogger(record.name).handle(record)
        try:
            state = self._pickle.loads(pickled)
        except Exception as error:  # noqa: BLE001  # anything that an object's unpickling raises
            return token, Failed(f"the result cannot be loaded here: {describe(error)}", error)
        if isinstance(state, tuple):
            kind, arguments = state
            raise kind(*arguments)
        return token, state

    def stop(self, *, abandon: bool) -> None:
        if abandon and self._futures:
            self._client.cancel(list(self._futures.values()), force=True)
        self._futures.clear()
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _pickle() -> Any:
    """Return Dask's own pickling: plain where that suffices, for the rest cloudpickle's."""
    from distributed.protocol import pickle  # noqa: PLC0415  # an extra

    return pickle


_records: ContextVar[list[logging.LogRecord] | None] = ContextVar("prefect.records", default=None)


class _Collector(logging.Handler):
    """Keeps what the job of this thread logs, to be handled where the flow runs."""

    def emit(self, record: logging.LogRecord) -> None:
        records = _records.get()
        if records is not None:
            if record.exc_info:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.msg, record.args, record.exc_info = record.getMessage(), None, None
            records.append(record)


def _run_pickled(payload: bytes, level: int, home: int) -> tuple[bytes, list[logging.LogRecord]]:
    """Do a job on a worker; return its pickled state and what it logged.

    Args:
        level: of the logger `prefect` where the flow runs, in the process `home`.
    """
    if os.getpid() == home:  # a cluster of threads: what is logged here is logged there
        return _state_of(payload), []
    logger = logging.getLogger("prefect")
    logger.setLevel(level)
    if not any(isinstance(handler, _Collector) for handler in logger.handlers):
        logger.addHandler(_Collector())
    records: list[logging.LogRecord] = []
    token = _records.set(records)
    try:
        return _state_of(payload), records
    finally:
        _records.reset(token)


def _state_of(payload: bytes) -> bytes:
    """Return a job's state, or what it raised to end the whole run."""
    pickle = _pickle()
    try:
        job = pickle.loads(payload)
    except Exception as error:  # noqa: BLE001  # anything that an object's unpickling raises
        message = f"a worker cannot load the task; has it the same packages? {describe(error)}"
        return bytes(pickle.dumps(Failed(message, RemoteTaskError(message))))
    try:
        state = run_job(job)
    except KeyboardInterrupt as error:
        return bytes(pickle.dumps((type(error), error.args)))
    try:
        pickled = bytes(pickle.dumps(state))
        if isinstance(state.result, BaseException):
            pickle.loads(pickled)  # many exceptions can be pickled, but not loaded again
    except Exception as error:  # noqa: BLE001  # anything that an object's pickling raises
        return bytes(pickle.dumps(_without_result(state, error)))
    return pickled


def _without_result(state: State, error: Exception) -> State:
    """Return a state like one that cannot be pickled, with text for its result."""
    if not isinstance(state.result, BaseException):
        message = f"the task's result cannot be pickled: {describe(error)}"
        return Failed(message, RemoteTaskError(message))
    text = state.traceback
    state.result = RemoteTaskError(describe(state.result))
    state.traceback = text
    return state
