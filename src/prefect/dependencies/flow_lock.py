"""A flow's requirements with all that they need, locked for where it is to run.

Goes into the manifest of a sealed flow once the flow is pickled: only then is known what it imports.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
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
    split_hashes,
)
from prefect.dependencies.resolving import (
    FRESH,
    Question,
    facts,
    resolve,
)
from prefect.dependencies.targets import targets, this_target, uv_platform
from prefect.dependencies.wheels import own_packages
from prefect.errors import FormatError, IndexUnreachableError, RequirementsError
from prefect.files import replacing
from prefect.frozen import frozen, replace
from prefect.oci.cache.of_user import open_cache
from prefect.pylock import Lock, Package, Target, read, shown
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from prefect.dependencies.given_lock import GivenLock
    from prefect.dependencies.wheels import Wheel
    from prefect.oci.cache.store import Store
    from prefect.payload.manifest import Manifest

_logger = logging.getLogger("prefect.environments")
_ASKING = "-r (python_dependencies=)"
_CHOICE = "or choose what it is locked for, with --for and --python (platforms=, pythons=)"
_FORM = ("pylock.toml", "--format", "pylock.toml")


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


def recorded(manifest: Manifest, python: str, store: Store) -> Lock:
    """Lock the versions that were recorded of a flow without a lock, for a Python here.

    Nothing in the package says which files they are: what an index has now is taken for them, and from
    then on, as long as the store remembers it.

    Args:
        python: a series.

    Raises:
        RequirementsError: no index has one of them, or none with a wheel that fits.
        IndexUnreachableError: no index answers.
    """
    brought = {requirement_name(name.partition("-")[0]) for name in manifest.wheels}
    lines = [f"{name}=={version}" for name, version in manifest.installed.items()]
    exact = bool(lines)
    wanted = sorted(
        line
        for line in lines or set(manifest.requirements.values())
        if requirement_name(line) not in brought
    )
    target = replace(this_target(), python=python)
    if not wanted:
        return Lock.of({target: []})
    question = Question(wanted, [], [], [], python, uv_platform(target))
    key = f"recorded {question}"
    with suppress(FormatError):
        if isinstance(text := store.recall(key), str):
            return read(text)
    lock = _resolved(
        question, [target], {}, store, fresh=False, patient=True,
        exact={target: wanted} if exact else None,
    )  # fmt: skip
    store.remember(key, lock.text())
    return lock


def lock_exactly(lines: Sequence[str], aims: Sequence[Target]) -> Lock:
    """Lock what is named by its version, and nothing that it needs in turn, for some targets.

    Args:
        lines: "name==version" each.

    Raises:
        IndexUnreachableError: no index answers.
        RequirementsError: no index has one of them for a target, as a wheel.
        SettingError: the cache is not this user's alone, or a variable means nothing.
    """
    question = Question(sorted(lines), [], [], [], "", "")
    exact = dict.fromkeys(aims, sorted(lines))
    with open_cache() as store:
        return _resolved(question, list(aims), {}, store, fresh=False, patient=False, exact=exact)


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
    lock = _resolved(
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


def _resolved(
    question: Question,
    aims: list[Target],
    own: Mapping[str, Package],
    store: Store,
    wheels: Sequence[Wheel] = (),
    *,
    fresh: bool,
    patient: bool,
    exact: Mapping[Target, Sequence[str]] | None = None,
    inferred: Collection[str] = (),
) -> Lock:
    """Have uv resolve for each target, or take what is remembered of that.

    Args:
        exact: for each target the requirement lines that are all that there is to be.
        inferred: those of the wanted lines that nobody asked for.
    """
    packages = sorted(
        (one.name, one.version, [file.sha256 for file in one.files]) for one in own.values()
    )
    every = sorted(
        (str(target), uv_platform(target), *(exact or {}).get(target, ())) for target in aims
    )
    key = question.key("pylock", every, packages)
    if not fresh and isinstance(text := store.recall(key, max_age=FRESH), str):
        try:
            return read(text)
        except FormatError:  # of another release
            pass
    # Imported here: most builds find their lock remembered.
    from prefect.dependencies.pylock_reading import Pylock  # noqa: PLC0415

    def one(target: Target, preferred: list[str]) -> list[Package]:
        form = _FORM if exact is None else (*_FORM, "--no-deps")
        wanted = question.wanted if exact is None else list(exact[target])
        mine = question._replace(
            wanted=wanted, installed=preferred, python=target.python, platform=uv_platform(target)
        )
        text = resolve(
            mine, form, patient=patient, target=str(target), wheels=wheels, inferred=inferred
        )
        answer = Pylock(
            text, "The index", f"Ask for a version that has one, with {_ASKING}; {_CHOICE}"
        )
        found = answer.packages(target, sources=question.sources, own=own)
        return [_pinned(each, question.wanted) for each in found]

    first, *others = aims
    doing = f"Locking the requirements for {shown(aims)}"
    with step(doing, len(aims), unit="targets", say=_logger.info) as told:
        resolved = {first: one(first, question.installed)}
        told.add(1)
        if others:
            # Where there is a choice, the same version everywhere.
            known = {requirement_name(line): line for line in question.installed}
            known |= {each.name: f"{each.name}=={each.version}" for each in resolved[first]}
            preferred = [known[name] for name in sorted(known)]
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

            with ThreadPoolExecutor(4) as pool:
                for target, answer in zip(
                    others, pool.map(lambda target: one(target, preferred), others), strict=True
                ):
                    resolved[target] = answer
                    told.add(1)
    lock = Lock.of(resolved)
    store.remember(key, lock.text())
    return lock


def _pinned(package: Package, wanted: Iterable[str]) -> Package:
    """Refuse a file of which other hashes are asked for."""
    for line in wanted:
        hashes = split_hashes(line)[1]
        if not hashes or requirement_name(line) != package.name:
            continue
        if not any(one.startswith("sha256:") for one in hashes):
            raise RequirementsError(
                f"{package.name} is asked for without a sha256, which is what a lock that travels "
                "has of each file: add --hash=sha256:…, or write the requirement without hashes"
            )
        if not {f"sha256:{file.sha256}" for file in package.files} <= set(hashes):
            raise RequirementsError(
                f"None of the hashes that are asked for is one of {package.files[0].name} in the "
                "index: the file of another index or platform, or an altered one, was hashed. "
                "Compare where they come from, or write the requirement without them"
            )
    return package


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
        lock = Pylock(given.text, given.name, f"{given.anew}; {_CHOICE}")
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
    found = _resolved(question, aims, {}, store, fresh=False, patient=True, exact=lines)
    resolved = {}
    for target in aims:
        packages = found.for_target(target)
        for package in packages:
            hashes = set(held[target][package.name].hashes)
            if not {f"sha256:{file.sha256}" for file in package.files} <= hashes:
                raise RequirementsError(
                    f"{given.name} does not have the hash of {package.files[0].name}, which is what "
                    f"fits {target}. {given.anew}; {_CHOICE}"
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
