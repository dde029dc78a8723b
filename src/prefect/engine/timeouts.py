"""Ends a function that takes too long.

In the main thread of a Unix process a timer interrupts it, whatever it waits for. In any other
thread it runs in a helper thread, which is left behind: it ends at its next step of Python code,
or, if it waits in C code for ever, with the process. Executors have nothing else run in its place
before that, for a minute.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import nullcontext, suppress
from contextvars import copy_context

from prefect.engine.interruption import (
    MOST_PUT_OFF,
    SOON,
    Interruption,
    helpers,
    interrupt,
    is_interruptible,
    is_sending,
)
from prefect.errors import TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import FrameType
    from typing import Any


def run_within(
    seconds: float | None, function: Callable[..., Any], inputs: Mapping[str, Any]
) -> Any:
    """Call a function and return its result; without a timeout if `seconds` is None.

    Raises:
        TaskTimeoutError: it took longer.
    """
    if seconds is None:
        return function(**inputs)
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with around_call(seconds):
            return _Alarm(seconds).call(function, inputs)
    return _call_in_helper(seconds, function, inputs)


around_call: Callable[[float], AbstractContextManager[Any]] = nullcontext
"""What is around a call in the main thread that has a timeout of so many seconds: a worker process tells of it."""

MOST_WAITED = 60.0
"""Seconds for which a try that goes on after it was given up keeps others from its thread's place."""
_POLL = 0.05  # a thread that waits for longer could not be interrupted meanwhile
_given_up = threading.local()


def wait_for_given_up(stopped: Callable[[], bool] = lambda: False) -> bool:
    """Wait until the tries that this thread has given up have ended; return whether there were any.

    Or no more tasks ran at a time than there are workers, but any number of those that took too long.

    Args:
        stopped: tells whether nobody needs this thread any more.
    """
    tries: dict[threading.Event, None] = _given_up.__dict__.pop("tries", {})
    deadline = time.monotonic() + MOST_WAITED
    for ended in tries:
        while not ended.wait(_POLL):
            if stopped():
                return True
            if time.monotonic() >= deadline:
                logging.getLogger("prefect").warning(
                    "a try that timed out %g seconds ago still runs, and cannot be interrupted: others "
                    "run beside it now; give what it waits for a timeout of its own",
                    MOST_WAITED,
                )
                return True
    return bool(tries)


def has_given_up() -> bool:
    """Tell whether this thread has given up tries for which nobody has waited."""
    return "tries" in _given_up.__dict__


def _exceeded(seconds: float) -> TaskTimeoutError:
    return TaskTimeoutError(f"Timed out after {seconds:g} seconds")


class _Alarm:
    """The process's one timer, lent for a call.

    Whoever had set it before, an outer call for example, gets it back with what is left of its
    time, and is called if its time comes earlier.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = True
        self._rang = False
        self._put_off = self._putting_off = 0
        self._start = time.monotonic()
        self._outer_delay, self._outer_interval = signal.setitimer(signal.ITIMER_REAL, 0)
        self._outer_handler = signal.signal(signal.SIGALRM, self._ring)

    def call(self, function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
        result = None
        try:
            self._arm(0)
            result = function(**inputs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if not self._rang:
                raise
            # With the traceback of what interrupted it: it says what took so long.
            raise _exceeded(self._seconds).with_traceback(error.__traceback__) from None
        finally:
            self._armed = False
            self._restore()
        if self._rang:  # and the function caught the interruption
            raise _exceeded(self._seconds)
        return result

    def _arm(self, elapsed: float) -> None:
        """Set the timer to what is due next: this call's end, or what the timer was lent from."""
        due = [self._seconds - elapsed] if self._seconds > elapsed else []
        if self._outer_delay:
            due.append(max(self._outer_delay - elapsed, 1e-6))
        signal.setitimer(signal.ITIMER_REAL, min(due, default=0))

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if is_sending(frame) or (not is_interruptible(frame) and self._put_off < MOST_PUT_OFF):
            self._put_off += 1
            self._putting_off += 1
            # Longer each time that it comes before this returns, as on a machine that has much to do.
            signal.setitimer(signal.ITIMER_REAL, SOON * 2**self._putting_off)
            self._putting_off -= 1
            return
        elapsed = time.monotonic() - self._start
        if 0 < self._outer_delay <= elapsed:
            self._outer_delay = self._outer_interval and elapsed + self._outer_interval
            self._arm(elapsed)
            if callable(self._outer_handler):
                self._outer_handler(number, frame)
        else:
            self._arm(elapsed)
        if self._armed and elapsed >= self._seconds:
            self._rang = True
            raise Interruption

    def _restore(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._outer_handler or signal.SIG_DFL)
        if self._outer_delay:
            left = self._outer_delay - (time.monotonic() - self._start)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), self._outer_interval)


def _call_in_helper(seconds: float, function: Callable[..., Any], inputs: Mapping[str, Any]) -> Any:
    outcome: list[tuple[bool, Any]] = []
    finished = threading.Event()
    context = copy_context()

    def call() -> None:
        with suppress(Interruption):  # one that comes when the function has just ended
            try:
                outcome.append((True, context.run(lambda: function(**inputs))))
            except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
                outcome.append((False, error))
            finally:
                finished.set()

    helper = threading.Thread(target=call, name="prefect-timeout", daemon=True)
    helper.start()
    here = threading.get_ident()
    helpers[here] = helper
    try:
        finished.wait(seconds)
    finally:  # also if this thread is itself interrupted
        helpers.pop(here, None)
        in_time = outcome[:1]  # what comes from now on, such as the Interruption, comes too late
        if not in_time:
            interrupt(helper)
    if not in_time:
        _given_up.__dict__.setdefault("tries", {})[finished] = None
        raise _exceeded(seconds)
    succeeded, value = in_time[0]
    if succeeded:
        return value
    raise value
