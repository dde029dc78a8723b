"""A worker as a process of this machine: started, followed, stopped with all that it started."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.errors import PlaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prefect.running.handed import Handed

_CHUNK = 1 << 16
_LAST_WORDS_SECONDS = 0.2  # for what others have yet to write to the worker's streams


class Child:
    """A program that runs as a child of this process, and the pipes to and from it.

    Args:
        command: the program and its arguments.
        env: its whole environment.
        cwd: its working directory; None is this process's.
        takes: whether something is handed over to it through a pipe.
        reports: whether it is to report through a pipe.
        descriptors: further ones that it inherits.
        apart: called in the child before it becomes the program; it must not do much.
        told: whether the command gets the options that tell where the pipes are.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | Path | None = None,
        takes: bool = False,
        reports: bool = False,
        descriptors: Sequence[int] = (),
        apart: Callable[[], object] | None = None,
        told: bool = True,
    ) -> None:
        self.env = env
        self.pipe: int | None = None
        """What is written here comes to it."""
        self.report: int | None = None
        self.options: list[str] = []
        """Tell the worker where the pipes are."""
        self._open: list[int] = []
        theirs: list[int] = []
        if takes:
            reading, self.pipe = os.pipe()
            self._open.append(self.pipe)
            self.options.append(f"--handover={reading}")
            theirs.append(reading)
        if reports:
            self.report, writing = os.pipe()
            os.set_blocking(self.report, False)  # it is a few bytes, and there or not
            self._open.append(self.report)
            self.options.append(f"--report=/dev/fd/{writing}")
            theirs.append(writing)
        if told:
            command = [*command, *self.options]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - that is what places are for
                list(command),
                env=env,
                cwd=cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[*descriptors, *theirs],
                start_new_session=True,
                bufsize=0,
                preexec_fn=apart,  # noqa: PLW1509 - it is one call of the kernel
            )
        except BaseException:
            self.close()
            raise
        finally:
            for number in theirs:
                os.close(number)

    def write(self, pieces: Iterable[bytes | bytearray]) -> None:
        """Hand something over, unless it has ended already, as its output will say."""
        if self.pipe is None:
            return
        with suppress(BrokenPipeError):
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(self.pipe, view) :]

    def close(self) -> None:
        """Close the pipes."""
        for number in self._open:
            os.close(number)
        self._open = []


class WorkerProcess:
    """A worker that runs as a child of this process; meets `protocol.Started`.

    It has a session of its own, so that Ctrl-C reaches it when this process passes it on, once, and
    not before.

    Args:
        command: the program and its arguments; or a worker that was started, and waits.
        env, cwd, descriptors, apart: of a program, as for `Child`.
        handed: the flow and the secrets for it; the command gets the option that tells where they are.
        reports: whether it is to report through a pipe; the command gets the option for that, too.
        result: the file that it writes its report to, if it is none that goes through a pipe.
        clean_up: called once it is gone.

    Raises:
        PlaceError: the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str] | Child,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        handed: Handed | None = None,
        reports: bool = False,
        descriptors: Sequence[int] = (),
        result: Path | None = None,
        clean_up: Callable[[], object] | None = None,
        apart: Callable[[], object] | None = None,
    ) -> None:
        self._result = result
        self._clean_up = clean_up
        self._status = 0
        self._removed = False
        self._open: list[int] = []
        if isinstance(command, Child):
            self._child = command
        else:
            try:
                self._child = Child(
                    command, env=dict(env or {}), cwd=cwd, takes=handed is not None, reports=reports,
                    descriptors=descriptors, apart=apart,
                )  # fmt: skip
            except BaseException as error:
                if clean_up is not None:
                    clean_up()
                if isinstance(error, OSError):
                    raise PlaceError(f"{command[0]} cannot be started: {error}") from error
                raise
        self._process = self._child.process
        self._report = self._child.report if reports else None
        self._ended, tell = os.pipe()
        self._open.append(self._ended)
        self._waiter = threading.Thread(target=self._await_end, args=(tell,), daemon=True)
        self._waiter.start()
        try:
            if handed is not None:
                self._child.write(handed.pieces())
        except BaseException:
            self.remove()
            raise

    def _await_end(self, tell: int) -> None:
        # It is left as it is until `remove`: nobody else gets its number, by which that ends its kin.
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        if ended is not None:
            by_itself = ended.si_code == os.CLD_EXITED
            self._status = ended.si_status if by_itself else 128 + ended.si_status
        os.close(tell)

    def logs(self) -> Iterator[tuple[int, bytes]]:
        """Yield what it writes, as it comes and until it ends: 1, standard output, or 2, error, and bytes.

        What is written to one stream has its order. What processes of its write that outlive it is not
        waited for.
        """
        both = ((1, self._process.stdout), (2, self._process.stderr))
        streams = {file.fileno(): number for number, file in both if file and not file.closed}
        with selectors.DefaultSelector() as selector:
            for file in (*streams, self._ended):
                selector.register(file, selectors.EVENT_READ)
            deadline: float | None = None
            while streams:
                left = None if deadline is None else max(deadline - time.monotonic(), 0)
                ready = {key.fd for key, _ in selector.select(left)}
                if deadline is not None and not ready:  # nothing more in that time
                    return
                for file in ready & streams.keys():
                    if data := os.read(file, _CHUNK):
                        yield streams[file], data
                    else:
                        selector.unregister(file)
                        del streams[file]
                if self._ended in ready:
                    selector.unregister(self._ended)
                    deadline = time.monotonic() + _LAST_WORDS_SECONDS

    def wait(self) -> int:
        """Wait until it ends; return its exit status, 128 + N where signal N ended it."""
        self._waiter.join()
        return self._status

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have a signal end it: it unwinds, as on Ctrl-C, and goes on to tell of it."""
        if self._waiter.is_alive():
            os.kill(self._process.pid, number)

    def report(self) -> bytes | None:
        """Return its report as it wrote it, or None where it wrote none."""
        if self._report is not None:
            with suppress(BlockingIOError):
                return os.read(self._report, _CHUNK) or None
            return None
        if self._result is None:
            return None
        try:
            return self._result.read_bytes()
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """End it if it runs, with all of its session, and remove what it leaves in the place."""
        if not self._removed:
            self._removed = True
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._waiter.join()
            self._process.wait()
            for file in (self._process.stdout, self._process.stderr):
                if file is not None:
                    file.close()
        self._close()
        if self._clean_up is not None:
            self._clean_up()
            self._clean_up = None

    def _close(self) -> None:
        self._child.close()
        for number in self._open:
            os.close(number)
        self._open = []
