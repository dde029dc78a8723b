"""Images in registries, fetched, pushed, resolved (distribution-spec 1.1).

Nothing that comes from a registry is believed: every manifest, config and layer is compared with
its digest and size. A manifest is put last, when all that it names is there, so that a push that
fails leaves no tag behind.

`credentials` finds who to be; `transport` speaks HTTP; `download` and `upload` move blobs;
`prefect.oci.manifests` reads what came and chooses among platforms.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from prefect.errors import ImageContentError, ImageError, RegistryNotFoundError
from prefect.frozen import frozen, replace
from prefect.oci.digests import DIGEST
from prefect.oci.documents import Descriptor
from prefect.oci.images import INDEXES, MANIFESTS, Layer, digest_of
from prefect.oci.manifests import (
    ACCEPTED,
    CONFIG_BYTES,
    DOCUMENT_BYTES,
    parse_document,
    read_image,
)
from prefect.oci.registry.connections import PARALLEL
from prefect.oci.registry.download import open_blob
from prefect.oci.registry.transport import Transport
from prefect.oci.registry.upload import MOUNTED, PRESENT, SENT, Uploads
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from prefect.oci.images import Blob, Image
    from prefect.oci.platforms import Platform
    from prefect.oci.references import Reference
    from prefect.oci.registry.authentication import Answer
    from prefect.oci.registry.retries import Retries

    Progress = Callable[[str], None]

__all__ = ["Pushed", "fetch", "push", "resolve"]

_DIGEST_HEADER = "Docker-Content-Digest"
_KEPT_BYTES = 1 << 20
_OK, _NOT_FOUND = frozenset({200}), 404


@frozen
class Pushed:
    """What a push did.

    Args:
        digest: of the manifest, by which the image is found again.
        bytes_sent: of blobs and manifest, over the wire, failed attempts included.
        sent, mounted, present: digests of the blobs that were sent, were mounted from another
            repository, or were there already. All empty if the whole image was.
    """

    digest: str
    bytes_sent: int = 0
    sent: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()
    present: tuple[str, ...] = ()


def fetch(
    reference: Reference,
    platform: Platform | None = None,
    *,
    insecure: bool | None = None,
    retries: Retries | None = None,
) -> Image:
    """Get an image's manifest and config from its registry; its layers are read when opened.

    Layers are streamed, resumed after a drop, and verified: see `download.open_blob`.
    The image's reference is by digest, and each blob's `origin` is its repository.

    Args:
        reference: by tag or by digest.
        platform: which of several to take. None means the only one there is, else Linux on this
            machine's processor.
        insecure: whether plain http is allowed; None means on loopback and where
            PREFECT_INSECURE_REGISTRIES lists the host.
        retries: how failures that may pass are tried again.

    Raises:
        RegistryNotFoundError: there is no such image, or none for the platform.
        RegistryLoginError: credentials are missing or refused.
        ImageContentError: what the registry has is malformed, or not what digests say.
        RegistryError: the registry cannot be reached, or fails.
    """
    return fetch_known(reference, platform, None, insecure=insecure, retries=retries)


class Known(Protocol):
    """Keeps small JSON values, such as a store of `prefect.oci.cache`."""

    def recall(self, key: str) -> Any:
        """Return what was kept, or None."""

    def remember(self, key: str, value: Any) -> None:
        """Keep a value."""


def fetch_known(
    reference: Reference,
    platform: Platform | None,
    known: Known | None,
    *,
    insecure: bool | None = None,
    retries: Retries | None = None,
) -> Image:
    """Get an image as `fetch` does, which has the other arguments; do not ask again for what is known.

    Args:
        known: keeps manifests and configs by their digests, which the registry still has to name.
    """
    transport = Transport(
        reference.registry, reference.repository, "pull", insecure=insecure, retries=retries
    )
    body, media_type = _manifest(transport, reference)
    digest = digest_of(body)

    def read(of: Descriptor) -> bytes:
        if of.digest == digest:
            return body
        key = f"document {of.digest}"
        kept = known.recall(key) if known else None
        if isinstance(kept, str) and digest_of(kept.encode()) == of.digest:
            return kept.encode()
        found = _document(transport, of)
        if known and len(found) <= _KEPT_BYTES:
            with suppress(UnicodeDecodeError):  # it is no JSON, as who reads it will say
                known.remember(key, found.decode())
        return found

    image = read_image(
        [Descriptor(media_type, digest, len(body), {})],
        platform,
        read,
        lambda of: lambda: open_blob(transport, of.digest, of.size),
        lambda wanted, there: _absent(reference, wanted, there),
    )
    by_digest = replace(reference, tag=None, digest=image.digest)
    layers = tuple(
        Layer(layer.diff_id, layer.blob and replace(layer.blob, origin=by_digest))
        for layer in image.layers
    )
    return replace(image, layers=layers, reference=by_digest, named_digest=digest)


def resolve(
    reference: Reference, *, insecure: bool | None = None, retries: Retries | None = None
) -> str | None:
    """Return the digest of what a registry has under a reference, or None if it has nothing.

    The registry's word is taken for it; an image of several platforms has its index's digest.

    Args:
        reference: such as `Reference.parse("ghcr.io/team/etl:1")`.
        insecure: whether plain http is allowed; None means on loopback and where
            PREFECT_INSECURE_REGISTRIES lists the host.
        retries: how failures that may pass are tried again.

    Raises:
        RegistryLoginError: credentials are missing or refused.
        ImageContentError: what the registry says is no digest.
        RegistryError: the registry cannot be reached, or fails.
    """
    transport = Transport(
        reference.registry, reference.repository, "pull", insecure=insecure, retries=retries
    )
    return _resolve(transport, reference)


def push(
    image: Image,
    reference: Reference,
    *,
    progress: Progress | None = None,
    insecure: bool | None = None,
    retries: Retries | None = None,
) -> Pushed:
    """Put an image into a registry: what is missing there, then the manifest.

    Blobs that another repository of the registry has (`Blob.origin`) are mounted. Of an image that
    is there already nothing is sent. If anything fails nothing is tagged, and uploads that had
    begun are cancelled.

    Args:
        image: all of whose layers have blobs.
        reference: where it goes, by tag, or by its own digest.
        progress: called with a line when a blob is begun, sent, mounted or found, by one thread at
            a time.
        insecure: whether plain http is allowed; None means on loopback and where
            PREFECT_INSECURE_REGISTRIES lists the host.
        retries: how failures that may pass are tried again.

    Raises:
        ImageError: a layer has no bytes here, such as that of an engine.
        ImageContentError: local bytes are not what their digest says, the reference has another
            digest than the image, or the registry says that it took something else.
        RegistryLoginError: credentials are missing, or may not push.
        RegistryError: the registry cannot be reached, or fails.
    """
    if image.manifest is None or any(layer.blob is None for layer in image.layers):
        raise ImageError(
            f"The image cannot be pushed to {reference}: some of its layers are in a container engine "
            "alone. Fetch its base from a registry, or push it with the container engine"
        )
    digest = digest_of(image.manifest)
    if reference.digest not in {None, digest}:
        raise ImageContentError(
            f"The image has the digest {digest}, not {reference.digest} as {reference} says"
        )
    transport = Transport(
        reference.registry, reference.repository, "pull,push", insecure=insecure, retries=retries
    )
    tell = _one_at_a_time(progress)
    if _resolve(transport, reference) == digest:
        tell(f"The image {digest} is already there")
        return Pushed(digest)
    blobs = [layer.blob for layer in image.layers if layer.blob is not None]
    with step(f"Pushing to {reference}") as told:
        uploads = Uploads(transport, tell, told)
        outcomes = _put_all(uploads, [*blobs, image.config_blob()], transport.stopped)
    _put_manifest(transport, image, reference, digest)
    tell(f"The image {digest} is pushed")

    def those(how: str) -> tuple[str, ...]:
        return tuple(name for name, outcome in outcomes.items() if outcome == how)

    sent = uploads.sent + len(image.manifest)
    return Pushed(digest, sent, those(SENT), those(MOUNTED), those(PRESENT))


def _one_at_a_time(progress: Progress | None) -> Progress:
    lock = threading.Lock()

    def tell(line: str) -> None:
        if progress:
            with lock:
                progress(line)

    return tell


def _put_all(uploads: Uploads, blobs: Sequence[Blob], stopped: threading.Event) -> dict[str, str]:
    """Put blobs side by side; at the first failure give the others up, and wait until they are."""
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="prefect-push") as threads:
        running: dict[str, Future[str]] = {}
        try:
            for blob in blobs:
                if blob.digest not in running:  # one layer may come twice
                    running[blob.digest] = threads.submit(uploads.put, blob)
            first, _ = wait(running.values(), return_when=FIRST_EXCEPTION)
        finally:  # also of an interrupt
            if not all(future.done() and not future.exception() for future in running.values()):
                stopped.set()
                threads.shutdown(cancel_futures=True)
    for future in first:  # those that failed later did because of these
        if failure := future.exception():
            raise failure
    return {digest: future.result() for digest, future in running.items()}


def _put_manifest(transport: Transport, image: Image, reference: Reference, digest: str) -> None:
    answer = transport.exchange(
        "PUT",
        transport.url(f"manifests/{reference.tag or digest}"),
        f"take the manifest {digest}",
        frozenset({201}),
        headers={"Content-Type": image.media_type},
        body=image.manifest,  # the very bytes that were hashed
    )
    if answer.headers.get(_DIGEST_HEADER, digest) != digest:
        raise ImageContentError(
            f"The registry {reference.registry} says that it took another manifest than {digest} "
            f"as {reference}: do not use that tag, and push again"
        )


def _resolve(transport: Transport, reference: Reference) -> str | None:
    url = transport.url(f"manifests/{reference.tag or reference.digest}")
    doing, expect = f"look for {reference}", frozenset({200, _NOT_FOUND})
    answer = transport.exchange("HEAD", url, doing, expect, headers={"Accept": ACCEPTED})
    if answer.status == _NOT_FOUND:
        return None
    found = answer.headers.get(_DIGEST_HEADER, "")
    if DIGEST.fullmatch(found):
        return found
    # The header is optional.
    by_tag = replace(reference, digest=None) if reference.tag else reference
    return digest_of(_manifest(transport, by_tag)[0])


def _manifest(transport: Transport, reference: Reference) -> tuple[bytes, str]:
    """Return a manifest or index, verified as far as its digest is known, and its media type."""
    answer = transport.exchange(
        "GET",
        transport.url(f"manifests/{reference.digest or reference.tag}"),
        f"give the manifest of {reference}",
        _OK,
        headers={"Accept": ACCEPTED},
        limit=DOCUMENT_BYTES,
    )
    _check_digest(answer, reference)
    content_type = answer.headers.get("Content-Type", "")
    return answer.body, parse_document(answer.body, content_type, str(reference))[0]


def _check_digest(answer: Answer, reference: Reference) -> None:
    found = digest_of(answer.body)
    for expected, whose in (
        (reference.digest, "that it was asked for by"),
        (answer.headers.get(_DIGEST_HEADER), "that it says it has"),
    ):
        if expected and expected != found:
            raise ImageContentError(
                f"The registry {reference.registry} gave a manifest of {reference} with the digest "
                f"{found}, and not with the one {whose}"
            )


def _document(transport: Transport, of: Descriptor) -> bytes:
    """Return a manifest, an index or a config by its descriptor, verified."""
    listed = of.media_type in INDEXES | MANIFESTS
    answer = transport.exchange(
        "GET",
        transport.url(f"{'manifests' if listed else 'blobs'}/{of.digest}"),
        f"give the {'manifest' if listed else 'config'} {of.digest}",
        _OK,
        headers={"Accept": of.media_type} if listed else {},
        limit=CONFIG_BYTES,
    )
    found = digest_of(answer.body)
    if (found, len(answer.body)) != (of.digest, of.size):
        raise ImageContentError(
            f"The registry {transport.registry} sent other bytes than those of {of.digest} of "
            f"{of.size} bytes: {found}, {len(answer.body)} bytes"
        )
    return answer.body


def _absent(
    reference: Reference, wanted: Platform, there: Sequence[Platform]
) -> RegistryNotFoundError:
    if len(there) == 1:
        return RegistryNotFoundError(
            f"{reference} is for {there[0]} alone, not for {wanted}. Choose another image or "
            "platform"
        )
    known = ", ".join(map(str, there)) or "none at all"
    return RegistryNotFoundError(
        f"{reference} has no image for {wanted}. It has some for: {known}. Choose one of these "
        "platforms"
    )
