"""Python dependencies, locked with hashes by uv for the Python and platform they will run on."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import (
    check_requirement,
    installed_versions,
    parse_requirement,
    pinned_version,
    requirement_name,
    split_hashes,
    without_passwords,
)
from prefect.dependencies.resolving import FRESH, Question, facts, resolve
from prefect.errors import RequirementsError
from prefect.frozen import frozen
from prefect.patterns import pattern
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.version import Version

    from prefect.dependencies.wheels import Wheel
    from prefect.oci.cache.store import Store

_logger = logging.getLogger("prefect.environments")
_ENTRY = pattern(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]*)\])?==(?P<version>[^\s;]+)(?P<rest>.*)"
)
_HASH = pattern(r"--hash=(\S+)")
_BLOCK = pattern(r"^(\S[^\n]*?)((?: \\\n +--hash=\S+)+)$", re.MULTILINE)
_OWN_BLOCK = pattern(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?P<extras>\[[^\]]*\])? @ file:\S+(?P<rest> ;[^\n]*?)?"
    r"(?: \\\n +--hash=\S+)+$",
    re.MULTILINE,
)
_OWN_HASH = "sha256:own"
# As text; so that whoever reads the lock can tell which extras it was made for.
_FORM = ("requirements.txt", "--generate-hashes", "--no-annotate", "--no-strip-extras")


def lock(
    requirements: Iterable[str],
    *,
    python: str,
    platform: str,
    store: Store | None = None,
    constraints: Iterable[str] = (),
    sources: Iterable[str] = (),
    fresh: bool = False,
    wheels: Sequence[Wheel] = (),
    inferred: Collection[str] = (),
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
        wheels: wheels of the user's own. They are in the lock, each by its version and with its own
            hash, and no index is asked for distributions of their names.
        inferred: those of the requirements that nobody asked for, for what an error says.

    Raises:
        UnknownDistributionError: no index has something, or not in that version.
        RequirementsError: they contradict each other, or something does not exist; the message
            is the resolver's. Or no hash that stands behind a version is one of the index's; or
            something has no wheel; or a build script would get credentials.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
    """
    wanted = sorted({line.strip(" \t") for line in requirements if line.strip()})
    for line in wanted:
        check_requirement(line)
    installed = installed_versions()
    question = Question(
        wanted,
        installed,
        sorted(constraints),
        sorted(set(sources)),
        python,
        platform,
        facts(wheels),
    )
    key = "" if store is None else question.key(_FORM)
    if store is not None and not fresh:
        text = store.recall(key, max_age=FRESH)
        if isinstance(text, str):
            return _with_hashes(text, wheels)
    with step(f"Locking the dependencies for Python {python} on {platform}", say=_logger.info):
        resolved = resolve(question, _FORM, wheels=wheels, inferred=inferred)
    text = _with_pins(_nameless(resolved, wheels), wanted)
    if store is not None:
        store.remember(key, text)
    return _with_hashes(text, wheels)


def _nameless(text: str, wheels: Sequence[Wheel]) -> str:
    """Name wheels of one's own by their versions, where uv names their files."""
    versions = {one.name: one.version for one in wheels}

    def named(match: re.Match[str]) -> str:
        version = versions[requirement_name(match["name"])]
        extras = "".join((match["extras"] or "").split())
        return f"{match['name']}{extras}=={version}{match['rest'] or ''} \\\n    --hash={_OWN_HASH}"

    return _OWN_BLOCK.sub(named, text)


def _with_hashes(text: str, wheels: Sequence[Wheel]) -> str:
    """Put the hashes of wheels of one's own into a lock, which may be of former ones."""
    for one in wheels:
        found = rf"^({re.escape(one.name)}(?:\[[^\]]*\])?==[^\n]* \\\n    --hash=){_OWN_HASH}$"
        text = re.sub(found, rf"\g<1>sha256:{one.sha256}", text, flags=re.MULTILINE)
    return text


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


@frozen
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


@frozen
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
