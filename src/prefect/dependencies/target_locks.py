"""Requirements resolved by uv for several Pythons and platforms, or remembered: one lock for all of them."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import requirement_name, split_hashes
from prefect.dependencies.resolving import FRESH, Question, resolve
from prefect.dependencies.targets import this_target, uv_platform
from prefect.errors import FormatError, RequirementsError
from prefect.frozen import replace
from prefect.oci.cache.of_user import open_cache
from prefect.pylock import Lock, Package, Target, read, shown
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from prefect.dependencies.wheels import Wheel
    from prefect.oci.cache.store import Store
    from prefect.payload.manifest import Manifest

_logger = logging.getLogger("prefect.environments")
_ASKING = "-r (python_dependencies=)"
CHOICE = "or choose what it is locked for, with --for and --python (platforms=, pythons=)"
"""How the message about what a target cannot have ends."""
_FORM = ("pylock.toml", "--format", "pylock.toml")


def lock_for(
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
        question: what is asked for, for no target yet.
        aims: the targets; what the first one has is preferred for the others.
        own: packages that travel in wheels.
        store: remembers the lock.
        wheels: those that travel, which no index need have.
        fresh: ask the indexes, whatever is remembered.
        patient: whether an index that does not answer is asked again.
        exact: for each target the requirement lines that are all that there is to be.
        inferred: those of the wanted lines that nobody asked for.

    Raises:
        IndexUnreachableError: no index answers.
        RequirementsError: no index has one of them for a target, as a wheel.
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
            text, "The index", f"Ask for a version that has one, with {_ASKING}; {CHOICE}"
        )
        found = answer.packages(target, sources=question.sources, own=own)
        return [_pinned(each, question.wanted) for each in found]

    first, *others = aims
    doing = f"Locking the requirements for {shown(aims)}"
    with step(doing, len(aims), unit="targets", say=_logger.info) as told:
        answers = {first: one(first, question.installed)}
        told.add(1)
        if others:
            # Where there is a choice, the same version everywhere.
            known = {requirement_name(line): line for line in question.installed}
            known |= {each.name: f"{each.name}=={each.version}" for each in answers[first]}
            preferred = [known[name] for name in sorted(known)]
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

            with ThreadPoolExecutor(4) as pool:
                for target, answer in zip(
                    others, pool.map(lambda target: one(target, preferred), others), strict=True
                ):
                    answers[target] = answer
                    told.add(1)
    lock = Lock.of(answers)
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
    lock = lock_for(
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
        return lock_for(question, list(aims), {}, store, fresh=False, patient=False, exact=exact)
