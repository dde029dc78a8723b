"""Write docs/classic.md: what this package has of each public name of classic Prefect.

    python scripts/classic_table.py

Classic Prefect's names and signatures are those that classic_oracle.py recorded; what is here is looked up
in this package; why something is not here, and what to use instead, stands in classic_notes.json, in
`prefect.unsupported`, and for what flows come to in tests/classic/differences.json.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

from prefect.errors import UnsupportedError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "classic.md"
CLASSIC = ROOT / "tests" / "classic"
NOTES = ROOT / "scripts" / "classic_notes.json"
TOLD = re.compile(r"^\S+ of classic Prefect is not here: ")
HEAD = """# For whoever knows classic Prefect

This page is written by `scripts/classic_table.py`, and a test compares it with the package. It has every public
name of the core of Prefect 1.4.1, whose own answers are recorded: *same* means that it is here and takes
every argument that it took, *different* that it takes others or is otherwise, *not here* that its use is an error, which
says what to use instead where classic Prefect needed its server for it.

The tutorials, in our own words, run unchanged under both: mapping, a database, an API in pages, conditional reports, resources,
notifications and schedules are in [examples/classic](../examples/classic).
"""


def page() -> str:
    """Return the page."""
    offered, notes = _read(CLASSIC / "offered.json"), _read(NOTES)
    parts = [HEAD, _flows()]
    counts = {"same": 0, "different": 0, "not here": 0}
    tables = []
    for module, names in offered.items():
        if not names:
            continue
        rows = [
            (name, *verdict(module, name, signature, notes)) for name, signature in names.items()
        ]
        for _, word, _ in rows:
            counts[word] += 1
        tables.append(_table(module, rows))
    total = sum(counts.values())
    told = ", ".join(f"{number} {word}" for word, number in counts.items())
    return "\n".join([*parts, f"## Names\n\nOf {total} names: {told}.\n", *tables])


def _flows() -> str:
    """Return the tables of what small flows come to."""
    differences = _read(CLASSIC / "differences.json")
    lines = [
        "## What flows come to\n",
        "Small flows run under both, and their states and results are compared (`tests/classic`).\n",
        "| flows | probes | same | different |",
        "|---|---|---|---|",
    ]
    for path in sorted((CLASSIC / "answers").glob("*.json")):
        probes, odd = len(_read(path)), len(differences.get(path.stem, {}))
        lines.append(f"| {path.stem.replace('_', ' ')} | {probes} | {probes - odd} | {odd} |")
    lines += ["", "| what differs | why |", "|---|---|"]
    for probes in differences.values():
        lines += [f"| {name.replace('_', ' ')} | {each['why']} |" for name, each in probes.items()]
    return "\n".join([*lines, ""])


def verdict(
    module: str, name: str, signature: str | None, notes: dict[str, str]
) -> tuple[str, str]:
    """Return whether a name is here as it was, and what is to be said of it.

    Raises:
        LookupError: it is not here, or otherwise, and nothing is said of it.
    """
    path = f"{module}.{name}"
    note = notes.get(path, notes.get(f"{module}.*"))
    try:
        found = look_up(module, name)
    except UnsupportedError as error:
        return "not here", TOLD.sub("", str(error))
    except AttributeError:
        said = note or next((notes[each] for each in _above(path) if each in notes), None)
        if said is None:
            raise LookupError(
                f"{path} is not here, and classic_notes.json does not say why"
            ) from None
        return "not here", said
    parts = [note] if note else []
    if lost := missing(found, signature):
        parts.append(f"without {', '.join(f'`{each}`' for each in lost)}")
    if (first := moved(found, signature)) is not None and first not in lost:
        parts.append(f"from `{first}` on by name alone")
    return ("different", "; ".join(parts)) if parts else ("same", "")


def look_up(module: str, name: str) -> Any:
    """Return what has a name here, in a module or a class.

    Raises:
        AttributeError: there is no such thing.
        UnsupportedError: there was, and it is refused.
    """
    try:
        owner: Any = importlib.import_module(module)
    except ModuleNotFoundError:
        home, _, kind = module.rpartition(".")
        try:
            owner = getattr(importlib.import_module(home), kind)
        except ModuleNotFoundError:
            raise AttributeError(module) from None
    found = getattr(owner, name)
    if getattr(found, "is_refused", False):
        found()
    return found


def missing(found: Any, signature: str | None) -> list[str]:
    """Return the parameters that classic Prefect's had, and that this does not take."""
    if signature is None or not callable(found):
        return []
    try:
        ours = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return []
    names = {each.name for each in ours}
    if any(each.kind is each.VAR_KEYWORD for each in ours):
        return []
    positional = any(each.kind is each.VAR_POSITIONAL for each in ours)
    theirs = [part.strip() for part in signature.strip("()").split(",")]
    named = [part.partition("=")[0] for part in theirs if part and part[0] != "*"]
    lost = [each for each in named if each not in names and each[0] != "_" and each != "self"]
    return [] if positional else lost


def moved(found: Any, signature: str | None) -> str | None:
    """Return the first parameter that is not taken by the position at which classic Prefect took it."""
    if signature is None or not callable(found):
        return None
    try:
        ours = [p for p in inspect.signature(found).parameters.values() if p.name != "self"]
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_POSITIONAL for each in ours):
        return None
    placed = [p.name for p in ours if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    for number, part in enumerate(_named(signature)):
        if part not in placed[number : number + 1]:
            return part
    return None


def _named(signature: str) -> list[str]:
    """Return the parameters that a recorded signature takes by position."""
    named = []
    for part in (each.strip() for each in signature.strip("()").split(",")):
        if part.startswith("*"):
            break
        name = part.partition("=")[0]
        if name and name != "self":
            named.append(name)
    return named


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 1, -1)]


def _table(module: str, rows: list[tuple[str, str, str]]) -> str:
    lines = [f"### {module}\n", "| name | here | |", "|---|---|---|"]
    lines += [f"| `{name}` | {word} | {_cell(said)} |" for name, word, said in _joined(rows)]
    return "\n".join([*lines, ""])


def _joined(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return rows of which the same is to be said as one."""
    by_text: dict[tuple[str, str], list[str]] = {}
    for name, word, said in rows:
        by_text.setdefault((word, said), []).append(name)
    return [("`, `".join(names), *told) for told, names in by_text.items()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
