"""A worker process, as the one that runs the flow has it: started, sent to, heard, interrupted, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread, current_thread, main_thread

from prefect.engine.executors.messages import Outbox, Receiver
from prefect.engine.executors.process_output import pass_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from prefect.engine.executors.messages import Message
    from prefect.engine.job import Job

LAST_WORDS = 0.5
"""Seconds that are waited for the rest of the output of a process that has ended."""
_PAUSE = 0.01
"""Seconds after which one looks again whether anything is left of what a process has started."""
_START = (
    "import sys; sys.path[:] = sys.argv[4:]; from prefect.engine.executors import process_worker; "
    "process_worker.main(*map(int, sys.argv[1:4]))"
)


class WorkerProcess:
    """A process, with what it has been sent and works on.

    Args:
        lines: the descriptor of a pipe for what processes log that its tasks fork.
    """

    def __init__(self, lines: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # A pipe that ends when this process does, in whatever way: the worker watches it.
                watched, self._held = os.pipe()
            except OSError:
                ours.close()
                raise
            try:
                self.process = _started(theirs.fileno(), watched, lines)
            except BaseException:
                ours.close()
                os.close(self._held)
                raise
            finally:
                os.close(watched)
        self.connection = ours
        self.outbox, self.receiver = Outbox(ours), Receiver(ours)
        self.tasks: set[int] = set()
        self.modules: set[str] = set()
        self.jobs: dict[int, tuple[Any, Job]] = {}
        self.plain: int | None = None  # which of them has its main thread
        self.due: float | None = None  # when that is to have begun, or to have ended
        self.is_timed = False  # whether its timeout runs
        self.was_killed = False  # from here
        self._is_closed = False
        self.said = 0.0  # when it made the line that was last logged
        self.heard = 0.0  # and when that was
        self._writers = [
            Thread(target=pass_on, args=(pipe, name), name="prefect-output", daemon=True)
            for pipe, name in ((self.process.stdout, "stdout"), (self.process.stderr, "stderr"))
        ]
        try:
            for writer in self._writers:
                writer.start()
        except BaseException:  # there may be no more threads
            for pipe, writer in zip(
                (self.process.stdout, self.process.stderr), self._writers, strict=True
            ):
                if pipe is not None and not writer.is_alive():
                    pipe.close()
            self._writers = [each for each in self._writers if each.is_alive()]
            self.end(time.monotonic())
            self.close()
            raise

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the task."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def rest(self) -> list[Message]:
        """Return what the process, which has ended, had sent. What it left behind may hold the connection open."""
        found: list[Message] = []
        until = time.monotonic() + LAST_WORDS
        # At last half a message, where it was interrupted in the midst of one.
        with suppress(EOFError, OSError, ValueError):
            while wait([self.connection], 0) and time.monotonic() < until:
                found += self.receiver.messages()
        return found

    def end(self, until: float) -> None:
        """Wait for the process, until a moment of the monotonic clock, and end it then."""
        try:
            self.process.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            self.was_killed = True
            self.process.kill()
            self.process.wait()

    def end_others(self, until: float) -> None:
        """End what its tasks have started, if that has no group or session of its own, after this has ended.

        Until a moment of the monotonic clock it has time for that: a tracker of shared memory has to release it.
        """
        # Nothing may be there, or have another user.
        with suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < until:
                os.killpg(self.process.pid, 0)
                time.sleep(_PAUSE)
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of a process that has ended, after what is left of its output."""
        if self._is_closed:
            return
        self._is_closed = True
        os.close(self._held)
        self.connection.close()
        until = time.monotonic() + LAST_WORDS
        for writer in self._writers:  # what a task left behind may hold it open
            writer.join(max(until - time.monotonic(), 0))

    def death(self) -> str:
        """Say how it ended."""
        status = self.process.returncode
        if self.was_killed:
            return (
                "was ended, since its connection had closed: "
                "a task, or what it called, closed that or wrote to it"
            )
        if status >= 0:
            return f"ended with status {status}: a task, or what it called, ended it"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        why = ": perhaps memory ran out" if name == "SIGKILL" else ""
        return f"was ended by {name}{why}"


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have what interrupts the main thread wait: in the midst of the start of a process it would leave half of one.

    To block the signals would not do: another thread takes them then, and the main one is interrupted by that.
    """
    if current_thread() is not main_thread():
        yield
        return
    handlers: dict[int, Any] = {}
    came: list[int] = []
    waits = True

    def later(number: int, frame: FrameType | None) -> None:
        if waits:
            came.append(number)
        else:
            handlers[number](number, frame)

    # An event loop would hear of a signal now, and again afterwards.
    waking = signal.set_wakeup_fd(-1)
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                signal.signal(number, later)
        yield
    finally:
        waits = False
        try:
            _give_back([*handlers.items()])
        finally:
            with suppress(ValueError, OSError):  # it may have been closed
                signal.set_wakeup_fd(waking)
            _raise(sorted(came, reverse=True))


def _give_back(handlers: list[tuple[int, Any]]) -> None:
    """Give signals their handlers, also where one of these raises in the midst of it; Ctrl-C's at last."""
    try:
        while handlers:
            number, handler = handlers[-1]
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
            handlers.pop()
    finally:
        if handlers:
            _give_back(handlers)


def _raise(numbers: list[int]) -> None:
    """Have signals handled, each whatever the handlers of others raise."""
    try:
        while numbers:
            signal.raise_signal(numbers.pop())
    finally:
        if numbers:
            _raise(numbers)


def _started(*descriptors: int) -> subprocess.Popen[bytes]:
    """Start the worker's program, with the options of the interpreter that runs here."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001  # as multiprocessing does
    numbers = map(str, descriptors)
    # An interruption waits until the worker can take it, which does not in the midst of imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(  # noqa: S603  # this interpreter
            # -P: with "" in the path, Python 3.13.0 fails to read a module's names in a directory that is gone.
            [sys.executable, *options, "-P", "-c", _START, *numbers, *_path()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            process_group=0,  # Ctrl-C comes to this process alone, which interrupts the tasks then
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _path() -> list[str]:
    """Return where modules are looked for: what is relative is so to the directory of now, if that is still there."""
    found = []
    for each in filter(_is_text, sys.path):
        with suppress(FileNotFoundError):
            found.append(str(Path(each).absolute()))
    return found


def _is_text(entry: object) -> bool:  # imports leave others out of account
    return isinstance(entry, str)
