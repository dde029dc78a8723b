"""Ends what runs in a thread, from outside of it.

An exception that comes when a lock was just taken, or is just to be given back, leaves it locked for
ever. A `with` keeps a lock of C from that, but not those whose methods are written in Python: logging's,
whoever's the handlers are, and a few more. Where the innermost function of a thread is one of theirs,
nothing is raised in it. Python 3.13 may raise one step later than where a thread was seen, which is
no danger to logging: there its locks are taken by `with`.

Nor is it raised in a thread that is starting another: in Python 3.11 it would come to the other one, which has no
number of its own yet, and the first would wait for ever for that to begin.
"""

from __future__ import annotations

import sys
import time

from prefect.engine.collection import no_collection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from types import FrameType

SOON = 0.001
"""Seconds after which one looks again at a thread that was in an uninterruptible function."""
MOST_PUT_OFF = 500
"""How often a signal is put off. A main thread that is there for longer waits for a lock of somebody
else, which the signal's exception ends; it does not have it. Or it sends, and is slowly heard: see `is_sending`."""

_START = "Thread.start"
_SEND = "Sender.send"
"""Of prefect.engine.executors.messages: half a message ends the connection."""
_WAITS_IN_START = 3
"""How many frames may be within that of `Thread.start`, which waits for the other thread to begin."""

_UNINTERRUPTIBLE = frozenset(
    {
        # logging
        "Handler.acquire",
        "Handler.release",
        "_acquireLock",
        "_releaseLock",
        "_removeHandlerRef",
        # threading
        "Condition.__enter__",
        "Condition.__exit__",
        "Condition._acquire_restore",
        "Condition._release_save",
        "Semaphore.acquire",
        "Semaphore.release",
        "Semaphore.__exit__",
        "BoundedSemaphore.release",
        # the import system
        "_BlockingOnManager.__enter__",
        "_BlockingOnManager.__exit__",
        "_ModuleLock.acquire",
        "_ModuleLock.release",
        "_ModuleLockManager.__enter__",
        "_ModuleLockManager.__exit__",
        "_get_module_lock",
        "_get_module_lock.<locals>.cb",
        "_lock_unlock_module",
        # prefect.engine.collection: it would hold off the collector for ever
        "no_collection.__enter__",
        "no_collection.__exit__",
        # weakref: what is raised in a callback is lost
        "WeakKeyDictionary.__init__.<locals>.remove",
        "WeakSet.__init__.<locals>._remove",
        "WeakValueDictionary.__init__.<locals>.remove",
        _SEND,
        # prefect.streams
        "stand_in.__enter__",
        "stand_in.__exit__",
        # threads, before and after what they are interrupted in
        _START,
        "Thread._bootstrap",
        "Thread._bootstrap_inner",
        "Thread._delete",
        "Thread.run",
        "_call_in_helper.<locals>.call",
        "_work_until_told",
        # those of a Dask worker, around a job
        "Underway.__enter__",
        "Underway.__exit__",
        "Underway.end",
        "InThread.end",
        "work_for_run",
    }
)

_HANDLERS = frozenset({"_Alarm._ring", "_Stop.__call__"})
"""Of signals, in prefect.engine.timeouts and prefect.running.stopping."""
_WITHIN_HANDLER = 3
"""How many frames may be of what a handler calls, and its own."""


class Interruption(BaseException):
    """Raised inside a task to end it from outside. Not an Exception: tasks catch those."""


def is_interruptible(frame: FrameType | None) -> bool:
    """Tell whether an exception may be raised in a thread whose innermost frame this is."""
    frame = _interrupted(frame)
    if frame is None:
        return True
    if frame.f_code.co_qualname in _UNINTERRUPTIBLE:
        return False
    for _ in range(_WAITS_IN_START):
        frame = frame.f_back
        if frame is None:
            return True
        if frame.f_code.co_qualname == _START:
            return False
    return True


def is_sending(frame: FrameType | None) -> bool:
    """Tell whether a thread sends a message, and so is not to be interrupted, however long that takes."""
    frame = _interrupted(frame)
    return frame is not None and frame.f_code.co_qualname == _SEND


def _interrupted(frame: FrameType | None) -> FrameType | None:
    """Return the frame that a signal's handler interrupted, where another signal has come in the midst of one."""
    outer, passed = frame, 0
    while outer is not None and passed < _WITHIN_HANDLER:
        passed += 1
        if outer.f_code.co_qualname in _HANDLERS:
            frame, passed = outer.f_back, 0
        outer = outer.f_back
    return frame


helpers: dict[int | None, threading.Thread] = {}
"""By the ident of a thread that waits, the one that does its work meanwhile."""


def interrupt(thread: threading.Thread) -> None:
    """Raise an Interruption in a thread, at its next step of interruptible Python code.

    And in one that works for it, since nothing ends its wait but that.
    """
    if not interrupt_now(thread):
        import threading  # noqa: PLC0415  # there is a thread

        threading.Thread(
            target=_insist, args=(thread,), name="prefect-interruption", daemon=True
        ).start()


def interrupt_now(thread: threading.Thread) -> bool:
    """Do the same if it can be done just now; tell whether it was."""
    if (helper := helpers.get(thread.ident)) is not None:
        interrupt(helper)
    return _raise_in(thread)


def _insist(thread: threading.Thread) -> None:
    pause = SOON
    time.sleep(pause)
    while not _raise_in(thread):
        pause = min(2 * pause, 0.1)
        time.sleep(pause)


def _raise_in(thread: threading.Thread) -> bool:
    """Interrupt a thread that has not ended, unless it is uninterruptible now: then return False."""
    import ctypes  # noqa: PLC0415  # CPython's only way to do this

    ident = thread.ident
    if ident is None or not thread.is_alive():
        return True
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    number, interruption = ctypes.c_ulong(ident), ctypes.py_object(Interruption)
    # Python 3.11 collects garbage wherever something is made, within `_current_frames` too: a
    # destructor would let the thread move on after it was seen.
    with no_collection():
        # After a call, the interpreter may let other threads run; after a step of a loop, it does
        # not until the next call. So the thread still is where it was seen.
        for frames in iter(sys._current_frames, None):  # noqa: SLF001  # meant for such as this
            if ident in frames:
                frame = frames[ident]
                if frame.f_code.co_qualname in _UNINTERRUPTIBLE:
                    return False
                # As in `is_interruptible`, without a call or a loop.
                outer = frame.f_back
                further = outer and outer.f_back
                furthest = further and further.f_back
                if (
                    (outer and outer.f_code.co_qualname == _START)
                    or (further and further.f_code.co_qualname == _START)
                    or (furthest and furthest.f_code.co_qualname == _START)
                ):
                    return False
                raise_in(number, interruption)
            break
    return True
