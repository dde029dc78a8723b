"""The loop of a run, one for all executors: decides what runs when."""

from __future__ import annotations

import sys
import time
from heapq import heappop, heappush
from itertools import count

from prefect.core.own import has_handlers
from prefect.core.parameter import works
from prefect.core.signals import Signal
from prefect.core.state import (
    Failed,
    Finished,
    Pending,
    Retrying,
    Running,
    Success,
    now,
)
from prefect.core.state_kinds import Looped
from prefect.engine import logs
from prefect.engine.ending import RunTimeoutError
from prefect.engine.events import TaskEvent
from prefect.engine.executors.base import DETACHED
from prefect.engine.job import Job
from prefect.engine.mapping import expand, gather
from prefect.engine.plain import run_plain
from prefect.engine.releasing import done_with_sources
from prefect.engine.transitions import after_handlers, change, gate, may_run
from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.ahead import Ahead
    from prefect.engine.executors.base import Session
    from prefect.engine.limits import Limits
    from prefect.engine.nodes import Node

    class Keeper(Protocol):
        """What knows the results of earlier runs."""

        def begin(self, node: Node, job: Job) -> State | None:
            """Return the state of a task whose result is there; else have the job keep what it makes."""

        def take(self, node: Node, state: State) -> None:
            """Look at what came back of a job, perhaps from another process."""
else:
    from _collections import deque  # all of collections takes longer to import than this module


HEARD = 1.0
"""Seconds after which a wait begins anew: one that began when a signal had just come is not ended by that."""
SLICE = 0.05
"""The same outside of the main thread, where no signal ends a wait."""


class Run:
    """The state of the loop.

    A node goes from waiting (for its sources) to ready, from ready to the executor, and from
    there to finished, or to delayed and back to ready. The ready nodes are a stack: what a task
    made possible comes before what was possible already, so that results are used up soon.
    """

    def __init__(
        self,
        session: Session,
        context: dict[str, Any],
        on_state: Callable[[TaskEvent], None] | None,
        timeout: float | None,
        deadline: float | None,
        limits: Mapping[str, int] | None,
        *,
        releasing: bool,
        keeper: Keeper | None,
        task_states: Mapping[Task, State] | None = None,
    ) -> None:
        self.keeper = keeper
        self.timeout = timeout
        self.deadline = session.deadline = deadline
        self.longest_wait = HEARD if timeout is None and _is_main_thread() else SLICE
        self.releasing = releasing
        self.session = session
        self.context = context
        self.on_state = on_state
        self.verbose = logs.is_verbose()
        self.tells = self.verbose or on_state is not None
        self.ready: deque[Node] = deque()
        self.limits = _limits(limits, self.ready) if limits else None
        self.begins = self.begin_here
        if limits:
            self.begins = self.begin_within_limits
        elif timeout is not None or keeper is not None:
            self.begins = self.begin
        if task_states:
            from prefect.engine.given import Given  # noqa: PLC0415  # seldom needed

            self.begins = Given(self, task_states).begin
        self.ahead: Ahead | None = None
        if session.takes_ahead and not (limits or keeper or task_states):
            from prefect.engine.ahead import Ahead  # noqa: PLC0415  # clusters alone

            self.ahead = Ahead(self, session)
        self.delayed: list[tuple[float, int, Node]] = []
        self.detached: set[Node] = set()  # they take no place of the executor any more
        self.observed: dict[Node, Running] = {}  # that run, by what their state handlers made of it
        self.tickets = count()  # so that nodes delayed to the same time are not compared

    def execute(self, nodes: Sequence[Node]) -> None:
        """Bring all nodes to a final state.

        Raises:
            RunTimeoutError: there was not enough time.
        """
        session, ready, delayed = self.session, self.ready, self.delayed
        detached = self.detached
        begin, deadline = self.begins, self.deadline
        capacity = session.capacity or float("inf")
        busy = 0
        ready.extend(node for node in reversed(nodes) if not node.waiting)
        while True:
            if deadline is not None and time.monotonic() >= deadline:
                raise RunTimeoutError(f"the run took longer than {self.timeout:g} seconds")
            if delayed:
                self.release()
            while ready and busy < capacity:
                busy += begin(ready.pop())
            if busy or detached:
                completed = session.next_completed(
                    self.until_next() if delayed or deadline is not None else self.longest_wait
                )
                if completed is not None:
                    busy -= self.take_back(*completed)
            elif delayed:
                time.sleep(self.until_next())
            elif not ready:
                return

    def begin_here(self, node: Node) -> bool:
        """Do the same, after what can be done in this thread, if anything can."""
        if not self.session.in_this_thread:
            return self.begin(node)
        left = run_plain(self, self.session, node)
        return left is not None and self.begin(left)

    def begin_within_limits(self, node: Node) -> bool:
        """Do the same, unless too many of its kind run."""
        assert self.limits is not None  # noqa: S101  # for the type checker
        if not self.limits.admit(node):
            return False
        if self.begin(node):
            return True
        self.limits.leave(node)
        return False

    def begin(self, node: Node) -> bool:
        """Start a node that waits for nothing; return whether the executor has it now."""
        step = node.step
        if node.mapped:
            expand(self, step)
            return False
        inputs, usual = node.inputs() if not node.kinds else node.inputs_with_items()
        if (
            not usual
            and node.retrying is None
            and (blocked := gate(step.task, node.upstream_states()))
        ):
            if self.ahead is not None:
                self.ahead.claim(node, usual=False)
            self.finish(node, change(self, node, Pending(), blocked))
            return False
        if self.ahead is not None and self.ahead.claim(node, usual=usual):
            return True
        job = self.job(node, inputs)
        if self.keeper is not None and (found := self.keeper.begin(node, job)) is not None:
            self.finish(node, change(self, node, Pending(), found))
            return False
        if has_handlers(step.task) and not may_run(self, node):
            return False
        if not self.session.tells_running:
            self.starts(node, Running("the task is running"))
        self.session.submit(node, job)
        if self.ahead is not None:
            self.ahead.follow(node)
        return True

    def loop(self, node: Node, looped: Looped) -> None:
        """Make ready a node for its next pass."""
        from prefect.engine.looping import next_pass  # noqa: PLC0415  # few tasks loop

        node.retrying = next_pass(looped, self.job(node, {}).run_count - 1)
        self.ready.append(node)

    def starts(self, node: Node, running: Running) -> None:
        """Tell that a node begins to run."""
        if self.on_state is not None:
            step, retrying = node.step, node.retrying
            run_count = 1 if retrying is None else retrying.run_count + 1
            self.on_state(
                TaskEvent(step.slug, step.task.name, node.map_index, running, None, run_count)
            )
        if self.verbose and works(node.step.task):
            logs.info("task %r starts", node.label)

    def job(self, node: Node, inputs: dict[str, Any]) -> Job:
        """Put together what a try at a node needs."""
        step, retrying = node.step, node.retrying
        run_count = 1 if retrying is None else retrying.run_count + 1
        return Job(step.task, step.slug, node.map_index, inputs, self.context, run_count, retrying)

    def take_back(self, node: Node, state: State) -> bool:
        """Hear of a node from the executor; return whether that frees a place there."""
        if self.keeper is not None:
            self.keeper.take(node, state)  # which knows names of secrets that the next has none for
        learns = node.step.task.learns
        if learns is not None and isinstance(state, Success):
            try:  # noqa: SIM105  # contextlib takes longer to import than this module
                learns(state.result)  # before anything that others make of it is told
            except ResultUnavailableError:
                pass  # who cannot read it here cannot write it, either
        if type(state) is Success and not (self.detached or self.observed or self.limits):
            self.finish(node, state)
            return True
        if type(state) is Running and self.session.tells_running:
            self.starts(node, state)
            return False
        took_place = True
        if self.detached and node in self.detached:
            self.detached.remove(node)
            took_place = False
        if state is DETACHED:
            self.detached.add(node)
        else:
            if node in self.observed:
                state = after_handlers(self, node, state)
            self.settle(node, state)
            if self.limits is not None:
                self.limits.leave(node)
        return took_place

    def settle(self, node: Node, state: State) -> None:
        """Take a node back from the executor."""
        if isinstance(state, Retrying):
            # Handlers can make such a state, too, and need not count.
            state.run_count = 1 if node.retrying is None else node.retrying.run_count + 1
            self.delay(node, state)
            self.tell(node, state)
            logs.retrying(node.label, state)
        elif isinstance(state, Looped):
            self.loop(node, state)
        else:
            self.finish(node, state)

    def delay(self, node: Node, retrying: Retrying) -> None:
        """Have a node begin again when it is time."""
        node.retrying = retrying
        if self.ahead is not None:
            self.ahead.take_back(node)
        due = time.monotonic() + (retrying.start_time - now()).total_seconds()
        heappush(self.delayed, (due, next(self.tickets), node))

    def finish(self, node: Node, state: State) -> None:
        """Record a node's final state, and make ready what waited for it alone."""
        if type(state) is not Success and not isinstance(state, Finished):
            from prefect.core.state_kinds import Paused  # noqa: PLC0415  # seldom needed
            from prefect.engine.pausing import unfinished  # noqa: PLC0415  # as above

            tries = 0 if node.retrying is None else node.retrying.run_count
            if isinstance(state, Paused):
                self.tell(node, state)  # it may take long, and it does not run meanwhile
            state = unfinished(node.label, state, tries)
            if isinstance(state, Retrying):
                self.delay(node, state)
                return
        node.state = state
        if self.tells or isinstance(state, Failed):
            self.announce(node, state)
        if self.releasing and node.sources:
            done_with_sources(node)
        node.sources = ()
        if node.followers:
            self.notify(node.followers)
        if node.downstream:
            self.notify(node.downstream)
        if (parent := node.parent) is not None:
            parent.unfinished -= 1
            if not parent.unfinished:
                gather(self, parent)

    def announce(self, node: Node, state: State) -> None:
        """Tell of a node's final state those who want to know; raise a failure that is to end the run."""
        self.tell(node, state)
        if isinstance(state, Failed):
            logs.task_finished(node.label, state)
            if self.context.get("raise_on_exception"):
                error = state.result
                raise error if isinstance(error, BaseException) else Signal(state.message)
        elif self.verbose and works(node.step.task):
            logs.task_finished(node.label, state)

    def notify(self, waiting: Sequence[Node]) -> None:
        """Tell nodes that one of those they wait for is there."""
        for node in reversed(waiting):
            node.waiting -= 1
            if not node.waiting:
                self.ready.append(node)

    def tell(self, node: Node, state: State, children: int | None = None) -> None:
        """Tell the observer of a node's new state."""
        if self.on_state is not None:
            step = node.step
            self.on_state(TaskEvent(step.slug, step.task.name, node.map_index, state, children))

    def release(self) -> None:
        """Make ready the nodes whose delay is over, to come after all that are ready already.

        Or a task that keeps asking to be tried again would never let others run.
        """
        moment = time.monotonic()
        while self.delayed and self.delayed[0][0] <= moment:
            self.ready.appendleft(heappop(self.delayed)[2])

    def until_next(self) -> float:
        """Return how many seconds to wait for the shortest delay, not more than timers take."""
        due = [self.delayed[0][0]] if self.delayed else []
        if self.deadline is not None:
            due.append(self.deadline)
        return min(max(min(due, default=float("inf")) - time.monotonic(), 0.0), self.longest_wait)


def _limits(limits: Mapping[str, int], ready: deque[Node]) -> Limits:
    from prefect.engine.limits import Limits  # noqa: PLC0415  # few flows have some

    return Limits(limits, ready)


def _is_main_thread() -> bool:
    threading = sys.modules.get("threading")  # without it there is no other
    return threading is None or threading.current_thread() is threading.main_thread()
