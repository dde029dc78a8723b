"""What differs between two packaged flows, told from their manifests alone: nothing is executed."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from prefect.frozen import frozen
from prefect.installed import normal_name
from prefect.payload.global_values import is_compared
from prefect.pylock import read, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect.payload.manifest import Manifest
    from prefect.payload.sources import Sources

_CONTEXT = 3  # lines around a change
# Beyond, the comparison of lines could take minutes: such a file is told as removed and added.
_MOST_LINES = 20_000
_RUNTIME = ("cloudpickle", "cryptography", "cffi", "pycparser")
_OF_FLOW = (
    "name", "reference_tasks", "executor", "limits", "schedule", "result", "state_handlers",
    "terminal_state_handler",
)  # fmt: skip
_OF_MANIFEST = ("python", "implementation", "cloudpickle", "prefect", "fixed")


@frozen
class Change:
    """One difference.

    Args:
        part: of which it is: "flow", "task", "edge", "parameter", "source", "value", "requirement",
            "file", "wheel", "secret", "environment" or "packaging".
        name: of what differs, such as a task's id, or a task's id and a setting of it.
        before: plain JSON value; None where it was not there.
        after: plain JSON value; None where it is not there any more.
    """

    part: str
    name: str
    before: Any
    after: Any


def differences(before: Manifest, after: Manifest, *, locks: bool = True) -> list[Change]:
    """Return what differs between two manifests, part by part; nothing where they are equal.

    Args:
        locks: whether what a build has locked counts. Else versions are those that were installed
            where each was described.
    """
    found = [
        *_values("flow", _picked(before.flow, _OF_FLOW), _picked(after.flow, _OF_FLOW)),
        *_records("task", _by(before.flow["tasks"], "id"), _by(after.flow["tasks"], "id")),
        *_values("edge", _edges(before.flow), _edges(after.flow)),
        *_records(
            "parameter",
            _by(before.flow["parameters"], "name"),
            _by(after.flow["parameters"], "name"),
        ),
        *_values("source", _texts(before.sources), _texts(after.sources)),
        *_values("value", *_globals(before, after)),
        *_values(
            "requirement",
            _versions(before, after, locks=locks),
            _versions(after, before, locks=locks),
        ),
        *_records("file", before.files, after.files),
        *_records("wheel", before.wheels, after.wheels),
        *_values("secret", _secrets(before.flow), _secrets(after.flow)),
        *_values("environment", _environment(before), _environment(after)),
        *_values("packaging", _packaging(before), _packaging(after)),
    ]
    locked_alike = not locks or before.lock == after.lock
    if not locked_alike and not any(one.part == "requirement" for one in found):
        found.append(Change("requirement", "lock", _targets(before.lock), _targets(after.lock)))
    return found


def uncompared(before: Manifest, after: Manifest) -> list[str]:
    """Return the globals of which nothing says whether they are equal, each with its type."""
    told = before.globals | after.globals
    return [f"{name} ({text})" for name, text in told.items() if not is_compared(text)]


def source_difference(before: Sources, after: Sources, name: str) -> Iterator[str]:
    """Yield the unified difference of a file's lines that travel, with their numbers in the file.

    Lines that have only moved are equal.

    Args:
        name: of the file.
    """
    old, new = _numbered(before.get(name, [])), _numbered(after.get(name, []))
    yield f"--- {name}" if old else "--- (not there)"
    yield f"+++ {name}" if new else "+++ (not there)"
    if len(old) + len(new) > _MOST_LINES:
        groups = [[("replace", 0, len(old), 0, len(new))]]
    else:
        matcher = SequenceMatcher(
            None, [text for _, text in old], [text for _, text in new], autojunk=False
        )
        groups = [list(group) for group in matcher.get_grouped_opcodes(_CONTEXT)]
    for group in groups:
        (_, first, _, other, _), (_, _, last, _, end) = group[0], group[-1]
        yield f"@@ -{_span(old, first, last)} +{_span(new, other, end)} @@"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from (f" {text}" for _, text in old[i1:i2])
            else:
                yield from (f"-{text}" for _, text in old[i1:i2])
                yield from (f"+{text}" for _, text in new[j1:j2])


def _span(lines: list[tuple[int, str]], start: int, end: int) -> str:
    return f"{lines[start][0]},{end - start}" if start < end else "0,0"


def _numbered(runs: list[list[Any]]) -> list[tuple[int, str]]:
    return [
        (first + number, line)
        for first, text in runs
        for number, line in enumerate(text.split("\n")[:-1])
    ]


def _values(part: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield Change(part, name, before.get(name), after.get(name))


def _records(
    part: str, before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]]
) -> Iterator[Change]:
    """Yield what was added or removed as a whole, and of what changed each member that did."""
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after:
            yield Change(part, name, before.get(name), after.get(name))
            continue
        for change in _values(part, before[name], after[name]):
            yield Change(part, f"{name} {change.name}", change.before, change.after)


def _picked(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values.get(name) for name in names}


def _by(listed: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {
        entry[key]: {name: value for name, value in entry.items() if name != key}
        for entry in listed
    }


def _edges(flow: dict[str, Any]) -> dict[str, bool]:
    return {
        f"{edge['upstream']} -> {edge['downstream']}"
        + (f" ({edge['key']})" if edge["key"] else "")
        + (", mapped" if edge["mapped"] else ""): True
        for edge in flow["edges"]
    }


def _globals(before: Manifest, after: Manifest) -> tuple[dict[str, str], dict[str, str]]:
    if not (before.has_globals and after.has_globals):
        return {}, {}
    return before.globals, after.globals


def _texts(sources: Sources) -> dict[str, str]:
    return {name: "".join(text for _, text in runs) for name, runs in sources.items()}


def _versions(manifest: Manifest, other: Manifest, *, locks: bool) -> dict[str, str]:
    direct = dict(line.split("==", 1) for line in sorted(set(manifest.requirements.values())))
    known = {normal_name(name): version for name, version in direct.items()} | manifest.installed
    if not locks:
        return known
    if manifest.image is not None:
        pins = {pin.name: pin.version for pin in manifest.image.pins()}
        if other.image is None:  # what any flow needs to run stands beside a sealed flow
            pins = {name: pins[name] for name in pins if name in known or name not in _RUNTIME}
        return known | pins
    locked: dict[str, set[str]] = {}
    for package in read(manifest.lock).packages if manifest.lock else ():
        locked.setdefault(package.name, set()).add(package.version)
    return known | {n: ", ".join(sorted(v)) for n, v in locked.items()}


def _secrets(flow: dict[str, Any]) -> dict[str, bool]:
    return dict.fromkeys((flow["environment"] or {}).get("secrets", ()), True)


def _environment(manifest: Manifest) -> dict[str, Any]:
    environment = manifest.flow["environment"] or {}
    told = {name: value for name, value in environment.items() if name != "secrets"}
    if manifest.image is None:
        return told
    image = manifest.image
    mine = {"base": manifest.base, "runs on": image.platform, "Python": image.python}
    return told | mine


def _packaging(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in _OF_MANIFEST}


def _targets(lock: str) -> str | None:
    return shown(read(lock).targets) if lock else None
