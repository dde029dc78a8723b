"""The lines of functions, as a manifest has them: plain data, which is read without running it."""

from __future__ import annotations

from typing import Any, TypeAlias

Sources: TypeAlias = "dict[str, list[list[Any]]]"
"""Of each file, runs of consecutive lines: [the number of the first, their text]."""

# Of all files together, up to the last line of each that travels: each takes some bytes of memory
# in a list, whether it travels or not.
MOST_LINES = 4_000_000
LONGEST_NAME = 500
"""Of a file, in characters; a number may follow, where several have one name."""


def are_sources(values: Any) -> bool:
    """Whether JSON values, whatever they are, are the lines of functions."""
    if not isinstance(values, dict):
        return False
    total = 0
    for name, runs in values.items():
        if not 0 < len(name) <= LONGEST_NAME + 20 or not isinstance(runs, list) or not runs:
            return False
        last = -1  # two runs that touch would be one
        for run in runs:
            if not isinstance(run, list) or list(map(type, run)) != [int, str]:
                return False
            first, text = run
            if first <= last + 1 or not text.endswith("\n"):
                return False
            last = first + text.count("\n") - 1
        total += last
        if total > MOST_LINES:
            return False
    return True


def by_number(sources: Sources) -> dict[str, list[str]]:
    """Return the lines of each file, empty where they did not travel."""
    found: dict[str, list[str]] = {}
    for name, runs in sources.items():
        lines = found[name] = []
        for first, text in runs:
            lines += ["\n"] * (first - 1 - len(lines))
            # Not splitlines, which counts more than the compiler does.
            lines += [line + "\n" for line in text.split("\n")[:-1]]
    return found
