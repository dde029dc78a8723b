"""One blob's way into a repository: it is there, or is mounted, or is sent (distribution-spec 1.1).

What is sent is hashed on its way, and its last part is held back until the digest is known to be
right: a registry never gets a corrupt blob whole, even one that would not check it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from prefect.errors import ImageContentError, RegistryError
from prefect.oci.digests import verified
from prefect.oci.images import DOCKER_CONFIG, OCI_CONFIG
from prefect.oci.registry.hosts import api_of
from prefect.oci.registry.retries import PassingError
from prefect.oci.registry.transport import discard
from prefect.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.oci.images import Blob
    from prefect.oci.registry.transport import Transport

PRESENT, MOUNTED, SENT = "already there", "mounted", "sent"

_CHUNK = _MIB = 1 << 20
_EXISTS = frozenset({200, 404})
_MOUNTED = 201
_ACCEPTED = frozenset({202})
_CREATED = frozenset({201})
# Of a PUT: the bytes were changed on the way (the local ones are hashed), or the upload is lost.
# These are worth another upload from the start, beside the usual statuses.
_RESTART = frozenset({400, 404, 416})


class StoppedError(RegistryError):
    """Another blob's failure ended this upload."""


class Uploads:
    """Puts blobs into one repository; several threads may share it.

    Args:
        tell: called with a line of progress.
        told: counts the bytes.

    Attributes:
        sent: bytes of blobs that went over the wire, those of failed attempts among them.
    """

    def __init__(
        self, transport: Transport, tell: Callable[[str], None], told: Step | None = None
    ) -> None:
        self._transport, self._tell = transport, tell
        self._told = told or Step("")
        self._lock = threading.Lock()
        self.sent = 0

    def put(self, blob: Blob) -> str:
        """Have the blob in the repository; return PRESENT, MOUNTED or SENT.

        Raises:
            ImageContentError: the local bytes are not what the digest says.
            RegistryError: the registry does not take them. The upload is cancelled.
        """
        self._go_on()
        kind = "Config" if blob.media_type in {OCI_CONFIG, DOCKER_CONFIG} else "Layer"
        name = f"{kind} {blob.digest[:19]}…"
        doing = f"look for the blob {blob.digest}"
        url = self._transport.url(f"blobs/{blob.digest}")
        if self._transport.exchange("HEAD", url, doing, _EXISTS).status != 404:  # noqa: PLR2004
            self._tell(f"{name} is {PRESENT}")
            return PRESENT
        upload = None
        if blob.origin is not None and self._mountable(blob):
            upload = self._mount(blob, blob.origin.repository)
            if upload == "":
                self._tell(f"{name} is {MOUNTED} from {blob.origin.repository}")
                return MOUNTED

        def once() -> None:
            nonlocal upload
            self._go_on()
            place, upload = upload or self._start(blob), None
            attempt = Step(name)
            try:
                self._send(blob, place, attempt)
            except BaseException:
                self._told.add(-attempt.done)
                self._cancel(place)
                raise

        self._tell(f"{name} is being {SENT}, {blob.size / _MIB:.1f} MiB")
        self._told.expect(blob.size)
        self._transport.retries.run(once, self._transport.stopped)
        self._tell(f"{name} is {SENT}")
        return SENT

    def _mountable(self, blob: Blob) -> bool:
        origin = blob.origin
        return (
            origin is not None
            and api_of(origin.registry) == api_of(self._transport.registry)
            and origin.repository != self._transport.repository
        )

    def _mount(self, blob: Blob, repository: str) -> str | None:
        """Return "" if it is mounted, else where an upload goes, else None if that is not said.

        Registries differ in how they refuse a mount: any failure means that the blob is sent.
        """
        scope = f"repository:{repository}:pull"
        query = f"blobs/uploads/?mount={blob.digest}&from={repository}"
        try:
            self._transport.authentication.add(scope)
            answer = self._transport.exchange(
                "POST", self._transport.url(query), f"mount {blob.digest}", _CREATED | _ACCEPTED
            )
            if answer.status == _MOUNTED:
                # One that mounted something else is not believed.
                right = answer.headers.get("Docker-Content-Digest", blob.digest) == blob.digest
                return "" if right else None
            location = answer.headers.get("Location")
            return self._place(location) if location else None
        except RegistryError:
            return None

    def _start(self, blob: Blob) -> str:
        doing = f"begin an upload of {blob.digest}"
        url = self._transport.url("blobs/uploads/")
        # Not retried here: `put` counts the attempts of start and upload together.
        response = self._transport.send("POST", url, doing, _ACCEPTED)
        discard(response)
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(
                f"The registry {self._transport.registry} cannot {doing}: it does not say where to"
            )
        return self._place(location)

    def _place(self, location: str) -> str:
        return self._transport.rules.upload(self._transport.url("blobs/uploads/"), location)

    def _send(self, blob: Blob, place: str, attempt: Step) -> None:
        doing, whole = f"take the blob {blob.digest}", threading.Event()
        mark = "&" if "?" in place else "?"
        response = self._transport.send(
            "PUT",
            f"{place}{mark}digest={blob.digest}",
            doing,
            _CREATED | _RESTART,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Length": str(blob.size),
            },
            body=lambda: self._content(blob, whole, attempt),
        )
        if response.status in _RESTART:
            raise PassingError(str(self._transport.failure(response, doing)))
        discard(response)
        if not whole.is_set():
            raise PassingError(
                f"The registry {self._transport.registry} cannot {doing}: it says that it has all "
                "of it before all of it was sent"
            )
        if response.headers.get("Docker-Content-Digest", blob.digest) != blob.digest:
            raise ImageContentError(
                f"The registry {self._transport.registry} says that it took another blob than "
                f"{blob.digest}"
            )

    def _content(self, blob: Blob, whole: threading.Event, attempt: Step) -> Iterator[bytes]:
        """Give the blob's bytes, the last of them only if all of them are right."""
        try:
            file = verified(blob)
        except OSError as error:
            raise _unreadable(blob, error) from error
        rest = blob.size
        with file:
            while True:
                try:
                    chunk = file.read(min(_CHUNK, rest) or 1)  # also nothing is verified
                except OSError as error:  # not to be taken for the registry's connection
                    raise _unreadable(blob, error) from error
                except ImageContentError as error:
                    raise ImageContentError(
                        f"The bytes of {blob.digest} are not pushed, as they are not those of its "
                        f"digest and size ({blob.size} bytes): build the image again. {error}"
                    ) from error
                rest -= len(chunk)
                self._go_on()
                if chunk:
                    yield chunk
                    with self._lock:
                        self.sent += len(chunk)
                    attempt.add(len(chunk))
                    self._told.add(len(chunk))
                if rest == 0:
                    whole.set()
                    return

    def _cancel(self, place: str) -> None:
        """Have the registry forget an upload, if it will.

        Docker's registry will not where a part of it had arrived, and purges it some days later.
        """
        try:
            response = self._transport.send(
                "DELETE", place, "cancel an upload", frozenset({200, 202, 204})
            )
            discard(response)
        except RegistryError:
            pass

    def _go_on(self) -> None:
        if self._transport.stopped.is_set():
            raise StoppedError("The push was given up")


def _unreadable(blob: Blob, error: OSError) -> ImageContentError:
    return ImageContentError(
        f"The bytes of {blob.digest} cannot be read here: {error.strerror or type(error).__name__}"
    )
