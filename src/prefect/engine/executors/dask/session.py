"""The coordinator's side of a run on a Dask cluster.

Each job is a future. Its value stays on its worker, and is a `ClusterRef` here: as an input of another job
it is a dependency, and comes here only if somebody reads it. What jobs tell arrives as events.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
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
from prefect.engine.executors.dask.calls import Call
from prefect.engine.executors.dask.handing import Handing
from prefect.engine.executors.dask.interrupting import current, stop_everywhere, stop_run
from prefect.engine.executors.dask.kept import dumps, loads
from prefect.engine.executors.dask.losses import Losses
from prefect.engine.executors.dask.needs import Needs
from prefect.engine.executors.dask.refs import ClusterRef, Promise, promises
from prefect.engine.executors.dask.scheduler import ONCE, OVER, plugin_for
from prefect.engine.executors.dask.secret_values import Handed, forget, is_encrypted, receive
from prefect.engine.executors.dask.telling import process
from prefect.engine.executors.dask.values import Values
from prefect.engine.executors.here import SUCCEEDED, done_here
from prefect.engine.executors.inbox import Inbox
from prefect.engine.executors.travelling import arrived
from prefect.errors import ExecutorError, ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from prefect.core.secret_values import RunSecrets
    from prefect.core.state import State
    from prefect.engine.executors.dask.health import Health
    from prefect.engine.executors.local_modules import LocalModules
    from prefect.engine.job import Job

LOOK = 0.5
"""Seconds after which futures are looked at, for what no event tells."""
LARGE = 1 << 20
"""Bytes of a value that is let go of at once, rather than with others."""


class DaskSession(Session):
    """One run on a cluster.

    Args:
        client: connected to it.
        cluster: what is to be closed at the end; None, if the cluster is somebody else's.
        health: tells whether the cluster is still there.
        secrets: what the tasks need of secrets: workers that connect by TLS are given it.
        local: the local modules that workers do not have; None where they find them by their names.
    """

    tells_running = True
    takes_ahead = True

    def __init__(
        self,
        client: Any,
        cluster: Any,
        health: Health,
        secrets: RunSecrets | None = None,
        local: LocalModules | None = None,
    ) -> None:
        self.client = client
        self._cluster = cluster
        self.health = health
        self._topic = f"prefect-{uuid4().hex}"
        self._run = (
            self._topic,
            process(),
            logging.getLogger("prefect.task").getEffectiveLevel(),
            secrets is not None and is_encrypted(client.scheduler.address),
        )
        self._secrets = secrets
        self._given: set[str] = set()  # workers that have them
        self._numbers = count()
        self._calls: dict[int, Call] = {}
        self._by_token: dict[Any, Call] = {}
        # What was done here comes first: what follows it may have been given ahead, and be done already.
        self._here: deque[tuple[Any, State]] = deque()
        self._ready: deque[tuple[Any, State]] = deque()
        self._inbox = Inbox()
        self._left: dict[int, str] = {}  # whose values are there
        self._done_with: list[Any] = []  # futures of jobs that have come to their ends
        self._at_the_end: set[Any] = set()  # jobs that had begun
        self._next_look = 0.0
        self._early: list[
            tuple[str, Any]
        ] = []  # events of jobs that were told of before those they need
        self._losses = Losses()
        self._needs = Needs(health)
        self._handing = Handing(client, self._run, self._numbers, self._needs.of, local)
        self._local = local
        self._values = Values(client, health, self._topic)
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
        """Tell whether a worker has so much of a resource; or there is none yet, and one may."""
        return self._needs.known(name, amount)

    def submit(self, token: Any, job: Job) -> None:
        """Take a job; it is sent together with what comes until `next_completed`."""
        if (state := done_here(job)) is not None:
            self._here.append((token, state))
        elif (lost := self.health.broken) is not None:
            self._ready.append((token, Failed(lost, ResultUnavailableError(lost))))
        else:
            self._send(Call(next(self._numbers), token, job))

    def _send(self, call: Call) -> None:
        """Pickle a job. It goes together with what else there is to go."""
        try:
            self._handing.add(call)
        except Exception as error:  # noqa: BLE001  # anything that an object's pickling raises
            message = (
                describe(error)
                if isinstance(error, ResultUnavailableError)
                else f"the task or its inputs cannot be pickled: {describe(error)}"
            )
            self._ready.append((call.token, Failed(message, error)))
            return
        self._by_token[call.token] = call

    def submit_ahead(self, token: Any, job: Job) -> bool:
        """Take a job that needs what is promised; tell whether it is taken."""
        if self.health.broken is not None or job.task.resources:
            return False
        call = Call(next(self._numbers), token, job, [*promises(job.inputs.values())])
        try:
            self._handing.add(call)
        except Exception:  # noqa: BLE001  # it will be met again, and told then
            return False
        self._by_token[token] = call
        return True

    def promise(self, token: Any) -> Promise | None:
        """Return what stands for the value of a job that is not done."""
        call = self._by_token.get(token)
        if call is None:
            return None
        if call.promised is None:
            if call.future is None:
                call.future = Future(call.key(self._topic), self.client)
            call.promised = Promise(call.future)
        return call.promised

    def withdraw(self, token: Any) -> None:
        """Forget a job that was taken ahead."""
        call = self._by_token.pop(token)
        self._handing.withdraw(call)
        self._calls.pop(call.number, None)
        call.future = call.promised = None

    def _hand_over(self) -> None:
        for calls, error in self._handing.over():
            if error is None:
                self._calls.update((call.number, call) for call in calls)
                continue
            message = f"lost on the cluster: {describe(error)}"
            for call in calls:
                self._by_token.pop(call.token, None)
                self._ready.append((call.token, Failed(message, error)))

    # ---- what they come to comes back ----------------------------------------------------

    def next_completed(self, timeout: float) -> tuple[Any, State] | None:
        """Wait for what a job comes to, or for the beginning of one."""
        if self._here:
            return self._here.popleft()
        until = monotonic() + timeout
        while not self._ready:
            if self._handing:
                self._hand_over()
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
            if call is not None and call.is_ahead():
                # Its worker was quicker with the news than that of what it needs.
                self._early.append((sender, (number, kind, *data)))
            elif call is None:
                if kind == "running" and number in self._left:
                    self._losses.runs_again(
                        self._left[number], sender, "its value was lost with a worker"
                    )
            elif kind == "running":
                self._begins(call, sender)
            elif kind in {"done", ONCE}:
                self._done(number, call, *data)
            elif kind == "ended":
                self._settle(number, call, arrived(loads, data[0]))
            elif kind == "interrupted":
                error, arguments = pickle.loads(data[0])  # noqa: S301
                raise error(*arguments)

    def _give_secrets(self, address: str) -> None:
        """Send the run's secrets to a worker that does a job of it."""
        if self._secrets is None or self._values.closed or not is_encrypted(address):
            return
        self._given.add(address)
        handed, run = Handed(self._secrets), self.client._run  # noqa: SLF001  # `run`, in its loop
        asyncio.run_coroutine_threadsafe(
            run(receive, self._topic, handed, workers=[address], on_error="ignore"),
            self.client.loop.asyncio_loop,
        )

    def _begins(self, call: Call, sender: str) -> None:
        if call.begun:
            lost = f"what it had done on {call.worker} is lost with that"
            self._losses.runs_again(call.label, sender, lost)
        call.worker = sender
        if not call.begun:
            call.begun = True
            self._ready.append((call.token, Running("the task is running")))

    def _done(
        self, number: int, call: Call, size: int, inline: bytes | None, length: int,
        reason: str | None, message: str | None, context: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        message = message or SUCCEEDED
        if call.promised is not None:
            self._left[number] = call.label
        if inline is not None:
            state = arrived(lambda: Success(message, loads(inline), context=context))
            self._settle(number, call, state)
            return
        assert call.future is not None  # noqa: S101  # for the type checker
        held = ClusterRef(self._values, call.future, size, length, reason)
        self._left[number] = call.label
        self._settle(number, call, Success(message, held, context=context))

    def _settle(self, number: int, call: Call, state: State) -> None:
        del self._calls[number]
        self._by_token.pop(call.token, None)
        if not isinstance(state.held, ClusterRef) or state.held.nbytes < LARGE:
            self._done_with += [call.future, call.promised and call.promised.future]
        if call.promised is not None and type(state) is Success:
            call.promised.keep(state.held)
        call.future = call.promised = None
        self._ready.append((call.token, state))
        early, self._early = self._early, []
        for sender, event in early:
            self._take(sender, [event])

    def _look(self) -> None:
        """Look for what no event tells: workers that died, and what of the cluster is not there."""
        self._next_look = monotonic() + LOOK
        self._losses.say_how_many()
        self._let_go()
        ended = {
            number
            for number, call in self._calls.items()
            if call.future is not None and call.future.status in {"error", "cancelled", "lost"}
        }
        finished = [number for number, call in self._calls.items() if call.has_finished()]
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
            if (state := self._losses.state_of(call, broken, blamed)) is not None:
                self._settle(number, call, state)
            else:
                del self._calls[number]
                call.number, call.future = next(self._numbers), None
                self._send(call)
        for number in self._losses.untold(finished):
            if number in self._calls:
                call = self._calls[number]
                self._settle(number, call, self._state_untold(call))
        if broken is None and self.health.resources:
            self._give_up_needs()

    def _state_untold(self, call: Call) -> State:
        """Return the state of a job that has ended, and whose worker died before it told so; its value is elsewhere."""
        if call.job.task.at_most_once:  # whose value is in what was not told
            told = f"lost on the cluster: its worker {call.worker} died before it told of the end"
            return Failed(told, ResultUnavailableError(told))
        return Success(SUCCEEDED, ClusterRef(self._values, call.future, 0, -1, None))

    def _give_up_needs(self) -> None:
        """Have failed what waits for too long for what no worker has."""
        waiting = {
            number: need
            for number, call in self._calls.items()
            if call.job.task.resources and not call.begun and (need := self._needs.of(call.job))
        }
        told = self._needs.given_up(set(waiting.values()))
        for number, need in waiting.items():
            if need in told:
                failed = Failed(told[need], ResultUnavailableError(told[need]))
                self._settle(number, self._calls[number], failed)

    def _let_go(self) -> None:
        """Let go of futures, in the client's loop and together: one by one each costs a message."""
        if self._done_with:
            done_with, self._done_with = self._done_with, []
            self.client.loop.add_callback(done_with.clear)

    # ---- the end -----------------------------------------------------------------------------

    def prefetch(self, held: Iterable[Any]) -> None:
        """Bring values here, all at once, that are to outlive the cluster."""
        self._values.prefetch(held)

    def has_begun(self, token: Any) -> bool:
        """Tell whether a job has begun, as far as is known; the cluster has others that wait."""
        return token in self._at_the_end

    def _note_begun(self) -> None:
        """Note which jobs have begun at the end of a run, also as told by what has not been taken yet."""
        while (told := self._inbox.get()) is not None:
            for number, *_ in told[1]:
                if call := self._calls.get(number):
                    call.begun = True
        self._at_the_end = {call.token for call in self._calls.values() if call.begun}
        self._at_the_end.update(token for token, _ in [*self._here, *self._ready])

    def stop(self, *, abandon: bool) -> None:
        """Leave the cluster, and close it if it was made for the run."""
        self._values.closed = True
        self._losses.say_how_many()
        if abandon:
            self._note_begun()
        self.health.stop()
        try:
            if abandon and self._calls and self.health.broken is None:
                self._stop_jobs()
        finally:
            self._calls.clear()
            self._by_token.clear()
            self._done_with.clear()
            self._handing.clear()
            if self._local is not None:
                self._local.close()
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


def _leave_pool() -> bool:
    """Free this thread's place on its worker, if a task runs a flow: else they might all wait for one."""
    if (job := current.get()) is not None:
        job.leave_place()
    elif hasattr(thread_state, "key"):  # somebody's own Dask task
        secede()  # type: ignore[no-untyped-call]
    return hasattr(thread_state, "key")
