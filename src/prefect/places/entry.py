"""Running a packaged flow in a place, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.core.parameter_check import as_given
from prefect.errors import ContainerEngineUnavailableError, PlaceError, SignaturePolicyError
from prefect.files import HEAD_BYTES, begins_as_archive
from prefect.frozen import frozen
from prefect.images.base.names import names_a_path
from prefect.keeping import kept_of
from prefect.opening import open_flow
from prefect.places.choosing import suits
from prefect.places.following import follow
from prefect.places.replaying import Replay
from prefect.places.surroundings import NOTHING, Surroundings
from prefect.places.venv.place import Venv
from prefect.places.work import work_in_image, work_with_flow
from prefect.running.output_directory import make_output_directory
from prefect.running.packaged import run_packaged
from prefect.running.results import RunResult
from prefect.running.run_directory import RunDirectory
from prefect.running.verdict import require_fit
from prefect.sealed.keys.keyring import Keyring
from prefect.secrets.secret import Secret, merge_secrets, parse_secrets, resolve, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prefect.core.flow import Flow
    from prefect.core.kept import Kept
    from prefect.core.state import State
    from prefect.engine.events import TaskEvent
    from prefect.images.inspection import FlowImage
    from prefect.places.protocol import Place, Work
    from prefect.sealed.source import SealedSource

_ON_DISK = (".flow", ".pyz", ".tar", ".tgz")


def run(
    artifact: SealedSource,
    place: str | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    secrets: Iterable[str | Secret] | None = None,
    encryption_key: Any = None,
    identity: Any = None,
    trusted_signers: Any = None,
    executor: str | None = None,
    on_state: Callable[[TaskEvent], None] | None = None,
    strict: bool = False,
    surroundings: Surroundings | Mapping[str, Any] = NOTHING,
    store: str | os.PathLike[str] | None = None,
    resume: str | bool | None = None,
) -> State:
    """Run a packaged flow in a place, and return what it came to.

    What tasks log goes to the loggers of the same names here, and what they print is printed here.

    Args:
        artifact: the bytes of a sealed flow, or the path of its file; or an image: the path of an archive
            or of an OCI layout, or a reference, which is a str that neither begins like a path nor ends
            in .flow, .pyz, .tar or .tgz.
        place: "here", in this interpreter, "venv", in an environment made for it, or "sandbox", in such an
            environment apart from this machine, for a sealed flow; "sandbox" or "engine" for an image. None is
            the one that suits it.
        parameters: values by the names of the flow's parameters.
        secrets: that it needs beside those that it names itself.
        encryption_key, identity, trusted_signers: open it, as in `PickleEnvironment`. An image takes
            encryption keys alone.
        executor: where tasks run, in its text form, such as "threads:8"; None is where the flow says.
        on_state: called with each change of a task's state, which has no result.
        strict: refuse to run with other versions of packages than it was packaged with.
        surroundings: what it gets of this machine; or a dict of what `Surroundings.given` takes, such as
            {"memory": "2g", "volumes": ["./data:/data:ro"]}.
        store: where the tasks' results and a record of the run are kept, a directory or a URL, as of `Flow.run`.
        resume: a run in the store to go on with, or True for the last one of this flow.

    Returns:
        The flow's final state. Its `result` is a dict of the tasks' states by their slugs, and has the
        values of the reference tasks. What could not be carried is a `NotCarried`. Outside of "here" the
        values are unpickled from what the run left, which runs code of the artifact's.

    Raises:
        TypeError: an argument is of a wrong type.
        PrefectError: as `PickleEnvironment.run`; or the place cannot be made ready (PlaceError,
            RequirementsError, ImageError, ContainerEngineError), does not give what is asked of it, or
            ends without a result.
    """
    check.flag("strict", strict)
    parameters = as_given(parameters)
    named = parse_secrets(secrets)
    if isinstance(surroundings, Mapping):
        surroundings = Surroundings.given(**surroundings)
    check.instance("surroundings", surroundings, Surroundings)
    if surroundings.output is not None:
        make_output_directory(surroundings.output)
    keys = {"identity": identity, "trusted_signers": trusted_signers}
    kept = kept_of(store, resume)
    wish = _Wish(parameters, named, executor, on_state, surroundings, kept, strict=strict)
    artifact = _located(artifact)
    if _is_image(artifact):
        if any(keys.values()):
            raise SignaturePolicyError(
                "Identities and trusted signers are for sealed flows' files: nothing of an image could be "
                "checked by them. Name one that you trust by its digest, as NAME@sha256:…"
            )
        keyring = None if encryption_key is None else Keyring.of(encryption_key)
        return _run_image(artifact, place, keyring, wish)
    return _run_sealed(artifact, place, Keyring.of(encryption_key, **keys), wish)


@frozen
class _Wish:
    """What is asked of a run, wherever it is."""

    parameters: Mapping[str, Any]
    secrets: tuple[Secret, ...]
    executor: str | None
    on_state: Callable[[TaskEvent], None] | None
    surroundings: Surroundings
    kept: Kept | None
    strict: bool

    def of_work(self) -> dict[str, Any]:
        """Return what `work_with_flow` and `work_in_image` are told alike."""
        return {
            "parameters": self.parameters,
            "json_lines": True,
            "strict": self.strict,
            "executor": self.executor,
            "surroundings": self.surroundings,
            "result": True,
            "kept": self.kept,
        }


def _located(artifact: SealedSource) -> SealedSource:
    """Return a path where a str names what is on disk; a str is an image's reference from then on."""
    if isinstance(artifact, str):
        path = Path(artifact).expanduser()
        return path if names_a_path(artifact) or path.suffix in _ON_DISK else artifact
    return artifact


def _is_image(artifact: SealedSource) -> bool:
    if not isinstance(artifact, os.PathLike):
        return isinstance(artifact, str)
    path = Path(artifact).expanduser()
    if path.is_dir():
        return True
    with path.open("rb") as file:
        return begins_as_archive(file.read(HEAD_BYTES))


def _run_sealed(source: SealedSource, place: str | None, keyring: Keyring, wish: _Wish) -> State:
    with RunDirectory() as directory:
        manifest, payload = open_flow(source, keyring, directory.make, directory.make_for_wheels)
        chosen = place or suits(manifest, strict=wish.strict)[0]
        needed = merge_secrets(wish.secrets, secrets_of(manifest.flow))
        if chosen in ("venv", "sandbox"):
            work = work_with_flow(manifest.flow, secrets=needed, **wish.of_work())
            made: Place = Venv(manifest, payload, directory)
            if chosen == "sandbox":
                from prefect.places.sandbox.sealed import SealedSandbox  # noqa: PLC0415 - for these alone

                made = SealedSandbox(manifest, payload, directory)
            return run_in(made, work, wish.on_state)
        if chosen != "here":
            raise PlaceError(
                f'A sealed flow runs in "here", "venv" or "sandbox", and not in {chosen!r}'
            )
        wish.surroundings.require("output", place="in this interpreter")
        directory.import_wheels()
        require_fit(manifest, needed)
        found: dict[str, State] = {}

        def keep(flow: Flow, state: State) -> None:
            found.update((flow.slugs[task], each) for task, each in state.result.items())

        state = run_packaged(
            manifest, payload, resolve(needed), parameters=wish.parameters, executor=wish.executor,
            on_state=wish.on_state, strict=wish.strict, directory=directory.path, on_end=keep,
            output=wish.surroundings.output, kept=wish.kept,
        )  # fmt: skip
        return type(state)(state.message, found)


def _run_image(name: Any, place: str | None, keyring: Keyring | None, wish: _Wish) -> State:
    if place not in (None, "sandbox", "engine"):
        raise PlaceError(f'An image runs in "sandbox" or "engine", and not in {place!r}')
    if place != "sandbox" and isinstance(name, str):
        from prefect.images.finding import find_in_daemon  # noqa: PLC0415 - for engines alone
        from prefect.places.engine.container import RunnableImage  # noqa: PLC0415 - the same

        try:
            held = find_in_daemon(name, RunnableImage, pull=True)
        except ContainerEngineUnavailableError:
            if place == "engine":
                raise
        else:
            return _run_in_image(held, held, keyring, wish)
    elif place == "engine":
        raise PlaceError(
            f"{name} is an image on disk: load it into the container engine, and name it"
        )
    from prefect.places.sandbox.place import found_for_sandbox  # noqa: PLC0415 - for these alone

    with found_for_sandbox(name) as (sandbox, image):
        return _run_in_image(sandbox, image, keyring, wish)


def _run_in_image(place: Place, image: FlowImage, keyring: Keyring | None, wish: _Wish) -> State:
    work = work_in_image(image, secrets=wish.secrets, keyring=image.keys(keyring), **wish.of_work())
    return run_in(place, work, wish.on_state)


def run_in(place: Place, work: Work, on_state: Callable[[TaskEvent], None] | None = None) -> State:
    """Run work whose lines are JSON and whose result comes back; return that.

    Raises:
        PrefectError: the place cannot be made ready, the run was refused there, or has no result.
    """
    started = place.start(work)
    try:
        told = Replay(on_state)
        follow(started, told)
        status = started.wait()
        data = started.report()
        if told.refused is not None:
            raise told.refused
        if data is None or work.result is None:
            killed = work.surroundings.may_have_killed(status)
            why = ": it was killed, as where it takes more than its memory" if killed else ""
            raise PlaceError(f"The run ended with status {status}, and left no result{why}")
        return RunResult.read(data, work.result).to_state()
    finally:
        started.remove()
