"""`prefect diff`: what differs between two packaged flows."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import find_image, is_flow_file, load_flow_file
from prefect.cli.info import find_artifact, read_manifest
from prefect.cli.options import Command, key_file_option, refuse_keys, trusted_signer_option
from prefect.frozen import as_dict
from prefect.payload.difference import Change, differences, source_difference, uncompared
from prefect.printable import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.payload.manifest import Manifest
    from prefect.sealed.source import SealedSource

_DIFFERENT = 1
# What follows from how a file is built, and not from the file.
_OF_BUILDS = {"file": "files", "wheel": "wheels", "secret": "secrets", "environment": "environment"}
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_DICTS = {"limits", "schedule"}
"""Settings whose values are objects, which are told; tasks, files and parameters are named alone."""
_LONGEST = 60
_MOST_NAMED = 8


@click.command(cls=Command, short_help="Tell what differs between two packaged flows.")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@key_file_option
@trusted_signer_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all changes.")
def diff(
    before: str,
    after: str,
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare A with B: two .flow files, images, or a file's flow, of any kind each.

    Tasks with their settings and sources, parameters, edges, limits, schedule, requirements with versions, files, secrets' names, the
    environment with its base image, and of two sealed flows keys and signatures are compared. So are the
    globals that functions read, as far as they are plain values; what is not is named, and what objects
    and closures hold is not compared. With a FILE.py, versions are those installed here, and what a build
    alone has, such as a lock, is named and not compared. An artifact is only looked into: nothing of it is executed. A FILE.py[:FLOW] is run to get at its
    flow, as `prefect build` does. The exit status is 0 where both are equal, 1 where they differ, 2 for
    bad input.
    """
    names = (before, after)
    # Both are looked for before either is opened.
    sources = [None if is_flow_file(name) else find_artifact(name) for name in names]
    if key_file and not any(
        _is_sealed(name, one) for name, one in zip(names, sources, strict=True)
    ):
        refuse_keys("neither of these is one", key_file, ())
    old, new = (
        _manifest(name, source, key_file, trusted_signers)
        for name, source in zip(names, sources, strict=True)
    )
    by_file = any(map(is_flow_file, names))
    changes = differences(old, new, locks=not by_file) + _outside(*sources)
    left_out = uncompared(old, new)
    if by_file:
        # What a build has added to a file, such as its lock, is no difference of the file's.
        parts = {one.part for one in changes}
        built = ["lock"] if any(one.lock or one.image for one in (old, new)) else []
        built += [many for part, many in _OF_BUILDS.items() if part in parts]
        left_out += [f"{what} (of the build alone)" for what in built]
        changes = [one for one in changes if one.part not in _OF_BUILDS]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "equal": not changes,
                    "changes": [_plain(c, old, new) for c in changes],
                    "uncompared": left_out,
                }
            )
        )
    elif not changes:
        click.echo(
            "Equal: tasks, their code, plain globals, parameters, edges, settings, requirements and files."
        )
    else:
        for line in _lines(changes, old, new):
            click.secho(printable(line), fg=_COLOURS.get(line[:1]))
    if not as_json and (told := _not_compared(old, new, left_out)):
        click.echo(printable(f"Not compared: {told}."), err=True)
    if changes:
        sys.exit(_DIFFERENT)


def _not_compared(old: Manifest, new: Manifest, names: list[str]) -> str:
    if not (old.has_globals and new.has_globals):
        return "values of globals, of which an artifact of an earlier prefect does not tell"
    more = f", and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _manifest(
    argument: str,
    source: SealedSource | None,
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
) -> Manifest:
    if is_flow_file(argument):
        if trusted_signers:
            refuse_keys("a file's own flow is none", (), trusted_signers)
        from prefect.payload.local_modules import loaded_local_modules  # noqa: PLC0415 - the same
        from prefect.payload.packing import pickle_flow  # noqa: PLC0415 - for sources alone

        manifest = pickle_flow(load_flow_file(argument), again=True).manifest
        for name in loaded_local_modules():  # the other one may have modules of the same names
            del sys.modules[name]
        del sys.path[0]
        return manifest
    if source is None and not trusted_signers and not (image := find_image(argument)).sealed:
        return image.manifest(None)  # whatever key opens the other one
    return read_manifest(argument, source, key_files, trusted_signers)


def _is_sealed(argument: str, source: SealedSource | None) -> bool:
    return source is not None or (not is_flow_file(argument) and find_image(argument).sealed)


def _outside(before: SealedSource | None, after: SealedSource | None) -> list[Change]:
    """Compare what stands around two sealed flows: who may open them, and who has signed."""
    if before is None or after is None:
        return []
    from prefect.sealed.reading import outline  # noqa: PLC0415 - for sealed flows alone

    old, new = outline(before), outline(after)
    pairs = (
        ("key", {kid: alg for alg, kid in old.key_ids}, {kid: alg for alg, kid in new.key_ids}),
        ("signature", dict.fromkeys(old.signer_ids, True), dict.fromkeys(new.signer_ids, True)),
    )
    return [
        Change(part, name, one.get(name), other.get(name))
        for part, one, other in pairs
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    ]


def _plain(change: Change, old: Manifest, new: Manifest) -> dict[str, Any]:
    values = as_dict(change)
    if change.part == "source":
        values["diff"] = list(source_difference(old.sources, new.sources, change.name))
    return values


def _lines(changes: list[Change], old: Manifest, new: Manifest) -> Iterator[str]:
    for change in changes:
        if change.part == "source":
            continue
        if change.before is None or change.after is None:
            sign, value = ("+", change.after) if change.before is None else ("-", change.before)
            whole = isinstance(value, dict) and change.name not in _DICTS
            told = "" if value is True or whole else f" {_told(change, value)}"
            yield f"{sign} {change.part} {change.name}{told}"
        else:
            before, after = _told(change, change.before), _told(change, change.after)
            yield f"  {change.part} {change.name}: {before} -> {after if after != before else 'another'}"
    for change in changes:
        if change.part == "source":
            yield ""
            yield from source_difference(old.sources, new.sources, change.name)


def _told(change: Change, value: Any) -> str:
    if change.part in {"file", "wheel"} and change.name.endswith(" size"):
        return size(value)
    if (change.part, change.name) == ("flow", "schedule"):
        from prefect.schedules.described import told  # noqa: PLC0415 - few flows have one

        return told(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
