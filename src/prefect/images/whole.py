"""An image with all of its layers at hand, wherever it is: no container engine is needed for that."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import ContainerEngineUnavailableError, ImageError, RegistryError
from prefect.frozen import replace
from prefect.images.base.names import names_a_path
from prefect.images.finding import found_in_daemon, names_a_registry, parsed
from prefect.images.inspection import FlowImage, copied_from_layers
from prefect.images.labels import LABEL_MANIFEST
from prefect.images.remembered import (
    remember_image,
    remember_manifest,
    remembered_image,
    remembered_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image
    from prefect.oci.references import Reference


def find_whole(
    name: str | os.PathLike[str],
    store: Store,
    *,
    unpacked: Callable[[str], bool] = lambda _: False,
    progress: Callable[[str], object] = lambda _: None,
) -> tuple[Image, FlowImage]:
    """Return the image of a name with its layers at hand, and the flow image that it is.

    One that is named by its digest, and all of whose layers are unpacked, is known without asking
    anybody. One that only a container engine has is taken out of it, unless all are unpacked.

    Args:
        name: as `find` takes it. A registry that it names is asked first, and then the container
            engine; where it names none, the container engine alone.
        store: what is taken out of a container engine is there until the store is closed.
        unpacked: tells by the digest of what it unpacks to whether a layer's bytes are not needed.
        progress: gets a line of text where something takes a while.

    Raises:
        Exception: as `find` does.
    """
    text = os.fspath(name)
    if isinstance(name, os.PathLike) or names_a_path(text):
        from prefect.oci.archives import archive  # noqa: PLC0415 - for images on disk alone

        image = archive.read(Path(text).expanduser())
        return image, _looked_into(image, text, store)
    if not names_a_registry(text):
        return _out_of_daemon(text, store, unpacked, progress)
    reference = parsed(text)
    known = remembered_image(store, reference, None) if reference.digest else None
    if known is None or not all(unpacked(layer.diff_id) for layer in known.layers):
        try:
            known = _fetched(reference)
        except RegistryError as refused:
            try:
                return _out_of_daemon(text, store, unpacked, progress)
            except (ContainerEngineUnavailableError, ImageError):
                raise refused from None
        if reference.digest:
            remember_image(store, reference, None, known)
    return known, _looked_into(known, text, store)


def _looked_into(image: Image, name: str, store: Store) -> FlowImage:
    """Return a flow image whose manifest is read from its layers once."""
    labels, from_layers = image.labels, copied_from_layers(image)

    def copy(path: str, file: BinaryIO, limit: int) -> None:
        if path != labels.get(LABEL_MANIFEST):
            from_layers(path, file, limit)
            return
        known = remembered_manifest(store, image.id)
        if known is None or len(known) > limit:
            content = io.BytesIO()
            from_layers(path, content, limit)
            known = content.getvalue()
            remember_manifest(store, image.id, known)
        file.write(known)

    return FlowImage(name, labels, copy)


def _fetched(reference: Reference) -> Image:
    from prefect.oci.registry import client as registry  # noqa: PLC0415 - for registries alone

    return registry.fetch(reference)


def _out_of_daemon(
    name: str, store: Store, unpacked: Callable[[str], bool], progress: Callable[[str], object]
) -> tuple[Image, FlowImage]:
    from prefect.images.held import HeldImage  # noqa: PLC0415 - for container engines alone
    from prefect.oci.daemon.image import described  # noqa: PLC0415 - the same

    held = found_in_daemon(name, "or name the registry or the file that has it", HeldImage)
    image = described(held.found)
    if not all(unpacked(layer.diff_id) for layer in image.layers):
        progress(f"Taking the image {name} out of the container engine")
        path = store.scratch() / f"{held.id.replace(':', '-')}.tar"
        with store.told_if_full():
            held.daemon.save(held.id, path)
        from prefect.oci.archives import archive  # noqa: PLC0415 - for images on disk alone

        image = replace(image, layers=archive.read(path, image.platform).layers)
    return image, held
