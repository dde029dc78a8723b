"""Writing OCI image layouts into directories (image-layout.md)."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, ImageError, OutputError
from prefect.files import read_small, replacing, replacing_directory
from prefect.frozen import replace
from prefect.oci.archives.layouts import INDEX, MARKER, MARKING, index_of, labels, same
from prefect.oci.archives.sources import Directory
from prefect.oci.digests import CHUNK, verified
from prefect.oci.documents import descriptor, parse_object
from prefect.oci.images import OCI_INDEX, Blob, Image, blob_of, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX}


def write_layout(image: Image, path: Path, entry: Mapping[str, Any]) -> None:
    """Put an image into a layout, which has it only when all of it is on disk.

    Args:
        entry: what the index is to say of it.

    Raises:
        OutputError: something else than a layout is there.
        ImageContentError: the image's bytes are not what their digests promise.
        ImageError: a layer is in a container engine only.
        OSError: it cannot be written, or a layer not be read.
    """
    blobs = [layer.blob for layer in image.layers if layer.blob is not None]
    if image.manifest is None or len(blobs) < len(image.layers):
        raise ImageError(
            "Layers of the image are in a container engine: their bytes are not at hand"
        )
    blobs += [image.config_blob(), blob_of(image.manifest, image.media_type)]
    require_free_directory(path)
    if not path.is_dir() or not any(path.iterdir()):
        try:
            with replacing_directory(path) as fresh:
                _fill(fresh, blobs, _INDEX | {"manifests": [entry]})
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
            require_free_directory(path)  # somebody else's took the name meanwhile
        else:
            return
    with _locked(path):  # another image may be on its way into it
        index = parse_object(read_small(path / INDEX), INDEX)
        kept = [each for each in index["manifests"] if not _replaces(entry, each)]
        # Sorted by name, so that the order of writing is not seen; of one name, in their order.
        _fill(path, blobs, index | {"manifests": sorted([*kept, entry], key=_name)})


def require_free_directory(path: Path) -> None:
    """Refuse a path where something else is than a layout or an empty directory.

    Raises:
        OutputError: something else is there.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is there, and no directory: write to another path")
    if path.is_dir() and any(path.iterdir()):
        try:
            index_of(Directory(path))
        except ImageContentError as error:
            raise OutputError(f"{path} is there, and no image layout: {error}") from error


def _fill(path: Path, blobs: list[Blob], index: dict[str, Any]) -> None:
    directory = path / "blobs" / "sha256"
    for each in (directory.parent, directory):
        each.mkdir(exist_ok=True)
    for blob in {blob.digest: blob for blob in blobs}.values():
        there = directory / blob.digest.removeprefix("sha256:")
        if not _holds(there, blob):
            with replacing(there, mode=None) as file, verified(blob) as source:
                shutil.copyfileobj(source, file, CHUNK)
    for name, data in (
        (MARKER, canonical_json(MARKING)),
        (INDEX, canonical_json(index)),
    ):  # the index last
        with replacing(path / name, mode=None) as file:
            file.write(data)


def _holds(path: Path, blob: Blob) -> bool:
    """Tell whether a blob is there, and whole: an earlier writer may have lacked care."""
    if not path.is_file():
        return False
    try:
        with verified(replace(blob, open=lambda: path.open("rb"))) as file:
            while file.read(CHUNK):
                pass
    except ImageContentError:
        return False
    return True


def _replaces(entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    new, old = descriptor(entry, "The new entry"), descriptor(other, "An entry")
    if labels(new) and labels(old):
        return any(same(a, b) for a in labels(new) for b in labels(old))
    return not labels(new) and not labels(old) and new.platform == old.platform


def _name(entry: Mapping[str, Any]) -> str:
    return next(iter(labels(descriptor(entry, "An entry"))), "")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
