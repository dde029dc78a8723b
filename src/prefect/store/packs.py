"""Small files of a directory, many to one file on disk: a file of its own costs a hundred times as much to make.

    packs/NAME      for each small file a line, "PACK KEY TIME LENGTH" in hexadecimal digits, and its bytes

A pack is appended to by one process alone, which locks it as long as it lives, and each small file with one write.
What a kill has cut off at its end, and what is damaged, is not found: small files have digests of their own. PACK is the
random end of the pack's name: by it the next line is found after one that is damaged, and no line can lie in a
file's own bytes. Older packs lack it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING

from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import RawIOBase

    from prefect.store.formats import Part

_LINE = pattern(rb"(?:[0-9a-f]{16} )?([0-9a-f]{64}) ([0-9a-f]{16}) ([0-9a-f]{8})\n")
_LINE_BYTES = 91
"""Of a line without the name of its pack."""
_MARK_BYTES = 17
_CHUNK = 1 << 20
"""Bytes of a pack that are looked through at a time; no small file has as many."""
_SMALL_PACK = 1 << 20
_MERGED = 8 << 20
"""Bytes of packs that become one."""
_FEW = 8
_MOST = 200
"""Packs from how many on they are worth being merged, and that are open at a time."""
_DAY = 86_400.0
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
        self._read: tuple[str, int] | None = None
        """The pack that was read last, and its handle."""
        self._close_read: Callable[[], object] = lambda: None
        _all.add(self)

    def write(self, key: str, parts: Sequence[Part]) -> None:
        """Write a file, in place of another of its key."""
        data = b"".join(parts)
        moment = time.time_ns()
        with self._lock:
            pack, handle = self._writing()
            whole = _entry(pack, key, moment, data)
            _write(handle, whole)
            if (known := self._index.get(key)) is not None:
                self._older.setdefault(key, []).append(known)
            start = self._end + len(whole) - len(data)
            self._index[key] = (pack, start, len(data), moment)
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
            # One whose pack is gone may lie in another by now, into which that was merged.
            if read is None and self._looks_again(soon=soon and found is None):
                found = self._index.get(key)
                read = None if found is None else self._at(*found[:3])
            return read

    def remove(self, key: str) -> None:
        """Overwrite a file and those that had its key before, so that nothing of them is left or found again."""
        with self._lock:
            while self._looks_again(soon=False) and (found := self._index.pop(key, None)):
                for pack, start, length, _ in (*self._older.pop(key, ()), found):
                    with suppress(FileNotFoundError):
                        handle = os.open(self._path(pack), os.O_WRONLY | os.O_CLOEXEC)
                        try:
                            _overwrite(handle, start, length)
                        finally:
                            os.close(handle)
                # Once more: what was just being merged lies in another pack as well.

    def merge(self, idle: float) -> int:
        """Make one of many small packs of processes that are gone; return how many there are fewer.

        Args:
            idle: seconds for which nobody used them.
        """
        limit = time.time() - idle
        small = sorted(
            (status.st_mtime, name, status.st_size)
            for name, status in self._there().items()
            if status.st_size < _SMALL_PACK and status.st_mtime <= limit
        )
        fewer = first = size = 0
        for number, (used, _, more) in enumerate(small):
            size += more
            # Of about the same age, by which they are removed.
            last = number + 1 == len(small) or small[number + 1][0] - small[first][0] > _DAY
            if last or size >= _MERGED or number - first + 1 == _MOST:
                if number - first + 1 >= _FEW:
                    fewer += self._merged([name for _, name, _ in small[first : number + 1]], used)
                first, size = number + 1, 0
        return fewer

    def _merged(self, names: list[str], used: float) -> int:
        """Write a pack that has what some others have, and remove them."""
        locked: dict[str, int] = {}
        target: tuple[str, int] | None = None
        try:
            for name in names:
                if (handle := _locked(self._path(name))) is not None:
                    locked[name] = handle
            if len(locked) < _FEW:
                return 0
            target = self._make_pack()
            try:
                copied = self._copied(locked, *target)
                os.utime(target[1], (used, used))
            except BaseException:  # where a disk is full, each attempt would leave a piece
                os.unlink(self._path(target[0]))  # noqa: PTH108 - quicker
                raise
            for name, handle in locked.items():
                for start, length, copy in copied[name]:  # what somebody has removed meanwhile
                    if os.pread(handle, _LINE_BYTES, start - _LINE_BYTES)[:64] == b"0" * 64:
                        _overwrite(target[1], copy, length)
                with suppress(FileNotFoundError):
                    os.unlink(self._path(name))  # noqa: PTH108 - quicker
            return len(locked) - 1
        finally:
            for handle in (*locked.values(), *(() if target is None else (target[1],))):
                os.close(handle)

    @staticmethod
    def _copied(
        packs: dict[str, int], name: str, target: int
    ) -> dict[str, list[tuple[int, int, int]]]:
        """Copy the last of each key; return by pack where each was, how long, and where it is."""
        last: dict[str, tuple[int, str, int, int]] = {}
        for pack, handle in packs.items():
            with open(handle, "rb", buffering=0, closefd=False) as file:
                for key, moment, start, length in _entries(file, pack, 0):
                    if moment and (key not in last or last[key][0] <= moment):
                        last[key] = (moment, pack, start, length)
        end = 0
        copied: dict[str, list[tuple[int, int, int]]] = {pack: [] for pack in packs}
        for key, (moment, pack, start, length) in last.items():
            whole = _entry(name, key, moment, os.pread(packs[pack], length, start))
            _write(target, whole)
            end += len(whole)
            copied[pack].append((start, length, end - length))
        return copied

    def _path(self, pack: str) -> str:
        return f"{self._directory}/{pack}"

    def _writing(self) -> tuple[str, int]:
        """Return the pack of this process, and its handle."""
        if self._own is None or self._own[0] != os.getpid():
            self._close()
            name, handle = self._make_pack()
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

    def _make_pack(self) -> tuple[str, int]:
        """Return the name of a new pack, and its handle, which has it locked."""
        name = f"{time.time_ns():016x}-{os.urandom(8).hex()}"
        try:
            handle = self._new(self._path(name))
        except FileNotFoundError:
            self._make()
            handle = self._new(self._path(name))
        # It is waited for: who looks whether it is locked has the lock for a moment.
        with suppress(OSError):  # on a disk that knows no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        return name, handle

    def _at(self, pack: str, start: int, length: int) -> bytes | None:
        try:
            handle = self._reading(pack)
        except FileNotFoundError:  # pruned
            return None
        now = time.time()
        if now - self._marked.get(pack, 0.0) > _RECENT:
            with suppress(OSError):  # of somebody else's, or on a disk that is read alone
                os.utime(handle)
            self._marked[pack] = now
        read = os.pread(handle, length, start)
        return None if len(read) < length or read[:16] == bytes(16) else read  # removed

    def _reading(self, pack: str) -> int:
        """Return the handle of a pack. That which was read last stays open: the next one is often in it, too."""
        if self._read is not None and self._read[0] == pack and os.fstat(self._read[1]).st_nlink:
            return self._read[1]
        self._close_read()
        self._read = None
        handle = os.open(self._path(pack), os.O_RDONLY | os.O_CLOEXEC)
        self._close_read = weakref.finalize(self, os.close, handle)
        self._read = (pack, handle)
        return handle

    def _looks_again(self, *, soon: bool) -> bool:
        """Look for what others have written; tell whether that was done."""
        now = time.monotonic()
        if soon and now - self._looked < _SOON:
            return False
        there = self._there()
        if gone := self._scanned.keys() - there.keys():
            self._forget(gone)
        for pack, status in there.items():
            if status.st_size > self._scanned.get(pack, 0):
                self._scan(pack)
        self._looked = now
        return True

    def _forget(self, gone: set[str]) -> None:
        """Know no more of packs that are gone; what another one has as well is found there."""
        for pack in gone:
            del self._scanned[pack]
        self._index = {key: at for key, at in self._index.items() if at[0] not in gone}
        older, self._older = self._older, {}
        for key, known in older.items():
            left = [at for at in known if at[0] not in gone]
            if left and key not in self._index:
                self._index[key] = last = max(left, key=itemgetter(3))
                left.remove(last)
            if left:
                self._older[key] = left

    def _there(self) -> dict[str, os.stat_result]:
        """Return the packs that there are."""
        try:
            entries = list(os.scandir(self._directory))
        except FileNotFoundError:
            return {}
        there = {}
        for entry in entries:
            with suppress(FileNotFoundError):
                there[entry.name] = os.stat(entry.path)  # noqa: PTH116 - entry.stat() is cached
        return there

    def _scan(self, pack: str) -> None:
        """Note what is in a pack from where it is not known."""
        after = self._scanned.get(pack, 0)
        try:
            with open(self._path(pack), "rb", buffering=0) as file:  # noqa: PTH123 - quicker
                for key, moment, start, length in _entries(file, pack, after):
                    at = (pack, start, length, moment)
                    after = start + length
                    known = self._index.get(key)
                    if known is None:
                        self._index[key] = at
                    elif known != at and moment:  # else it was removed
                        self._index[key], older = (at, known) if known[3] <= moment else (known, at)
                        self._older.setdefault(key, []).append(older)
        except FileNotFoundError:
            return
        self._scanned[pack] = after


def _mark(pack: str) -> bytes:
    """Return what each line of a pack begins with."""
    return pack[-_MARK_BYTES + 1 :].encode() + b" "


def _entry(pack: str, key: str, moment: int, data: bytes) -> bytes:
    return b"%s%s %016x %08x\n%s" % (_mark(pack), key.encode(), moment, len(data), data)


def _entries(file: RawIOBase, pack: str, begin: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield key, time, beginning and length of each small file in a pack; what is damaged is passed over.

    Args:
        begin: of the first line that is looked at.
    """
    mark = _mark(pack)
    at, data, position = begin, b"", 0  # `data` lies at `at`, and is known up to `position`
    size = file.seek(0, os.SEEK_END)
    while at + position < size:
        left = len(data) - position
        match = _LINE.match(data, position)
        if match is not None:
            start, length = match.end(), int(match[3], 16)
            if at + start + length <= size:
                yield match[1].decode(), int(match[2], 16), at + start, length
                at, data, position = (
                    (at, data, start + length)
                    if start + length < len(data)
                    else (at + start + length, b"", 0)
                )
                continue
        elif left < _LINE_BYTES + _MARK_BYTES:
            at += position
            file.seek(at)
            read = file.read(min(_CHUNK, size - at)) or b""
            if len(read) <= left:  # there is no more
                return
            data, position = read, 0
            continue
        # It is damaged, or cut off.
        found = data.find(mark, position + 1)
        position = found if found >= 0 else max(position + 1, len(data) - _MARK_BYTES + 1)


def _write(handle: int, data: bytes) -> None:
    done = os.write(handle, data)
    while done < len(data):
        done += os.write(handle, memoryview(data)[done:])


def _overwrite(handle: int, start: int, length: int) -> None:
    """Have a small file be one without a key, of zeros."""
    line = b"%064x %016x %08x\n" % (0, 0, length)
    os.pwrite(handle, line + bytes(length), start - _LINE_BYTES)


def _locked(path: str) -> int | None:
    """Return the handle of a pack that was locked; None of one that is in use or gone, or where there are no locks."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:  # else it was removed before it was locked
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _unlock() -> None:
    """Let a fork go on, in which nobody lets go of what another thread has locked."""
    for packs in list(_all):
        packs._lock = threading.RLock()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_unlock)
