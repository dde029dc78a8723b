"""Small files of a directory, many to one file on disk: a file of its own costs a hundred times as much to make.

    packs/NAME      for each small file a line, "KEY TIME LENGTH" in hexadecimal digits, and its bytes

A pack is appended to by one process alone, which locks it as long as it lives, and each small file with one write.
What a kill has cut off at its end, and what is damaged, is not found: small files have digests of their own.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect.store.formats import Part

_LINE = pattern(rb"([0-9a-f]{64}) ([0-9a-f]{16}) ([0-9a-f]{8})\n")
_LINE_BYTES = 91
_SOON = 0.5
"""Seconds for which what others have stored meanwhile need not be found."""
_RECENT = 3600.0
"""Seconds for which a pack counts as used without being marked again."""


_all: weakref.WeakSet[Packs] = weakref.WeakSet()


class Packs:
    """Small files by 64 hexadecimal digits.

    Args:
        directory: that has the packs; made when something is written.
        make: makes the directory.
        new: opens a new file for writing, for this user alone.
    """

    def __init__(self, directory: str, make: Callable[[], None], new: Callable[[str], int]) -> None:
        self._directory = directory
        self._make = make
        self._new = new
        self._lock = threading.RLock()
        self._index: dict[str, tuple[str, int, int, int]] = {}
        """By key: its pack, where in it, how long, and when it was written."""
        self._older: dict[str, list[tuple[str, int, int, int]]] = {}
        """By key: the same of what had it before."""
        self._scanned: dict[str, int] = {}
        """By pack: how much of it the index knows."""
        self._looked = float("-inf")
        self._marked: dict[str, float] = {}
        self._own: tuple[int, str, int] | None = None
        """The process, the pack that it writes, and its handle."""
        self._close: Callable[[], object] = lambda: None
        self._end = 0
        _all.add(self)

    def write(self, key: str, parts: Sequence[Part]) -> None:
        """Write a file, in place of another of its key."""
        data = b"".join(parts)
        moment = time.time_ns()
        line = b"%s %016x %08x\n" % (key.encode(), moment, len(data))
        with self._lock:
            pack, handle = self._writing()
            whole = line + data
            done = os.write(handle, whole)
            while done < len(whole):
                done += os.write(handle, memoryview(whole)[done:])
            if (known := self._index.get(key)) is not None:
                self._older.setdefault(key, []).append(known)
            self._index[key] = (pack, self._end + _LINE_BYTES, len(data), moment)
            self._end += len(whole)
            self._scanned[pack] = self._end

    def read(self, key: str, *, soon: bool = False) -> bytes | None:
        """Return all of a file, whose pack counts as used now; None where there is none.

        Args:
            soon: whether one that another process has just written may be missed.
        """
        with self._lock:
            found = self._index.get(key)
            read = None if found is None else self._at(*found[:3])
            if read is None and self._looks_again(soon=soon):
                found = self._index.get(key)
                read = None if found is None else self._at(*found[:3])
            return read

    def remove(self, key: str) -> None:
        """Overwrite a file and those that had its key before, so that nothing of them is left or found again."""
        with self._lock:
            self._looks_again(soon=False)
            found = self._index.pop(key, None)
            if found is None:
                return
            for pack, start, length, _ in (*self._older.pop(key, ()), found):
                with suppress(FileNotFoundError):
                    handle = os.open(self._path(pack), os.O_WRONLY | os.O_CLOEXEC)
                    try:
                        line = b"%064x %016x %08x\n" % (0, 0, length)
                        os.pwrite(handle, line + bytes(length), start - _LINE_BYTES)
                    finally:
                        os.close(handle)

    def _path(self, pack: str) -> str:
        return f"{self._directory}/{pack}"

    def _writing(self) -> tuple[str, int]:
        """Return the pack of this process, and its handle."""
        if self._own is None or self._own[0] != os.getpid():
            self._close()
            name = f"{time.time_ns():016x}-{os.urandom(8).hex()}"
            try:
                handle = self._new(self._path(name))
            except FileNotFoundError:
                self._make()
                handle = self._new(self._path(name))
            # It is waited for: who looks whether it is locked has the lock for a moment.
            with suppress(OSError):  # on a disk that knows no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            self._close = weakref.finalize(self, os.close, handle)
            self._own, self._end = (os.getpid(), name, handle), 0
            return name, handle
        pack, handle = self._own[1:]
        status = os.fstat(handle)
        # Removed by somebody, or a write that a full disk or an interruption has ended: what came
        # after half a small file would not be found.
        if status.st_nlink == 0 or status.st_size != self._end:
            self._own = None
            return self._writing()
        return pack, handle

    def _at(self, pack: str, start: int, length: int) -> bytes | None:
        try:
            handle = os.open(self._path(pack), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # pruned
            return None
        try:
            now = time.time()
            if now - self._marked.get(pack, 0.0) > _RECENT:
                with suppress(OSError):  # of somebody else's, or on a disk that is read alone
                    os.utime(handle)
                self._marked[pack] = now
            read = os.pread(handle, length, start)
            return None if len(read) < length or read[:16] == bytes(16) else read  # removed
        finally:
            os.close(handle)

    def _looks_again(self, *, soon: bool) -> bool:
        """Look for what others have written; tell whether that was done."""
        now = time.monotonic()
        if soon and now - self._looked < _SOON:
            return False
        try:
            entries = list(os.scandir(self._directory))
        except FileNotFoundError:
            entries = []
        there = {}
        for entry in entries:
            with suppress(FileNotFoundError):
                there[entry.name] = os.stat(entry.path).st_size  # noqa: PTH116 - entry.stat() is cached
        if gone := self._scanned.keys() - there.keys():
            for pack in gone:
                del self._scanned[pack]
            self._index = {key: at for key, at in self._index.items() if at[0] not in gone}
        for pack, size in there.items():
            if size > self._scanned.get(pack, 0):
                self._scan(pack)
        self._looked = now
        return True

    def _scan(self, pack: str) -> None:
        """Note what is in a pack from where it is not known."""
        start = self._scanned.get(pack, 0)
        try:
            with open(self._path(pack), "rb", buffering=0) as file:  # noqa: PTH123 - quicker
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            return
        position = 0
        while (match := _LINE.match(data, position)) is not None:
            length, moment = int(match[3], 16), int(match[2], 16)
            after = position + _LINE_BYTES + length
            if after > len(data):
                break
            key = match[1].decode()
            at = (pack, start + position + _LINE_BYTES, length, moment)
            known = self._index.get(key)
            if known is None:
                self._index[key] = at
            elif known != at and moment:  # else it was removed
                self._index[key], older = (at, known) if known[3] <= moment else (known, at)
                self._older.setdefault(key, []).append(older)
            position = after
        self._scanned[pack] = start + position


def _unlock() -> None:
    """Let a fork go on, in which nobody lets go of what another thread has locked."""
    for packs in list(_all):
        packs._lock = threading.RLock()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_unlock)
