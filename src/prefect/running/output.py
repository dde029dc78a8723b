"""What a run's process writes, taken line by line."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from prefect.streams import stand_in

if TYPE_CHECKING:
    from collections.abc import Callable

StreamName: TypeAlias = Literal["stdout", "stderr"]
_LONGEST = 1 << 20
"""Bytes after which a line without an end is told in pieces, rather than kept."""


class ThreadLines:
    """Puts together lines of what several threads write in pieces."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._open: dict[int, str] = {}  # the unfinished line of each thread

    def write(self, text: str) -> None:
        """Take a piece of text; tell each line that it ends."""
        thread = threading.get_ident()
        *lines, rest = (self._open.pop(thread, "") + text).split("\n")
        for line in lines:
            self._tell(line)
        if rest:
            self._open[thread] = rest

    def end(self) -> None:
        """Tell what is left: lines without an end."""
        while self._open:
            self._tell(self._open.popitem()[1])


class CapturedOutput:
    """Takes each line that this process and its children write to standard output and error.

    What Python code prints is taken where it prints, so that lines of several threads do not mix;
    what goes below that, from C code, child processes and `os.write`, by the file descriptors 1 and
    2, which are pipes meanwhile. Python code that prints and other code have no common order.

    Args:
        tell: called with "stdout" or "stderr" and each line, in any thread; bytes that are no text
            are in it as `os.fsdecode` puts them. What it writes to `out` and `err` is not taken.

    Attributes:
        out: standard output as it was.
        err: standard error as it was.
    """

    def __init__(self, tell: Callable[[str, str], object]) -> None:
        self._tell = tell
        self._entered = ExitStack()
        self._lines: list[ThreadLines] = []
        self._pipes: list[_Pipe] = []
        self._process = os.getpid()
        self.out: TextIO = sys.stdout
        self.err: TextIO = sys.stderr

    def start(self) -> None:
        """Begin to take what is written."""
        self.out = self._take("stdout", 1)
        self.err = self._take("stderr", 2)

    def _take(self, name: StreamName, number: int) -> TextIO:
        standing = self._entered.enter_context(stand_in(name))
        stream, own = standing.stream, standing.stream
        with suppress(OSError, ValueError, AttributeError):  # it is no file: a test's, for example
            if stream.fileno() == number:
                stream.flush()
                encoding = getattr(stream, "encoding", None) or "utf-8"
                pipe = _Pipe(number, encoding, lambda line: self._tell(name, line))
                self._pipes.append(pipe)
                own = pipe.replaced
        lines = ThreadLines(lambda line: self._tell(name, line))
        self._lines.append(lines)
        standing.take = lines.write
        self._entered.callback(setattr, standing, "take", None)
        return own

    def drain(self) -> None:
        """Wait until all that was written before is told, lines without an end included."""
        if os.getpid() != self._process:  # a fork of it has no threads that read
            return
        for lines in self._lines:
            lines.end()
        _flush()
        for pipe in self._pipes:
            pipe.drain()

    def put_back(self) -> None:
        """Put back the file descriptors. What Python code prints after that is still taken."""
        if os.getpid() != self._process:
            return
        self.drain()
        while self._pipes:
            self._pipes.pop().put_back()

    def stop(self) -> None:
        """Put back all."""
        self.put_back()
        self._entered.close()


class _Pipe:
    """A pipe in the place of a file descriptor, and the thread that reads it."""

    def __init__(self, number: int, encoding: str, tell: Callable[[str], object]) -> None:
        self._number = number
        self._tell = tell
        self._encoding = encoding
        # Ends what is written before it: no program's output has it by chance.
        self._mark = b"\0" + os.urandom(16).hex().encode()
        self._marked = threading.Event()
        self._reading, self._writing = os.pipe()
        self.replaced = open(os.dup(number), "w", encoding=encoding, errors="backslashreplace")  # noqa: PTH123, SIM115
        os.dup2(self._writing, number)
        self._thread = threading.Thread(target=self._read, name="prefect-output", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        self._marked.clear()
        os.write(self._writing, self._mark + b"\n")
        # If it is stopped by the machine's end, say, there is nothing to wait for.
        while not self._marked.wait(1) and self._thread.is_alive():
            pass

    def put_back(self) -> None:
        os.dup2(self.replaced.fileno(), self._number)
        self.drain()  # what was written before that
        os.close(self._writing)
        # Children that go on may hold the other end: then the thread reads on until we end, too.

    def _read(self) -> None:
        rest = b""
        while chunk := os.read(self._reading, 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.endswith(self._mark):
                    if len(line) > len(self._mark):
                        self._tell(self._text(line.removesuffix(self._mark)))
                    self._marked.set()
                else:
                    self._tell(self._text(line))
            if len(rest) > _LONGEST:
                self._tell(self._text(rest))
                rest = b""
        if rest:
            self._tell(self._text(rest))
        os.close(self._reading)

    def _text(self, line: bytes) -> str:
        """Decode what most programs write in UTF-8, and Python in the encoding of its stream."""
        with suppress(UnicodeDecodeError):
            return line.decode()
        with suppress(UnicodeDecodeError):
            return line.decode(self._encoding)
        return line.decode(errors="surrogateescape")


def _flush() -> None:
    """Have written what is still in buffers, those of C code too: to a pipe it is kept for long."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
    with suppress(ImportError, AttributeError, OSError, TypeError):
        import ctypes  # noqa: PLC0415 - only where output is taken

        ctypes.CDLL(None).fflush(None)
