"""Directories of the store, by key: there whole or not at all, and held while somebody uses them.

    <place>/lock       locked alone by who makes or removes it, shared by who uses it
            <random>/  what was made; it is made under this name, which may stand within it
            complete   JSON with that name and its kind, written last and removed first: all else counts for
                       nothing. It names the machine's boot where it holds for that alone

What is looked at when it is held again: that it is whole, that it is this user's and nobody else may write
it, and, where that is wanted, that nothing was added to or removed from its upper directories, as
installers do. Files are not read.

A kill at any moment ends the lock, and leaves what is complete, or what the next one removes. A program
that the killed one had started may write on, into a directory whose name nobody takes any more.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from prefect.oci.cache.layout import DIRECTORIES, LOCK, TOUCH_AFTER, is_at, locked, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

COMPLETE = "complete"


class HeldDirectory:
    """A directory that is complete, and that nobody removes as long as it is held.

    Args:
        handle: the open lock. Whoever inherits it holds the directory as well.
        path: of the content.
    """

    def __init__(self, handle: int, path: Path) -> None:
        self.handle = handle
        self.path = path

    def close(self) -> None:
        """Let go of it."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def place_of(root: Path, key: str) -> Path:
    """Return where the directory for a key is.

    Args:
        root: directory of the store, with its version.
    """
    # Short: it stands in the first lines of scripts, which the kernel cuts off.
    return root / DIRECTORIES / name_of(key)[:32]


def hold(place: Path, waiting: Callable[[], None] | None = None) -> HeldDirectory | None:
    """Hold a directory; None where it is not there, or not whole.

    Args:
        waiting: called before it is waited for somebody who makes or removes it.
    """
    while True:
        try:
            handle = os.open(place / LOCK, os.O_RDONLY)
        except (FileNotFoundError, PermissionError):
            return None
        held = HeldDirectory(handle, place)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(handle, fcntl.LOCK_SH)
            there = is_at(handle, place / LOCK)
            content = _content(place) if there else None
            if content is not None:
                if time.time() - os.fstat(handle).st_mtime > TOUCH_AFTER:
                    with suppress(OSError):
                        os.utime(place / LOCK)
                held.path = content
                return held
        except BaseException:
            held.close()
            raise
        held.close()
        if there:
            return None


def keep(
    place: Path,
    kind: str,
    make: Callable[[Path], None],
    waiting: Callable[[], None] | None = None,
    *,
    lasting: bool = True,
    watched: int = 0,
) -> HeldDirectory:
    """Hold a directory, and make it before that where it is not there.

    Of several who want it at once, in this process or another, one makes it.

    Args:
        kind: what it is, for those who list what is kept.
        make: makes the directory of this name, which is not there.
        waiting: called before it is waited for somebody else.
        lasting: whether it counts once the machine has started anew, and so has to be on the disk.
        watched: in how many levels of its directories it is noticed that something was added or removed.

    Raises:
        OSError: it cannot be written.
        Exception: whatever `make` raises; nothing is kept then.
    """
    mine = True
    while True:
        if held := hold(place, waiting):
            return held
        place.mkdir(mode=0o700, exist_ok=True)
        with locked(place / LOCK, create=True, wait=not mine) as mine:
            if mine and _content(place) is None:  # else somebody else has made it meanwhile
                _clear(place)
                content = place / os.urandom(4).hex()
                try:
                    make(content)
                    _complete(place, kind, content, lasting=lasting, watched=watched)
                except BaseException:
                    _remove(place)
                    raise
        if not mine and waiting is not None:  # somebody uses what was changed
            waiting()


def discard(place: Path) -> int | None:
    """Remove a directory that nobody holds; return the bytes given back, None where it is held."""
    with locked(place / LOCK, create=True, wait=False) as mine:
        if not mine:
            return None
        freed = size(place)
        _remove(place)
        return freed


def size(place: Path) -> int:
    """Return how many bytes a directory took when it was made; 0 where it is not whole."""
    told = _told(place)
    return 0 if told is None else told.size


def kept(root: Path) -> list[tuple[str, int]]:
    """Return the kind of each directory that is kept, and how many bytes it took.

    Args:
        root: directory of the store, with its version.
    """
    with suppress(FileNotFoundError):
        found = [_told(place) for place in (root / DIRECTORIES).iterdir()]
        return [(told.kind, told.size) for told in found if told is not None]
    return []


class _Told(NamedTuple):
    name: str
    kind: str
    size: int
    changed: dict[str, int]


def _told(place: Path) -> _Told | None:
    with suppress(OSError, ValueError):
        match json.loads((place / COMPLETE).read_bytes()):
            case {
                "content": str(name), "kind": str(kind), "size": int(size), "changed": dict(changed), **rest
            } if name.isalnum() and rest.get("boot", boot()) == boot():  # fmt: skip
                return _Told(name, kind, size, changed)
    return None


def _content(place: Path) -> Path | None:
    """Return a directory that is whole, this user's alone, and as it was."""
    told = _told(place)
    if told is None:
        return None
    content = place / told.name
    try:
        status = content.lstat()
        for path, changed in told.changed.items():
            if os.lstat(f"{content}/{path}").st_mtime_ns != changed:
                return None
    except OSError:
        return None
    own = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return content if own and stat.S_ISDIR(status.st_mode) else None


@cache
def boot() -> str:
    """Return what no other start of a machine is called."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _complete(place: Path, kind: str, content: Path, *, lasting: bool, watched: int) -> None:
    content.chmod(0o700)
    used, changed = 0, {}
    for base, _, files in os.walk(content):
        used += sum(os.lstat(f"{base}/{name}").st_size for name in files)
        path = os.path.relpath(base, content)
        # Python itself writes its bytecode.
        if len(Path(path).parts) < watched and not path.endswith("__pycache__"):
            changed[path] = os.lstat(base).st_mtime_ns
    if lasting or not boot():
        os.sync()  # what counts as whole has to be on the disk, and there are thousands of files
    told = {"content": content.name, "kind": kind, "size": used, "changed": changed}
    until = {} if lasting or not boot() else {"boot": boot()}
    part = place / f"{COMPLETE}.part"
    part.write_text(json.dumps(told | until))
    part.replace(place / COMPLETE)


def _clear(place: Path) -> None:
    """Remove all but the lock, and first what says that it is whole."""
    (place / COMPLETE).unlink(missing_ok=True)
    for path in list(place.iterdir()):
        if path.name != LOCK:
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _remove(place: Path) -> None:
    """Remove a directory whose lock is held: the lock last, for who waits for it makes it anew."""
    _clear(place)
    (place / LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # somebody has just begun again, or an orphan writes on
        place.rmdir()
