"""Running a packaged flow in this process: the same steps in every environment."""

from __future__ import annotations

import gc
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from prefect.core.kept import Kept, asked
from prefect.errors import CompatibilityError
from prefect.frozen import replace
from prefect.payload.loading import loaded
from prefect.running.output_directory import output_directory
from prefect.running.parameters import check_described
from prefect.secrets.secret import exported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.payload.manifest import Manifest


def run_packaged(
    manifest: Manifest,
    payload: bytes | bytearray,
    secrets: Mapping[str, str],
    *,
    parameters: Mapping[str, Any] | None = None,
    executor: Any = None,
    on_state: Callable[[Any], None] | None = None,
    strict: bool = False,
    directory: Path | None = None,
    on_end: Callable[[Flow, State], object] | None = None,
    output: Path | None = None,
    alone: bool = False,
    kept: Kept | None = None,
) -> State:
    """Load an authenticated payload and run it with the secrets in its environment.

    Loading runs inside as well: a module's top level may read what a task needs. What is installed here
    in another version than where the flow was packaged is logged, a line for each.

    Args:
        executor: where tasks run, see `Flow.run`; None leaves that to the flow.
        strict: refuse to run with other versions.
        directory: absolute, where the files that travelled with it are; None where there are none.
        output: a directory that is there, for the files that tasks make: `prefect.context.output_dir`.
        on_end: called with the flow and its final state, as long as what it brought can be imported.
        alone: whether this process is there for this run. What was imported for it is then none of the
            garbage collector's business: a sixth to a third of the time of a flow that imports much.
        kept: what is to be kept of it.

    Raises:
        CompatibilityError, ArtifactError, NotAFlowError: the payload cannot be loaded here, or
            versions differ and the run is strict.
        ParameterError: a parameter is missing, unknown or of another type; nothing is loaded then.
        PlaceError: the output directory cannot be written; nothing is loaded then.
    """
    check_described(manifest.flow, parameters or {}, kept)
    _compare_versions(manifest, strict=strict)
    with ExitStack() as entered:
        context = entered.enter_context(output_directory(output))
        entered.enter_context(exported(secrets))
        with _uncollected() if alone else nullcontext():
            flow = entered.enter_context(loaded(manifest, payload, directory))
        token = asked.set(_described(kept, manifest, payload))
        try:
            state = flow.run(
                parameters=parameters,
                executor=executor,
                on_state=on_state,
                context=context,
                run_on_schedule=False,
            )
        finally:
            asked.reset(token)
        if on_end is not None:
            on_end(flow, state)
        return state


def _described(kept: Kept | None, manifest: Manifest, payload: bytes | bytearray) -> Kept:
    """Return what is to be kept, with what is known of the package."""
    if kept is None:
        return Kept(requirements=manifest.requirements)  # by which cached results are known
    import hashlib  # noqa: PLC0415 - seldom needed

    digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
    return replace(kept, artifact=digest, requirements=manifest.requirements)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Have the garbage collector not run meanwhile, and leave alone for good what there is then."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _compare_versions(manifest: Manifest, *, strict: bool) -> None:
    differing = manifest.differing_requirements()
    if not differing:
        return
    if strict:
        lines = [line for line, _ in differing]
        told = ", ".join(f"{line} (here {here})" for line, here in differing)
        raise CompatibilityError(
            f"This flow was packaged with other versions than are installed here: {told}. Install "
            f"them with: pip install {' '.join(lines)}; or run it without --strict (strict=True)"
        )
    import logging  # noqa: PLC0415 - slow to import, and needed where versions differ alone

    for line, here in differing:
        logging.getLogger("prefect").warning("Packaged with %s, and here is %s", line, here)
