"""`prefect run` of a sealed flow: here, or in an environment made for it; also of one that FILE.py becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import name_of
from prefect.cli.output import note
from prefect.core.executor_text import parse
from prefect.errors import PlaceError
from prefect.installed import normal_name
from prefect.opening import open_flow
from prefect.running.parameters import read_parameters
from prefect.running.run_directory import RunDirectory
from prefect.running.stopping import status_of_run
from prefect.secrets.secret import merge_secrets, secrets_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from prefect.cli.wish import Wish
    from prefect.core.flow import Flow
    from prefect.environments import PickleEnvironment
    from prefect.payload.manifest import Manifest
    from prefect.places.protocol import Place
    from prefect.sealed.source import SealedSource


def run_sealed(artifact: str, sealed: SealedSource, place: str | None, wish: Wish) -> int:
    """Run a sealed flow in the place that suits it or is asked for; return the exit status.

    Raises:
        click.UsageError: something is asked for that the place cannot have.
        PrefectError: the flow cannot be opened, or cannot run there.
    """
    if place == "engine":
        raise click.UsageError(
            "--in engine is for images: build one with `prefect build FILE.py --image BASE`, or leave it out"
        )
    if place == "here":
        wish.surroundings.require("output", place="in this interpreter")
    elif place != "sandbox":
        wish.surroundings.require(
            "env", "workdir", "output", place="by a sealed flow outside of a sandbox (--in sandbox)"
        )
    from prefect.cli.keys import keyring_to_open  # noqa: PLC0415 - a file that is sealed here needs none

    keyring = keyring_to_open(sealed, name_of(artifact), wish.key_files, wish.trusted_signers)
    with RunDirectory() as directory:

        def wheels(manifest: Manifest) -> Collection[str]:
            nonlocal place
            place = place or _suitable(manifest, wish)
            if place == "here":
                return manifest.wheels
            from prefect.places.venv.environment import wheels_for  # noqa: PLC0415 - for other places

            return wheels_for(manifest)

        # Opened once: what is masked is what this very file's flow gets.
        manifest, payload = open_flow(
            sealed, keyring, directory.make, directory.make_for_wheels, wheels
        )
        if place != "here":
            return _run_made(manifest, payload, directory, wish, sandbox=place == "sandbox")
        wish.surroundings.require("output", place="in this interpreter")
        from prefect.cli.run_here import run_opened  # noqa: PLC0415 - as the artifact is

        state = run_opened(manifest, payload, keyring, directory, wish)
        return status_of_run(successful=state.is_successful())


def run_file_sealed(flow: Flow, environment: PickleEnvironment, wish: Wish) -> int:
    """Run the flow of a file as the sealed flow that it becomes, which is kept nowhere; return the exit status."""
    from prefect.cli.build_lines import build_lines  # noqa: PLC0415 - for what is built alone

    with build_lines(verbose=False):
        sealed = environment.build(flow)  # for nobody else: its key is of this run
    with RunDirectory() as directory:
        keyring = environment.keyring
        opened = open_flow(sealed, keyring, directory.make, directory.make_for_wheels)
        return _run_made(*opened, directory, wish)


def _suitable(manifest: Manifest, wish: Wish) -> str:
    """Return the place that suits a sealed flow, and say so where it is not this interpreter."""
    from prefect.places.choosing import suits  # noqa: PLC0415 - where nobody has chosen

    place, reason = suits(manifest, strict=wish.strict)
    if reason:
        note(f"{reason}. It runs in an environment made for it (--in venv).")
    return place


def _require_dask(manifest: Manifest, executor: str | None) -> None:
    """Refuse a run on Dask in an environment that will lack it, before that is made.

    Raises:
        PlaceError: nothing that the flow brings or has locked is Dask's scheduler.
    """
    if executor is None or parse(executor)[0] != "dask":
        return
    lines = [line.partition("==")[0] for line in manifest.requirements.values()]
    wheels = [name.partition("-")[0] for name in manifest.wheels]
    there = {*manifest.installed, *map(normal_name, (*lines, *wheels))}
    if manifest.lock:
        from prefect.pylock import read  # noqa: PLC0415 - for Dask alone

        there |= {package.name for package in read(manifest.lock).packages}
    if "distributed" not in there:
        raise PlaceError(
            f"Flow {manifest.flow['name']!r} is to run on Dask, and its environment has no Dask: add -r "
            "'dask[distributed]' to `prefect run FILE.py`, or to `prefect build` for a sealed flow"
        )


def _run_made(
    manifest: Manifest,
    payload: bytes | bytearray,
    directory: RunDirectory,
    wish: Wish,
    *,
    sandbox: bool = False,
) -> int:
    """Run a flow in an environment that is made for it, in a sandbox or not."""
    from prefect.cli.run_there import run_there  # noqa: PLC0415 - for other places
    from prefect.places.venv.place import Venv  # noqa: PLC0415 - the same
    from prefect.places.work import work_with_flow  # noqa: PLC0415 - the same

    flow = manifest.flow
    _require_dask(manifest, wish.executor)
    work = work_with_flow(
        flow,
        parameters=read_parameters(flow, wish.given, kept=wish.kept),
        secrets=merge_secrets(wish.secrets, secrets_of(flow)),
        json_lines=wish.events,
        strict=wish.strict,
        executor=wish.executor,
        surroundings=wish.surroundings,
        result=wish.result is not None,
        kept=wish.kept_as(flow["name"]),
    )
    place: Place = Venv(manifest, payload, directory, note)
    if sandbox:
        from prefect.places.sandbox.sealed import SealedSandbox  # noqa: PLC0415 - as the place is

        place = SealedSandbox(manifest, payload, directory, note)
    return run_there(place, work, flow, wish)
