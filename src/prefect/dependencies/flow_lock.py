"""A flow's requirements with all that they need, locked for where it is to run.

Goes into the manifest of a sealed flow once the flow is pickled: only then is known what it imports.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.dependencies import comparing
from prefect.dependencies.fitting import require_fit_target
from prefect.dependencies.lock import Entry, read_entries
from prefect.dependencies.requirements import (
    check_requirement,
    check_sources_of_versions,
    imported,
    installed_versions,
    requirement_name,
)
from prefect.dependencies.resolving import (
    Question,
    facts,
)
from prefect.dependencies.target_locks import CHOICE, lock_for
from prefect.dependencies.targets import targets
from prefect.dependencies.wheels import own_packages
from prefect.errors import IndexUnreachableError, RequirementsError
from prefect.files import replacing
from prefect.frozen import frozen, replace
from prefect.oci.cache.of_user import open_cache
from prefect.pylock import Lock, Package, Target, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from prefect.dependencies.given_lock import GivenLock
    from prefect.dependencies.wheels import Wheel
    from prefect.oci.cache.store import Store
    from prefect.payload.manifest import Manifest

_logger = logging.getLogger("prefect.environments")


@frozen
class LockWishes:
    """What an environment says of the lock of its flows.

    Args:
        dependencies: requirement lines.
        infer: take what the flow imports as well, in the versions here, where no line asks for it.
        lock: file of a lock, requirement lines with hashes or a pylock.toml; taken if it is there,
            else written.
        relock: write it anew, also where it is there.
        sources: names of distributions that may be built from source.
        project: directory of a project whose lock is taken.
        platforms: such as "linux/arm64"; none is the one here.
        pythons: series such as "3.12"; none is the one here.
        needed: whether there has to be a lock, even if no index answers.

    Raises:
        ValueError: one of them means nothing, or two contradict each other.
    """

    dependencies: tuple[str, ...] = ()
    infer: bool = True
    lock: str | None = None
    relock: bool = False
    sources: tuple[str, ...] = ()
    project: str | None = None
    platforms: tuple[str, ...] = ()
    pythons: tuple[str, ...] = ()
    needed: bool = False

    def __post_init__(self) -> None:
        targets(self.platforms, self.pythons)
        check_sources_of_versions(
            lock=self.lock, relock=self.relock, project=self.project, sources=self.sources
        )


def complete(manifest: Manifest, wishes: LockWishes, wheels: Sequence[Wheel] = ()) -> Manifest:
    """Return a manifest with its lock, where there is anything to lock.

    Args:
        manifest: of a flow that is pickled.
        wishes: what its environment says.
        wheels: those that travel with it, which no index need have.

    Raises:
        RequirementsError: the requirements cannot be resolved, contradict each other, or the lock
            that is to be taken does not fit them.
        IndexUnreachableError: no index answers, and more was wished for than what is installed here.
    """
    asked = [line for line in wishes.dependencies if line.strip()]
    inferred = imported(manifest.requirements, asked) if wishes.infer else []
    names = {one.name for one in wheels}
    inferred = [line for line in inferred if requirement_name(line) not in names]
    if not (asked or inferred or wheels) and wishes.lock is None and wishes.project is None:
        return manifest
    aims = targets(wishes.platforms, wishes.pythons)
    for one in wheels:
        for target in aims:
            require_fit_target(one, target)
    with open_cache() as store:
        try:
            lock = _lock(wishes, asked, inferred, aims, wheels, store)
        except IndexUnreachableError as error:
            if wishes != LockWishes():
                raise
            _logger.warning(
                "Not locked, for the index cannot be reached (%s). The versions that are installed "
                "here are recorded, without their hashes: wherever this flow gets its packages "
                "installed, nothing says that they are the same files. Build again with a network, "
                "or ask for a lock with --lock FILE (lock=), which makes this an error",
                _last_line(str(error)),
            )
            return manifest
    _check_imports(manifest, wishes, lock)
    if not lock.packages:
        return manifest
    return replace(manifest, lock=lock.text())


def _lock(
    wishes: LockWishes,
    asked: list[str],
    inferred: list[str],
    aims: list[Target],
    wheels: Sequence[Wheel],
    store: Store,
) -> Lock:
    sources = sorted({requirement_name(name) for name in wishes.sources})
    own = own_packages(wheels)
    if wishes.project is not None or wishes.lock is not None:
        from prefect.dependencies.given_lock import given_lock  # noqa: PLC0415 - for these alone

        if given := given_lock(wishes.lock, wishes.project, relock=wishes.relock):
            resolved = _given(given, aims, sources, own, store)
            _require_fit(resolved, asked, inferred, given, wheels)
            return Lock.of(resolved)
    wanted = sorted({line.strip() for line in [*asked, *inferred]})
    for line in wanted:
        check_requirement(line)
    question = Question(wanted, installed_versions(), [], sources, "", "", facts(wheels))
    lock = lock_for(
        question, aims, own, store, wheels, fresh=wishes.relock, patient=wishes != LockWishes(),
        inferred=inferred if asked else (),
    )  # fmt: skip
    if wishes.lock is not None:  # of what indexes have: own code changes under one version
        packages = {
            target: [one for one in lock.for_target(target) if one.name not in own]
            for target in aims
        }
        _write(Lock.of(packages), Path(wishes.lock))
    return lock


def _given(
    given: GivenLock,
    aims: list[Target],
    sources: list[str],
    own: Mapping[str, Package],
    store: Store,
) -> dict[Target, list[Package]]:
    """Return what a lock has for each target."""
    from prefect.dependencies.pylock_reading import Pylock, is_pylock  # noqa: PLC0415 - for locks

    if is_pylock(given.text):
        lock = Pylock(given.text, given.name, f"{given.anew}; {CHOICE}")
        return {
            target: _with_own(lock.packages(target, sources=sources, own=own), own)
            for target in aims
        }
    entries = read_entries(given.text)
    held = {target: comparing.entries_for(entries, target) for target in aims}
    # Lines tell hashes, and not which file is meant for which target: the index does.
    lines = {
        target: sorted(_line(entry) for entry in found.values() if entry.name not in own)
        for target, found in held.items()
    }
    every = sorted({line for each in lines.values() for line in each})
    question = Question(every, [], [], sources, "", "")
    found = lock_for(question, aims, {}, store, fresh=False, patient=True, exact=lines)
    resolved = {}
    for target in aims:
        packages = found.for_target(target)
        for package in packages:
            hashes = set(held[target][package.name].hashes)
            if not {f"sha256:{file.sha256}" for file in package.files} <= hashes:
                raise RequirementsError(
                    f"{given.name} does not have the hash of {package.files[0].name}, which is what "
                    f"fits {target}. {given.anew}; {CHOICE}"
                )
        resolved[target] = _with_own(packages, own)
    return resolved


def _with_own(packages: Iterable[Package], own: Mapping[str, Package]) -> list[Package]:
    """Return packages with all of one's own, of which a lock need not tell."""
    return [*(one for one in packages if one.name not in own), *own.values()]


def _line(entry: Entry) -> str:
    extras = f"[{','.join(sorted(entry.extras))}]" if entry.extras else ""
    return f"{entry.name}{extras}=={entry.version}"


def _require_fit(
    resolved: Mapping[Target, Iterable[Package]],
    asked: list[str],
    inferred: list[str],
    given: GivenLock,
    wheels: Sequence[Wheel],
) -> None:
    """Refuse a lock that lacks what is asked for, by version, or what the flow imports, by name."""
    from prefect.dependencies.pylock_reading import is_pylock  # noqa: PLC0415 - for locks

    problems: dict[str, list[Target]] = {}
    lines = [*asked, *map(requirement_name, inferred)]
    if is_pylock(given.text):  # of which a pylock.toml does not tell
        lines = [re.sub(r"\[[^\]]*\]", "", line, count=1) for line in lines]
    extras_of = {one.name: one.extras for one in wheels}
    for target, packages in resolved.items():
        locked = {
            each.name: Entry(
                each.name, extras_of.get(each.name, frozenset()), each.version, "",
                tuple(f"sha256:{file.sha256}" for file in each.files),
            )
            for each in packages
        }  # fmt: skip
        needed = [*lines, *comparing.needs_of(wheels, asked, target)]
        for problem in comparing.unmet(needed, locked, target):
            problems.setdefault(problem, []).append(target)
    if problems:
        told = "\n".join(
            f"  {problem}{_for(found, resolved)}" for problem, found in sorted(problems.items())
        )
        raise RequirementsError(
            f"{given.name} does not fit what is asked for:\n{told}\n{given.anew}, or ask for what it has"
        )


def _check_imports(manifest: Manifest, wishes: LockWishes, lock: Lock) -> None:
    """Refuse a lock without what the flow imports; say what is in it in another version than here."""
    lacking: dict[str, None] = {}
    versions: dict[tuple[str, str], list[Target]] = {}
    for target in lock.targets:
        locked = {one.name: one.version for one in lock.for_target(target)}
        missing = comparing.lacking(manifest.requirements, locked)
        if missing and wishes.infer:
            raise RequirementsError(
                f"The flow imports {', '.join(missing)}, which would be missing for {target}: a marker "
                "of what is asked for leaves it out. Ask for it without one, or, if it is there by "
                "other means, build with --no-infer (infer=False)"
            )
        lacking |= dict.fromkeys(missing)
        for each in locked.items():
            versions.setdefault(each, []).append(target)
    notes = [f"The flow imports {one}, which is not locked" for one in lacking]
    for (name, version), found in sorted(versions.items()):
        where = f"in the lock{_for(found, lock.targets)}"
        notes += comparing.differing(manifest.installed, {name: version}, where)
    for note in notes:
        _logger.warning(note)


def _for(some: Collection[Target], every: Collection[Target]) -> str:
    """Return which targets something is said of; "" where it is all of them."""
    return "" if len(some) == len(every) else f" for {shown(some)}"


def _write(lock: Lock, path: Path) -> None:
    text = lock.text() if path.suffix == ".toml" else requirement_text(lock)
    try:
        with replacing(path, mode=None) as file:
            file.write(text.encode())
    except OSError as error:
        raise RequirementsError(f"The lock {path} cannot be written: {error}") from error


def requirement_text(lock: Lock) -> str:
    """Return a lock as requirement lines with hashes, and markers where there are several targets."""
    return "".join(
        Entry(
            one.name, frozenset(), one.version, lock.marker(one),
            tuple(sorted({f"sha256:{file.sha256}" for file in one.files})),
        ).text()
        for one in lock.packages
    )  # fmt: skip


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip().removeprefix("cause: ")
