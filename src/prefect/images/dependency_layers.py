"""Locked dependencies as layers: one for each large distribution, the small ones together.

A layer depends on its distributions' lines in the lock, the image's Python and platform, the
prefix, the codec, and the version of the Python that compiled its bytecode: all of them are in its
key, and nothing else has a say in its bytes. A changed version therefore costs its own layer.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from prefect.dependencies.bytecode import Compiler, Interpreter, bytecode_entries, find_interpreter
from prefect.dependencies.lock import Distribution, read_lock
from prefect.frozen import replace
from prefect.oci.images import canonical_json, digest_of
from prefect.oci.layers.writing import CODEC, LAYER, Entry, Written, write_layer
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from prefect.dependencies.installing import Installed
    from prefect.dependencies.wheels import Wheel
    from prefect.oci.cache.store import Store
    from prefect.oci.images import Layer

# Counts up when the same distributions get other bytes.
_FORMAT = 2
# Below it, a layer's own cost (a request to a registry, a mount in a container engine) is more than
# what is saved by not sending its neighbours again. Installed size in bytes, without bytecode.
_LARGE = 1 << 20
# Small ones share layers of about so many bytes, so that a changed one costs little.
_SHARED = 4 << 20
_MOST_SHARED = 16
# Engines stop at 127 layers, and a base and the flow have some.
_MOST = 60
_MAKERS = 2  # layers at a time: while one is compiled, another is packed
_SHOWN = 4  # files in a line of progress
_TESTS = frozenset({"test", "tests"})


def dependency_layers(
    lock: str,
    *,
    python: str,
    platform: str,
    store: Store,
    prefix: str = "/opt/prefect",
    sources: Collection[str] = (),
    wheels: Sequence[Wheel] = (),
    progress: Callable[[str], None] | None = None,
    ready: Callable[[Sequence[Layer]], None] | None = None,
) -> list[tuple[Layer, str]]:
    """Return the layers that hold a lock's distributions, each with what to say of it in a history.

    They are in the order in which they belong on a base: large ones first, which change least
    often and are dearest to send, by the power of two of their size and then by name, so that a
    new version of one seldom changes what is below another. What the user's own wheels hold, which
    changes most often, is in one above them.

    Args:
        lock: of `requirements.lock`, for this Python and platform.
        python: series of the image's Python, such as "3.11".
        platform: uv's name of the image's platform, from `requirements.platform_name`.
        store: where layers are looked for and kept; to be left open while they are read.
        prefix: of the image's environment, which has `bin/python` for console scripts.
        sources: names of distributions that are built here where they have no wheel that fits.
        wheels: the user's own, which are in the lock by their hashes.
        progress: gets a line of text now and then where there is something to wait for.
        ready: gets the layers that there are, from the first one up, while others are made.

    Raises:
        RequirementsError: there is no wheel of a distribution for this Python and platform.
        DiskFullError: the store's disk is full, or that of uv's cache.
    """
    work = _Work(python, platform, prefix, store, sources, wheels, progress)
    with store.told_if_full(), work.tools():
        return work.layers(read_lock(lock), ready)


class _Work:
    def __init__(
        self,
        python: str,
        platform: str,
        prefix: str,
        store: Store,
        sources: Collection[str],
        wheels: Sequence[Wheel],
        progress: Callable[[str], None] | None,
    ) -> None:
        self._python = python
        self._platform = platform
        self._prefix = prefix
        self._store = store
        self._sources = frozenset(sources)
        self._wheels = {one.name: one for one in wheels}
        self._progress = progress
        self._interpreter: Interpreter | None = find_interpreter(python, store)
        self._lock = threading.RLock()
        self._users = 0
        self._directory: Path | None = None
        self._compiler: Compiler | None = None
        self._installed: dict[str, Installed] = {}

    @contextmanager
    def tools(self) -> Iterator[None]:
        """Keep what is installed until nobody needs it; made again if it is needed later."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._clean()

    def layers(
        self,
        distributions: Sequence[Distribution],
        ready: Callable[[Sequence[Layer]], None] | None,
    ) -> list[tuple[Layer, str]]:
        sizes = {one.name: self._store.recall(self._size_key(one)) for one in distributions}
        if missing := [one for one in distributions if not isinstance(sizes[one.name], int)]:
            # Their sizes decide which layers there are. Of the others, those are installed with
            # them whose layers will be missing, as far as can be told: uv is then called once.
            also = [
                one
                for one in distributions
                if one not in missing
                and (sizes[one.name] < _LARGE or not self._store.has_layer(self._key([one])))
            ]
            self._install([*missing, *also])
            for one in missing:
                sizes[one.name] = sum(map(_size, self._installed[one.name].entries))
                self._store.remember(self._size_key(one), sizes[one.name])
        groups = _groups([one for one in distributions if one.name not in self._wheels], sizes)
        if own := [one for one in distributions if one.name in self._wheels and sizes[one.name]]:
            groups.append(own)
        absent = [group for group in groups if not self._store.has_layer(self._key(group))]
        self._install(one for group in absent for one in group)

        # One after the other, which keeps all cores busy and lets the first be ready soonest.
        compiled = [threading.Event() for _ in groups]

        def layer(number: int) -> Layer:
            group, done = groups[number], compiled[number]

            def make(file: BinaryIO) -> Written:
                return self._make(group, file, done.set)

            if number:  # not while its key is locked, which another process may wait for in turn
                compiled[number - 1].wait()
            try:
                return self._store.layer(self._key(group), make, LAYER)
            finally:
                done.set()

        if not absent:
            return [(layer(number), _comment(group)) for number, group in enumerate(groups)]
        pool = ThreadPoolExecutor(_MAKERS, thread_name_prefix="prefect-layer")
        made: list[Layer] = []
        try:
            futures = [pool.submit(layer, number) for number in range(len(groups))]
            for future in futures:
                made.append(future.result())
                if ready is not None and not all(one.done() for one in futures):
                    ready(tuple(made))
        finally:
            pool.shutdown(cancel_futures=True)
        return [(one, _comment(group)) for one, group in zip(made, groups, strict=True)]

    def _make(
        self, group: Sequence[Distribution], file: BinaryIO, compiled: Callable[[], None]
    ) -> Written:
        with self.tools():
            self._install(group)
            # Of what two of them have, the later one's counts, as it would in layers of their own.
            installed = [self._installed[one.name] for one in group]
            every = {entry.path: entry for one in installed for entry in one.entries}
            entries = [*every.values(), *self._bytecode(every.values(), _comment(group))]
            compiled()
            size = sum(map(_size, entries))
            with step(f"Packing {_comment(group)}", size) as told:
                written = write_layer(entries, file, own=self._prefix.strip("/"), told=told.add)
            # Of what is taken on trust, each build tells anew.
            written = replace(written, kept=not any(one.unproven for one in installed))
        self._say(f"Packed {_comment(group)} ({written.size / 1e6:.1f} MB)")
        return written

    def _bytecode(self, entries: Iterable[Entry], whose: str) -> list[Entry]:
        if self._interpreter is None:
            return []
        site = f"{self._prefix.strip('/')}/lib/python{self._python}/site-packages/"
        sources = [
            (entry.content, entry.path)
            for entry in entries
            if isinstance(entry.content, Path)
            and entry.path.endswith(".py")
            and entry.path.startswith(site)
            # Three quarters of pandas are its tests, which no flow imports.
            and _TESTS.isdisjoint(entry.path.split("/"))
        ]
        if not sources:
            return []
        with self._lock:
            if self._compiler is None:
                self._compiler = Compiler(self._interpreter, self._working())
            compiler = self._compiler
        return bytecode_entries(compiler, sources, self._python, whose)

    def _install(self, distributions: Iterable[Distribution]) -> None:
        with self._lock:
            wanted = {o.name: o for o in distributions if o.name not in self._installed}
            if not wanted:
                return
            # Mostly all layers are there.
            from prefect.dependencies.installing import Installed, install  # noqa: PLC0415

            count = "1 distribution" if len(wanted) == 1 else f"{len(wanted)} distributions"
            own = [name for name in sorted(wanted) if name in self._wheels]
            rest = [name for name in sorted(wanted) if name not in self._wheels]
            found: dict[str, Installed] = {}
            with step(f"Installing {count} for Python {self._python}", say=self._say):
                for names, links in ((rest, None), (own, self._links(own))):
                    if names:
                        found |= install(
                            [wanted[name] for name in names],
                            self._working(),
                            python=self._python,
                            platform=self._platform,
                            prefix=self._prefix,
                            sources=self._sources if links is None else (),
                            links=links,
                            progress=self._progress,
                        )
            # A distribution that its marker leaves out has no files.
            self._installed |= {name: found.get(name, Installed()) for name in wanted}
            for name, one in found.items():
                self._tell_of(name, one.unproven)

    def _links(self, names: Sequence[str]) -> Path:
        """Return a directory with the user's own wheels of these names."""
        directory = self._working() / "wheels"
        directory.mkdir(exist_ok=True)
        for one in (self._wheels[name] for name in names):
            shutil.copyfile(one.path, directory / one.path.name)
        return directory

    def _tell_of(self, name: str, unproven: Sequence[str]) -> None:
        if unproven:
            from prefect.dependencies.records import shown  # noqa: PLC0415 - seldom so

            more = f", and {len(unproven) - _SHOWN} more" if len(unproven) > _SHOWN else ""
            paths = ", ".join(map(shown, unproven[:_SHOWN]))
            self._say(f"Taking without a hash in its RECORD, of {name}: {paths}{more}")

    def _working(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(dir=self._store.scratch()))
        return self._directory

    def _clean(self) -> None:
        if self._compiler is not None:
            self._compiler.close()
        if self._directory is not None:
            # Thousands of files, for which nobody waits; at the latest, they go with the store.
            threading.Thread(
                target=shutil.rmtree, args=(self._directory, True), daemon=True
            ).start()
        self._compiler = self._directory = None
        self._installed = {}

    def _say(self, text: str) -> None:
        if self._progress is not None:
            self._progress(text)

    def _size_key(self, one: Distribution) -> str:
        return f"size {self._digest(self._origin(one))}"

    def _key(self, group: Sequence[Distribution]) -> str:
        bytecode = "" if self._interpreter is None else self._interpreter.version
        return f"dependencies {self._digest(CODEC, bytecode, *map(self._origin, group))}"

    def _origin(self, one: Distribution) -> str:
        """Return what a distribution is made from: what a build gives is no wheel of its index's."""
        return f"{one.text}built\n" if one.name in self._sources else one.text

    def _digest(self, *parts: str) -> str:
        return digest_of(
            canonical_json([_FORMAT, self._python, self._platform, self._prefix, *parts])
        )


def _groups(
    distributions: Sequence[Distribution], sizes: dict[str, int]
) -> list[list[Distribution]]:
    present = [one for one in distributions if sizes[one.name]]  # a marker may leave one out
    by_size = sorted(present, key=lambda one: (-sizes[one.name].bit_length(), one.name))
    large = [one for one in by_size if sizes[one.name] >= _LARGE][: _MOST - _MOST_SHARED]
    names = {one.name for one in large}
    small = [one for one in present if one.name not in names]
    # Where one goes depends on its name alone, as long as all of them do not double in size.
    shares = 1
    while shares < _MOST_SHARED and sum(sizes[one.name] for one in small) > shares * _SHARED:
        shares *= 2
    shared: dict[int, list[Distribution]] = {}
    for one in sorted(small, key=lambda one: one.name):
        share = hashlib.sha256(one.name.encode()).digest()[0] % shares
        shared.setdefault(share, []).append(one)
    return [[one] for one in large] + [shared[share] for share in sorted(shared)]


def _size(entry: Entry) -> int:
    content = entry.content
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _comment(group: Sequence[Distribution]) -> str:
    return ", ".join(map(str, group))
