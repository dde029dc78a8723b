"""What a file that runs by itself has taken along of an index: unpacked once for a user, and kept.

    <cache>/prefect/vendored/<key>/   as `unpacking` keeps what runs the flow

The key is of the wheels' own digests, which the authenticated manifest has: files with the same packages
share a directory. Nothing is read of it, or written to it, before the sealed flow is authenticated. What is
the user's own was encrypted, and is not kept: a run unpacks it into a directory of its own.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from prefect.errors import CompatibilityError
from prefect.worker.unpacking import VENDORED, cache_of, filling, held, kept, key_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from prefect.payload.manifest import Manifest


class Vendored:
    """Makes such packages importable; a context manager, until whose end they stay."""

    def __init__(self) -> None:
        self._entered = ExitStack()
        self._names: list[str] = []
        self._target: Path | None = None
        self._site: Path | None = None

    def wanted(self, manifest: Manifest) -> Collection[str]:
        """Return which of the wheels that travelled have to be unpacked from the file now.

        Args:
            manifest: of the flow, all of which is authenticated.
        """
        if not manifest.wheels:
            return ()
        taken_along = _taken_along(manifest)
        if not taken_along:
            return manifest.wheels
        from prefect.running.own_wheels import fitting  # noqa: PLC0415 - few bring wheels

        with suppress(OSError, CompatibilityError):  # the second is told where they are unpacked
            self._names = sorted(fitting(taken_along))
            if place := cache_of(VENDORED):
                digests = "\n".join(manifest.wheels[name]["sha256"] for name in self._names)
                self._target = place / key_of(digests.encode())
                self._site = held(self._target, self._entered)
        if self._site is None:
            return manifest.wheels
        return manifest.wheels.keys() - taken_along

    def import_from(self, wheels: Path | None) -> None:
        """Have imports find them, before what is installed here; keep them first, where they are not.

        Args:
            wheels: directory of those that were unpacked from the file. What is kept is removed from it.

        Raises:
            ArtifactError: one is no wheel.
        """
        if self._site is None and self._target is not None and wheels is not None:
            with suppress(OSError):  # as where a home cannot be written: this run unpacks its own
                self._site = kept(
                    self._target, lambda directory: self._fill(directory, wheels), self._entered
                )
                for name in self._names:
                    (wheels / name).unlink()
        if self._site is not None:
            sys.path.insert(0, str(self._site))

    def _fill(self, directory: Path, wheels: Path) -> None:
        from prefect.running.own_wheels import files_of  # noqa: PLC0415 - for the first run alone

        with filling(directory) as put:
            for name in self._names:
                for path, content in files_of(wheels / name):
                    put(path, content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()


def _taken_along(manifest: Manifest) -> frozenset[str]:
    if not manifest.lock:  # nothing tells them from the user's own
        return frozenset()
    from prefect.installed import normal_name  # noqa: PLC0415 - few bring wheels
    from prefect.pylock import read  # noqa: PLC0415 - the same
    from prefect.running.own_wheels import own_distributions  # noqa: PLC0415 - the same

    own = own_distributions(manifest, read(manifest.lock))
    return frozenset(
        name for name in manifest.wheels if normal_name(name.partition("-")[0]) not in own
    )
