"""What a sealed flow takes along beside its pickle: a lock, and wheels, which complete its manifest."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from prefect.errors import RequirementsError
from prefect.files import private_directory
from prefect.frozen import replace
from prefect.payload.own_modules import OwnModules

# Imported within the functions that need them: most of it is for flows alone that need a package.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from prefect.dependencies.flow_lock import LockWishes
    from prefect.dependencies.own import OwnWheels
    from prefect.payload.manifest import Manifest
    from prefect.payload.own_modules import OwnWheel


class Bringing:
    """Finds what one flow takes along: a context, which keeps the files of the wheels.

    Args:
        asked: what is asked of its lock; None where nothing is.
        infer: whether what the flow imports is locked, too.

    Attributes:
        own: the modules of the user's own projects that travel in wheels.
    """

    def __init__(self, asked: LockWishes | None, *, infer: bool) -> None:
        self._asked = asked
        self._infer = infer
        self._entered = ExitStack()
        self.own = OwnModules(self._provide)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._entered.close()

    def complete(self, manifest: Manifest) -> Manifest:
        """Return a manifest with the lock and the wheels of its flow, which is pickled by now.

        Raises:
            RequirementsError: what the flow needs cannot be locked, or the wheel of a project of the
                user's own cannot be built.
        """
        if self._asked is None and not manifest.requirements:
            return manifest
        from prefect.dependencies.flow_lock import LockWishes, complete  # noqa: PLC0415

        brought = self._wheels
        wishes = self._asked or LockWishes(infer=self._infer)
        wishes = replace(wishes, dependencies=tuple(brought.take(wishes.dependencies)))
        brought.take_installed(manifest.installed)
        while True:
            described = self.own.bring(manifest, brought.wheels)
            if not (self._asked or self._infer or brought.wheels):
                return described
            try:
                locked = complete(described, wishes, brought.wheels)
                return self._vendored(locked) if wishes.needed else locked
            except RequirementsError as error:
                # What no index has, and is installed here, travels, too.
                if not brought.take_unknown(getattr(error, "names", ())):
                    raise

    def _provide(self, names: Iterable[str]) -> Mapping[str, OwnWheel]:
        return self._wheels.provide(names)

    @cached_property
    def _wheels(self) -> OwnWheels:
        from prefect.dependencies.own import own_wheels  # noqa: PLC0415
        from prefect.dependencies.targets import targets  # noqa: PLC0415

        asked = self._asked
        aims = targets(asked.platforms, asked.pythons) if asked else targets()
        return self._entered.enter_context(own_wheels(_told(), aims))

    def _vendored(self, manifest: Manifest) -> Manifest:
        """Have what is locked travel, too."""
        if not manifest.lock:
            return manifest
        from prefect.dependencies.vendoring import vendor  # noqa: PLC0415
        from prefect.pylock import read  # noqa: PLC0415

        directory = self._entered.enter_context(private_directory("prefect-vendor"))
        own = self._wheels.wheels
        more = vendor(read(manifest.lock), {one.name for one in own}, directory, _told())
        return self.own.bring(manifest, own, more)


def _told() -> Callable[[str], None]:
    import logging  # noqa: PLC0415 - slow to import

    return logging.getLogger("prefect.environments").info
