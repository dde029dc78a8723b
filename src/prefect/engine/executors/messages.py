"""Messages between the process that runs a flow and its workers: words with numbers, and what was packed.

A frame is the length of its head (4 bytes), the head and the buffers. The head, such as `state:7 120 80/70000`,
has what it is, a number, and for each part the lengths of its buffers. Many small messages are
read at once, for reading one by one takes longer than what they are about, such as a line that was logged.
"""

from __future__ import annotations

import struct
from _thread import RLock
from itertools import chain
from socket import SHUT_RDWR
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

_LENGTH = struct.Struct("!I")
_CHUNK = 1 << 16
"""Bytes that are read at once; a longer message is read by itself, into buffers that it keeps."""


class Message(NamedTuple):
    """What has come.

    Attributes:
        kind: what it is.
        number: of what; 0 where there is but one.
        parts: what was packed, in buffers that can be written to.
    """

    kind: bytes
    number: int
    parts: list[list[Any]]


class Sender:
    """Sends messages, of several threads.

    Args:
        connection: a socket that blocks.
    """

    def __init__(self, connection: socket) -> None:
        self._socket = connection
        self._lock = RLock()
        self._left: list[list[Any]] = []
        self._is_sending = False

    def send(self, kind: bytes, number: int, *parts: list[Any]) -> None:
        """Send a message. It is out of this process when this returns, whatever becomes of that then.

        What a signal's handler or a destructor logs, in the midst of another message of its thread, goes after that.

        Raises:
            OSError: nobody receives any more.
        """
        frame = _framed(kind, number, parts)
        with self._lock:
            self._left.append(frame)
            if self._is_sending:
                return
            try:
                self._is_sending = True
                while self._left:
                    for data in self._left.pop(0):
                        self._socket.sendall(data)
            except BaseException:
                # Ctrl-C: half a message, and what would follow it, cannot be read.
                self._left.clear()
                self._socket.shutdown(SHUT_RDWR)
                raise
            finally:
                self._is_sending = False


def _framed(kind: bytes, number: int, parts: tuple[list[Any], ...]) -> list[Any]:
    """Return a message as it is sent: small buffers together, others as they are."""
    if len(parts) == 1 and len(parts[0]) == 1 and len(data := parts[0][0]) <= _CHUNK:
        head = b"%b:%d %d" % (kind, number, len(data))
        return [_LENGTH.pack(len(head)) + head + data]
    lengths = [b"/".join([b"%d" % len(data) for data in part]) for part in parts]
    head = b" ".join([b"%b:%d" % (kind, number), *lengths])
    frame: list[Any] = []
    small = [_LENGTH.pack(len(head)), head]
    for data in chain.from_iterable(parts):
        if len(data) <= _CHUNK:
            small.append(data)
        else:
            frame += [b"".join(small), data]
            small = []
    if small:
        frame.append(b"".join(small))
    return frame


class Receiver:
    """Takes messages from a connection.

    Args:
        connection: a socket that blocks.
    """

    def __init__(self, connection: socket) -> None:
        self._socket = connection
        self._buffer = memoryview(bytearray(_CHUNK))
        self._start = self._end = 0  # of what has come and was not taken

    def messages(self) -> list[Message]:
        """Wait until something comes, and return the messages that are whole then.

        Raises:
            EOFError, OSError: nothing will come any more.
        """
        left = self._end - self._start
        self._buffer[:left] = self._buffer[self._start : self._end]
        self._start, self._end = 0, left + self._read_into(self._buffer[left:])
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        """Take a message, if it is there, or too long for being there at once."""
        left = self._end - self._start - _LENGTH.size
        if left < 0:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, self._start)
        if left < length <= _CHUNK - _LENGTH.size:
            return None
        begun = self._start
        self._start += _LENGTH.size
        word, *lengths = self._take(length).split(b" ")
        parts = [[int(each) for each in part.split(b"/") if part] for part in lengths]
        whole = _LENGTH.size + length + sum(map(sum, parts))
        if self._end - begun < whole <= _CHUNK:
            self._start = begun
            return None
        kind, _, number = bytes(word).partition(b":")
        return Message(kind, int(number), [[self._take(each) for each in part] for part in parts])

    def _take(self, length: int) -> bytearray:
        """Take so many bytes: what has come, and the rest from the connection."""
        there = min(length, self._end - self._start)
        until = self._start + there
        if there == length:
            data = bytearray(self._buffer[self._start : until])
        else:
            data = bytearray(length)
            data[:there] = self._buffer[self._start : until]
        self._start = until
        with memoryview(data) as whole:
            while there < length:
                there += self._read_into(whole[there:])
        return data

    def _read_into(self, place: memoryview) -> int:
        count = self._socket.recv_into(place)
        if not count:
            raise EOFError
        return count
