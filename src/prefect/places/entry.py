"""Running a packaged flow in a place, from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.core.parameter_check import as_given
from prefect.errors import PlaceError
from prefect.places.choosing import suits
from prefect.places.following import follow
from prefect.places.replaying import Replay
from prefect.places.surroundings import NOTHING, Surroundings
from prefect.places.venv.place import Venv
from prefect.places.work import work_with_flow
from prefect.running.packaged import run_packaged
from prefect.running.results import RunResult
from prefect.running.run_directory import RunDirectory
from prefect.running.verdict import require_fit
from prefect.sealed.keys.keyring import Keyring
from prefect.sealing import open_flow
from prefect.secrets.secret import merge_secrets, parse_secrets, resolve, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.engine.events import TaskEvent
    from prefect.places.protocol import Place, Work
    from prefect.sealed.source import SealedSource
    from prefect.secrets.secret import Secret


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
    surroundings: Surroundings = NOTHING,
) -> State:
    """Run a sealed flow in a place, and return what it came to.

    What tasks log goes to the loggers of the same names here, and what they print is printed here.

    Args:
        artifact: the bytes of a sealed flow, or the path of its file.
        place: "here", in this interpreter, or "venv", in an environment made for it; None is the one
            that suits it.
        parameters: values by the names of the flow's parameters.
        secrets: that it needs beside those that it names itself.
        encryption_key, identity, trusted_signers: open it, as in `PickleEnvironment`.
        executor: where tasks run, in its text form, such as "threads:8"; None is where the flow says.
        on_state: called with each change of a task's state, which has no result.
        strict: refuse to run with other versions of packages than it was packaged with.
        surroundings: what it gets of this machine.

    Returns:
        The flow's final state. Its `result` is a dict of the tasks' states by their slugs, and has the
        values of the reference tasks. What could not be carried is a `running.results.NotCarried`.

    Raises:
        PrefectError: as `PickleEnvironment.run`; or the place cannot be made ready (PlaceError,
            RequirementsError), does not give what is asked of it, or ends without a result.
    """
    check.flag("strict", strict)
    parameters = as_given(parameters)
    keyring = Keyring.of(encryption_key, identity=identity, trusted_signers=trusted_signers)
    named = parse_secrets(secrets)
    with RunDirectory() as directory:
        manifest, payload = open_flow(artifact, keyring, directory.make, directory.make_for_wheels)
        chosen = place or suits(manifest, strict=strict)[0]
        needed = merge_secrets(named, secrets_of(manifest.flow))
        if chosen == "venv":
            work = work_with_flow(
                manifest.flow, parameters=parameters, secrets=needed, json_lines=True,
                strict=strict, executor=executor, surroundings=surroundings, result=True,
            )  # fmt: skip
            return run_in(Venv(manifest, payload, directory), work, on_state)
        if chosen != "here":
            raise PlaceError(f'A sealed flow runs in "here" or "venv", and not in {chosen!r}')
        surroundings.require("output", place="in this interpreter")
        directory.import_wheels()
        require_fit(manifest, needed)
        found: dict[str, State] = {}

        def keep(flow: Flow, state: State) -> None:
            found.update((flow.slugs[task], each) for task, each in state.result.items())

        state = run_packaged(
            manifest, payload, resolve(needed), parameters=parameters, executor=executor,
            on_state=on_state, strict=strict, directory=directory.path, on_end=keep,
            output=surroundings.output,
        )  # fmt: skip
        return type(state)(state.message, found)


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
        data = started.result()
        if told.refused is not None:
            raise told.refused
        if data is None or work.result is None:
            raise PlaceError(f"The run ended with status {status}, and left no result")
        return RunResult.read(data, work.result).to_state()
    finally:
        started.remove()
