"""A store: results by key.

    packs/NAME          many results: of each what is known of it, a line of JSON, and the result itself if it is small
                        (see `prefect.store.packs`); elsewhere than in a directory each in results/KK/KEY
    values/DD/DIGEST    a larger one, once whatever keys it has
    runs/RUN.jsonl      the record of a run (see `prefect.records`)
    parts/              what is being written

A key and a digest are hexadecimal digits of SHA-256. A result is compared with its digest when it is
read; one that is damaged, or gone, is as if it had never been stored.

With the variable PREFECT_STORE_KEY results and values are encrypted with that key, and their names made with it.
They lie beside others, which have other names, so that neither is taken for the other.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect.core.refs import Ref, reading
from prefect.errors import InvalidKeyError, ResultUnavailableError, StoreError
from prefect.patterns import pattern
from prefect.store.files import LocalFiles
from prefect.store.formats import FORMATS, decode, digest_of, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prefect.sealed.results import ResultCipher
    from prefect.store.files import Files, Whole
    from prefect.store.formats import Encoded, Part

_SMALL = 1 << 12
"""Bytes of a result up to which it lies beside what is known of it."""
_LONGEST_LINE = 1 << 16
KEY_VARIABLE = "PREFECT_STORE_KEY"
"""Of the environment: the key of sealed flows with which results are encrypted, as `prefect keygen` writes it."""
_HEX = pattern(r"[0-9a-f]{64}")
_IS_URL = pattern(r"[a-z][a-z0-9+.-]*(::|://)")
_IS_HALF_URL = pattern(r"[a-z][a-z0-9+.-]+:(/(?!/)|$)")


class Entry(NamedTuple):
    """What a store knows of a result.

    Args:
        key: by which it is found.
        digest: "sha256:..." of its bytes.
        sizes: of its parts.
        format: their form, one of `prefect.store.formats.FORMATS`.
        time: when it was stored, in seconds since 1970.
        about: what its writer said: plain JSON values.
    """

    key: str
    digest: str
    sizes: Sequence[int]
    format: str
    time: float
    about: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Of all parts, in bytes."""
        return sum(self.sizes)


Read = tuple[Entry, memoryview]
"""What is known of a result, and what of its bytes lies beside that."""


class Stored(Ref):
    """A result that lies in a store. Pickled, it is a reference still: who needs it, reads it.

    Args:
        where: the store, as `Store.where` has it.
        key: of the result.
        read: what is known of the result, and its bytes, if they were read already.
    """

    __slots__ = ("_key", "_read", "_value", "_where")

    def __init__(self, where: str, key: str, read: Read | None = None) -> None:
        self._where = where
        self._key = key
        self._read = read

    def fetch(self) -> Any:
        """Return the value, read from the store the first time.

        Raises:
            ResultUnavailableError: the store does not have it any more, or it cannot be loaded here.
            StoreError: the store cannot be read.
        """
        if not hasattr(self, "_value"):
            self._value: Any = fetch(self._where, self._key, self._read)
            self._read = None
        return self._value

    def items(self) -> Sequence[Any]:
        """Return its items."""
        from prefect.core.inputs import items_of  # noqa: PLC0415 - where one is mapped over alone

        return items_of(self.fetch())

    def __reduce__(self) -> tuple[Any, ...]:
        return fetch, (self._where, self._key)


def fetch(where: str, key: str, read: Read | None = None) -> Any:
    """Return a result of a store.

    Args:
        read: as `Stored` has it.

    Raises:
        ResultUnavailableError: the store does not have it any more, or it cannot be loaded here.
        StoreError: the store cannot be read.
    """
    found = open_store(where).value(key, read)
    if found is None:
        raise ResultUnavailableError(
            f"A stored result is gone from {where}, or is encrypted with a key that {KEY_VARIABLE} does not "
            "have: run the flow again, and what it needs is made anew"
        )
    return found[0]


def _reread(where: str, key: str, digest: str) -> Any:
    """Return a result that was released, unless another has its key by now.

    Args:
        digest: as `Store.veiled` has it.
    """
    store = open_store(where)
    entry = store.entry(key)
    if entry is not None and store.veiled(entry.digest) != digest:
        raise ResultUnavailableError(f"another result has taken its place in {where}")
    return fetch(where, key)


reading[:] = [_reread]


class Store:
    """Results by key; see the module.

    Args:
        files: where they lie.
        cipher: with which they are encrypted.
    """

    def __init__(self, files: Files, cipher: ResultCipher | None = None) -> None:
        self.files = files
        self.where = files.where
        self._cipher = cipher

    def aside(self) -> Store:
        """Return the same store for what a run can do without.

        A server that fails rests for a while: if it fails this one, what the run needs is still asked for.
        """
        return Store(copy(self.files), self._cipher)

    @property
    def key_id(self) -> str | None:
        """The public name of the key with which results are encrypted; None where they are not."""
        return None if self._cipher is None else self._cipher.key_id

    def veiled(self, digest: str) -> str:
        """Return what stands for a digest outside of an encrypted store, and says nothing without the key."""
        return digest if self._cipher is None else f"sha256:{self._cipher.name(digest)}"

    def entry(self, key: str) -> Entry | None:
        """Return what is known of a result, None where there is none.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self._found(key)
        return None if found is None else found[0]

    def find(self, key: str, *, soon: bool = False) -> tuple[Entry, Stored] | None:
        """Return what is known of a result whose bytes are there, and a reference to it.

        Args:
            soon: whether what another process has just stored may be missed.

        Raises:
            StoreError: the store cannot be read.
        """
        found = self._found(key, soon=soon)
        if found is None:
            return None
        entry = found[0]
        if entry.size <= _SMALL:
            return entry, Stored(self.where, key, found)
        return (entry, Stored(self.where, key)) if self.has(entry) else None

    def has(self, entry: Entry) -> bool:
        """Tell whether the bytes of a result are there as well, which count as used now."""
        return entry.size <= _SMALL or self.files.touch(self._path_of_value(entry.digest))

    def value(self, key: str, read: Read | None = None) -> tuple[Any] | None:
        """Return a result, in a tuple; None where there is none that is whole.

        Of a pickle, this runs code: a store is as trusted as the flow itself.

        Args:
            read: as `Stored` has it.

        Raises:
            ResultUnavailableError: the result cannot be loaded here.
            StoreError: the store cannot be read.
        """
        read = read or self._found(key)
        if read is None:
            return None
        entry, body = read
        size = entry.size
        path = self._path_of_value(entry.digest) if size > _SMALL else None
        if path is not None:
            body = memoryview(self._read(path) or b"")
        parts, start = [], 0
        for size in entry.sizes:
            parts.append(body[start : start + size])
            start += size
        if len(body) != start or digest_of(entry.format, parts) != entry.digest:
            if path is not None:
                # Or the same would be found, and be of no use, again and again: to whoever may only read, it is.
                with suppress(StoreError):
                    self.files.remove(path)
            return None
        return (decode(entry.format, parts),)

    def holds(self, key: str, search: Callable[[bytearray], bool]) -> bool:
        """Tell whether something is found in the bytes of a result."""
        found = self._found(key)
        if found is None:
            return False
        entry, body = found
        told = json.dumps(entry.about).encode()
        if entry.size > _SMALL:
            body = memoryview(self._read(self._path_of_value(entry.digest)) or b"")
        return search(bytearray(told)) or search(bytearray(body))

    def remove(self, key: str) -> None:
        """Remove a result, and its bytes, which other keys may have had as well: they are made again."""
        entry = self.entry(key)
        if entry is not None:
            self.files.remove_small(self._name_of(key))
            self.files.remove(self._path_of_value(entry.digest))

    def put(self, key: str, value: Any, about: Mapping[str, Any]) -> Entry:
        """Store a result, in place of another of the same key.

        Raises:
            StoreError: it cannot be pickled, or the store cannot be written.
        """
        return self.put_encoded(key, encode(value), about)

    def put_encoded(self, key: str, encoded: Encoded, about: Mapping[str, Any]) -> Entry:
        """Do the same with a value whose bytes are there."""
        sizes = [len(part) for part in encoded.parts]
        entry = Entry(key, encoded.digest, sizes, encoded.format, time.time(), about)
        line = _to_json(
            {
                "version": 1, "digest": entry.digest, "sizes": sizes, "format": entry.format,
                "time": entry.time, "about": about,
            }
        ).encode()  # fmt: skip
        if len(line) >= _LONGEST_LINE:
            raise StoreError(f"What is to be known of a result is too long: {len(line)} bytes")
        if entry.size <= _SMALL:
            body = [line, b"\n", *encoded.parts]
        else:
            path = self._path_of_value(entry.digest)
            if not self.files.touch(path):
                self.files.write(path, self._closed(encoded.parts, path))
            body = [line, b"\n"]
        name = self._name_of(key)
        self.files.write_small(name, self._closed(body, name))
        return entry

    def _found(self, key: str, *, soon: bool = False) -> Read | None:
        name = self._name_of(key)
        read = self._opened(self.files.small(name, soon=soon), name)
        return None if read is None else _parsed(key, read)

    def _read(self, path: str) -> Whole | None:
        return self._opened(self.files.read(path), path)

    def _closed(self, parts: Sequence[Part], name: str) -> Sequence[Part]:
        """Return what is written of a file of that name."""
        return parts if self._cipher is None else self._cipher.encrypt(parts, name)

    def _opened(self, read: Whole | None, name: str) -> Whole | None:
        """Return what a file of that name has; None where it is not there, or not of this key."""
        if read is None or self._cipher is None:
            return read
        return self._cipher.decrypt(memoryview(read), name)

    def _name_of(self, key: str) -> str:
        if not _HEX.fullmatch(key):
            raise ValueError(f"A key is 64 hexadecimal digits, not {key!r}")
        return key if self._cipher is None else self._cipher.name(f"result {key}")

    def _path_of_value(self, digest: str) -> str:
        name = digest.removeprefix("sha256:")
        if self._cipher is not None:
            name = self._cipher.name(f"value {name}")
        return f"values/{name[:2]}/{name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return open_store, (self.where,)

    def __repr__(self) -> str:
        return f"<Store: {self.where}>"


def open_store(where: str | os.PathLike[str] | None = None) -> Store:
    """Return a store.

    Args:
        where: a directory, which need not be there yet, or a URL that fsspec knows; None is the user's own.

    Raises:
        StoreError: there can be no store.
        TypeError: it is neither a path nor a URL.
    """
    if isinstance(where, str) and where in _known:
        return _open(where, _key())
    text: Any = default_store() if where is None else os.fspath(where)
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"A store is a directory or a URL, not {where!r}")
    if _IS_HALF_URL.match(text):
        raise StoreError(
            f"The store {text} is no URL, which has two slashes after the colon; if it is a directory, write ./{text}"
        )
    where = text if _IS_URL.match(text) else os.path.abspath(text)  # noqa: PTH100 - lexically
    _known.add(where)
    return _open(where, _key())


_known: set[str] = set()
"""Directories and URLs as they are once they have been looked at."""


def _key() -> str:
    """Return the key that is set; none is empty."""
    key = os.environ.get(KEY_VARIABLE)
    if key is not None and not key.strip():
        raise StoreError(
            f"{KEY_VARIABLE} is empty, so that results would lie there unencrypted: give it a key of "
            "`prefect keygen`, or unset it"
        )
    return key or ""


@lru_cache(maxsize=16)
def _open(where: str, key: str) -> Store:
    cipher = _cipher(key) if key else None
    if where.startswith("file://"):
        where = where.removeprefix("file://")
        if not os.path.isabs(where):  # noqa: PTH117
            raise StoreError(
                f"There is no store at file://{where}: its URL has the form file:///PATH, or write ./{where}"
            )
    if not _IS_URL.match(where):
        if os.path.exists(where) and not os.path.isdir(where):  # noqa: PTH110, PTH112
            raise StoreError(f"A store is a directory, and {where} is none")
        return Store(LocalFiles(Path(where)), cipher)
    from prefect.store.remote import RemoteFiles  # noqa: PLC0415 - seldom asked for

    return Store(RemoteFiles(where), cipher)


def _cipher(key: str) -> ResultCipher:
    try:
        from prefect.sealed.keys.encryption import EncryptionKey  # noqa: PLC0415 - seldom asked for
        from prefect.sealed.results import ResultCipher  # noqa: PLC0415 - as above

        return ResultCipher(EncryptionKey(key))
    except ImportError as error:
        raise StoreError(
            f"Results cannot be encrypted with {KEY_VARIABLE}: {error}. Build the flow with -r cryptography, so "
            "that its places have it"
        ) from error
    except InvalidKeyError as error:
        raise StoreError(f"Results cannot be encrypted with {KEY_VARIABLE}: {error}") from error


def default_store() -> str:
    """Return where a user's results and runs are kept: `$XDG_DATA_HOME/prefect`, or ~/.local/share/prefect.

    Raises:
        StoreError: there is no home directory.
    """
    named = Path(os.environ.get("XDG_DATA_HOME") or "")
    if named.is_absolute():
        return str(named / "prefect")
    try:
        return str(Path.home() / ".local" / "share" / "prefect")
    except RuntimeError as error:
        raise StoreError(
            "There is no home directory for results and runs: name a store, or set XDG_DATA_HOME"
        ) from error


def _parsed(key: str, read: Whole) -> Read | None:
    """Return what is known of a result, and the bytes beside that; None of what is damaged."""
    end = read.find(b"\n", 0, _LONGEST_LINE)
    if end < 0:
        return None
    try:
        told = _of_json(read[:end].decode(), 0)[0]
        digest, sizes, form = told["digest"], told["sizes"], told["format"]
        if not _HEX.fullmatch(digest.removeprefix("sha256:")) or form not in FORMATS:
            return None
        if not sizes or not all(type(size) is int and size >= 0 for size in sizes):
            return None
        entry = Entry(key, digest, sizes, form, float(told["time"]), dict(told["about"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StopIteration):
        return None
    return entry, memoryview(read)[end + 1 :]


_to_json = json.JSONEncoder(separators=(",", ":")).encode
_of_json = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
