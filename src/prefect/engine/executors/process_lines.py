"""What processes log, and how that comes here from those that tasks have forked: by a pipe that all of a run share.

The system writes a short piece whole or not at all. Whoever is ended or stopped in the midst of a line
thus leaves nobody else's in pieces, and keeps nobody waiting, as it would on the connection of its worker.
"""

from __future__ import annotations

import logging
import os
import struct
from collections import deque
from contextlib import suppress
from itertools import count
from select import PIPE_BUF

from prefect.engine.executors.messages import Message
from prefect.engine.executors.travelling import unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOGGED = (b"log", b"line")
"""What a message tells that a worker process has logged, or one that a task has forked."""
_MARK = b"\0log"
_HEAD = struct.Struct("!4sIIH??")
"""Of a piece: a mark, whose it is, of which line, its length, whether it is the first one, and the last."""
_TIME = struct.Struct("!Q")
_MOST = PIPE_BUF - _HEAD.size
_READ = 1 << 20
"""Bytes that are read at once: no less than a pipe holds."""


class LineSender:
    """Sends what a process logs, of several threads.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pipe = os.fstat(descriptor)
        self._numbers = count()

    def send(self, moment: int, data: bytes) -> None:
        """Send a line, and when it was made.

        Raises:
            OSError: nobody receives any more.
        """
        if not os.path.samestat(os.fstat(self._descriptor), self._pipe):
            return  # a daemon has closed what it did not open, and has something else there
        whole, number = memoryview(_TIME.pack(moment) + data), next(self._numbers)
        for start in range(0, len(whole), _MOST):
            piece = whole[start : start + _MOST]
            is_last = start + _MOST >= len(whole)
            head = _HEAD.pack(
                _MARK, os.getpid(), number & 0xFFFFFFFF, len(piece), not start, is_last
            )
            os.write(self._descriptor, head + piece)


class LineReceiver:
    """Takes what such processes log, as messages `line`, whose number is the time."""

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None
        self._rest = b""
        self._begun: dict[tuple[int, int], bytearray] = {}

    def ends(self) -> tuple[int, int]:
        """Return the descriptors of the pipe, to read and to write; make it the first time.

        Raises:
            OSError: there are too many open files.
        """
        if self._ends is None:
            self._ends = os.pipe()
            os.set_blocking(self._ends[0], False)
        return self._ends

    def close(self) -> None:
        """Close the pipe, if there is one."""
        ends, self._ends = self._ends, None
        for each in ends or ():
            os.close(each)

    def lines(self) -> list[Message]:
        """Return the lines that have come whole, without waiting."""
        if self._ends is None:
            return []
        with suppress(BlockingIOError):
            self._rest += os.read(self._ends[0], _READ)
        found, start, there = [], 0, len(self._rest)
        while start + _HEAD.size <= there:
            mark, *line, length, is_first, is_last = _HEAD.unpack_from(self._rest, start)
            if mark != _MARK or length > _MOST:
                # A task has written to what it did not open: the next piece is looked for.
                found_at = self._rest.find(_MARK, start + 1)
                start = found_at if found_at >= 0 else max(start, there - len(_MARK) + 1)
                continue
            end = start + _HEAD.size + length
            if end > there:
                break
            piece, start, key = self._rest[start + _HEAD.size : end], end, (line[0], line[1])
            if is_first:
                self._begun[key] = bytearray()
            if (data := self._begun.get(key)) is None:
                continue
            data += piece
            if is_last:
                del self._begun[key]
                if len(data) < _TIME.size:
                    continue
                (moment,) = _TIME.unpack_from(data)
                found.append(Message(b"line", moment, [[data[_TIME.size :]]]))
        self._rest = self._rest[start:]
        return found

    def among(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Return what a worker process has told, and the lines that there are before what it told after them.

        They are read when its messages have come: what a task's child has logged is there before the task's end.
        """
        lines = deque(self.lines())
        for message in messages:
            while lines and (message.kind != b"log" or lines[0].number < message.number):
                yield lines.popleft()
            yield message
        yield from lines


def log_here(messages: Iterable[Message]) -> None:
    """Handle what processes have logged, and nothing else that is among their messages."""
    for message in messages:
        if message.kind in LOGGED:
            try:
                record = logging.makeLogRecord(unpacked(message.parts[0]))
            except Exception:
                if message.kind == b"line":  # which others may have written, as above
                    continue
                raise
            logging.getLogger(record.name).handle(record)
