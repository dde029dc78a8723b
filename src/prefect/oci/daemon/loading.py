"""Getting an image into a container engine, without the layers that it has already.

An image is loaded without a name, and gets it once the container engine is known to have all of the
image: no name ever stands for a half one. How layers can be left out is the storage's affair (facts
that were tried with Docker Engine 20.10 and 26.1, and with podman 4.3):

- the classic store takes a docker-archive that lists them and does not hold them, if it has the
  same layers in the same order from the first one up;
- containerd's takes an OCI layout without blobs that it has, by the digests of the packed layers.
  When one is missing after all, it keeps the half image, which has to be told apart and removed;
- podman takes an OCI archive that calls them by the digests of what they unpack to, and for which
  it looks among its layers before it reads the archive.

Whichever does not go well is followed by an archive with everything in it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import ContainerEngineError, ContainerEngineUnavailableError, ImageError
from prefect.frozen import replace
from prefect.oci.daemon.client import Storage
from prefect.oci.images import OCI_LAYER, Blob, Layer, with_manifest
from prefect.steps import Step, step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from prefect.oci.daemon.client import Daemon
    from prefect.oci.daemon.image import DaemonImage
    from prefect.oci.images import Image

_MOST_KIN = 64  # images to look at for layers in common
_logger = logging.getLogger("prefect.oci")


def load(
    daemon: Daemon,
    image: Image,
    name: str,
    *,
    label: str,
    whole: Callable[[], Image],
    kin: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> DaemonImage:
    """Load an image into a container engine under a name; return it as that then has it.

    Args:
        image: its base's layers may be without blobs where the container engine has them.
        label: a label of the image, and of those that are likely to have layers in common with it.
        whole: gives the same image with all blobs, when they are needed.
        kin: ids of images that are most likely to.

    Raises:
        ContainerEngineError: the container engine does not take the image.
        ImageError: somebody removed it meanwhile.
        ContainerEngineUnavailableError: the connection to the container engine broke.
    """
    given = image
    if daemon.storage is Storage.CONTAINERD and image.manifest is None:
        image = whole()  # for the digests of its layers: their bytes are not read by that
    held = _held(daemon, image, label)
    if held is not None and name in held.tags:
        return held
    if held is None:
        known = held_layers(daemon, given, kin, name, label)
        if not known or not load_part(daemon, image, known, label, progress):
            image = whole() if image.manifest is None else image
            _load_whole(daemon, image, label, progress)
    daemon.tag(_identity(daemon, image), name)
    found = daemon.find(_identity(daemon, image))
    if found is None:
        raise ImageError(
            f"Somebody removed the image {name} from the container engine: build it again"
        )
    return found


def load_part(
    daemon: Daemon,
    image: Image,
    known: Collection[str],
    label: str,
    progress: Callable[[str], None] | None,
) -> bool:
    """Load an image without the layers that are thought to be there; tell if that did it."""
    if daemon.storage is Storage.PODMAN:
        image = _by_diff_ids(image, known)
    from prefect.oci.archives.archive import docker_archive  # noqa: PLC0415 - mostly all is there

    both = daemon.storage is not Storage.CLASSIC
    try:
        with _loading(image, known) as told:
            archive = docker_archive(image, None, leave_out=known, both_indexes=both)
            daemon.load(told.counting(archive), progress)
        if _held(daemon, image, label):
            return True
        _logger.debug("The container engine has taken the part of an image, and lacks layers of it")
    except ContainerEngineError as error:
        _logger.debug("The container engine refused the part of an image: %s", error)
    _remove_half(daemon, image)
    return False


def _load_whole(
    daemon: Daemon, image: Image, label: str, progress: Callable[[str], None] | None
) -> None:
    from prefect.oci.archives.archive import docker_archive  # noqa: PLC0415 - as above

    try:
        with _loading(image, ()) as told:
            daemon.load(told.counting(docker_archive(image, None, both_indexes=True)), progress)
        if _held(daemon, image, label):
            return
        reason = "The container engine took the image, and does not have it or not all of it"
    except ContainerEngineUnavailableError:
        _remove_half(daemon, image)
        raise
    except ContainerEngineError as error:
        reason = str(error)
    _remove_half(daemon, image)
    raise ContainerEngineError(
        f"{reason}. Look whether its disk is full, and what its own log says"
    )


def _loading(image: Image, known: Collection[str]) -> Step:
    sizes = {
        one.blob.digest: one.blob.size
        for one in image.layers
        if one.blob and one.diff_id not in known
    }
    return step("Loading into the container engine", sum(sizes.values()))


def _identity(daemon: Daemon, image: Image) -> str:
    """Return what the container engine has as the image's id."""
    return str(image.digest) if daemon.storage is Storage.CONTAINERD else image.id


def _held(daemon: Daemon, image: Image, label: str) -> DaemonImage | None:
    """Return an image as the container engine has it, if it has all of its layers."""
    identity = _identity(daemon, image)
    found = daemon.find(identity)
    if found is None or daemon.storage is not Storage.CONTAINERD:
        return found
    # It finds an image by its manifest alone. It lists those of which it has all blobs, and
    # unpacks what is not yet unpacked for a container.
    return found if identity in daemon.labelled(label) and daemon.can_start(identity) else None


def _remove_half(daemon: Daemon, image: Image) -> None:
    if daemon.storage is Storage.CONTAINERD:
        with suppress(ContainerEngineError):  # it has no name, and is not taken for whole
            daemon.remove(_identity(daemon, image))


def _by_diff_ids(image: Image, known: Collection[str]) -> Image:
    """Return an image of the same id that calls some of its layers by what they unpack to."""

    def renamed(layer: Layer) -> Layer:
        if layer.diff_id not in known:
            return layer
        # Nobody knows its size, and podman asks its own layer for it.
        return replace(layer, blob=Blob(OCI_LAYER, layer.diff_id, 0, _absent))

    return with_manifest(image.config, tuple(map(renamed, image.layers)))


def _absent() -> BinaryIO:
    raise ImageError("A layer that the container engine has is not at hand here")


def held_layers(
    daemon: Daemon, image: Image, kin: Sequence[str], name: str, label: str
) -> set[str]:
    """Return the diff_ids of those layers, from the first one up, that the container engine has.

    Args:
        kin, name, label: of images there that may have them.
    """
    wanted = [layer.diff_id for layer in image.layers]
    # Of the base at least: where its layers are without blobs, they came from this engine.
    longest = next((n for n, layer in enumerate(image.layers) if layer.blob), len(wanted))
    for candidate in chain(kin, _kin(daemon, name, label)):
        found = daemon.find(candidate)
        layers = found.diff_ids if found else ()
        common = next((n for n, (a, b) in enumerate(zip(wanted, layers, strict=False)) if a != b),
                      min(len(wanted), len(layers)))  # fmt: skip
        longest = max(longest, common)
        if longest >= len(wanted) - 1:
            break
    return set(wanted[:longest])


def _kin(daemon: Daemon, name: str, label: str) -> Iterable[str]:
    yield name
    yield from daemon.labelled(label)[:_MOST_KIN]
