"""Blobs of a registry as files to read: streamed, resumed after a drop, verified."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, cast

from prefect.errors import ImageContentError
from prefect.oci.digests import VerifiedFile, verifying
from prefect.oci.registry.retries import PassingError
from prefect.oci.registry.transport import BROKEN
from prefect.patterns import pattern
from prefect.steps import Step, step

if TYPE_CHECKING:
    import urllib3

    from prefect.oci.registry.transport import Transport

_CHUNK = 1 << 16  # what a drop costs at most; of chunked answers it is lost

_OK, _PARTIAL = 200, 206
_RANGE = pattern(r"bytes (\d+)-\d+/(?:\d+|\*)")


def open_blob(transport: Transport, digest: str, size: int) -> VerifiedFile:
    """Open a blob for reading; nothing is requested before the first read.

    The read that would complete the blob raises ImageContentError instead if digest or size are
    not those; whoever reads to the end without an error has the right bytes. A RegistryError is
    raised when the connection broke and cannot be had again.
    """
    accused = f"The registry {transport.registry} sent other bytes than those of {digest}"
    return verifying(_Download(transport, digest, size), digest, size, accused)


class _Download:
    """The bytes of a blob as they come, over as many connections as that takes."""

    def __init__(self, transport: Transport, digest: str, size: int) -> None:
        self._transport, self._digest, self._size = transport, digest, size
        self._position = 0  # bytes handed out
        self._failures = 0  # since the last byte that arrived
        self._response: urllib3.BaseHTTPResponse | None = None
        self._told = ExitStack()
        self._step: Step | None = None

    def read(self, size: int, /) -> bytes:
        rest = self._size - self._position
        if rest == 0:
            self.close()
            return b""
        if self._step is None:
            text = f"Downloading from {self._transport.registry}/{self._transport.repository}"
            self._step = self._told.enter_context(step(text, self._size))
        chunk = self._next(min(size, rest, _CHUNK))
        self._position += len(chunk)
        self._step.add(len(chunk))
        return chunk

    def close(self) -> None:
        self._told.close()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _next(self, size: int) -> bytes:
        """Return at least one byte, after as many new connections as that takes."""
        while True:
            try:
                if self._response is None:
                    self._response = self._request()
                chunk = self._response.read(size, decode_content=False)
                if not chunk:
                    raise self._ended()
            except PassingError as error:
                failure = error
            except BROKEN as error:
                failure = cast("PassingError", self._transport.broken(error, self._doing))
                failure.__cause__ = error
            else:
                self._failures = 0
                return chunk
            self._disconnect()
            if not isinstance(failure, PassingError):
                raise failure
            self._failures += 1
            self._transport.retries.wait(self._failures, failure, self._transport.stopped)

    def _ended(self) -> PassingError:
        return PassingError(
            f"The registry {self._transport.registry} cannot {self._doing}: the answer ended after "
            f"{self._position} of {self._size} bytes"
        )

    @property
    def _doing(self) -> str:
        return f"send the blob {self._digest}"

    def _request(self) -> urllib3.BaseHTTPResponse:
        start = self._position
        response = self._transport.send(
            "GET",
            self._transport.url(f"blobs/{self._digest}"),
            self._doing,
            frozenset({_OK, _PARTIAL} if start else {_OK}),
            headers={"Range": f"bytes={start}-"} if start else {},
        )
        try:
            self._check(response, start)
        except BaseException:
            response.close()
            raise
        return response

    def _check(self, response: urllib3.BaseHTTPResponse, start: int) -> None:
        """Have the answer stand at `start`, and refuse one that will have another size."""
        skip = 0
        if response.status == _PARTIAL:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                raise ImageContentError(
                    f"The registry {self._transport.registry} sent another part of {self._digest} "
                    "than it was asked for"
                )
        else:
            skip = start  # it does not know ranges
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != self._size - start + skip:
            raise ImageContentError(
                f"The registry {self._transport.registry} has {self._digest} with {length} bytes, "
                f"where {self._size - start + skip} are expected"
            )
        while skip:
            chunk = response.read(min(skip, _CHUNK), decode_content=False)
            if not chunk:
                raise self._ended()
            skip -= len(chunk)
