"""Modules of the user's own projects that are installed editably: they travel in wheels.

What a wheel has is installed where the flow runs, and the payload refers to it by its name. What only
lies in a project's directory, such as a script with its helpers, travels by value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib import util
from typing import TYPE_CHECKING, Protocol

from prefect.direct_urls import editable_projects, project_of
from prefect.frozen import frozen, replace
from prefect.installed import is_installed_at, normal_name
from prefect.payload.attachments import Attachment, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from prefect.direct_urls import DirectUrl
    from prefect.payload.manifest import Manifest


class OwnWheel(Protocol):
    """What is to be known of a wheel."""

    @property
    def path(self) -> Path:
        """The file, by the name that a wheel of this content has."""

    @property
    def name(self) -> str:
        """Of its distribution, normalised."""

    @property
    def version(self) -> str:
        """Of its distribution."""

    @property
    def modules(self) -> frozenset[str]:
        """Importable names that it brings."""


_PIECE = 1 << 20
Provide = Callable[[Iterable[str]], "Mapping[str, OwnWheel]"]


def with_wheels(
    manifest: Manifest, wheels: Iterable[OwnWheel]
) -> tuple[Manifest, tuple[Attachment, ...]]:
    """Return a manifest that tells of wheels that travel, and the wheels as they travel.

    Their versions are those of the wheels: an editable install may say that of its first day.

    Raises:
        OSError: a wheel cannot be read.
    """
    found = list(wheels)
    attached = tuple(Attachment.of(one.path, one.path.name) for one in found)
    versions = {one.name: one.version for one in found}

    def line(text: str) -> str:
        name, _, version = text.partition("==")
        return f"{name}=={versions.get(normal_name(name), version)}"

    return (
        replace(
            manifest,
            requirements={module: line(text) for module, text in manifest.requirements.items()},
            installed={name: versions.get(name, v) for name, v in manifest.installed.items()},
            wheels=listed(attached),
        ),
        attached,
    )


@frozen
class Member:
    """A file within a wheel, which is read piece by piece.

    Args:
        wheel: the wheel's file.
        name: its path within.
    """

    wheel: Path
    name: str

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes as they are installed."""
        import zipfile  # noqa: PLC0415 - slow to import, and few flows bring wheels

        with zipfile.ZipFile(self.wheel) as archive, archive.open(self.name) as file:
            while piece := file.read(_PIECE):
                yield piece


def members(wheel: Path) -> list[tuple[str, Member]]:
    """Return the files within a wheel, by path.

    Raises:
        OSError: the wheel cannot be read.
    """
    import zipfile  # noqa: PLC0415 - as above

    with zipfile.ZipFile(wheel) as archive:
        return [(name, Member(wheel, name)) for name in sorted(archive.namelist())]


class OwnModules:
    """Which modules travel in wheels of their projects.

    Args:
        provide: makes the wheels of distributions, by their normalised names.
        projects: the user's own; None are those that are installed here in development mode.
    """

    def __init__(self, provide: Provide, projects: Sequence[DirectUrl] | None = None) -> None:
        self.provide = provide
        self.attached: tuple[Attachment, ...] = ()
        """The wheels that travel beside the payload, once its manifest is complete."""
        self.vendored: frozenset[str] = frozenset()
        """Of these, those that an index has."""
        self._projects = editable_projects() if projects is None else projects
        self._wheels: dict[str, OwnWheel] = {}

    def project_of(self, module: str) -> str | None:
        """Return the distribution in whose wheel a module travels; None for one that travels by value.

        As long as there is no wheel of the project, all that lies in its directory is taken to be in it.
        """
        if not self._projects or not (file := _file_of(module)) or is_installed_at(file):
            return None
        project = project_of(file, self._projects)
        if project is None:
            return None
        wheel = self._wheels.get(project.name)
        return project.name if wheel is None or module in wheel.modules else None

    def line_of(self, module: str) -> str | None:
        """Return the requirement that brings a module, once there is its wheel."""
        project = self.project_of(module)
        wheel = self._wheels.get(project or "")
        return f"{wheel.name}=={wheel.version}" if wheel else None

    def has_file(self, path: str) -> bool:
        """Tell whether a file, or a directory, of a project is in its wheel.

        Args:
            path: absolute.
        """
        project = project_of(path, self._projects)
        wheel = self._wheels.get(project.name) if project else None
        if wheel is None:
            return False
        names = [name.split("/") for name, _ in members(wheel.path)]
        places = {
            "/".join(["", *parts[:count]]) for parts in names for count in range(1, len(parts) + 1)
        }
        return path.endswith(tuple(places))

    def settle(self, modules: Iterable[str]) -> bool:
        """Make the wheels of what a payload refers to.

        Returns:
            Whether each of these modules was found where it was taken to be. If not, the flow has to
            be pickled again.
        """
        claimed = {name: project for name in modules if (project := self.project_of(name))}
        if missing := set(claimed.values()) - self._wheels.keys():
            self._wheels |= self.provide(sorted(missing))
        return all(self.project_of(name) for name in claimed)

    @property
    def own(self) -> list[Attachment]:
        """The wheels of the user's own projects."""
        return [one for one in self.attached if one.path not in self.vendored]

    def bring(
        self, manifest: Manifest, wheels: Iterable[OwnWheel], vendored: Iterable[OwnWheel] = ()
    ) -> Manifest:
        """Have wheels travel beside the payload; return the manifest that tells of them.

        Args:
            wheels: of the user's own projects.
            vendored: of what is locked.

        Raises:
            OSError: a wheel cannot be read.
        """
        more = list(vendored)
        self.vendored = frozenset(one.path.name for one in more)
        manifest, self.attached = with_wheels(manifest, [*wheels, *more])
        return manifest

    def __bool__(self) -> bool:
        """Whether there is any project."""
        return bool(self._projects)


def _file_of(name: str) -> str | None:
    module = sys.modules.get(name)
    if module is not None:
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        return next((place for place in places if place), None)
    top = name.partition(".")[0]
    try:
        spec = util.find_spec(top)
    except (ValueError, ImportError):
        return None
    if spec is None:
        return None
    places = [spec.origin if spec.has_location else None, *(spec.submodule_search_locations or ())]
    return next((place for place in places if place), None)
