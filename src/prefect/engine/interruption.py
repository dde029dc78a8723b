"""Ends what runs in a thread, from outside of it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading


class Interruption(BaseException):
    """Raised inside a task to end it from outside. Not an Exception: tasks catch those."""


def interrupt(thread: threading.Thread) -> None:
    """Raise an Interruption in a thread, at its next step of Python code."""
    import ctypes  # noqa: PLC0415  # CPython's only way to do this

    if thread.is_alive() and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(Interruption)
        )
