"""Messages between the process that runs a flow and its workers: words with numbers, and what was packed.

A frame is the length of its head (4 bytes), the head and the buffers. The head, such as `state:7 120 80/70000`,
has what it is, a number, and for each part the lengths of its buffers. Many small messages are
read at once, for reading one by one takes longer than what they are about, such as a line that was logged.
"""

from __future__ import annotations

import struct
from _thread import RLock
from collections import deque
from itertools import chain
from socket import MSG_DONTWAIT, SHUT_RDWR
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket
    from typing import Any

_LENGTH = struct.Struct("!I")
_LONGEST = 1 << 24
"""Bytes of a head: what is longer is text that somebody has written, and no length; none of that begins with a zero."""
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
                # All in this function: a timeout is put off where it is the innermost.
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


class Outbox:
    """Sends messages without waiting for who receives them, which may be stopped; of one thread.

    Args:
        connection: a socket.
    """

    def __init__(self, connection: socket) -> None:
        self._socket = connection
        self._left: deque[memoryview] = deque()

    def send(self, kind: bytes, number: int, *parts: list[Any]) -> bool:
        """Send a message, or as much as the connection takes; tell whether there is more for `flush`.

        Raises:
            OSError: nobody receives any more.
        """
        self._left.extend(map(memoryview, _framed(kind, number, parts)))
        return self.flush()

    def flush(self) -> bool:
        """Send what is left, or as much as the connection takes; tell whether there is more.

        Raises:
            OSError: nobody receives any more.
        """
        while self._left:
            try:
                count = self._socket.send(self._left[0], MSG_DONTWAIT)
            except BlockingIOError:
                return True
            if count < len(self._left[0]):
                self._left[0] = self._left[0][count:]
            else:
                self._left.popleft()
        return False


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
        self._long: Iterator[Message | None] | None = None

    def messages(self) -> list[Message]:
        """Wait until something comes, and return the messages that are whole then, if there are any.

        It does not wait for the rest of one: who sends may have been stopped in its midst.

        Raises:
            EOFError, OSError: nothing will come any more.
            ValueError: what has come is no message.
        """
        if self._long is None:
            left = self._end - self._start
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left + self._read_into(self._buffer[left:])
        found = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Message | None:
        """Take a message, if it is there; of one that is too long for being there at once, more of it."""
        if self._long is None:
            left = self._end - self._start - _LENGTH.size
            if left < 0:
                return None
            length = _length(self._buffer, self._start)
            if left < length <= _CHUNK - _LENGTH.size:
                return None
            begun = self._start
            self._start += _LENGTH.size
            if left >= length:
                word, lengths = _head(self._there(length))
                whole = _LENGTH.size + length + sum(map(sum, lengths))
                if whole <= self._end - begun:
                    return _message(word, [list(map(self._there, part)) for part in lengths])
                if whole <= _CHUNK:
                    self._start = begun
                    return None
                self._start = begun + _LENGTH.size
            self._long = self._read(length)
        message = None
        try:
            message = next(self._long)
        except (EOFError, OSError):
            self._long = None
            raise
        except StopIteration:
            # An interruption ended it: nobody knows where the next message begins.
            raise EOFError from None
        if message is not None:
            self._long = None
        return message

    def _read(self, length: int) -> Iterator[Message | None]:
        """Read a message whose head has so many bytes; give None whenever more has to come first."""
        head = bytearray(length)
        yield from self._fill(head)
        word, lengths = _head(head)
        parts = [[bytearray(each) for each in part] for part in lengths]
        for data in chain.from_iterable(parts):
            yield from self._fill(data)
        yield _message(word, parts)

    def _fill(self, data: bytearray) -> Iterator[None]:
        """Fill a buffer with what has come, and the rest from the connection: much of it without a copy."""
        there, length = 0, len(data)
        with memoryview(data) as whole:
            while True:
                more = min(length - there, self._end - self._start)
                whole[there : there + more] = self._there(more)
                there += more
                if there == length:
                    return
                yield None
                if length - there < _CHUNK:
                    self._start, self._end = 0, self._read_into(self._buffer)
                else:
                    there += self._read_into(whole[there:])

    def _there(self, length: int) -> bytearray:
        """Take so many bytes of what has come."""
        self._start += length
        return bytearray(self._buffer[self._start - length : self._start])

    def _read_into(self, place: memoryview) -> int:
        count = self._socket.recv_into(place)
        if not count:
            raise EOFError
        return count


def _length(data: memoryview, start: int) -> int:
    """Return how long a head is."""
    length: int = _LENGTH.unpack_from(data, start)[0]
    if length > _LONGEST:
        raise ValueError("this is no message")
    return length


def _head(head: bytearray) -> tuple[bytes, list[list[int]]]:
    """Return what a message is, and of each of its parts the lengths of the buffers."""
    word, *lengths = bytes(head).split(b" ")
    return word, [[int(each) for each in part.split(b"/") if part] for part in lengths]


def _message(word: bytes, parts: list[list[Any]]) -> Message:
    kind, _, number = word.partition(b":")
    return Message(kind, int(number), parts)
