"""`prefect run` of an image: in a sandbox, or in a container engine; also of one that FILE.py becomes."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import find_in_daemon, image_named, or_file, path_named
from prefect.cli.output import note, say
from prefect.cli.run_there import run_there
from prefect.errors import ContainerEngineUnavailableError
from prefect.running.parameters import read_parameters

if TYPE_CHECKING:
    from prefect.cli.wish import Wish
    from prefect.core.flow import Flow
    from prefect.environments import ContainerEnvironment
    from prefect.images.inspection import FlowImage
    from prefect.places.protocol import Place


def run_image(artifact: str, place: str | None, wish: Wish) -> int:
    """Run the flow of an image that is built already; return the exit status.

    Raises:
        click.UsageError: something is asked for that says nothing of an image.
        PrefectError: the image is not there, or cannot be run.
    """
    if wish.trusted_signers:
        raise click.UsageError(
            "--trusted-signer is for sealed flows' files: a signature on the flow in an image "
            "would say nothing of the image's other programs, which would run, too. Name an "
            "image that you trust by its digest, as NAME@sha256:…"
        )
    if place in ("here", "venv"):
        raise click.UsageError(
            f"--in {place} is for sealed flows: an image runs in a sandbox or in a container engine"
        )
    name = image_named(artifact)
    if place is None and name is None:
        say("It runs in a sandbox, without a container engine (--in sandbox).", err=True)
    elif place != "sandbox":
        try:
            held = find_in_daemon(artifact, pull=True)
        except ContainerEngineUnavailableError:
            if place == "engine":
                raise
            say("No container engine answers. It runs in a sandbox (--in sandbox).", err=True)
        else:
            return _run(held, held, wish)
    from prefect.places.sandbox.place import found_for_sandbox  # noqa: PLC0415 - for these alone

    with ExitStack() as entered:
        with nullcontext() if name is None else or_file(name):
            sandbox, image = entered.enter_context(
                found_for_sandbox(path_named(artifact) if name is None else name, note)
            )
        return _run(sandbox, image, wish)


def suitable_for_image(artifact: str) -> str:
    """Return the place that suits an image: where a run without --in would run it."""
    if image_named(artifact) is None:
        return "sandbox"
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - for container engines alone

    try:
        Daemon()
    except ContainerEngineUnavailableError:
        return "sandbox"
    return "engine"


def run_file_as_image(
    flow: Flow, environment: ContainerEnvironment, place: str | None, wish: Wish
) -> int:
    """Run the flow of a file in the image that it becomes, which is kept nowhere but in an engine."""
    from prefect.cli.build_lines import build_lines  # noqa: PLC0415 - for what is built alone

    if place == "engine":
        with build_lines(verbose=False):
            environment.load(flow)
        image = find_in_daemon(f"image:{environment.built_tag}")
        return _run(image, image, wish)
    from prefect.images.inspection import look_into_layers  # noqa: PLC0415 - for sandboxes alone
    from prefect.oci.cache.of_user import open_cache  # noqa: PLC0415 - the same
    from prefect.places.sandbox.place import Sandbox  # noqa: PLC0415 - the same

    with open_cache() as store:
        with build_lines(verbose=False):
            whole = environment.put_together(flow, store)
        found = look_into_layers(whole, flow.name)
        return _run(Sandbox(whole, store=store, progress=note), found, wish)


def _run(place: Place, image: FlowImage, wish: Wish) -> int:
    from prefect.places.work import work_in_image  # noqa: PLC0415 - once there is an image

    keyring = None
    if wish.key_files:
        image.require_sealed()
    if image.sealed:
        from prefect.cli.keys import find_keyring  # noqa: PLC0415 - for what is sealed alone

        keyring = find_keyring(wish.key_files)  # whose absence the image tells, with what it needs
    flow: dict[str, Any] = (
        image.manifest(keyring).flow
        if wish.given or wish.live or wish.otel or (wish.kept and image.holds_flow)
        else {}
    )
    work = work_in_image(
        image,
        parameters=read_parameters(flow, wish.given, kept=wish.kept) if wish.given else None,
        secrets=wish.secrets,
        keyring=keyring,
        json_lines=wish.events,
        strict=wish.strict,
        executor=wish.executor,
        surroundings=wish.surroundings,
        result=wish.result is not None,
        kept=wish.kept_as(flow["name"]) if flow else wish.kept,
    )
    return run_there(place, work, flow, wish)
