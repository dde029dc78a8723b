"""Environments by what is in them: made where there is none yet, kept in the user's cache, held for a run.

A run that finds its environment starts no process, opens no store and reads no package: it looks up what it
needs by the digest of what is locked, and whether that is still this user's alone.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from prefect.frozen import frozen, replace
from prefect.errors import PlaceError
from prefect.oci.cache.directories import hold, place_of
from prefect.oci.cache.layout import ENVIRONMENT, LOCK
from prefect.oci.cache.of_user import kept_root
from prefect.places.runtime_directory import held_runtime, make_runtime
from prefect.places.venv.contents import contents, is_unlocked, lines_of, series_of
from prefect.places.venv.interpreters import find_python, known_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect.oci.cache.directories import HeldDirectory
    from prefect.oci.cache.store import Store
    from prefect.payload.manifest import Manifest
    from prefect.places.venv.contents import Contents

_FORMAT = 1  # counts up when the same contents give another environment
_LEVELS = 4  # down to site-packages, where installers add and remove
_WAITING = "Waiting for another run, which makes this environment, or uses one that has to be made anew"


@frozen
class Environment:
    """A virtual environment that is ready, and stays so as long as it is held.

    Args:
        python: program of its Python.
        runtime: directory of this package as it is here, and of its own cloudpickle.
        lock: of the environment: who holds it shared keeps it.
        held: descriptors that hold it. A child that inherits them keeps it, too, should its parent be
            killed.
        own: names of the files, among the wheels that travelled, that are not in it: the user's own,
            which the worker makes importable, as `importable_wheels` does.
    """

    python: Path
    runtime: Path
    lock: Path
    held: tuple[int, ...]
    own: frozenset[str]

    @property
    def command(self) -> list[str]:
        """Starts the worker there, with the worker's arguments after it.

        It finds what is in the runtime and in the environment; nothing else.
        """
        return worker_command(self.python, self.runtime)


def worker_command(python: Path, runtime: Path) -> list[str]:
    """Return what starts the worker of a runtime by a Python, with the worker's arguments after it."""
    return [str(python), "-P", "-s", str(runtime)]


@contextmanager
def environment_for(
    manifest: Manifest,
    wheels: Path | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Environment]:
    """Hold an environment in which a flow can run, and make it before that where there is none.

    Its Python is this one's series, if the flow can run with it and is locked for it. It has what the
    flow has locked, each file checked by its hash, as copies, and no packages of this machine.

    Args:
        manifest: of the flow, authenticated.
        wheels: directory of the wheels that travelled, those of `wheels_for` at least; None where none
            did.
        progress: gets a line now and then, where something takes long.

    Raises:
        PlaceError: the flow is not locked for here, or there is no Python of a series that it needs.
        RequirementsError: something that is locked cannot be had, or is not what it should be.
        DiskFullError: the disk of the cache is full.
        SettingError: a cache cannot be used.
        OSError: the cache cannot be written.
    """
    tell = progress or _nothing
    with ExitStack() as entered:

        @cache
        def store() -> Store:
            from prefect.oci.cache.of_user import open_cache  # noqa: PLC0415 - to make something

            return entered.enter_context(open_cache())

        root = kept_root()
        wish = _known(manifest, root)
        environment = _held(root, wish, tell)
        if wish is None or environment is None:
            wish = _found(manifest, store(), tell)
            environment = _made(store(), wish, wheels, tell)
        entered.enter_context(environment)
        wanted = (wish.python, wish.interpreter)
        bare = wish.has("cloudpickle")
        runtime = held_runtime(root, *wanted, bare=bare) or make_runtime(store(), *wanted, bare=bare)
        entered.enter_context(runtime)
        python = _python(environment)
        yield Environment(
            python,
            runtime.path,
            environment.path.parent / LOCK,
            (environment.handle, runtime.handle),
            wish.own,
        )


def wheels_for(manifest: Manifest) -> frozenset[str]:
    """Return those of the wheels that travelled with a flow which `environment_for` needs now.

    Those of the user's own are always among them, and the others where there is no environment yet.

    Raises:
        PlaceError, SettingError: as `environment_for`.
    """
    if not manifest.wheels:
        return frozenset()
    root = kept_root()
    wish = _known(manifest, root)
    if wish is not None and (held := _held(root, wish, _nothing)):
        held.close()
        return wish.own
    return frozenset(manifest.wheels)


@frozen
class _Wish:
    """What an environment is to be: what is in it, and made of which Python."""

    contents: Contents
    interpreter: Path

    @property
    def key(self) -> str:
        machine = [sys.platform, platform.machine()]
        lines = list(lines_of(self.contents))
        return f"{ENVIRONMENT} {json.dumps([_FORMAT, machine, str(self.interpreter), *lines])}"

    @property
    def python(self) -> str:
        return self.contents.python

    @property
    def own(self) -> frozenset[str]:
        return self.contents.own

    def has(self, name: str) -> bool:
        return any(line.startswith(f"{name}==") for line in lines_of(self.contents))


def _known(manifest: Manifest, root: Path | None) -> _Wish | None:
    """Return what is wanted where it is known without asking anybody."""
    if is_unlocked(manifest):
        return None
    first, *_ = series_of(manifest)
    interpreter = known_python(first, root)
    return None if interpreter is None else _Wish(contents(manifest, first), interpreter)


def _held(
    root: Path | None, wish: _Wish | None, tell: Callable[[str], None]
) -> HeldDirectory | None:
    """Hold the environment that is wanted; None where it is not there, or has lost its Python."""
    if root is None or wish is None:
        return None
    held = hold(place_of(root, wish.key), lambda: tell(_WAITING))
    if held is not None and not os.access(_python(held), os.X_OK):
        held.close()
        return None
    return held


def _found(manifest: Manifest, store: Store, tell: Callable[[str], None]) -> _Wish:
    """Return what is wanted, with the first Python that there is."""
    wanted = series_of(manifest)
    for series in wanted:
        interpreter = known_python(series, store.root) or find_python(series, store)
        if interpreter is None:
            continue
        if is_unlocked(manifest):
            from prefect.dependencies.target_locks import recorded  # noqa: PLC0415 - for these alone

            tell(
                "This flow was packaged without a lock: the versions that were recorded are taken, "
                "and nothing in the package says that they are the same files"
            )
            manifest = replace(manifest, lock=recorded(manifest, series, store).text())
        return _Wish(contents(manifest, series), interpreter)
    raise _no_python(wanted)


def _made(
    store: Store, wish: _Wish, wheels: Path | None, tell: Callable[[str], None]
) -> HeldDirectory:
    from prefect.places.venv.making import make_environment  # noqa: PLC0415 - as above

    def make(directory: Path) -> None:
        make_environment(directory, wish.contents, wish.interpreter, wheels, tell)

    return store.directory(wish.key, make, lambda: tell(_WAITING), watched=_LEVELS)


def _python(environment: HeldDirectory) -> Path:
    return environment.path / "bin" / "python"


def _nothing(_: str) -> None:
    """Tell nobody."""


def _no_python(series: list[str]) -> PlaceError:
    named = " or ".join(series)
    return PlaceError(
        f"This flow needs Python {named}, which is not installed here. Install it, for example by `uv "
        f"python install {series[0]}`, or set UV_PYTHON_DOWNLOADS=automatic to have uv do so; or build "
        "the flow with --python for a Python that is here (pythons=)"
    )
