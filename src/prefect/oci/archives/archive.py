"""Images in files: OCI layouts, OCI archives and docker-archives, told apart by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, ImageError, OutputError
from prefect.files import replacing
from prefect.oci.archives.docker import MANIFEST, read_docker
from prefect.oci.archives.layouts import FULL_NAME, INDEX, MARKER, MARKING, REF_NAME, read_layout
from prefect.oci.archives.sources import Archive, Directory
from prefect.oci.digests import CHUNK, DIGEST, verified
from prefect.oci.images import OCI_INDEX, Image, blob_of, canonical_json
from prefect.oci.references import Reference
from prefect.steps import step

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator

    from prefect.oci.archives.sources import FileSource
    from prefect.oci.images import Blob
    from prefect.oci.platforms import Platform

# Archives are written as they are: layers are packed already.
_PACKED = frozenset({".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip"})
# What people, and the command, take for something else.
_FOREIGN = frozenset({".py", ".flow", ".whl"})
_ENDINGS = "An archive ends with .tar, and the directory of an OCI layout has no ending"


def read(
    path: str | os.PathLike[str], platform: Platform | None = None, name: str | None = None
) -> Image:
    """Read an image from an OCI layout directory, an OCI archive or a docker-archive.

    Manifest and config are read and verified at once. Layers stay where they are: whoever reads
    one through `verified` learns whether it is what its digest promises. Only an archive that is
    itself packed with gzip is unpacked, to a temporary file without a name.

    Args:
        path: the directory of a layout, or the file of an archive.
        platform: which image of several; None means the only one, else that for this machine.
        name: which image of several: an image reference, or what the index calls it.

    Raises:
        ImageContentError: it is malformed, or not what digests and sizes promise.
        ImageError: there is no image at the path, or none that fits; the message lists those
            that are there.
    """
    where = Path(path)
    try:
        source: FileSource = Directory(where) if where.is_dir() else Archive(where)
        if source.file(MARKER) and source.file(INDEX):
            return read_layout(source, platform, name)
        if source.file(MANIFEST):
            return read_docker(source, platform, name)
    except (ImageContentError, ImageError) as error:
        raise type(error)(f"{where}: {error}") from error
    except (OSError, ValueError) as error:  # the latter of a path with a zero in it
        raise ImageError(f"{where} cannot be read: {error}") from error
    raise ImageError(
        f"{where} is no image: it has neither {MARKER} and {INDEX}, as OCI images, nor "
        f"{MANIFEST}, as `docker save` writes"
    )


def write(image: Image, path: str | os.PathLike[str], *, name: str | None = None) -> None:
    """Write an image to a file or to a directory, which has it whole or not at all.

    A path with a suffix, such as "image.tar", becomes an archive that is both an OCI archive and
    a docker-archive: `docker load`, `podman load` and skopeo read it. Equal images and names give
    equal bytes. A path without one, or that of a directory, becomes an OCI image layout: a layout
    that is there keeps its other images, and of those with this name (and, without a name, of
    this platform) the new one takes the place.

    Args:
        image: all of whose layers have blobs.
        path: where it goes.
        name: an image reference with a tag or none.

    Raises:
        ValueError: the name is none, or the path's ending asks for a packed archive, or for something
            else.
        OutputError: something else than an image is at the path.
        ImageContentError: the image's bytes are not what their digests promise.
        ImageError: a layer is in a container engine only.
        OSError: it cannot be written, or a layer not be read.
    """
    where = Path(path)
    reference = None if name is None else _tagged(name)
    if _is_layout(where):
        from prefect.oci.archives.layout_writing import write_layout  # noqa: PLC0415 - to write alone

        write_layout(image, where, _descriptor(image, reference))
        return
    require_free(where)
    size = sum(layer.blob.size for layer in image.layers if layer.blob)
    with step(f"Writing {where.name}", size) as told, replacing(where, mode=None) as file:
        for chunk in told.counting(docker_archive(image, name, both_indexes=True)):
            file.write(chunk)


def require_free(where: Path) -> None:
    """Refuse a path that `write` would refuse, before there is an image to write.

    Raises:
        ValueError: its ending asks for a packed archive, or for something else.
        OutputError: something else than an image is there.
    """
    if _is_layout(where):
        from prefect.oci.archives.layout_writing import require_free_directory  # noqa: PLC0415 - to write alone

        require_free_directory(where)
    elif where.suffix.lower() in _PACKED:
        raise ValueError(f"{where} would be packed twice: layers are. {_ENDINGS}")
    elif where.suffix.lower() in _FOREIGN:
        raise ValueError(f"{where} has an ending that no image archive has. {_ENDINGS}")
    elif where.exists() and not _is_image(where):
        raise OutputError(f"{where} is there, and no image archive: write to another path")


def docker_archive(
    image: Image,
    name: str | None,
    *,
    leave_out: Collection[str] = (),
    both_indexes: bool = False,
) -> Iterator[bytes]:
    """Give a tar archive for `docker load`, in chunks; every blob in it is verified on the way.

    Members are sorted by name; owners, permissions and times are fixed.

    Args:
        leave_out: diff_ids of layers that the container engine has; it must have all those below
            each, too. They are listed and not contained, which only container engines with the
            classic image source can load.
        both_indexes: also write the index of an OCI layout; all layers' blobs must then be known.

    Raises:
        ValueError: the name is no image reference, or has a digest.
        ImageContentError: the image's bytes are not what their digests promise.
        ImageError: a layer is in a container engine only, and not left out.
        OSError: a layer cannot be read.
    """
    import tarfile  # noqa: PLC0415 - to write alone

    reference = None if name is None else _tagged(name)
    members: dict[str, Blob] = {}

    def add(blob: Blob) -> str:
        path = _path(blob.digest)
        members[path] = blob
        return path

    listed = []
    for layer in image.layers:
        if layer.diff_id in leave_out:
            listed.append(_path(layer.blob.digest if layer.blob else layer.diff_id))
        elif layer.blob is None:
            raise ImageError(
                f"The layer {layer.diff_id} is in a container engine: its bytes are not at hand"
            )
        else:
            listed.append(add(layer.blob))
    entry = {
        "Config": add(image.config_blob()),
        "RepoTags": [str(reference)] if reference else None,
        "Layers": listed,
    }
    members[MANIFEST] = _json([entry])
    if both_indexes:
        descriptor = _descriptor(image, reference)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor]}
        members[INDEX], members[MARKER] = _json(index), _json(MARKING)
        add(blob_of(image.manifest or b"", image.media_type))
    for directory in ("blobs/", "blobs/sha256/"):
        yield _header(directory, tarfile.DIRTYPE)
    for path, blob in sorted(members.items()):
        yield _header(path, tarfile.REGTYPE, blob.size)
        with verified(blob) as file:
            while chunk := file.read(CHUNK):
                yield chunk
        yield bytes(-blob.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _tagged(name: str) -> Reference:
    reference = Reference.parse(name)
    if reference.digest or not reference.tag:
        raise ValueError(f"{name!r} has a digest: an image in a file is named by a tag")
    return reference


def _descriptor(image: Image, reference: Reference | None) -> dict[str, Any]:
    """Return what an index says of an image (image-index.md)."""
    if image.manifest is None:
        raise ImageError(
            "Layers of the image are in a container engine: their bytes are not at hand"
        )
    descriptor = blob_of(image.manifest, image.media_type).descriptor()
    its = image.platform
    platform = {"os": its.os, "architecture": its.architecture, "variant": its.variant}
    descriptor["platform"] = {key: value for key, value in platform.items() if value}
    if reference:
        full = f"{reference.registry}/{reference.repository}:{reference.tag}"
        descriptor["annotations"] = {REF_NAME: str(reference), FULL_NAME: full}
    return descriptor


def _path(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise ImageContentError(f"The digest {digest!r} is not sha256:<64 hex>")
    return "blobs/" + digest.replace(":", "/")


def _json(value: Any) -> Blob:
    return blob_of(canonical_json(value), "application/json")


def _header(path: str, kind: bytes, size: int = 0) -> bytes:
    import tarfile  # noqa: PLC0415 - to write alone

    info = tarfile.TarInfo(path)
    info.type, info.size = kind, size
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _is_layout(path: Path) -> bool:
    # What follows the dot of "flow-1.2" is a version.
    return path.is_dir() or not path.suffix or path.suffix[1:].isdigit()


def _is_image(path: Path) -> bool:
    if path.is_file() and not path.stat().st_size:
        return True  # nothing is lost with it
    try:
        source = Archive(path)
        return bool(source.file(INDEX) or source.file(MANIFEST))
    except (ImageContentError, ImageError):
        return False
