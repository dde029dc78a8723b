"""A layer's files on disk, as overlays of Linux want them, from archives that nobody vouches for.

Every directory on the way to a file is opened by itself, relative to the one above, and never
through a link: whatever a layer says, nothing is written outside of its own directory. Owners,
devices, extended attributes and the bits of set-user-ID and set-group-ID are left out: all files are
whose the run is.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError
from prefect.oci.layers.unpacking import walk
from prefect.places.sandbox.trees import IMPLIED, OPAQUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect.oci.images import Layer
    from prefect.oci.layers.tar import Member, TarReader

_WHITEOUT, _OPAQUE, _AUFS = b".wh.", b".wh..wh..opq", b".wh..wh."
_MOST = 1_000_000  # files and directories; the largest images have half of that
_DEEPEST = 200  # directories on a path, each of which is open at a time
# What a layer may become on the disk: more than any image's.
_RATIO, _SMALL = 200, 1 << 30
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FAULTS = frozenset(
    {
        errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EMLINK,
        errno.EILSEQ, errno.ENOENT, errno.EPERM,
    }
)  # fmt: skip


def unpack(
    layer: Layer, directory: Path, going_on: Callable[[], bool] = lambda: True
) -> dict[str, Any]:
    """Write the files of a layer into an empty directory, and compare its digests.

    Args:
        layer: whose archive is read.
        directory: empty.
        going_on: asked before each file whether somebody still wants it.

    Returns:
        "implied": directories that the layer does not list, which have
        lower layers' permissions. "marked": whether what it removes of lower layers is marked as
        overlays want it; else it is in "removed", paths by which nothing lower is seen, and in
        "opaque", directories through which nothing is. What hides the whole root is there anyhow.

    Raises:
        ImageContentError: the layer is malformed, hostile, or not what its digests promise.
        ImageError: the layer's bytes are not at hand.
        OSError: they cannot be read, or the files not be written; an InterruptedError where nobody
            wants them any more.
    """
    packed = layer.blob.size if layer.blob is not None else 0
    tree = _Tree(directory)
    try:
        for member, reader in walk(layer, limit=max(_SMALL, _RATIO * packed)):
            if not going_on():
                raise InterruptedError("Nobody wants it any more")
            try:
                tree.add(member, reader)
            except OSError as error:
                if error.errno not in _FAULTS:
                    raise
                raise _malformed(layer, member, str(error.strerror)) from error
            except ValueError as error:
                if isinstance(error, ImageContentError):
                    raise
                raise _malformed(layer, member, str(error)) from error
        return tree.finish()
    finally:
        tree.close()


def _malformed(layer: Layer, member: Member, what: str) -> ImageContentError:
    return ImageContentError(
        f"The layer {layer.diff_id} cannot be unpacked at {member.path[:200]!r}: {what}"
    )


class _Tree:
    """A directory that is filled, and the chain of open directories down to where that happens."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _DIRECTORY)
        self._names: list[bytes] = []
        self._handles: list[int] = []
        self._implied: set[bytes] = set()
        self._times: dict[bytes, int] = {}  # of directories: what is put into them changes theirs
        self._removed: set[bytes] = set()
        self._opaque: set[bytes] = set()
        self._count = 0

    def close(self) -> None:
        self._up(0)
        os.close(self._root)

    def add(self, member: Member, reader: TarReader) -> None:
        """Add a member.

        Raises:
            ValueError: it is one that no layer should have.
            OSError: it cannot be, as when it leads through a link.
        """
        *above, name = _parts(member.path) or [b""]
        if not name:
            return  # the root itself
        if name.startswith(_WHITEOUT):
            self._hide(above, name)
            return
        if member.kind == "other":
            return  # devices and pipes: a run has its own
        if member.kind == "sparse":
            raise ValueError("it is a sparse file")
        parent = self._down(above)
        path = b"/".join((*above, name))
        self._counted()
        if member.kind == "directory":
            self._add_directory(parent, name, path, member)
        elif member.kind == "file":
            self._replace(parent, name, path, lambda: self._write(parent, name, member, reader))
        elif member.kind == "symlink":
            link = _encoded(member.link)
            self._replace(parent, name, path, lambda: os.symlink(link, name, dir_fd=parent))
        else:
            self._link(parent, name, path, member.link)

    def finish(self) -> dict[str, Any]:
        """Set what can be set in the end alone, and return what `unpack` returns."""
        try:
            self._mark()
        except OSError as error:  # on old kernels, and on file systems without the attributes
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP}:
                raise
            marked = False
        else:
            marked = True
        for path, seconds in self._times.items():
            with _replaced():
                os.utime(self._down(path.split(b"/"), make=False), (seconds, seconds))
        return {
            "implied": _listed(self._implied),
            "removed": [] if marked else _listed(self._removed),
            "opaque": _listed(self._opaque & {b""} if marked else self._opaque),
            "marked": marked,
        }

    def _hide(self, above: list[bytes], name: bytes) -> None:
        self._down(above)
        if name == _OPAQUE:
            self._opaque.add(b"/".join(above))
        elif not name.startswith(_AUFS):  # which are that file system's own
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in {b"", b".", b".."}:
                raise ValueError("it removes no file")
            self._counted()
            self._removed.add(b"/".join((*above, hidden)))

    def _mark(self) -> None:
        """Say what is removed of lower layers; what this layer itself has under the name stays."""
        for path in self._removed:
            *above, name = path.split(b"/")
            with _replaced():
                parent = self._down(above)
                try:
                    there = os.stat(name, dir_fd=parent, follow_symlinks=False)
                except FileNotFoundError:
                    os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=parent)
                else:
                    if stat.S_ISDIR(there.st_mode):
                        self._opaque.add(path)
        for path in self._opaque - {b""}:  # for the root itself, see `stack`
            with _replaced():
                os.setxattr(self._down(path.split(b"/")), OPAQUE, b"y")

    def _add_directory(self, parent: int, name: bytes, path: bytes, member: Member) -> None:
        handle = self._open(parent, name, make=True, replace=True)
        try:
            # Its owner, who is who runs what is in it, must be able to remove it again.
            os.fchmod(handle, (member.mode & 0o3777) | 0o700)
        finally:
            os.close(handle)
        self._implied.discard(path)
        self._times[path] = member.modified

    def _replace(self, parent: int, name: bytes, path: bytes, make: Callable[[], None]) -> None:
        """Make something that is no directory; what had its name goes."""
        try:
            make()
        except FileExistsError:
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=parent)
                below = path + b"/"
                self._implied = {
                    one for one in self._implied if one != path and not one.startswith(below)
                }
            else:
                os.unlink(name, dir_fd=parent)
            make()

    def _write(self, parent: int, name: bytes, member: Member, reader: TarReader) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            while data := reader.read():
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
            os.fchmod(handle, (member.mode & 0o777) | 0o400)
            os.utime(handle, (member.modified, member.modified))
        finally:
            os.close(handle)

    def _link(self, parent: int, name: bytes, path: bytes, link: str) -> None:
        *above, target = _parts(link) or [b""]
        if not target:
            raise ValueError("it is a link to nothing")
        if (*above, target) == (*path.split(b"/"),):
            raise ValueError("it is a link to itself")
        source = os.dup(self._root)
        try:
            for part in above:
                below = self._open(source, part)
                os.close(source)
                source = below

            def make() -> None:
                os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

            self._replace(parent, name, path, make)
        finally:
            os.close(source)

    def _down(self, parts: list[bytes], *, make: bool = True) -> int:
        """Return the open directory of a path, from the one of the last path on."""
        if len(parts) > _DEEPEST:
            raise ValueError("it is far too deep")
        same = 0
        for have, want in zip(self._names, parts, strict=False):
            if have != want:
                break
            same += 1
        self._up(same)
        for index in range(same, len(parts)):
            above = self._handles[-1] if self._handles else self._root
            handle = self._open(above, parts[index], make=make, path=parts[: index + 1])
            self._handles.append(handle)
            self._names.append(parts[index])
        return self._handles[-1] if self._handles else self._root

    def _up(self, depth: int) -> None:
        while len(self._handles) > depth:
            os.close(self._handles.pop())
            self._names.pop()

    def _open(
        self,
        above: int,
        name: bytes,
        *,
        make: bool = False,
        replace: bool = False,
        path: list[bytes] | None = None,
    ) -> int:
        """Open a directory that is no link, or make it.

        Args:
            replace: something else of the name gives way to it.
            path: of one that the layer does not list by now.
        """
        try:
            return os.open(name, _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if not replace or error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            os.unlink(name, dir_fd=above)
        os.mkdir(name, IMPLIED, dir_fd=above)
        handle = os.open(name, _DIRECTORY, dir_fd=above)
        if path is not None:
            os.fchmod(handle, IMPLIED)  # whatever the umask
            self._implied.add(b"/".join(path))
            self._counted()
        return handle

    def _counted(self) -> None:
        self._count += 1
        if self._count > _MOST:
            raise ValueError(f"the layer has more than {_MOST} files")


@contextmanager
def _replaced() -> Iterator[None]:
    """Leave alone a directory that the layer itself replaced by something else later on."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP, errno.ENOENT}:
            raise


def _parts(path: str) -> list[bytes]:
    """Return the names on a path from the root on.

    Raises:
        ValueError: it leads upwards.
    """
    parts = [part for part in _encoded(path).split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise ValueError("it leads upwards")
    return parts


def _listed(paths: set[bytes]) -> list[str]:
    return sorted(path.decode("utf-8", "surrogateescape") for path in paths)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
