"""A store on disk of what is dear to make or to fetch: layers, blobs, directories, and small facts.

Everything takes its name when it is complete and on disk, so a kill at any moment leaves nothing
that is believed. Locks are `flock`: they end with the process that held them. A blob in use is
locked, shared, by every store that handed it out; eviction takes what nobody has locked, what was
not used for longest first.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import weakref
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from prefect.errors import ImageContentError
from prefect.oci.cache import directories, facts
from prefect.oci.cache.eviction import evict, sweep, sweep_kept
from prefect.oci.cache.full import OWN_CACHE, TEMPORARY, told_if_full
from prefect.oci.cache.held import Held, flush, flush_directory, keeping
from prefect.oci.cache.layout import (
    BLOBS,
    DEFAULT_LIMIT,
    DIRECTORIES,
    FACTS,
    LOCK,
    LOCKS,
    PARTS,
    VERSION,
    WORK,
    locked,
    name_of,
)
from prefect.oci.digests import DIGEST
from prefect.oci.images import Blob, Layer
from prefect.user_cache import make_private, require_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from prefect.oci.cache.directories import HeldDirectory
    from prefect.oci.layers.writing import Written

_logger = logging.getLogger("prefect.oci")


class Store:
    """A directory that holds at most so many bytes, shared by any number of processes.

    Where it cannot be written, a temporary directory takes its place and goes with the store. What
    a store handed out stays readable until it is closed; closing is left to the garbage collector
    unless `close` or `with` says when.

    Args:
        directory: made if missing, with its parents, for this user alone; None, as where there is no home, is a temporary directory.
        limit: in bytes. Kept to when something is added and when the store is closed; what is in
            use at that time stays.

    Raises:
        SettingError: others own the directory, or may write it or put another in its place.
    """

    def __init__(self, directory: Path | None, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        self._added = False
        self._work: Path | None = None
        self._stack = ExitStack()
        self._lasting = False
        self.root = self._writable(directory)
        self._finalizer = weakref.finalize(self, _close, os.getpid(), self._stack, self._held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything that was handed out, and keep to the limit."""
        with self._lock:
            for held in self._held.values():
                held.close()
            self._held.clear()
        if self._added and self._finalizer.alive:
            with suppress(OSError):
                self._evict(self.limit)  # what was in use is not any more
        self._finalizer()

    def layer(self, key: str, make: Callable[[BinaryIO], Written], media_type: str) -> Layer:
        """Return the layer that was made for a key, or make it.

        Of several who want a key at once, in this process or another, one makes it. Its bytes are
        compared with the digest before they are read; if they were altered, it is made again.

        Args:
            key: of everything that the layer's bytes depend on.
            make: writes the compressed layer to a file.

        Raises:
            DiskFullError: the disk is full.
            OSError: the file system fails.
            Exception: whatever `make` raises; nothing is kept then.
        """
        if found := self._made(key, make, media_type):
            return found
        with self.told_if_full(), self._making(key):
            # Somebody else may have made it while we waited.
            if found := self._made(key, make, media_type):
                return found
            part = self.scratch() / f"part-{name_of(key)}"
            try:
                with part.open("wb") as file:
                    written = make(file)
                    flush(file)
                if part.stat().st_size != written.size:
                    raise OSError(f"{part} has another size than what was written to it")
                held = self._keep(part, written.digest, named=written.kept)
            finally:
                part.unlink(missing_ok=True)
            if written.kept:
                self.remember(
                    _layer_key(key),
                    [written.diff_id, written.digest, written.size, written.unpacked],
                )
        self._evict(self.limit)
        return self._as_layer(key, make, media_type, written.diff_id, held)

    def has_layer(self, key: str) -> bool:
        """Tell whether `layer` will find this key. From then on, it is not evicted."""
        record = self._record(key)
        return record is not None and self._hold(record[1], record[2]) is not None

    def blob(self, blob: Blob) -> Blob:
        """Return the same blob, kept on disk once somebody has read all of it.

        Its bytes are compared with its digest and size while they come, and before they are read
        from the disk; altered ones are fetched again.
        """

        def read() -> BinaryIO:
            held = self._hold(blob.digest, blob.size)
            if held is not None and self._verify(held):
                return held.open()
            return keeping(blob, self.scratch(), lambda path: self._take(path, blob.digest))

        if not DIGEST.fullmatch(blob.digest):
            return blob  # of another algorithm, or no digest at all: no name for a file
        return Blob(blob.media_type, blob.digest, blob.size, read, blob.origin)

    def directory(
        self,
        key: str,
        make: Callable[[Path], None],
        waiting: Callable[[], None] | None = None,
        *,
        lasting: bool = True,
        watched: int = 0,
    ) -> HeldDirectory:
        """Return the directory that was made for a key, or make it; held until it is closed.

        Of several who want a key at once, in this process or another, one makes it, under its final
        name. Nobody compares what is in it with anything: see that it is nobody's to change.

        Args:
            key: of everything that its content depends on; its first word says what it is.
            make: makes the directory of the name that it gets, which is not there yet.
            waiting: called before it is waited for somebody else, who makes it.
            lasting: whether it is to be there after a crash of the machine, which takes waiting until all
                is on the disk; else it is made anew once the machine has started anew.
            watched: in how many levels of its directories it is noticed that something was added or
                removed. What was changed is made anew, once nobody uses it.

        Raises:
            DiskFullError: the disk is full.
            OSError: the file system fails.
            Exception: whatever `make` raises; nothing is kept then.
        """

        def made(path: Path) -> None:
            make(path)
            self._added = True

        with self.told_if_full():
            held = directories.keep(
                directories.place_of(self.root, key),
                key.partition(" ")[0],
                made,
                waiting,
                lasting=lasting,
                watched=watched,
            )
        if self._added:
            self._evict(self.limit)
        return held

    def remember(self, key: str, value: Any) -> None:
        """Keep a small JSON value; one that cannot be written is forgotten, as in any cache."""
        with suppress(OSError):
            facts.remember(self.root, self.scratch(), key, value)
            self._added = True

    def recall(self, key: str, *, max_age: float | None = None) -> Any:
        """Return what was remembered; None if nothing was, or it is altered.

        Args:
            max_age: in seconds since it was remembered, past which it is not recalled.
        """
        return facts.recall(self.root, key, max_age=max_age)

    def scratch(self) -> Path:
        """Return a directory for files in the making, on the store's own file system.

        It goes when the store is closed. What killed processes left in theirs goes now.
        """
        with self._lock, self.told_if_full():
            if self._work is None:
                self._clean()
                while True:
                    path = Path(tempfile.mkdtemp(dir=self.root / WORK))
                    # Who cleans may find it before it is locked; then there is another.
                    if self._stack.enter_context(locked(path / LOCK, create=True)):
                        break
                self._stack.callback(shutil.rmtree, path, ignore_errors=True)
                self._work = path / "files"
                self._work.mkdir()
            return self._work

    def told_if_full(self) -> AbstractContextManager[None]:
        """Name the store in the error of a full disk: to be held while something is written there.

        Raises:
            DiskFullError: within: the disk is full.
        """
        if self._lasting:
            return told_if_full(f"the cache {self.root.parent}", OWN_CACHE)
        return told_if_full(str(self.root), TEMPORARY)

    def clear(self) -> int:
        """Delete what nobody uses; return the number of bytes that this gave back."""
        self._clean()
        return self._evict(0)

    def _writable(self, directory: Path | None) -> Path:
        if directory is not None:
            root = directory / VERSION
            try:
                _prepare(root)
                for each in (directory, root, *(root / name for name in PARTS)):
                    require_private(each)
                # Some file systems of networks have no locks, and without them nothing here holds.
                with locked(root / LOCK, create=True, wait=False):
                    self._lasting = True
                    return root
            except OSError as error:
                _logger.info("Nothing is cached in %s: %s", directory, error)
        root = Path(tempfile.mkdtemp(prefix="prefect-store-"))
        self._stack.callback(shutil.rmtree, root, ignore_errors=True)
        _prepare(root)
        return root

    def _clean(self) -> None:
        sweep(self.root / WORK)
        sweep(self.root / LOCKS)
        sweep_kept(self.root / DIRECTORIES)

    @contextmanager
    def _making(self, key: str) -> Iterator[None]:
        path = self.root / LOCKS / name_of(key)
        while True:
            with locked(path, create=True) as mine:
                if mine:
                    try:
                        yield
                    finally:
                        path.unlink(missing_ok=True)
                    return

    def _made(self, key: str, make: Callable[[BinaryIO], Written], media_type: str) -> Layer | None:
        record = self._record(key)
        held = None if record is None else self._hold(record[1], record[2])
        if record is None or held is None:
            return None
        return self._as_layer(key, make, media_type, record[0], held)

    def _record(self, key: str) -> tuple[str, str, int] | None:
        match self.recall(_layer_key(key)):
            case [str(diff_id), str(digest), int(size), int()] if DIGEST.fullmatch(digest):
                return diff_id, digest, size
        return None

    def _as_layer(
        self,
        key: str,
        make: Callable[[BinaryIO], Written],
        media_type: str,
        diff_id: str,
        held: Held,
    ) -> Layer:
        def read() -> BinaryIO:
            if self._verify(held):
                return held.open()
            again = self.layer(key, make, media_type)
            if again.blob is None or again.blob.digest != held.digest:
                raise ImageContentError(
                    f"The layer {held.digest} was altered in the cache, and is another one now "
                    "that it was made again: build the image again"
                )
            return again.blob.open()

        return Layer(diff_id, Blob(media_type, held.digest, held.size, read))

    def _path(self, digest: str) -> Path:
        return self.root / BLOBS / digest.removeprefix("sha256:")

    def _fact(self, key: str) -> Path:
        return self.root / FACTS / name_of(key)

    def _hold(self, digest: str, size: int) -> Held | None:
        with self._lock:
            held = self._held.get(digest)
            if held is None:
                held = Held.of(self._path(digest), digest)
                if held is None:
                    return None
                if held.size != size:
                    held.close()  # whoever asks may be wrong; what is made again replaces it
                    return None
                held.touch()
                self._held[digest] = held
            return held if held.size == size else None

    def _verify(self, held: Held) -> bool:
        with self._lock:
            if held.verify():
                return True
            held.discard()
            if self._held.get(held.digest) is held:
                del self._held[held.digest]
            return False

    def _keep(self, part: Path, digest: str, *, named: bool = True) -> Held:
        """Hold a new file, and give it its name in the store, or else none: then it goes with us."""
        with self._lock:
            size = part.stat().st_size
            known = self._hold(digest, size)
            # Another key may have made the same; who holds that file must find it under its name.
            if known is not None and self._verify(known):
                return known
            held = Held.of(part, digest)
            if held is None:
                raise FileNotFoundError(f"{part} was deleted while it was written")
            held.trust()
            self._held[digest] = held
            if named:
                held.path = self._path(digest)
                part.replace(held.path)
                flush_directory(held.path.parent)
                self._added = True
            return held

    def _take(self, path: Path, digest: str) -> None:
        self._keep(path, digest)
        self._evict(self.limit)

    def _evict(self, limit: int) -> int:
        files = (self.root / BLOBS, self.root / FACTS)
        return evict(files, self.root / DIRECTORIES, limit)


def _prepare(root: Path) -> None:
    for name in PARTS:
        path = root / name
        if not path.is_dir():
            make_private(path)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(f"{path} cannot be written")


def _close(process: int, stack: ExitStack, held: dict[str, Held]) -> None:
    if os.getpid() != process:
        return  # a fork that ends leaves alone what is its parent's
    for one in held.values():
        one.close()
    held.clear()
    stack.close()


def _layer_key(key: str) -> str:
    return f"layer {key}"
