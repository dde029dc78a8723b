"""Python dependencies, locked with hashes by uv for the Python and platform they will run on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prefect.dependencies.requirements import (
    check_requirement,
    installed_versions,
    parse_requirement,
    pinned_version,
    requirement_name,
    split_hashes,
    without_passwords,
)
from prefect.dependencies.uv import refuse_disk, source_options, uv_environment, uv_program
from prefect.errors import RequirementsError
from prefect.oci.cache.full import TEMPORARY, told_if_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.version import Version

    from prefect.oci.cache.store import Store

_FRESH = 24 * 3600  # seconds
_SEPARATORS = re.compile(r"[\s,=]+|file://")
_ENTRY = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]*)\])?==(?P<version>[^\s;]+)(?P<rest>.*)"
)
_HASH = re.compile(r"--hash=(\S+)")
_BLOCK = re.compile(r"^(\S[^\n]*?)((?: \\\n +--hash=\S+)+)$", re.MULTILINE)
_WITHOUT_WHEEL = re.compile(
    r"(?:[Bb]ecause|and) (?:all versions of )?([A-Za-z0-9._-]+?)(?:[<>=!~,\[][^\s]*)? ha(?:s|ve) no usable wheels"
)
_FORMAT = 4  # counts up when uv is asked in another way


def lock(
    requirements: Iterable[str],
    *,
    python: str,
    platform: str,
    store: Store | None = None,
    constraints: Iterable[str] = (),
    sources: Iterable[str] = (),
    fresh: bool = False,
) -> str:
    """Resolve requirements to a text of "name==version --hash=…" lines without any URL.

    Where the requirements leave a choice, the version that is installed here is taken, so that
    what runs elsewhere is what was tried here. Of a version that is asked for with hashes, these
    hashes alone are in the lock, as they are; of any other, all that the index tells.

    Args:
        requirements: PEP 508 lines, such as "pandas>=2" or "six==1.17.0 --hash=sha256:…".
        python: series of the Python that will install them, such as "3.11".
        platform: uv's name of the platform, from `platform_name`.
        store: remembers the answer for a day, as long as the requirements, what is installed here,
            uv and its variables stay the same. A release is thus taken up the day after, where
            neither a requirement nor an installed version says which to take; clearing the cache
            asks anew.
        constraints: lines "name==version", for what has to have that version if it is needed.
        sources: normalised names of distributions whose build script may run here, where they have
            no wheel that fits; of all others, wheels alone are taken, and nothing is executed.
        fresh: ask anew, whatever is remembered.

    Raises:
        RequirementsError: they contradict each other, or something does not exist; the message
            is the resolver's. Or no hash that stands behind a version is one of the index's; or
            something has no wheel; or a build script would get credentials.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
    """
    wanted = sorted({line.strip(" \t") for line in requirements if line.strip()})
    for line in wanted:
        check_requirement(line)
    installed = installed_versions()
    question = _Question(
        wanted, installed, sorted(constraints), sorted(set(sources)), python, platform
    )
    key = "" if store is None else _lock_key(question)
    if store is not None and not fresh:
        text = store.recall(key, max_age=_FRESH)
        if isinstance(text, str):
            return text
    text = _resolve(question)
    if store is not None:
        store.remember(key, text)
    return text


class _Question(NamedTuple):
    wanted: list[str]
    installed: list[str]
    bounds: list[str]
    sources: list[str]
    python: str
    platform: str


def _resolve(asked: _Question) -> str:
    text, reason = _compile(asked, ())
    if text is None and asked.sources and "wheel" in reason:
        text, reason = _compile(asked, asked.sources)
    if text is not None:
        return _with_pins(text, asked.wanted)
    beside = " beside what the lock has" if asked.bounds else ""
    fix = ""
    if lacking := sorted(set(_WITHOUT_WHEEL.findall(reason)) - set(asked.sources)):
        options = " ".join(f"--allow-source {name}" for name in lacking)
        names = ", ".join(lacking)
        fix = (
            f"\nThere is no wheel of {names} that fits, and building from source runs a stranger's "
            f"code here. Ask for a version that has one, or allow it: {options}, or "
            f"ContainerEnvironment(..., allow_source={lacking})"
        )
    raise RequirementsError(
        f"The dependencies {', '.join(asked.wanted)} cannot be resolved for Python {asked.python} "
        f"on {asked.platform}{beside}:\n{reason}{fix}"
    )


def _compile(asked: _Question, sources: Sequence[str]) -> tuple[str | None, str]:
    """Return the lock, or else uv's reason why there is none."""
    with (
        tempfile.TemporaryDirectory(prefix="prefect-lock-") as directory,
        told_if_full(directory, TEMPORARY),
    ):
        source, output = Path(directory, "requirements.in"), Path(directory, "requirements.lock")
        source.write_text("".join(f"{line}\n" for line in asked.wanted))
        # uv reads an output that is already there as a set of preferences.
        output.write_text("".join(f"{line}\n" for line in asked.installed))
        command = [uv_program(), "pip", "compile", str(source), "--output-file", str(output)]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        # So that whoever reads the lock can tell which extras it was made for.
        command += ["--no-strip-extras"]
        command += source_options(sources)
        if asked.bounds:
            limits = Path(directory, "constraints")
            limits.write_text("".join(f"{line}\n" for line in asked.bounds))
            command += ["--constraints", str(limits)]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        # Any interpreter will do: named, so that uv does not search the machine for that version.
        command += ["--python", sys.executable]
        command += ["--python-version", asked.python, "--python-platform", asked.platform]
        environment = uv_environment(builds=bool(sources))
        done = subprocess.run(  # noqa: S603 - a fixed program; lines stand in a file
            command, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            refuse_disk(done.stderr, Path(directory))
            told = (
                line for line in done.stderr.splitlines() if not line.startswith("hint: Wheels")
            )
            reason = "\n".join(told).replace(f"{directory}/", "").strip()
            return None, without_passwords(reason)
        return output.read_text(), ""


def _with_pins(text: str, wanted: list[str]) -> str:
    """Put the hashes that were asked for in the place of those that the index has.

    uv makes a lock from what an index tells, whatever stands behind a requirement.
    """
    pins: dict[tuple[str, Version], set[str]] = {}
    for line in wanted:
        _, hashes = split_hashes(line)
        if hashes and (version := pinned_version(parse_requirement(line))):
            pins.setdefault((requirement_name(line), version), set()).update(hashes)
    if not pins:
        return text
    from packaging.version import Version  # noqa: PLC0415 - for pins alone

    def pinned(block: re.Match[str]) -> str:
        entry = _ENTRY.fullmatch(block[1])
        if entry is None:
            return block[0]
        asked = pins.get((requirement_name(entry["name"]), Version(entry["version"])))
        if asked is None:
            return block[0]
        known = set(_HASH.findall(block[2]))
        comparable = {one.partition(":")[0] for one in asked} <= {
            one.partition(":")[0] for one in known
        }
        if comparable and not asked & known:
            raise RequirementsError(
                f"None of the hashes that are asked for is one of {entry['name']} "
                f"{entry['version']} in the index: the file of another index, or an altered one, "
                "was hashed. Compare where they come from, or write the requirement without them"
            )
        return block[1] + "".join(f" \\\n    --hash={one}" for one in sorted(asked))

    return _BLOCK.sub(pinned, text)


def _lock_key(asked: _Question) -> str:
    # Which index answers is a matter of variables, whose values may be passwords.
    variables = sorted(
        (name, value, [_stamp(part) for part in _paths(value)])
        for name, value in os.environ.items()
        if name.startswith(("UV_", "PIP_"))
    )
    program = Path(uv_program()).stat()
    uv = [program.st_size, program.st_mtime_ns]
    inputs = [_FORMAT, *asked, uv, variables]
    return f"lock {hashlib.sha256(json.dumps(inputs).encode()).hexdigest()}"


def _paths(value: str) -> list[str]:
    """Return what may be a path in a variable: all of it, an item of a list, a file's URL."""
    return sorted({value, *_SEPARATORS.split(value)} - {""})


def _stamp(value: str) -> int | None:
    """Return when the file or directory that a variable names was changed, such as constraints."""
    try:
        return Path(value).stat().st_mtime_ns
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a lock.

    Args:
        name: normalised.
        extras: normalised names of the extras whose requirements are locked as well.
        marker: what Python and platform it is for, as PEP 508 writes it; "" is all.
        hashes: sorted, as "sha256:…".
    """

    name: str
    extras: frozenset[str]
    version: str
    marker: str
    hashes: tuple[str, ...]

    def text(self, *, extras: bool = True) -> str:
        """Return the line in a form that says the same for the same thing."""
        named = f"[{','.join(sorted(self.extras))}]" if extras and self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        lines = [f"{self.name}{named}=={self.version}{marker}"]
        return " \\\n    ".join([*lines, *(f"--hash={one}" for one in self.hashes)]) + "\n"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of a lock.

    Args:
        name: normalised.
        text: its lines in the lock, in a form that says the same for the same thing.
    """

    name: str
    version: str
    text: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read_lock(lock: str) -> list[Distribution]:
    """Take a lock of `requirements.lock` apart, sorted by name.

    Raises:
        RequirementsError: a line is not "name==version --hash=…".
    """
    found: dict[str, Distribution] = {}
    for entry in read_entries(lock):
        own = entry.text(extras=False)
        # A second line is for another platform or Python, by its marker.
        former = found.get(entry.name)
        text = former.text + own if former else own
        found[entry.name] = Distribution(entry.name, entry.version, text)
    return [found[name] for name in sorted(found)]


def canonical_lock(lock: str) -> str:
    """Return a lock without its comments, in a form that says the same for the same thing.

    Raises:
        RequirementsError: a line is not "name==version --hash=…".
    """
    return "".join(entry.text() for entry in sorted(read_entries(lock), key=lambda e: e.name))


def read_entries(lock: str) -> list[Entry]:
    """Return the lines of a lock, in their order.

    Raises:
        RequirementsError: one is not "name==version --hash=…".
    """
    entries = []
    for line in lock.replace("\\\n", " ").splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        match = _ENTRY.fullmatch(text)
        hashes = tuple(sorted(set(_HASH.findall(text))))
        if match is None or not hashes:
            raise RequirementsError(
                f"{without_passwords(text)[:100]!r} in the lock is not a version with hashes: lock "
                "the dependencies again"
            )
        marker = " ".join(_HASH.sub("", match["rest"]).split()).removeprefix(";").strip()
        extras = frozenset(requirement_name(one) for one in (match["extras"] or "").split(","))
        name = requirement_name(match["name"])
        entries.append(Entry(name, extras - {""}, match["version"], marker, hashes))
    return entries
