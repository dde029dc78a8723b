"""What goes into an image: decided here, as plain data.

A plan has two renderings: `dockerfile` for people, container engines and build tools, and
`assembly`, which makes the image itself. It knows neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.dependencies.fitting import require_fit
from prefect.dependencies.requirements import imported, requirement_name
from prefect.errors import CompatibilityError, RequirementsError
from prefect.frozen import field, frozen
from prefect.images.labels import LABEL_PYTHON, LABEL_VERSION
from prefect.images.runtime import RuntimeFiles
from prefect.installed import cloudpickle_here
from prefect.payload.image_facts import ImageFacts, Pin
from prefect.running.flow_directory import PREFIX
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prefect.dependencies.given_lock import GivenLock
    from prefect.dependencies.own import OwnWheels
    from prefect.dependencies.wheels import Wheel
    from prefect.images.base.image import BaseImage
    from prefect.images.flow_files import PackagedFlow
    from prefect.oci.cache.store import Store
    from prefect.oci.platforms import Platform
    from prefect.payload.attachments import Attachment

LOCK_FILE = f"{PREFIX}/requirements.lock"
PYTHON = f"{PREFIX}/bin/python"
ENTRYPOINT = (PYTHON, "-m", "prefect.worker")
COMMAND = ("run",)

# How many parts of a version a lock's release has to reach, to read what is written here.
_SERIES = {"cloudpickle": 2, "cryptography": 1}


@frozen
class ImagePlan:
    """The parts of an image in the order of its layers, seldom changing ones first.

    Args:
        base: reference of the base image, by digest when that is known.
        base_platform: of a base for several, as registries name it; "" leaves the choice to the
            engine.
        setup: shell commands that run in the base as root before anything is added.
        interpreter: absolute path of the base's Python, such as "/usr/local/bin/python3.11".
        python: its series, such as "3.11".
        platform: uv's name of its platform, such as "x86_64-manylinux_2_36".
        user: the base's own user, as which containers run; "" where it names none.
        lock: the locked dependencies.
        wheels: the user's own, each of which is in the lock by its hash.
        sources: normalised names of those that may be built from source.
        runtime: the files of this package, by their paths below site-packages.
        flow: the files of the packaged flow by name; empty for an image of dependencies alone.
        files: those that travel beside it, in the open.
        notes: what whoever builds should know: how the image differs from where the flow was written.
        labels: what inspection reads without looking into the layers.
    """

    base: str
    interpreter: str
    python: str
    platform: str
    user: str
    lock: str
    runtime: Mapping[str, bytes]
    base_platform: str = ""
    setup: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    wheels: tuple[Wheel, ...] = ()
    notes: tuple[str, ...] = ()
    flow: Mapping[str, bytes] = field(default_factory=dict)
    files: tuple[Attachment, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def indexed_lock(self) -> str:
        """The lock without the user's own wheels: what indexes have, which a file can be a lock of."""
        return self._locked(own=False)

    @property
    def own_lock(self) -> str:
        """The lock of the user's own wheels alone."""
        return self._locked(own=True)

    def _locked(self, *, own: bool) -> str:
        from prefect.dependencies import lock as locking  # noqa: PLC0415 - labels need it not

        names = {one.name for one in self.wheels}
        entries = locking.read_entries(self.lock)
        return "".join(entry.text() for entry in entries if (entry.name in names) == own)

    @property
    def site_packages(self) -> str:
        """Where the image's environment keeps its packages."""
        return f"{PREFIX}/lib/python{self.python}/site-packages"


def require_python(base: BaseImage, packaged: PackagedFlow) -> None:
    """Look whether the flow can run on the base's Python: of the same series, or compiled anew.

    Raises:
        CompatibilityError: it is of another series, and something in the flow has no source.
    """
    manifest = packaged.manifest
    if manifest.is_fixed and manifest.python_minor != base.python:
        here = manifest.python_minor
        raise CompatibilityError(
            f"The base image {base.reference} has Python {base.python}, but this flow is pickled "
            f"by Python {here}, and {manifest.why_fixed}. Define that in a file; choose a base with "
            f"Python {here}, such as python:{here}-slim; or build with Python {base.python}"
        )


def make_plan(
    base: BaseImage,
    packaged: PackagedFlow | None,
    *,
    base_name: str,
    dependencies: Sequence[str] | None,
    setup: tuple[str, ...],
    lock: GivenLock | None,
    store: Store | None,
    platform: Platform | None = None,
    sources: Sequence[str] = (),
    infer: bool = True,
    fresh: bool = False,
    own: OwnWheels | None = None,
) -> ImagePlan:
    """Decide what goes into an image.

    Args:
        base_name: of the base, as the flow's manifest is to tell it.
        platform: of a base for several, where one was asked for.
        dependencies: requirement lines, by names and versions.
        lock: requirement lines with hashes to take as they are, with what the runtime needs added where it
            is not among them; None resolves them.
        sources: names of distributions that may be built from source.
        infer: take what the flow imports as well, in the versions here, where no line asks for it.
        fresh: resolve anew, whatever is remembered.
        own: the user's own wheels, all of which the image gets.

    Raises:
        CompatibilityError: the base's Python cannot run the flow.
        RequirementsError: a wheel does not fit the base, the dependencies cannot be resolved, or the
            lock does not fit them.
    """
    if packaged is not None:
        require_python(base, packaged)
    from prefect.dependencies import lock as locking  # noqa: PLC0415 - labels need it not

    allowed = frozenset(map(requirement_name, sources))
    if lock is not None:
        text = _fitting_lock(lock, packaged, dependencies, base, store, own, infer=infer)
    else:
        text = _resolved(
            packaged, dependencies, base, store, allowed, own, infer=infer, fresh=fresh
        )
    notes = _notes(packaged, text, base, infer=infer)
    wheels = tuple(own.wheels if own else ())
    flow: Mapping[str, bytes] = {}
    if packaged is not None:
        environment = packaged.manifest.flow["environment"] or {}
        named = "" if environment.get("image") in {None, base_name} else base_name
        facts = ImageFacts(
            named, base.digest, str(base.image.platform), base.version, setup, _pins(text, base)
        )
        flow = packaged.files(facts, wheels)
        if packaged.sealed:  # and the wheels within
            text, wheels = _without(text, wheels), ()
    labels = {LABEL_VERSION: __version__, LABEL_PYTHON: base.python}
    return ImagePlan(
        base=base.reference,
        base_platform=str(platform or ""),
        setup=setup,
        sources=allowed,
        wheels=wheels,
        interpreter=base.interpreter,
        python=base.python,
        platform=base.platform,
        user=base.user,
        # Comments may hold anything, such as the command with an index's password that made them.
        lock=locking.canonical_lock(text),
        notes=notes,
        runtime=RuntimeFiles(),
        flow=flow,
        files=packaged.attached if packaged else (),
        labels=labels | (packaged.labels if packaged else {}),
    )


def _resolved(
    packaged: PackagedFlow | None,
    dependencies: Sequence[str] | None,
    base: BaseImage,
    store: Store | None,
    allowed: frozenset[str],
    own: OwnWheels | None,
    *,
    infer: bool,
    fresh: bool,
) -> str:
    """Return a new lock; what no index has, and is installed here, becomes one of `own`."""
    from prefect.dependencies import lock as locking  # noqa: PLC0415 - labels need it not
    from prefect.dependencies.resolving import UnknownDistributionError  # noqa: PLC0415 - the same

    while True:
        lines = wanted(packaged, dependencies, infer=infer, own=own)
        inferred = _inferred(packaged, dependencies, infer=infer, own=own)
        try:
            return locking.lock(
                lines,
                python=base.python,
                platform=base.platform,
                store=store,
                sources=allowed,
                fresh=fresh,
                wheels=_fitting_wheels(own, base),
                inferred=inferred if dependencies else (),
            )
        except UnknownDistributionError as error:
            if own is None or not own.take_unknown(error.names):
                raise


def _pins(lock: str, base: BaseImage) -> str:
    """Return what a lock has for the base's Python and platform, each as a line without a marker."""
    from prefect.dependencies import comparing  # noqa: PLC0415 - labels need it not
    from prefect.dependencies import lock as locking  # noqa: PLC0415 - the same
    from prefect.dependencies.targets import target_of  # noqa: PLC0415 - the same

    target = target_of(base.python, base.platform)
    held = comparing.entries_for(locking.read_entries(lock), target)
    pins = (Pin(name, entry.version, entry.hashes) for name, entry in sorted(held.items()))
    return "".join(f"{pin.line()}\n" for pin in pins)


def _without(lock: str, wheels: Iterable[Wheel]) -> str:
    from prefect.dependencies import lock as locking  # noqa: PLC0415 - labels need it not

    names = {one.name for one in wheels}
    entries = locking.read_entries(lock)
    return "".join(entry.text() for entry in entries if entry.name not in names)


def _fitting_wheels(own: OwnWheels | None, base: BaseImage) -> list[Wheel]:
    wheels = own.wheels if own else []
    for one in wheels:
        require_fit(one, base.python, base.platform)
    return wheels


def _fitting_lock(
    given: GivenLock,
    packaged: PackagedFlow | None,
    dependencies: Sequence[str] | None,
    base: BaseImage,
    store: Store | None,
    own: OwnWheels | None,
    *,
    infer: bool,
) -> str:
    """Return a lock with what the runtime needs in it, if it has what is asked for.

    What is asked for counts by version, and what the flow imports by name: which version of that is
    wanted is what a lock is there to say. The user's own wheels are those of this build, whatever it
    says of them; what they need counts as asked for.
    """
    from prefect.dependencies import comparing  # noqa: PLC0415 - labels need it not
    from prefect.dependencies import lock as locking  # noqa: PLC0415 - the same
    from prefect.dependencies.targets import target_of  # noqa: PLC0415 - the same

    target = target_of(base.python, base.platform)
    wheels = _fitting_wheels(own, base)
    names = {one.name for one in wheels}
    kept = [entry for entry in locking.read_entries(given.text) if entry.name not in names]
    kept += [comparing.entry_of(one) for one in wheels]
    lock = "".join(entry.text() for entry in kept)
    locked = comparing.entries_for(kept, target)
    asked = [line for line in dependencies or () if line.strip()]
    asked += comparing.needs_of(wheels, asked, target)
    asked += map(requirement_name, _inferred(packaged, dependencies, infer=infer, own=own))
    problems = comparing.unmet(asked, locked, target)
    needs = _needs(packaged)
    absent = [line for line in needs if requirement_name(line) not in locked]
    # What is there may be another release than here, as long as it can read what is written here.
    present = [_oldest(line) for line in needs if line not in absent]
    problems += comparing.unmet(present, locked, target)
    if problems:
        raise RequirementsError(
            f"{given.name} does not fit what is asked for: {'; '.join(problems)}. {given.anew}, or ask "
            "for what it has"
        )
    if not absent:
        return lock
    bounds = [f"{entry.name}=={entry.version}" for entry in locked.values()]
    more = locking.lock(
        absent, python=base.python, platform=base.platform, store=store, constraints=bounds
    )
    added = [one.text for one in locking.read_lock(more) if one.name not in locked]
    return "\n".join([lock, *added])


def _notes(
    packaged: PackagedFlow | None, lock: str, base: BaseImage, *, infer: bool
) -> tuple[str, ...]:
    """Compare a lock with what the flow was written against; return a line for each difference.

    Raises:
        RequirementsError: the image would lack what the flow imports.
    """
    if packaged is None or not packaged.manifest.requirements:
        return ()
    from prefect.dependencies import comparing  # noqa: PLC0415 - for flows that import something
    from prefect.dependencies import lock as locking  # noqa: PLC0415 - the same
    from prefect.dependencies.targets import target_of  # noqa: PLC0415 - the same

    target = target_of(base.python, base.platform)
    entries = comparing.entries_for(locking.read_entries(lock), target)
    locked = {name: entry.version for name, entry in entries.items()}
    lacking = comparing.lacking(packaged.manifest.requirements, locked)
    if lacking and infer:
        raise RequirementsError(
            f"The flow imports {', '.join(lacking)}, which the image would lack: a marker of what is "
            "asked for leaves it out. Ask for it without one, or, if the base has it, build with "
            "--no-infer (infer=False)"
        )
    notes = [f"The flow imports {one}, which only the base can have" for one in lacking]
    notes += comparing.differing(packaged.manifest.installed, locked, "in the image")
    return tuple(notes)


def _inferred(
    packaged: PackagedFlow | None,
    dependencies: Sequence[str] | None,
    *,
    infer: bool,
    own: OwnWheels | None = None,
) -> list[str]:
    """Return what the flow imports as requirement lines, but for what is asked for and for `own`."""
    if packaged is None or not infer:
        return []
    names = {one.name for one in own.wheels} if own else set()
    lines = imported(packaged.manifest.requirements, dependencies or ())
    return [line for line in lines if requirement_name(line) not in names]


def _needs(packaged: PackagedFlow | None) -> list[str]:
    """Return what the runtime needs, in the versions that are here."""
    return [*(packaged.needs if packaged else ()), f"cloudpickle=={cloudpickle_here()}"]


def _oldest(line: str) -> str:
    name, _, version = line.partition("==")
    series = version.split(".")[: _SERIES[name]]
    return f"{name}>={'.'.join(series)}"


def wanted(
    packaged: PackagedFlow | None,
    dependencies: Sequence[str] | None,
    *,
    infer: bool = True,
    own: OwnWheels | None = None,
) -> list[str]:
    """Return the requirement lines of an image: asked for, imported, and needed by its runtime."""
    inferred = _inferred(packaged, dependencies, infer=infer, own=own)
    return [*(dependencies or ()), *inferred, *_needs(packaged)]
