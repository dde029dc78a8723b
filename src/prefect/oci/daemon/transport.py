"""Requests to one container engine: the only place where its HTTP is spoken.

What an engine answers is anybody's: a bounded part of it is read, JSON has to be JSON, and its words
are shown without what would control a terminal.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

from prefect.errors import (
    ContainerEngineError,
    ContainerEngineUnavailableError,
    ImageContentError,
)
from prefect.oci import documents
from prefect.oci.daemon.connections import connect, end, is_alive, words_of
from prefect.patterns import pattern
from prefect.printable import printable
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prefect.oci.daemon.endpoints import Endpoint

# How a connection that breaks, or speaks something else than HTTP, shows itself.
BROKEN = (http.client.HTTPException, OSError)
CHUNK = 1 << 16  # bytes that are read at a time
NOT_FOUND = 404

_API = (1, 51)  # the newest version that was tried; older ones are spoken to older engines
_VERSION = pattern(r"(\d{1,4})\.(\d{1,4})")
_SECONDS = 60  # for an answer that needs no work
_ERROR_BYTES = 1 << 16
_DOCUMENT_BYTES = 32 << 20  # a list of thousands of images
_ENTRY_BYTES = 4 << 20  # a line of a stream of JSON
_WORDS = 500  # characters of an engine's words
_IT = "Its answer"
_T = TypeVar("_T")


class Transport:
    """Speaks to a container engine, in the newest version of its API that both know.

    Several threads may share it: each request has a connection of its own, and connections are used
    again. They are closed once the last that uses the transport is gone.

    Attributes:
        endpoint: where the container engine is.
        version: of its API, as in paths.
        podman: whether it is podman that answers.

    Raises:
        ContainerEngineUnavailableError: no container engine answers.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._idle: list[http.client.HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)
        self._owner = os.getpid()
        self._prefix = endpoint.parts.path if endpoint.url.startswith("http") else ""
        with self.request("GET", "/_ping", "answer") as answer:
            version = _VERSION.fullmatch(answer.headers.get("Api-Version") or "")
            if version is None:
                raise self.unavailable("what answers there is no container engine")
            self.podman = "Libpod-API-Version" in answer.headers
            answer.read_all(_ERROR_BYTES)
        self.version = ".".join(map(str, min(_API, (int(version[1]), int(version[2])))))
        self._prefix += f"/v{self.version}"

    def request(
        self,
        method: str,
        path: str,
        doing: str,
        *,
        query: Mapping[str, str] | None = None,
        document: Any = None,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        also: frozenset[int] = frozenset(),
        timeout: float | None = _SECONDS,
    ) -> Answer:
        """Send a request and return its answer, to be read and closed by the caller.

        Args:
            path: below the version's, quoted.
            doing: for errors, such as "load an image".
            document: to send as JSON; or body: chunks to send as they are made.
            also: statuses that are no failure, beside those below 300.
            timeout: seconds, for each read; None waits for ever, for what may take any time.

        Raises:
            ContainerEngineError: the container engine answers with any other status.
            ContainerEngineUnavailableError: the connection cannot be made, or breaks.
            Exception: whatever making the body raises.
        """
        target = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        given = {"User-Agent": f"prefect/{__version__}", **self.endpoint.headers, **(headers or {})}
        if document is not None:
            body = [json.dumps(document).encode()]
            given |= {"Content-Type": "application/json", "Content-Length": str(len(body[0]))}
        elif body is not None:
            given["Transfer-Encoding"] = "chunked"
        elif method == "POST":
            given["Content-Length"] = "0"
        connection = self._connection()
        answer = None
        try:
            with self._told(doing, connection):
                connection.sock.settimeout(timeout)
                connection.putrequest(method, target, skip_accept_encoding=True)
                for name, value in given.items():
                    connection.putheader(name, value)
                connection.endheaders()
            self._send(connection, body or (), doing, chunked="Transfer-Encoding" in given)
            with self._told(doing, connection):
                stream = connection.sock  # which the answer may be taken to own
                answer = Answer(self, connection, connection.getresponse(), stream, doing)
            answer.require(also)
        except BaseException:
            if answer is not None:
                answer.end()
            else:
                end(connection)
            raise
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        if os.getpid() != self._owner:  # forked: the parent's are not ours to speak on
            _close_all(self._idle)
            self._owner = os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if is_alive(connection):
                return connection
            end(connection)
        try:
            return connect(self.endpoint)
        except OSError as error:
            raise self.unavailable(error.strerror or first_line(str(error))) from error

    def _send(
        self,
        connection: http.client.HTTPConnection,
        body: Iterable[bytes],
        doing: str,
        *,
        chunked: bool,
    ) -> None:
        # What goes wrong in making a chunk is not taken for a fault of the connection.
        for chunk in body:
            if chunk and not self._sent(
                connection, b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk, doing
            ):
                return
        if chunked:
            self._sent(connection, b"0\r\n\r\n", doing)

    def _sent(self, connection: http.client.HTTPConnection, data: bytes, doing: str) -> bool:
        """Send a part of a body; tell whether the other side still listens.

        It may have answered and closed already: what it says then is the better message.
        """
        with self._told(doing, connection):
            try:
                connection.send(data)
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Take a connection back, whose answer was read to its end."""
        self._idle.append(connection)

    @contextmanager
    def _told(self, doing: str, connection: http.client.HTTPConnection) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise self.broken(doing, words_of(connection) or _reason(error)) from error

    def broken(self, doing: str, reason: str) -> ContainerEngineUnavailableError:
        """Return the error for a connection that broke or brought nonsense."""
        if doing == "answer":
            return self.unavailable(first_line(reason))
        return ContainerEngineUnavailableError(
            f"The connection to the container engine broke while it should {doing}: "
            f"{first_line(reason)}. See whether it still runs, and try again"
        )

    def unavailable(self, reason: str) -> ContainerEngineUnavailableError:
        """Return the error for a container engine that is not there."""
        return ContainerEngineUnavailableError(
            f"No container engine answers at {self.endpoint.url} ({self.endpoint.source}): "
            f"{reason}. Start Docker, or point DOCKER_HOST at a container engine, such as "
            "unix:///run/user/1000/docker.sock"
        )


class Answer:
    """A container engine's answer, whose body is still on its way."""

    def __init__(
        self,
        transport: Transport,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        stream: Any,
        doing: str,
    ) -> None:
        self._transport, self._connection, self._response = transport, connection, response
        self._stream = stream
        self._doing = doing
        self.status = response.status
        self.headers = response.headers

    def require(self, also: frozenset[int]) -> None:
        """Raise what the container engine says, unless that is no failure."""
        if self.status < 300 or self.status in also:  # noqa: PLR2004
            return
        try:
            said = documents.parse_object(self.read_all(_ERROR_BYTES), "The error").get("message")
        except ImageContentError:
            said = None
        reason = first_line(str(said)) if said else f"it answers with HTTP status {self.status}"
        if self._doing == "answer":
            raise self._transport.unavailable(reason)
        raise ContainerEngineError(f"The container engine cannot {self._doing}: {reason}")

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes of the body as they come, b"" at its end."""
        response = self._response
        with self._told():
            if response.chunked or response.length is None:
                return response.read1(size)
            data = response.read(wanted := min(size, response.length))
            if len(data) < wanted:
                raise http.client.IncompleteRead(data)
            return data

    def read_all(self, limit: int) -> bytes:
        """Return the rest of the body, of at most so many bytes."""
        parts, total = [], 0
        while data := self.read():
            parts.append(data)
            total += len(data)
            if total > limit:
                raise self.nonsense(f"it sends more than {limit} bytes")
        return b"".join(parts)

    def document(self) -> dict[str, Any]:
        """Return the body, which is a JSON object."""
        return self._parsed(self.read_all(_DOCUMENT_BYTES), dict)

    def listed(self) -> list[Any]:
        """Return the body, which is a JSON array."""
        return self._parsed(self.read_all(_DOCUMENT_BYTES), list)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the objects of a stream of them, a line each, as they come."""
        rest = b""
        while data := self.read():
            *lines, rest = (rest + data).split(b"\n")
            for line in filter(bytes.strip, lines):
                yield self._parsed(line, dict)
            if len(rest) > _ENTRY_BYTES:
                raise self.nonsense(f"it sends a line of more than {_ENTRY_BYTES} bytes")
        if rest.strip():
            yield self._parsed(rest, dict)

    def _parsed(self, data: bytes, kind: type[_T]) -> _T:
        return self.made(lambda told: documents.expect(documents.parse(told, _IT), kind, _IT), data)

    def nonsense(self, reason: str) -> ContainerEngineUnavailableError:
        """Return the error for an answer that is not what a container engine says."""
        return self._transport.broken(self._doing, reason)

    def made(self, parse: Callable[[Any], _T], told: Any) -> _T:
        """Return what is made of a part of the answer, which may be nonsense."""
        try:
            return parse(told)
        except ImageContentError as error:
            raise self.nonsense(str(error)) from error

    def send(self, data: bytes) -> None:
        """Write to a stream that the container engine has made of the connection."""
        with self._told():
            self._stream.sendall(data)

    def receive(self) -> bytes:
        """Return the next bytes of such a stream, b"" at its end."""
        with self._told():
            if self._response.chunked:
                return self._response.read1(CHUNK)
            return self._response.fp.read1(CHUNK)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise self._transport.broken(
                self._doing, words_of(self._connection) or _reason(error)
            ) from error

    def close(self) -> None:
        """Give the connection back if all was read, else end it."""
        response, connection = self._response, self._connection
        if response.length is not None and response.length <= CHUNK and self.status >= 200:  # noqa: PLR2004
            with contextlib.suppress(*BROKEN):
                response.read()
        whole = response.isclosed() and not response.will_close and connection.sock is not None
        if whole:
            self._transport.keep(connection)
        else:
            self.end()

    def end(self) -> None:
        """End the connection, whatever is still to come on it."""
        self._response.close()
        end(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # nobody knows what else it would bring
            self.end()


def in_path(name: str) -> str:
    """Return a name as it stands in a path."""
    return quote(name, safe="/:@")


def first_line(text: str) -> str:
    """Return a line of what an engine says that a terminal can show."""
    line = next(iter(text.strip().splitlines()), "")
    return printable(line)[:_WORDS] or "it does not say why"


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "its answer ends before it is complete"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    while connections:
        end(connections.pop())
