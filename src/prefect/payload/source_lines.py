"""Names of source files that are the same wherever a flow is packaged, and the lines that travel.

A traceback elsewhere names `helper.py` or `package/module.py`, as the import system would find
them, and shows the lines of the functions that travel. No other lines of a script travel: what its
top level does stays at home, and so do the values that stand there.
"""

from __future__ import annotations

import linecache
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType


class SourceLines:
    """Names the files of code, and collects the lines of what is noted."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        for name, module in sorted(sys.modules.copy().items()):
            file = vars(module).get("__file__") if type(module) is ModuleType else None
            if isinstance(file, str):
                self._names.setdefault(file, _in_package(name, module, file))
        self._noted: dict[str, dict[str, set[int]]] = {}

    def name(self, file: str) -> str:
        """Return what a file is called in a payload: never where it lies."""
        if file.startswith("<"):
            return file
        return self._names.get(file) or _base(file)

    def note(self, code: CodeType) -> str:
        """Have the lines of a function travel; return what its file is called."""
        name = self.name(code.co_filename)
        lines = {line for *_, line in code.co_lines() if line}
        noted = self._noted.setdefault(name, {}).setdefault(code.co_filename, set())
        noted.update(range(code.co_firstlineno, max(lines, default=0) + 1))
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        # Called when all the rest is pickled, and everything has been noted.
        found = {}
        for name, files in sorted(self._noted.items()):
            if len(files) > 1:  # nobody could tell whose lines they are
                continue
            ((file, numbers),) = files.items()
            linecache.checkcache(file)
            lines = linecache.getlines(file)
            found[name] = {n: lines[n - 1] for n in sorted(numbers) if 0 < n <= len(lines)}
        return dict, ({name: lines for name, lines in found.items() if lines},)


def with_source_lines(flow: Any, files: dict[str, dict[int, str]]) -> Any:
    """Return the flow, of which a payload calls this: tracebacks find the lines from now on."""
    for name, lines in files.items():
        known = [lines.get(number, "\n") for number in range(1, max(lines) + 1)]
        # Without a time, so that no file of that name here is taken for it.
        entry = (sum(map(len, known)), None, known, name)
        if name.startswith("<"):  # a cell of this very notebook may be known in full
            linecache.cache.setdefault(name, entry)
        else:
            linecache.cache[name] = entry
    return flow


def _in_package(name: str, module: ModuleType, file: str) -> str:
    if name == "__main__":  # run by `python -m`, it has the name that others import it by
        name = getattr(getattr(module, "__spec__", None), "name", None) or name
    parts = name.split(".")
    above = parts if hasattr(module, "__path__") else parts[:-1]
    return "/".join([*above, _base(file)])


def _base(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2]
