"""Names of source files that are the same wherever a flow is packaged, and the lines that travel.

A traceback elsewhere names `helper.py` or `package/module.py`, as the import system would find
them, and shows the lines of the functions that travel; another series of Python compiles them. No
other lines of a script travel: what its top level does stays at home, and so do the values that
stand there.
"""

from __future__ import annotations

import linecache
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prefect.payload.sources import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.payload.sources import Sources


class SourceLines:
    """Names the files of code, and collects the lines of what is noted."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        for name, module in sorted(sys.modules.copy().items()):
            file = vars(module).get("__file__") if type(module) is ModuleType else None
            if isinstance(file, str):
                self._names.setdefault(file, _in_package(name, module, file))
        self._lines: dict[str, list[str]] = {}
        self._own: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._noted: dict[str, set[int]] = {}

    def name(self, file: str) -> str:
        """Return what a file is called in a payload: never where it lies."""
        if file.startswith("<"):
            return file
        return self._names.get(file) or _base(file)

    def own_name(self, file: str) -> str:
        """Return a name that no other file has whose code is in the payload.

        Lines are found by it. The second of one name gets a number, in the order of pickling.
        """
        if file not in self._own:
            name, number = self.name(file)[:LONGEST_NAME], 1
            while name in self._files:
                number += 1
                name = f"{self.name(file)[:LONGEST_NAME]} ({number})"
            self._own[file], self._files[name] = name, file
        return self._own[file]

    def lines(self, file: str) -> list[str]:
        """Return all lines of a file, as far as they can be found."""
        if file not in self._lines:
            linecache.checkcache(file)
            text = "".join(linecache.getlines(file))
            # As the compiler counts; a notebook's cells may be cut in more places.
            self._lines[file] = [line + "\n" for line in text.removesuffix("\n").split("\n")]
            if not text:
                self._lines[file] = []
        return self._lines[file]

    def note(self, file: str, numbers: Iterable[int]) -> None:
        """Have lines of a file travel, by their numbers from 1."""
        self._noted.setdefault(file, set()).update(numbers)

    def taken(self) -> Sources:
        """Return the lines that were noted."""
        found: Sources = {}
        for file, numbers in self._noted.items():
            lines = self.lines(file)
            runs: list[list[Any]] = []
            former = 0
            for number in sorted(numbers):
                if not 0 < number <= len(lines):
                    continue
                if runs and number == former + 1:
                    runs[-1][1].append(lines[number - 1])
                else:
                    runs.append([number, [lines[number - 1]]])
                former = number
            if runs:
                found[self.own_name(file)] = [[first, "".join(texts)] for first, texts in runs]
        return dict(sorted(found.items()))


def remember_lines(files: dict[str, list[str]]) -> None:
    """Have tracebacks find lines from now on, of files that are not here."""
    for name, lines in files.items():
        # Without a time, so that no file of that name here is taken for it.
        entry = (sum(map(len, lines)), None, lines, name)
        if name.startswith("<"):  # a cell of this very notebook may be known in full
            linecache.cache.setdefault(name, entry)
        else:
            linecache.cache[name] = entry


def _in_package(name: str, module: ModuleType, file: str) -> str:
    if name == "__main__":  # run by `python -m`, it has the name that others import it by
        name = getattr(getattr(module, "__spec__", None), "name", None) or name
    parts = name.split(".")
    above = parts if hasattr(module, "__path__") else parts[:-1]
    return "/".join([*above, _base(file)])


def _base(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2]
