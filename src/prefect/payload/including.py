"""Files that somebody asked to travel with a flow: found, and given their places in the package.

A package keeps files and modules where they stand to each other here, so that what a module finds
beside its own file, it finds in every place. Nothing travels unasked but code.
"""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import IncludeError
from prefect.frozen import frozen
from prefect.payload.attachments import Attachment
from prefect.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

_NEVER = {"__pycache__", ".git"}


@frozen
class Included:
    """Files that travel.

    Args:
        root: the directory here whose place the package's own takes, without links in its path.
        files: sorted by path, which is relative to the root.
    """

    root: Path
    files: tuple[Attachment, ...] = ()

    def place_of(self, path: str) -> str | None:
        """Return where a path of this machine will be in the package; None where it will not.

        That is so of files that travel, of the directories that they are in, and of what may stand
        beside them, as modules do.

        Args:
            path: absolute.
        """
        try:
            return Path(os.path.realpath(path)).relative_to(self.root).as_posix()
        except ValueError:
            return None

    def roots(self, modules: Iterable[ModuleType]) -> list[str]:
        """Return the places, below the root, of directories that have packages whose files travel.

        Args:
            modules: those that travel by value.
        """
        found = set()
        for module in modules:
            if "." not in module.__name__:
                for path in getattr(module, "__path__", ()):
                    package, above = self.place_of(path), self.place_of(os.path.dirname(path))
                    if package and above and above != "." and self.has(package):
                        found.add(above)
        return sorted(found)

    def has(self, place: str) -> bool:
        """Tell whether a place is a file that travels, or a directory of such files."""
        beginning = "" if place == "." else f"{place}/"
        return any(one.path == place or one.path.startswith(beginning) for one in self.files)


def include(patterns: Iterable[str | os.PathLike[str]], home: Path) -> Included:
    """Find the files that are to travel.

    Args:
        patterns: paths of files and directories, or patterns as of a shell, in which `**` stands for
            any directories; relative ones are relative to `home`. A directory means all files in it.
        home: the directory of the flow's own file. A file outside of it travels with the names of the
            directories between them.

    Raises:
        IncludeError: a pattern finds nothing, something that is no file, or a link that leads to
            elsewhere than where it was looked for and the flow's directory.
        OSError: a file cannot be read.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        text = os.fspath(pattern)
        paths = [file for match in _matches(text, home) for file in _files(match, text)]
        _refuse_links_out(paths, text, home)
        if not paths:
            path = os.path.normpath(home / text)
            what = "has no file in it" if os.path.isdir(path) else "is not there"
            raise IncludeError(
                f"There is nothing to include: {printable(path)} {what}{_or_one_nearby(path)}"
            )
        found.update(dict.fromkeys(paths))
    directories = [os.path.realpath(home), *(os.path.dirname(path) for path in found)]
    root = Path(os.path.commonpath(directories))
    if len(root.parts) == 1 and found:
        raise IncludeError(
            f"The included files and the flow's file in {home} have no directory in common but {root}: "
            "copy the files to a directory of the project"
        )
    files = [Attachment.of(Path(path), os.path.relpath(path, root)) for path in found]
    return Included(root, tuple(sorted(files, key=lambda one: one.path)))


def _refuse_links_out(paths: Iterable[str], pattern: str, home: Path) -> None:
    """Refuse links met on the way that lead out: what travels is what somebody has named.

    A link that is named itself is followed.
    """
    named = os.path.normpath(os.path.join(home, pattern))
    while glob.has_magic(named) and not os.path.lexists(named):
        named = os.path.dirname(named)
    places = [os.path.realpath(home), os.path.realpath(named)]
    for path in paths:
        real = os.path.realpath(path)
        if not any(real == place or real.startswith(f"{place.rstrip('/')}/") for place in places):
            raise IncludeError(
                f"{printable(path)}, which {printable(pattern)!r} includes, is or is below a link that leads "
                f"out, to {printable(real)}. To take that along, include it by its own path, or copy it to "
                "where the link is"
            )


def _or_one_nearby(path: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - for this error alone

    directory, name = os.path.split(path)
    names = os.listdir(directory) if os.path.isdir(directory) else []
    close = get_close_matches(name, names, 1) if name not in names else []
    return f". Did you mean {printable(close[0])!r}?" if close else ""


def _matches(text: str, base: Path) -> list[str]:
    path = os.path.normpath(os.path.join(base, text))
    if os.path.lexists(path):  # also where its name has what a pattern would have
        return [path]
    found = glob.glob(path, recursive=True, include_hidden=False)
    return sorted(one for one in found if _NEVER.isdisjoint(Path(one).parts))


def _files(path: str, pattern: str) -> Iterator[str]:
    """Yield the file of a path, or the files in a directory, as paths without links above them."""
    path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise IncludeError(
            f"{printable(path)}, which {printable(pattern)!r} includes, cannot be read: {error.strerror}"
        ) from error
    if stat.S_ISREG(mode):
        yield path
    elif stat.S_ISDIR(mode):
        yield from _walk(path, pattern, {os.path.realpath(path)})
    else:
        raise IncludeError(
            f"{printable(path)}, which {printable(pattern)!r} includes, is neither a file nor a directory"
        )


def _walk(directory: str, pattern: str, above: set[str]) -> Iterator[str]:
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if name in _NEVER:
            continue
        if not os.path.isdir(path):
            yield from _files(path, pattern)
        elif (
            real := os.path.realpath(path)
        ) not in above:  # a link to a directory above it has no end
            yield from _walk(path, pattern, above | {real})
