"""Unpacked layers on top of each other, looked into as an overlay would show them; no link is left unseen."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from prefect.errors import ImageContentError
from prefect.frozen import frozen
from prefect.places.sandbox.trees import IMPLIED, OPAQUE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from prefect.places.sandbox.trees import Tree

_MOST_LINKS = 40  # as Linux allows on one path


@frozen
class Found:
    """What is at a path: its status, where it is, and of a directory, each layer's part of it."""

    status: os.stat_result
    places: tuple[tuple[int, Path], ...]

    @property
    def path(self) -> Path:
        """Where the uppermost layer that has it has it."""
        return self.places[0][1]

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, and no link to one."""
        return stat.S_ISDIR(self.status.st_mode)


class Stack:
    """The trees of an image's layers.

    Args:
        trees: from the base up.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        first = max((n for n, tree in enumerate(trees) if "" in tree.about["opaque"]), default=0)
        # A layer that is there twice hides its own lower occurrence. Overlays refuse both.
        last = {tree.path: number for number, tree in enumerate(trees)}
        self._all = tuple(trees)
        self.trees = tuple(trees[number] for number in sorted(last.values()) if number >= first)
        self._removed = [frozenset(tree.about["removed"]) for tree in self.trees]
        self._implied = [frozenset(tree.about["implied"]) for tree in self.trees]
        self._opaque = [frozenset(tree.about["opaque"]) for tree in self.trees]

    def without_last(self) -> Stack:
        """Return the stack below its uppermost layer."""
        return Stack(self._all[:-1])

    @property
    def marked(self) -> bool:
        """Whether overlays understand what the layers remove."""
        return all(tree.about["marked"] for tree in self.trees)

    def find(self, path: str) -> Found | None:
        """Return what is at a path, through directories alone; None if nothing is, or a link leads there."""
        tops = [(n, self.trees[n].path) for n in reversed(range(len(self.trees)))]
        found: Found | None = Found(self.trees[-1].path.lstat(), tuple(tops))
        so_far = ""
        for name in _names(path):
            if found is None or not found.is_directory:
                return None
            so_far = f"{so_far}/{name}" if so_far else name
            found = self.below(found, name, so_far)
        return found

    def resolve(self, path: str) -> str:
        """Return a path, all links on it followed within the image; what is not there stays as it is.

        Raises:
            ImageContentError: there are too many links.
        """
        parts = _names(path)[::-1]
        real: list[str] = []
        links = 0
        while parts:
            name = parts.pop()
            if name == "..":
                real = real[:-1]
                continue
            found = self.find("/".join([*real, name]))
            if found is None or not stat.S_ISLNK(found.status.st_mode):
                real.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise ImageContentError(f"{path!r} in the image is a link without an end")
            target = str(found.path.readlink())
            real = [] if target.startswith("/") else real
            parts += _names(target)[::-1]
        return "/" + "/".join(real)

    def read(self, path: str, most: int) -> bytes | None:
        """Return a small file's bytes, at most so many of them; None where there is no file."""
        found = self.find(self.resolve(path))
        if found is None or not stat.S_ISREG(found.status.st_mode):
            return None
        with found.path.open("rb") as file:
            return file.read(most)

    def unlisted_modes(self) -> dict[str, int]:
        """Return the permissions of directories whose uppermost layer has them without listing them.

        An overlay would show those that this layer was unpacked with.
        """
        modes = {}
        for number, implied in enumerate(self._implied):
            for path in implied:
                found = self.find(path)
                if found is not None and found.is_directory and found.places[0][0] == number:
                    modes[path] = stat.S_IMODE(found.status.st_mode)
        return {path: mode for path, mode in modes.items() if mode != IMPLIED}

    def below(self, above: Found, name: str, path: str) -> Found | None:
        """Return what is in a directory under a name, or None.

        Args:
            path: of it from the image's root on, without a leading slash.
        """
        places: list[tuple[int, Path]] = []
        first = listed = None
        for number, directory in above.places:
            removed = path in self._removed[number]
            try:
                status = (directory / name).lstat()
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL}:
                    raise
                if removed:
                    break
                continue
            is_directory = stat.S_ISDIR(status.st_mode)
            # A whiteout, as devices are not unpacked; or something that a directory hides.
            if stat.S_ISCHR(status.st_mode) or (first is not None and not is_directory):
                break
            places.append((number, directory / name))
            first = first or status
            if not is_directory:
                break
            if listed is None and path not in self._implied[number]:
                listed = status
            if removed or path in self._opaque[number] or _is_opaque(directory / name):
                break
        return None if first is None else Found(listed or first, tuple(places))


def _is_opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in {"", "."}]
