"""Async tasks: awaited on an event loop in a thread of its own, thousands at once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext, suppress
from contextvars import copy_context

from prefect.engine.collection import have_stay
from prefect.engine.interruption import Interruption, interrupt
from prefect.errors import TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from typing import Any, Protocol

    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.job import Awaiting

    class Awaited(Protocol):
        """What a loop can be given."""

        context: Context

        async def state(self) -> State:
            """Return what a task comes to."""

        def close(self) -> None:
            """Forget about it, if it has not begun."""


_MOST_WAITED = 1.0
"""Seconds in which tasks of a run that was stopped are to end."""
_AT_A_TIME = 250
"""Tasks after which the first are awaited while others are still being made."""


async def awaited(task: Task, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Await what a task's `run` returned, for no longer than its timeout.

    Raises:
        TaskTimeoutError: it took longer.
    """
    from prefect.engine.stdout import stdout_logged  # noqa: PLC0415  # few tasks need it

    with stdout_logged(task.logger) if task.log_stdout else nullcontext():
        if task.timeout is None:
            return await coroutine
        try:
            async with asyncio.timeout(task.timeout) as limit:
                return await coroutine
        except TimeoutError as error:
            if not limit.expired():
                raise  # its own
            raise TaskTimeoutError(f"Timed out after {task.timeout:g} seconds") from error


def run_alone(awaiting: Awaiting) -> State:
    """Await one task here, where this thread does nothing else meanwhile."""
    with asyncio.Runner() as runner:
        return runner.run(awaiting.state(), context=awaiting.context)


class EventLoop:
    """An event loop in a thread of its own, which awaits the async tasks of one run.

    One thread adds tasks, and wakes it.

    Args:
        done: called in that thread with a token and what its task came to: a state, or what ends the run.
    """

    def __init__(self, done: Callable[[Any, State | BaseException], None]) -> None:
        self._done = done
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[Any, tuple[asyncio.Task[None], Awaited]] = {}
        self._new: list[tuple[Any, Awaited]] = []
        self._ended: list[tuple[Any, State | BaseException]] = []
        self._thread = threading.Thread(target=self._run, name="prefect-async", daemon=True)
        self._thread.start()

    def add(self, token: Any, awaiting: Awaited) -> None:
        """Have a task awaited from the next `wake` on; of many, the first soon."""
        self._new.append((token, awaiting))
        if len(self._new) >= _AT_A_TIME:
            # Python would look through them again and again, while they do nothing but wait.
            have_stay(len(self._new))
            self.wake()

    def wake(self) -> None:
        """Begin with what was added. To wake the thread takes long beside a task that only waits."""
        if self._new:
            new, self._new = self._new, []
            self._loop.call_soon_threadsafe(self._begin, new)

    def _begin(self, new: list[tuple[Any, Awaited]]) -> None:
        for token, awaiting in new:
            task = self._loop.create_task(self._await(token, awaiting), context=awaiting.context)
            self._tasks[token] = (task, awaiting)

    async def _await(self, token: Any, awaiting: Awaited) -> None:
        try:
            found: State | BaseException = await awaiting.state()
        except BaseException as error:  # noqa: BLE001  # raised again in the runner's thread
            found = error
        del self._tasks[token]
        if not self._ended:
            self._loop.call_soon(self._tell)
        self._ended.append((token, found))

    def _tell(self) -> None:
        """Tell of all that have ended in one turn of the loop: threads take turns slowly."""
        ended, self._ended = self._ended, []
        for token, found in ended:
            self._done(token, found)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
            left = [*self._tasks.values()]
            for task, _ in left:
                task.cancel()
            if left:
                tasks = [task for task, _ in left]
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=_MOST_WAITED))
            for task, awaiting in left:
                if task.done():
                    awaiting.close()

    def stop(self) -> None:
        """Cancel what has not ended, and wait for it."""
        for _, awaiting in self._new:
            awaiting.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2 * _MOST_WAITED)


async def in_thread(call: Callable[[], State]) -> State:
    """Run a flow in another thread, and interrupt it there if nobody awaits it any more."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[State] = loop.create_future()
    context = copy_context()

    def tell(result: State | None, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(result)  # type: ignore[arg-type]  # then it is one
        elif isinstance(error, asyncio.CancelledError):
            ended.cancel()
        else:
            ended.set_exception(error)

    def run() -> None:
        try:
            found: tuple[State | None, BaseException | None] = (context.run(call), None)
        except Interruption:
            found = (None, asyncio.CancelledError())
        except BaseException as error:  # noqa: BLE001  # raised where it is awaited
            found = (None, error)
        with suppress(RuntimeError, Interruption):  # the loop is closed
            loop.call_soon_threadsafe(tell, *found)

    thread = threading.Thread(target=run, name="prefect-run", daemon=True)
    thread.start()
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        if not ended.done():
            interrupt(thread)
            await asyncio.wait([ended], timeout=_MOST_WAITED)
        raise
