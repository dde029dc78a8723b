"""Layers: files in a tar archive whose bytes depend on nothing but the files.

Names are sorted, owners are root, times and permissions are fixed. Of the directories, those at and
below one of our own are emitted, and no other: a base keeps the owner and mode of what it has.

Compressed is in members of one MiB of the archive each, which gzip (RFC 1952, section 2.2) allows
to follow each other: threads compress them side by side, and their bytes depend on the codec alone.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

import isal
from isal import isal_zlib

from prefect.errors import ImageContentError
from prefect.frozen import frozen
from prefect.oci.images import OCI_LAYER
from prefect.oci.layers.unpacking import is_plain, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from prefect.oci.images import Layer

# Whatever changes the compressed bytes of the same files stands in here.
CODEC = f"isal-{isal.__version__}-{isal.ISAL_VERSION}"
LAYER = f"{OCI_LAYER}+gzip"  # the media type of what is written here
_LEVEL = 1
_GZIP = 31  # zlib's number of a window of 32 KiB with a gzip header
_MEMBER = 1 << 20
_WINDOW = 16  # members in memory


@frozen
class Entry:
    """A file or a symbolic link of a layer.

    Args:
        path: where it goes, without a leading slash.
        content: its bytes, or a file that has them.
        link: the target of a symbolic link; it then has no content.
        sha256: of the content, in hexadecimal digits, where it has to be known beforehand.
    """

    path: str
    content: bytes | Path = b""
    executable: bool = False
    link: str = ""
    sha256: str = ""


@frozen
class Written:
    """What was written: digests of the tar archive and of its compressed form, sizes in bytes.

    Args:
        kept: whether a store keeps it for others; else it is gone when the store is closed.
    """

    diff_id: str
    digest: str
    size: int
    unpacked: int
    kept: bool = True


def write_layer(
    entries: Iterable[Entry],
    file: BinaryIO,
    *,
    own: str,
    told: Callable[[int], object] = lambda _: None,
) -> Written:
    """Write a compressed layer.

    Args:
        told: called with how many more bytes, unpacked, are written.
        own: the directory, such as "opt/prefect", at and below which directories are ours.

    Raises:
        ValueError: two entries have one path, or a path leads elsewhere.
        OSError: a file cannot be read, or changed while it was; or `file` cannot be written.
    """
    return _compress_into(_tar(entries, own), file, told)


def compress_layer(layer: Layer, file: BinaryIO) -> Written:
    """Write a layer, however it is stored, as one that is compressed in our way.

    Raises:
        ImageContentError: it is not what its digest says.
    """
    if layer.blob is None:
        raise ValueError(f"The layer {layer.diff_id} has no bytes here")
    # One that is not packed is hashed while it is compressed.
    with layer.blob.open() if is_plain(layer) else unpacked(layer.blob) as stream:
        written = _compress_into(iter(lambda: stream.read(_MEMBER), b""), file)
    if written.diff_id != layer.diff_id:
        raise ImageContentError(f"The layer {layer.diff_id} is {written.diff_id} when it is read")
    return written


def _compress_into(
    archive_chunks: Iterable[bytes],
    file: BinaryIO,
    told: Callable[[int], object] = lambda _: None,
) -> Written:
    archive, packed = hashlib.sha256(), hashlib.sha256()
    size = whole = 0
    pending: deque[Future[bytes]] = deque()

    def take() -> int:
        member = pending.popleft().result()
        packed.update(member)
        file.write(member)
        return len(member)

    for block in _blocks(archive_chunks):
        whole += len(block)
        pending.append(_threads().submit(_compress, block))
        archive.update(block)
        if len(pending) == _WINDOW:
            size += take()
        told(len(block))
    while pending:
        size += take()
    return Written(f"sha256:{archive.hexdigest()}", f"sha256:{packed.hexdigest()}", size, whole)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="prefect-compress")


# Threads do not go with a fork, which would wait for them for ever.
os.register_at_fork(after_in_child=_threads.cache_clear)


def _compress(block: bytes) -> bytes:
    compressed: bytes = isal_zlib.compress(block, _LEVEL, _GZIP)
    return compressed


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _MEMBER:
            yield bytes(memoryview(buffer)[:_MEMBER])
            del buffer[:_MEMBER]
    if buffer:
        yield bytes(buffer)


def _tar(entries: Iterable[Entry], own: str) -> Iterator[bytes]:
    known: dict[str, Entry | None] = {}  # None: a directory
    for entry in entries:
        if entry.path in known:
            raise ValueError(f"Two entries of a layer have the path {entry.path!r}")
        _check(entry.path)
        known[entry.path] = entry
        parent = entry.path.rpartition("/")[0]
        while (parent == own or parent.startswith(f"{own}/")) and parent not in known:
            known[parent] = None
            parent = parent.rpartition("/")[0]
        if known.get(parent) is not None:
            raise ValueError(f"{parent!r} is a file and a directory in a layer")
    for path in sorted(known):
        member = known[path]
        info = tarfile.TarInfo(path)
        if member is None:
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            yield _header(info)
        elif member.link:
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, member.link
            yield _header(info)
        else:
            info.mode = 0o755 if member.executable else 0o644
            yield from _file(info, member)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file(info: tarfile.TarInfo, entry: Entry) -> Iterator[bytes]:
    content = entry.content
    if isinstance(content, bytes):
        info.size = len(content)
        yield _header(info)
        yield content
    else:
        with content.open("rb", buffering=0) as file:
            info.size = os.fstat(file.fileno()).st_size
            yield _header(info)
            rest, digest = info.size, hashlib.sha256()
            while chunk := file.read(_MEMBER):
                rest -= len(chunk)
                if entry.sha256:
                    digest.update(chunk)
                yield chunk
        if rest or (entry.sha256 and entry.sha256 != digest.hexdigest()):
            raise OSError(f"{content} changed while it was read")
    yield bytes(-info.size % tarfile.BLOCKSIZE)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _check(path: str) -> None:
    parts = path.split("/")
    # `.wh.` is how a layer deletes a file of the layers below it.
    if not all(parts) or {".", ".."} & set(parts) or any(p.startswith(".wh.") for p in parts):
        raise ValueError(f"{path!r} cannot be a path in a layer")
