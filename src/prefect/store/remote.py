"""Where a store's files are, if that is none of this machine's directories: wherever fsspec reaches."""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from prefect.errors import StoreError
from prefect.store.files import LARGEST_SMALL, failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect.store.formats import Part

_REST = 10
"""A server that failed is not asked again for so many times as long, or each task of a run would wait for it."""
_WRITING = 60.0
"""Seconds that a small file may take to be written. s3fs itself waits for ever for leave to send one."""
_SLOWEST = 100_000
"""Bytes a second of a larger file."""
_TRIES = 2
_S3 = {"s3", "s3a"}
_BUCKETS = _S3 | {"gs", "gcs"}
_WHOLE = _BUCKETS | {"az", "abfs", "adl", "memory"}
"""Protocols whose objects are there whole or not at all."""
# Not as extras of this package, whose name is another product's where packages are public.
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs",
    "az": "adlfs", "abfs": "adlfs", "adl": "adlfs",
}  # fmt: skip


class RemoteFiles:
    """Files below a URL, by fsspec: s3://bucket/prefix, gs://, az://, sftp://, memory:// and others.

    Args:
        url: of the directory that has them.

    Raises:
        StoreError: fsspec, or what it needs for such URLs, is not installed; says how to get it.
    """

    def __init__(self, url: str) -> None:
        protocol, _, path = url.partition("://")
        if not path.strip("/") or (protocol in _BUCKETS and path.startswith("/")):
            what = "BUCKET" if protocol in _BUCKETS else "PATH"
            raise StoreError(
                f"There is no store at {url}: its URL has the form {protocol}://{what}/RUNS"
            )
        self.where = url.rstrip("/")
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra

            self._system, self._base = url_to_fs(
                self.where, use_listings_cache=False, **_bounded(protocol)
            )
        except ImportError as error:
            packages = _PACKAGES.get(protocol, "fsspec")
            raise StoreError(
                f"Stores at {url} need more packages: {error}. Run pip install {packages}"
            ) from error
        except Exception as error:
            raise StoreError(f"There is no store at {url}: {_text(error)}") from error
        if protocol in _S3:
            self._system.retries = _TRIES  # each of its reads tries so often that it tries so often
        self._is_atomic = protocol in _WHOLE
        self._has_buckets = protocol in _BUCKETS
        self._rests_until = 0.0

    def small(self, key: str, *, soon: bool = False) -> bytes | None:  # noqa: ARG002 - it is not missed
        """Return what has a key, None where there is nothing."""
        with self._asked("read"):
            try:
                # A range is one request; without it, some ask for the size first.
                found: bytes = self._system.cat_file(
                    self._path(_small(key)), start=0, end=LARGEST_SMALL
                )
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno == errno.EINVAL:  # nothing is in it
                    return None
                raise
            return found

    def write_small(self, key: str, parts: Sequence[Part]) -> None:
        """Write something small by its key."""
        self.write(_small(key), parts)

    def remove_small(self, key: str) -> None:
        """Remove what has a key."""
        self.remove(_small(key))

    def read(self, path: str) -> bytes | None:
        """Return all of a file, None where there is none."""
        with self._asked("read"):
            try:
                found: bytes = self._system.cat_file(self._path(path))
            except FileNotFoundError:
                return None
            return found

    def write(self, path: str, parts: Sequence[Part]) -> None:
        """Write a file whole or not at all, over one that is there."""
        target = self._path(path)
        data = b"".join(parts)
        limit = {"timeout": _WRITING + len(data) / _SLOWEST} if self._system.async_impl else {}
        with self._asked("written"):
            if self._is_atomic:
                self._system.pipe_file(target, data, **limit)
                return
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            part = f"{target}.{os.urandom(8).hex()}.part"
            self._system.pipe_file(part, data, **limit)
            self._system.mv(part, target)

    def touch(self, path: str) -> bool:
        """Tell whether there is such a file. Most servers know no time of use."""
        with self._asked("read"):
            return bool(self._system.exists(self._path(path)))

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        with self._asked("changed"), suppress(FileNotFoundError):
            self._system.rm_file(self._path(path))

    def listed(self, below: str) -> Iterator[tuple[str, int, float]]:
        """Yield path, size in bytes and time of writing of the files below a path."""
        with self._asked("read"):
            try:
                found = self._system.find(self._path(below), detail=True)
            except FileNotFoundError:
                found = {}
            if not found and self._has_buckets and not self._system.exists(self._bucket):
                raise FileNotFoundError(f"There is no bucket {self._bucket}")
        for path, about in found.items():
            time_ = about.get("LastModified") or about.get("mtime") or about.get("created") or 0.0
            time_ = time_.timestamp() if hasattr(time_, "timestamp") else float(time_)
            yield path[len(self._base) :].lstrip("/"), int(about.get("size") or 0), time_

    @property
    def _bucket(self) -> str:
        found: str = self._base.partition("/")[0]
        return found

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}"

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Have what goes wrong be an error of ours, and a server rest that does not answer."""
        start = time.monotonic()
        if start < self._rests_until:
            raise StoreError(
                f"The store {self.where} cannot be {what}: it failed a moment ago, and is not asked yet"
            )
        try:
            yield
        except PermissionError as error:
            raise StoreError(
                f"The store {self.where} cannot be {what}: its credentials are wrong, or do not "
                f"allow that: {error}"
            ) from error
        except FileNotFoundError as error:
            hint = f". Make the bucket {self._bucket} first" if self._has_buckets else ""
            raise StoreError(f"The store {self.where} cannot be {what}: {error}{hint}") from error
        except Exception as error:
            end = time.monotonic()
            self._rests_until = end + 1 + _REST * (end - start)
            told = error if str(error) else TimeoutError("it did not answer in time")
            raise failed(what, self.where, told) from error


def _small(key: str) -> str:
    return f"results/{key[:2]}/{key}"


def _bounded(protocol: str) -> dict[str, Any]:
    """Return options with which a server that does not answer is an error before long.

    Each of s3fs's tries has the tries of its client, each of which waits for so many seconds. What is set in
    fsspec's configuration stays.
    """
    if protocol not in _S3:
        return {}
    from fsspec.config import conf  # noqa: PLC0415 - an extra

    own = dict(conf.get(protocol, {}).get("config_kwargs") or {})
    bounds = {
        "connect_timeout": 5, "read_timeout": 10,
        "retries": {"mode": "standard", "total_max_attempts": _TRIES},
    }  # fmt: skip
    return {"config_kwargs": {**bounds, **own}}


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
