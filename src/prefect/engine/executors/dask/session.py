"""The coordinator's side of a run on a Dask cluster.

Each job is a future. Its value stays on its worker, and is a `ClusterRef` here: as an input of another job
it is a dependency, and comes here only if somebody reads it. What jobs tell arrives as events.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import warnings
from collections import deque
from contextlib import suppress
from itertools import count
from time import monotonic
from uuid import uuid4

from distributed import Future, rejoin, secede
from distributed.worker import thread_state  # type: ignore[attr-defined]

from prefect.core.state import Failed, Running, Success
from prefect.core.tracebacks import describe
from prefect.engine.executors.base import Session
from prefect.engine.executors.dask import worker
from prefect.engine.executors.dask.interrupting import current, stop_everywhere, stop_run
from prefect.engine.executors.dask.modules import uncarried
from prefect.engine.executors.dask.needs import Needs
from prefect.engine.executors.dask.refs import ClusterRef, Promise, gather_here
from prefect.engine.executors.dask.scheduler import OVER, plugin_for
from prefect.engine.executors.dask.secret_values import Handed, forget, is_encrypted, receive
from prefect.engine.executors.dask.sending import Packing, Parcel
from prefect.engine.executors.dask.worker import dumps
from prefect.engine.executors.here import SUCCEEDED, done_here
from prefect.engine.executors.inbox import Inbox
from prefect.engine.executors.travelling import arrived
from prefect.engine.job import after_loss, is_async
from prefect.errors import ExecutorError, ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from prefect.core.secret_values import RunSecrets
    from prefect.core.state import State
    from prefect.engine.executors.dask.health import Health
    from prefect.engine.job import Job

LOOK = 0.5
"""Seconds after which futures are looked at, for what no event tells."""
RESTARTS = 5
"""How often a job is sent again that waited for another on a worker that died."""
LAST = 8
"""For how much code of async jobs plain ones wait that are sent after them."""


class _Call:
    """A job that the cluster has."""

    __slots__ = ("begun", "future", "job", "number", "promised", "restarts", "token", "worker")

    def __init__(self, number: int, token: Any, job: Job) -> None:
        self.number = number
        self.token = token
        self.job = job
        self.future: Any = None
        self.promised: Promise | None = None
        self.begun = False
        self.worker = ""
        self.restarts = 0

    def key(self, topic: str) -> tuple[str, int]:
        """Return the key of its future.

        Of what is of one group Dask gives each worker only as much as it has threads: async jobs are
        of groups of their own.
        """
        group = f"{self.number}-job" if is_async(self.job.task) else "job"
        # What UTF-8 lacks is written out: a file's name may have it.
        slug = self.job.slug.encode(errors="backslashreplace").decode()
        return f"{slug}-{group}-{topic}", self.number

    def is_ahead(self) -> bool:
        """Whether it waits for what others have not returned."""
        return any(
            isinstance(each, Promise) and not each.is_kept for each in self.job.inputs.values()
        )


class DaskSession(Session):
    """One run on a cluster.

    Args:
        client: connected to it.
        cluster: what is to be closed at the end; None, if the cluster is somebody else's.
        health: tells whether the cluster is still there.
        secrets: what the tasks need of secrets: workers that connect by TLS are given it.
    """

    tells_running = True
    takes_ahead = True

    def __init__(
        self, client: Any, cluster: Any, health: Health, secrets: RunSecrets | None = None
    ) -> None:
        self.client = client
        self._cluster = cluster
        self.health = health
        self._topic = f"prefect-{uuid4().hex}"
        self._run = (
            self._topic,
            worker.process(),
            logging.getLogger("prefect.task").getEffectiveLevel(),
            secrets is not None and is_encrypted(client.scheduler.address),
        )
        self._secrets = secrets
        self._given: set[str] = set()  # workers that have them
        self._numbers = count()
        self._calls: dict[int, _Call] = {}
        self._by_token: dict[Any, _Call] = {}
        self._untold: set[str] = set()  # resources that no worker tells of
        self._waiting: list[tuple[_Call, Parcel]] = []
        self._ready: deque[tuple[Any, State]] = deque()
        self._inbox = Inbox()
        self._coming: dict[Any, Any] = {}  # futures of the code of async jobs
        self._left: dict[int, str] = {}  # whose values are there
        self._done_with: list[Any] = []  # futures of jobs that have come to their ends
        self._next_look = 0.0
        self._needs = Needs(health.address, health.worker_timeout)
        self._packing = Packing(client, self._topic, self._numbers)
        self.closed = False
        health.watch(self._inbox)
        self._left_pool = _leave_pool()
        client.subscribe_topic(self._topic, self._hear)
        try:
            client.register_plugin(plugin_for(self._topic, client.id, dumps(stop_run)))
            self._counts_losses = True
        except Exception as error:
            # A scheduler may be told to take none.
            if self._run[3]:
                raise ExecutorError(
                    "The Dask scheduler takes no plugin, so that workers would keep the secrets of this flow "
                    "if its process died: have distributed.scheduler.pickle allow it, or give the "
                    "workers' environments values of their own and connect without TLS"
                ) from error
            self._counts_losses = False
            logging.getLogger("prefect").warning(
                "the Dask scheduler takes no plugin, so that it may run tasks again whose workers die, "
                "whatever max_retries says (distributed.scheduler.pickle allows it): %s",
                describe(error),
            )

    def _hear(self, event: tuple[float, Any]) -> None:
        """Take what workers tell; called in the client's thread.

        Who asks for secrets waits: it gets them at once, whatever the run's thread is busy with.
        """
        told = event[1]
        if self._run[3] and told != OVER and any(each[1] == "secrets" for each in told[1]):
            self._give_secrets(told[0])
        self._inbox.put(told)

    # ---- jobs go -------------------------------------------------------------------------

    def has(self, name: str, amount: int) -> bool | None:
        """Tell whether a worker has so much of a resource; or there is none yet, and one may.

        What no worker tells of binds no job to a worker: it would wait there for ever.
        """
        workers = self.health.workers()
        there = [each["resources"][name] for each in workers if name in each.get("resources", ())]
        if workers and not there:
            self._untold.add(name)
            return None
        return not workers or max(there) >= amount

    def _needed(self, job: Job) -> tuple[tuple[str, int], ...]:
        """Return what a worker has to have for a job."""
        resources = job.task.resources or {}
        return tuple(sorted(each for each in resources.items() if each[0] not in self._untold))

    def submit(self, token: Any, job: Job) -> None:
        """Take a job; it is sent together with what comes until `next_completed`."""
        if (state := done_here(job)) is not None:
            self._ready.append((token, state))
        elif (lost := self.health.broken) is not None:
            self._ready.append((token, Failed(lost, ResultUnavailableError(lost))))
        else:
            self._send(_Call(next(self._numbers), token, job))

    def _send(self, call: _Call) -> None:
        """Pickle a job. It goes together with what else there is to go."""
        try:
            parcel = self._packing.pack(call.job)
        except Exception as error:  # noqa: BLE001  # anything that an object's pickling raises
            message = (
                describe(error)
                if isinstance(error, ResultUnavailableError)
                else f"the task or its inputs cannot be pickled: {describe(error)}"
            )
            self._ready.append((call.token, Failed(message, error)))
            return
        self._by_token[call.token] = call
        self._waiting.append((call, parcel))

    def submit_ahead(self, token: Any, job: Job) -> bool:
        """Take a job whose inputs are promised; tell whether it is taken."""
        if self.health.broken is not None or is_async(job.task) or job.task.resources:
            return False
        try:
            parcel = self._packing.pack(job)
        except Exception:  # noqa: BLE001  # it will be met again, and told then
            return False
        call = self._by_token[token] = _Call(next(self._numbers), token, job)
        self._waiting.append((call, parcel))
        return True

    def promise(self, token: Any) -> Promise | None:
        """Return what stands for the value of a job that is not done."""
        call = self._by_token.get(token)
        if call is None or is_async(call.job.task):
            return None
        if call.promised is None:
            if call.future is None:
                call.future = Future(call.key(self._topic), self.client)
            call.promised = Promise(call.future)
        return call.promised

    def withdraw(self, token: Any) -> None:
        """Forget a job that was taken ahead."""
        call = self._by_token.pop(token)
        self._waiting = [each for each in self._waiting if each[0] is not call]
        self._calls.pop(call.number, None)
        call.future = call.promised = None

    def _flush(self) -> None:
        """Hand the jobs over that have gathered.

        Those that take no place there for long come first, and then those that use up values; last, those
        that wait for others.
        """
        waiting, self._waiting = self._waiting, []
        self._hold_back(waiting)
        kinds: dict[tuple[bool, bool, bool, str], list[tuple[_Call, Parcel]]] = {}
        for each in waiting:
            call, parcel = each
            task = call.job.task
            alike = repr(sorted(task.resources.items())) if task.resources else ""
            kind = not call.is_ahead(), is_async(task), bool(parcel.references), alike
            kinds.setdefault(kind, []).append(each)
        for (_, awaits, uses_values, _), jobs in sorted(kinds.items(), reverse=True):
            try:
                futures = self._map(jobs, 2 if awaits else int(uses_values), awaits=awaits)
            except Exception as error:  # noqa: BLE001  # the client has been closed, for example
                message = f"lost on the cluster: {describe(error)}"
                for call, _ in jobs:
                    self._by_token.pop(call.token, None)
                    self._ready.append((call.token, Failed(message, error)))
                continue
            for (call, _), future in zip(jobs, futures, strict=True):
                call.future = future
                self._calls[call.number] = call

    def _hold_back(self, waiting: list[tuple[_Call, Parcel]]) -> None:
        """Have plain jobs wait for the code that async ones wait for.

        Else one might take the only thread of a worker, for as long as it runs, while that is on its way.
        """
        coming = self._coming
        for call, parcel in waiting:
            if is_async(call.job.task):
                for each in (parcel.step, parcel.context):
                    if isinstance(each, Future):
                        coming[each.key] = each
        if not coming:
            return
        coming = {key: each for key, each in coming.items() if each.status == "pending"}
        self._coming = coming
        last = [*coming.values()][-LAST:]  # they come in this order
        for call, parcel in waiting:
            if not is_async(call.job.task):
                parcel.references.extend(last)

    def _map(self, jobs: list[tuple[_Call, Parcel]], priority: int, *, awaits: bool) -> list[Any]:
        parcels = [parcel for _, parcel in jobs]
        keys = [call.key(self._topic) for call, _ in jobs]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            futures: list[Any] = self.client.map(
                worker.await_for_run if awaits else worker.work_for_run,
                [self._run] * len(jobs),
                [call.number for call, _ in jobs],
                [parcel.step for parcel in parcels],
                [parcel.context for parcel in parcels],
                [parcel.payload for parcel in parcels],
                [parcel.references for parcel in parcels],
                *([keys] if awaits else []),
                key=keys,
                pure=False,
                priority=priority,
                resources=dict(self._needed(jobs[0][0].job)) or None,
            )
        return futures

    # ---- what they come to comes back ----------------------------------------------------

    def next_completed(self, timeout: float) -> tuple[Any, State] | None:
        """Wait for what a job comes to, or for the beginning of one."""
        until = monotonic() + timeout
        while not self._ready:
            if self._waiting:
                self._flush()
                continue
            wait = max(0.0, min(LOOK, until - monotonic()))
            told = self._inbox.get(wait)
            while told is not None:
                self._take(*told)
                told = None if self._ready else self._inbox.get()
            if monotonic() >= self._next_look:
                self._look()
            if not self._ready and monotonic() >= until:
                return None
        return self._ready.popleft()

    def _take(self, sender: str, events: Sequence[Any]) -> None:
        """Take what a worker tells of jobs."""
        for number, kind, *data in events:
            if kind == "log":
                record = logging.makeLogRecord(pickle.loads(data[0]))  # noqa: S301
                logging.getLogger(record.name).handle(record)
                continue
            call = self._calls.get(number)
            if call is None:
                if kind == "running" and number in self._left:
                    _runs_again(self._left[number], sender, "its value was lost with a worker")
            elif kind == "running":
                self._begins(call, sender)
            elif kind == "done":
                self._done(number, call, *data)
            elif kind == "ended":
                self._settle(number, call, arrived(worker.loads, data[0]))
            elif kind == "interrupted":
                error, arguments = pickle.loads(data[0])  # noqa: S301
                raise error(*arguments)

    def _give_secrets(self, address: str) -> None:
        """Send the run's secrets to a worker that does a job of it."""
        if self._secrets is None or self.closed or not is_encrypted(address):
            return
        self._given.add(address)
        handed, run = Handed(self._secrets), self.client._run  # noqa: SLF001  # `run`, in its loop
        asyncio.run_coroutine_threadsafe(
            run(receive, self._topic, handed, workers=[address], on_error="ignore"),
            self.client.loop.asyncio_loop,
        )

    def _begins(self, call: _Call, sender: str) -> None:
        if call.begun:
            _runs_again(
                call.job.slug, sender, f"what it had done on {call.worker} is lost with that"
            )
        call.worker = sender
        if not call.begun:
            call.begun = True
            self._ready.append((call.token, Running("the task is running")))

    def _done(
        self, number: int, call: _Call, size: int, inline: bytes | None, length: int,
        reason: str | None, message: str | None, context: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        message = message or SUCCEEDED
        if call.promised is not None:
            self._left[number] = call.job.slug
        if inline is not None:
            state = arrived(lambda: Success(message, worker.loads(inline), context=context))
            self._settle(number, call, state)
            return
        assert call.future is not None  # noqa: S101  # for the type checker
        held = ClusterRef(self, call.future, size, length, reason)
        self._left[number] = call.job.slug
        self._settle(number, call, Success(message, held, context=context))

    def _settle(self, number: int, call: _Call, state: State) -> None:
        del self._calls[number]
        self._by_token.pop(call.token, None)
        if call.promised is not None and type(state) is Success:
            call.promised.keep(state.held)
        self._done_with.append(call.future)
        call.future = call.promised = None
        self._ready.append((call.token, state))

    def _look(self) -> None:
        """Look for what no event tells: workers that died, and what of the cluster is not there."""
        self._next_look = monotonic() + LOOK
        self._let_go()
        ended = {
            number
            for number, call in self._calls.items()
            if call.future is not None and call.future.status in {"error", "cancelled", "lost"}
        }
        # What a worker told before it died has come before the news of that.
        while (told := self._inbox.get()) is not None:
            self._take(*told)
        # Afterwards, for a connection that breaks takes the futures along.
        broken = self.health.look(busy=bool(self._calls))
        lost = [
            (number, call)
            for number, call in self._calls.items()
            if (broken is not None or number in ended) and not call.is_ahead()
        ]
        blamed = {call.worker for _, call in lost if call.begun}
        for number, call in lost:
            self._lost(number, call, broken, blamed)
        if broken is None and self.health.resources:
            self._give_up_needs()

    def _give_up_needs(self) -> None:
        """Have failed what waits for too long for what no worker has."""
        waiting = {
            number: need
            for number, call in self._calls.items()
            if call.job.task.resources and not call.begun and (need := self._needed(call.job))
        }
        told = self._needs.given_up(set(waiting.values()), self.health.resources)
        for number, need in waiting.items():
            if need in told:
                failed = Failed(told[need], ResultUnavailableError(told[need]))
                self._settle(number, self._calls[number], failed)

    def _let_go(self) -> None:
        """Let go of futures, in the client's loop and together: one by one each costs a message."""
        if self._done_with:
            done_with, self._done_with = self._done_with, []
            self.client.loop.add_callback(done_with.clear)

    def _lost(self, number: int, call: _Call, broken: str | None, blamed: set[str]) -> None:
        """Decide what becomes of a job that the cluster has lost."""
        error: BaseException | None = None
        if broken is None and call.future is not None and call.future.status == "error":
            error = call.future.exception()
        if isinstance(error, worker.EndedError):  # and its event was lost
            self._settle(number, call, arrived(worker.loads, error.state))
        elif _is_killed(error) and self._may_restart(call, error, blamed):
            logging.getLogger("prefect").warning(
                "a Dask worker left before task %r began there: has it this package, and enough memory?",
                call.job.slug,
            )
            del self._calls[number]
            call.number, call.future = next(self._numbers), None
            self._send(call)
        else:
            told = broken or "lost: the cluster cancelled it, or dropped what it needs"
            if error is not None:
                told = f"lost on the cluster: {describe(error)}"
            if _is_killed(error):  # after its first: Dask's words count its limit of deaths
                told = (
                    f"lost on the cluster: KilledWorker: its worker {call.worker or ''} died: was it killed, or "
                    "out of memory? Then give workers more memory, or fewer threads"
                )
            if isinstance(error, Exception):
                error = error.with_traceback(None)  # which is all Dask's
            failed = Failed(told, error or ResultUnavailableError(told))
            self._settle(number, call, after_loss(call.job, failed))

    def _may_restart(self, call: _Call, error: Any, blamed: set[str]) -> bool:
        """Tell whether a job is to be sent again that has not begun, as far as is known.

        It waited for another that was lost with the same worker; or else it may be itself what ends workers.
        """
        if call.begun or call.job.task.at_most_once:
            return False
        call.restarts += 1
        waited = getattr(error.last_worker, "address", None) in blamed
        return call.restarts <= (RESTARTS if waited else 1)

    # ---- values ----------------------------------------------------------------------------

    def fetch(self, ref: ClusterRef) -> Any:
        """Return a value from where it lies.

        Raises:
            ResultUnavailableError: it is lost, or the cluster is gone.
        """
        return self._gather([ref])[0]

    def prefetch(self, held: Iterable[Any]) -> None:
        """Bring values here, all at once, that are to outlive the cluster."""
        found = [each for each in gather_here(held) if not each.is_here]
        if found:
            with suppress(ResultUnavailableError):  # who reads it will meet it again
                for ref, value in zip(found, self._gather(found), strict=True):
                    ref.set(value)

    def _gather(self, refs: list[ClusterRef]) -> list[Any]:
        if self.closed:
            raise ResultUnavailableError(
                "This value was on a Dask cluster that the run has left: keep the values of all tasks "
                'with flow.run(results="all"), or make this task one of the reference tasks'
            )
        futures = [ref.future for ref in refs]

        async def gather() -> Any:
            return await self.client.gather(futures, asynchronous=True)

        waiting = asyncio.run_coroutine_threadsafe(gather(), self.client.loop.asyncio_loop)
        while True:
            try:
                return [uncarried(each) for each in waiting.result(timeout=LOOK)]
            except TimeoutError:
                if not waiting.done() and (broken := self.health.look(busy=True)) is None:
                    continue
                waiting.cancel()
                raise ResultUnavailableError(f"The value cannot be fetched: {broken}") from None
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise ResultUnavailableError(
                    f"The value cannot be fetched from the cluster: {describe(error)}"
                ) from error

    def split(self, ref: ClusterRef) -> list[Any]:
        """Return references to the items of a value, each of which is taken out where it lies."""
        name = (f"prefect-item-{self._topic}", next(self._numbers))
        keys = [(f"{name[0]}-{name[1]}", index) for index in range(ref.length)]
        futures = self.client.map(
            worker.item, [ref.future] * ref.length, range(ref.length), key=keys, pure=False
        )
        share = ref.nbytes // max(1, ref.length)
        return [ClusterRef(self, each, share, -1, None) for each in futures]

    def stop(self, *, abandon: bool) -> None:
        """Leave the cluster, and close it if it was made for the run."""
        self.closed = True
        self.health.stop()
        try:
            if abandon and self._calls and self.health.broken is None:
                self._stop_jobs()
        finally:
            self._calls.clear()
            self._by_token.clear()
            self._done_with.clear()
            self._packing.clear()
            with suppress(Exception):
                if self._given and self.health.broken is None:
                    self._ask(
                        self.client._run,  # noqa: SLF001  # `run`, in time
                        forget, self._topic, workers=list(self._given), on_error="ignore",
                    )  # fmt: skip
            with suppress(Exception):
                if not abandon and self.health.broken is None:
                    self._ask(self.client.scheduler.log_event, topic=self._topic, msg=OVER)
                self.client.close(timeout=2 if self.health.broken else 10)
            if self._cluster is not None:
                self._cluster.close()
            if self._left_pool:
                rejoin()  # type: ignore[no-untyped-call]

    def _stop_jobs(self) -> None:
        """Interrupt what runs, and drop what waits to."""
        futures = [call.future for call in self._calls.values() if call.future is not None]
        with suppress(Exception):  # the scheduler may be gone, or a worker not answer
            if left := self._ask(stop_everywhere, self.client, self._topic):
                logging.getLogger("prefect").warning(
                    "%d tasks on the Dask cluster have not ended when they were interrupted, as what waits "
                    "outside of Python does not: they go on, and others have got their places", left,
                )  # fmt: skip
        with suppress(Exception):
            self._ask(self.client._cancel, futures, force=True)  # noqa: SLF001  # `cancel`, in time

    def _ask(self, call: Any, *arguments: Any, **settings: Any) -> Any:
        """Have the client's loop do something that the scheduler answers, if it does so soon."""
        return self.client.sync(call, *arguments, callback_timeout=4, **settings)


def _is_killed(error: BaseException | None) -> bool:
    return type(error).__name__ == "KilledWorker"


def _runs_again(slug: str, where: str, why: str) -> None:
    logging.getLogger("prefect").warning("task %r runs again, on %s: %s", slug, where, why)


def _leave_pool() -> bool:
    """Free this thread's place on its worker, if a task runs a flow: else they might all wait for one."""
    if (job := current.get()) is not None:
        job.leave_place()
    elif hasattr(thread_state, "key"):  # somebody's own Dask task
        secede()  # type: ignore[no-untyped-call]
    return hasattr(thread_state, "key")
