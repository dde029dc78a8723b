"""`prefect build --image`: a flow into a container engine, a registry, a file, or a Dockerfile."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click

from prefect.cli.artifacts import image_argument, writing
from prefect.cli.build_lines import build_lines
from prefect.cli.output import say
from prefect.errors import PrefectError
from prefect.frozen import frozen
from prefect.printable import duration, printable
from prefect.running.stopping import BAD_INPUT, FLOW_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect.core.flow import Flow
    from prefect.environments import ContainerEnvironment

_T = TypeVar("_T")
_SHORT_ID = len("sha256:") + 12  # as container engines show it


@frozen
class Destinations:
    """Where an image goes, and whether its imports are tried; nowhere is the container engine."""

    push: str | None
    export: Path | None
    check: str | None
    dockerfile: Path | None
    try_imports: bool = False

    def any(self) -> bool:
        """Tell whether one was named."""
        return any(x is not None for x in (self.push, self.export, self.check, self.dockerfile))

    def require_possible(self, *, sealed: bool, tag: str | None) -> None:
        """Refuse what cannot be, before anything is run or built.

        Args:
            sealed: whether the flow is to be sealed within the image.
            tag: the name that was asked for.

        Raises:
            click.UsageError: says what.
        """
        if self.try_imports and self.any():
            raise click.UsageError(
                "--try imports in the container engine, which --push, --export, --check and "
                "--dockerfile leave out: load the image there with --image BASE alone"
            )
        if tag and self.any() and self.export is None:
            raise click.UsageError(
                "--tag names an image in a container engine or an archive, and this one goes to "
                "neither. --push says the whole name in a registry"
            )
        if self.push is not None:
            from prefect.oci.references import Reference  # noqa: PLC0415 - for these alone

            try:
                Reference.of_target(self.push)
            except ValueError as error:
                raise click.UsageError(f"--push: {error}") from error
        if self.check is None:
            return
        from prefect.oci.digests import DIGEST  # noqa: PLC0415 - for these alone

        if not DIGEST.fullmatch(self.check.rpartition("@")[2]):
            raise click.UsageError(
                f"--check: {self.check!r} is no digest: give sha256:<64 hex>, or a name with it"
            )
        if sealed:
            raise click.UsageError(
                "--check compares nothing with --key-file: a flow is another one each time that it "
                "is sealed"
            )


def build_image(
    flow: Flow, environment: ContainerEnvironment, to: Destinations, *, verbose: bool
) -> None:
    """Build a flow's image and say what was made.

    Raises:
        click.ClickException: a file cannot be read or written, or a variable is nonsense.
        PrefectError: as `ContainerEnvironment` says.
    """
    try:
        _build_image(flow, environment, to, verbose=verbose)
        if to.try_imports:
            _try_imports(environment)
    except (PrefectError, BrokenPipeError):  # the latter: nobody reads what is told, as click knows
        raise
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _build_image(
    flow: Flow, environment: ContainerEnvironment, to: Destinations, *, verbose: bool
) -> None:
    if to.dockerfile is not None:
        with build_lines(verbose=verbose):
            environment.create_dockerfile(to.dockerfile, flow=flow)
        say(f"Wrote {to.dockerfile / 'Dockerfile'} and the files that it copies.")
    if to.check is not None:
        _check(flow, environment, to.check, verbose=verbose)
    if to.export is not None:
        with writing(to.export), build_lines(verbose=verbose):
            digest, seconds = _timed(lambda: environment.export(to.export, flow))  # type: ignore[arg-type]
        _tell(f"Wrote {printable(flow.name)!r} as an image into {to.export}", seconds)
        say(digest)
    if to.push is not None:
        # Packaged once: a sealed flow is another one each time.
        known = flow if to.export is None else None
        with build_lines(verbose=verbose):
            name, seconds = _timed(lambda: environment.push(to.push or "", known))
        _tell(f"Pushed {printable(flow.name)!r} to {to.push}", seconds)
        say(name)
    if not to.any():
        with build_lines(verbose=verbose):
            image_id, seconds = _timed(lambda: environment.load(flow))
        short_id = image_id[:_SHORT_ID]
        name = environment.built_tag or short_id
        say(
            f"Built {printable(flow.name)!r} into the image {name} ({short_id}) in {duration(seconds)}."
        )
        say(f"Run it with: prefect run {image_argument(name)}")


def _try_imports(environment: ContainerEnvironment) -> None:
    failing = environment.try_imports()
    for module, error in failing.items():
        click.echo(printable(f"In the image, import {module} fails: {error}"), err=True)
    if failing:
        sys.exit(BAD_INPUT)
    say("All that the flow imports can be imported in the image.", err=True)


def _check(flow: Flow, environment: ContainerEnvironment, wanted: str, *, verbose: bool) -> None:
    with build_lines(verbose=verbose):
        digest, image_id = environment.digests(flow)
    given = wanted.rpartition("@")[2]
    if given in {digest, image_id}:
        say(f"The same: this makes {given}.")
        return
    say(
        f"Not the same: this makes the image {digest} with the id {image_id}, and not {given}.\n"
        "An image follows from the flow, the options, the base by its digest, the lock (--lock "
        "FILE), the releases of prefect and isal, and the Python that compiles: are they the same?",
        err=True,
    )
    sys.exit(FLOW_FAILED)


def _timed(call: Callable[[], _T]) -> tuple[_T, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def _tell(what: str, seconds: float) -> None:
    say(f"{what} in {duration(seconds)}.", err=True)
