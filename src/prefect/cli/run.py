"""`prefect run`: a sealed flow, an image, or a file's flow, in the place that suits it or is asked for."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import find_sealed, is_flow_file
from prefect.cli.options import (
    ARGUMENTS,
    Command,
    Suggested,
    key_file_option,
    parameter_option,
    refuse_keys,
    trusted_signer_option,
)
from prefect.cli.output import note, say
from prefect.cli.place_options import PLACES, place_options, surroundings
from prefect.cli.wish import Wish
from prefect.core.kept import LAST
from prefect.frozen import replace
from prefect.printable import printable
from prefect.running.parameters import parse_pairs
from prefect.running.result_files import require_result_path, without_older
from prefect.running.stopping import FLOW_FAILED, status_of_run
from prefect.secrets.secret import parse_secrets

if TYPE_CHECKING:
    from prefect.core.kept import Kept


@click.command(cls=Command, short_help="Run a sealed flow, an image, or a file's flow.")
@click.argument("artifact", metavar="ARTIFACT|FILE.py[:FLOW]")
@parameter_option
@click.option(
    "--in", "place", type=click.Choice(PLACES),
    help="Where it runs: here, in this Python; venv, an environment made for it, with the very "
    "versions that it was packaged with; sandbox, an image without a container engine, or such an "
    "environment apart from the machine; engine, an image in docker or podman. By default, what suits "
    "the artifact.",
)  # fmt: skip
@click.option(
    "--image", metavar="BASE",
    help="Run FILE.py in an image on this base, in a sandbox or, with --in engine, in a container "
    "engine. What does not change is made once.",
)  # fmt: skip
@click.option(
    "-r", "--requirement", "requirements", multiple=True, metavar="REQUIREMENT",
    help="A dependency of FILE.py there, beside what it imports, or a file of such lines. May be repeated.",
)  # fmt: skip
@click.option(
    "--include", "include", multiple=True, metavar="PATH|PATTERN",
    help="A file or directory that goes there with FILE.py, as `prefect build` takes it. May be repeated.",
)  # fmt: skip
@key_file_option
@trusted_signer_option
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs beside those that it names itself: a variable of the "
    "environment, or a file in the secrets directory. May be repeated.",
)  # fmt: skip
@click.option(
    "--executor", metavar="WHERE", type=Suggested("local", "threads", "processes", "dask"),
    help="Where tasks run: local (one after the other), threads, threads:8, processes, "
    "processes:4, dask (a cluster of processes), or the address of a Dask scheduler, such as tcp://10.0.0.5:8786. By default where the "
    "flow says, else local.",
)  # fmt: skip
@click.option(
    "--result", type=click.Path(path_type=Path), metavar="FILE.json|FILE.pkl",
    help="Write what the run came to: the tasks' states, and the values of those that no other task "
    "needs; as JSON, or as a pickle of a dict of the values.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIRECTORY",
    help="For files that tasks make: they find it as prefect.context.output_dir, in every place.",
)  # fmt: skip
@click.option(
    "--keep", is_flag=True,
    help="Keep the tasks' results, and a record of the run, in ~/.local/share/prefect: for --resume, "
    "`prefect runs` and `prefect report`.",
)  # fmt: skip
@click.option(
    "--store", metavar="DIRECTORY|URL",
    help="Keep them there instead, in a directory or wherever fsspec reaches, such as s3://bucket/runs.",
)  # fmt: skip
@click.option(
    "--resume", is_flag=False, flag_value=LAST, metavar="[RUN]",
    help="Go on with a run that was kept, by its name or an end of it; without RUN, with this flow's last one. "
    "What succeeded there, and is the same now in code and inputs, is not run again.",
)  # fmt: skip
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html",
    help="Write what became of it to this file, however it ends, as `prefect report` does: .html, .svg or "
    ".txt. The run is kept, as with --keep.",
)  # fmt: skip
@click.option(
    "--otel", is_flag=True,
    help="Tell OpenTelemetry of the run and its tasks, as the variables OTEL_... say: spans and metrics.",
)  # fmt: skip
@place_options
@click.option(
    "--strict", is_flag=True,
    help="Refuse to run where what the flow needs is there in other versions than where it was "
    "packaged; else each is a warning.",
)  # fmt: skip
@click.option(
    "--on-schedule", is_flag=True,
    help="Wait for each time of the flow's own schedule, and run it then, until there are no more.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Report one JSON object a line.")
@click.option(
    "-q", "--quiet", is_flag=True,
    help="Tell only warnings, errors and what the flow came to. What tasks print is shown.",
)  # fmt: skip
@click.pass_context
def run(
    called: click.Context,
    /,
    artifact: str,
    parameters: tuple[str, ...],
    place: str | None,
    image: str | None,
    requirements: tuple[str, ...],
    include: tuple[str, ...],
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    secrets: tuple[str, ...],
    executor: str | None,
    result: Path | None,
    output: Path | None,
    keep: bool,
    store: str | None,
    resume: str | None,
    report: Path | None,
    otel: bool,
    strict: bool,
    on_schedule: bool,
    as_json: bool,
    quiet: bool,
    **wanted: Any,
) -> None:
    """Run the flow of ARTIFACT: a .flow file, an image, or FILE.py itself.

    Secrets that the flow or --secret names are taken from the environment or from the secrets directory, and
    what tasks print has them masked. The exit status is 0 for success, 1 when the flow failed,
    2 for wrong usage or bad input, and then nothing has run, or where it could not tell of the run.
    """
    if quiet and as_json:
        raise click.UsageError("--json tells everything, for programs: leave out --quiet")
    given = parse_pairs(parameters)
    try:
        if result is not None:
            require_result_path(result)
        named = parse_secrets(secrets)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if report is not None:
        from prefect.cli.report import form_of  # noqa: PLC0415 - seldom asked for

        form_of(report)  # before work would be wasted
    wish = Wish(
        given,
        named,
        key_file,
        trusted_signers,
        executor and _normal(executor),
        surroundings(**wanted, output=output),
        result,
        strict=strict,
        as_json=as_json,
        live=sys.stdout.isatty() and not (as_json or quiet),
        quiet=quiet,
        kept=_kept(store, resume, keep=keep or report is not None),
        otel=otel,
    )
    if image is not None or place not in {None, "here"}:
        wish.require_events()
    if on_schedule:
        from prefect.cli.run_on_schedule import run_on_schedule  # noqa: PLC0415 - seldom asked for

        arguments = called.meta[ARGUMENTS]
        sys.exit(run_on_schedule(artifact, given, key_file, trusted_signers, arguments))
    status = FLOW_FAILED
    try:
        with without_older(result, partial(say, err=True)) as outcome:
            status = outcome.status = _run(artifact, place, image, requirements, include, wish)
    finally:
        if wish.kept is not None and wish.kept_runs:
            _tell_kept(artifact, replace(wish.kept, run=wish.kept_runs[-1]), status, report)
    sys.exit(status)


def _run(
    artifact: str,
    place: str | None,
    image: str | None,
    requirements: tuple[str, ...],
    include: tuple[str, ...],
    wish: Wish,
) -> int:
    if is_flow_file(artifact):
        return _run_file(artifact, place, image, requirements, include, wish)
    if image is not None or requirements or include:
        option = "--image" if image else "-r" if requirements else "--include"
        raise click.UsageError(f"{option} is for FILE.py: what is packaged has what it needs")
    if (sealed := find_sealed(artifact)) is not None:
        from prefect.cli.run_sealed import run_sealed  # noqa: PLC0415 - for sealed flows alone

        return run_sealed(artifact, sealed, place, wish)
    from prefect.cli.run_image import run_image  # noqa: PLC0415 - for images alone

    return run_image(artifact, place, wish)


def _run_file(
    artifact: str,
    place: str | None,
    base: str | None,
    lines: tuple[str, ...],
    include: tuple[str, ...],
    wish: Wish,
) -> int:
    refuse_keys("a file's own flow is none", wish.key_files, wish.trusted_signers)
    if wish.strict:
        raise click.UsageError("--strict compares with what a flow was packaged with: build it")
    if base is not None and place in ("here", "venv"):
        raise click.UsageError(f"--image is for sandbox and engine, and --in {place} has no image")
    if place is None:
        place = "sandbox" if base is not None else "here"
    if place == "here":
        wish.surroundings.require("output", place="in this interpreter")
        if lines or include:
            raise click.UsageError(
                "-r and --include are for places that are made for the flow: --in venv, --image"
            )
        from prefect.cli.run_here import run_file  # noqa: PLC0415 - as the artifact is

        return status_of_run(successful=run_file(artifact, wish).is_successful())
    from prefect.cli.artifacts import load_flow_file  # noqa: PLC0415 - as the artifact is
    from prefect.cli.build_environment import environment_of_file  # noqa: PLC0415 - the same
    from prefect.environments import ContainerEnvironment  # noqa: PLC0415 - the same

    flow = load_flow_file(artifact)
    environment = environment_of_file(
        flow, artifact, base, lines, include, is_image=place in ("sandbox", "engine")
    )
    flow.environment = environment
    if isinstance(environment, ContainerEnvironment):
        from prefect.cli.run_image import run_file_as_image  # noqa: PLC0415 - for images alone

        return run_file_as_image(flow, environment, place, wish)
    from prefect.cli.run_sealed import run_file_sealed  # noqa: PLC0415 - for sealed flows alone

    return run_file_sealed(flow, environment, wish)


def _kept(store: str | None, resume: str | None, *, keep: bool) -> Kept | None:
    """Return what is to be kept of the run."""
    if not keep and store is None and resume is None:
        return None
    from prefect.keeping import kept_of  # noqa: PLC0415 - seldom asked for
    from prefect.store.store import default_store  # noqa: PLC0415 - the same

    return kept_of(store or default_store(), resume)


def _tell_kept(artifact: str, kept: Kept, status: int, report: Path | None) -> None:
    """Say by which name a run was kept, and how to go on with one that did not come to its end."""
    from shlex import quote  # noqa: PLC0415 - seldom needed

    from prefect.records.finding import path_of, store_option  # noqa: PLC0415 - the same
    from prefect.store.store import open_store  # noqa: PLC0415 - the same

    store = open_store(kept.store)
    if kept.run is None or not store.files.touch(path_of(kept.run)):
        return  # nothing has run
    option = store_option(store)
    again = (
        f" Go on with it: prefect run {printable(quote(artifact))}{option} --resume {kept.run[-8:]}, and the "
        "options that it had"
    )
    tell = partial(say, err=True) if status else note
    tell(
        f"Kept as {kept.run}{option and ' in ' + printable(store.where)}.{again if status else ''}"
    )
    if report is not None:
        from prefect.cli.report import write_report  # noqa: PLC0415 - seldom asked for

        write_report(report, kept.run, store.where)


def _normal(executor: str) -> str:
    from prefect.core.executor_text import normal  # noqa: PLC0415 - seldom given

    try:
        return normal(executor)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
