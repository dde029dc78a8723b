"""`prefect report`: what became of a run, as a page, a picture or text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefect.cli.options import Command
from prefect.cli.output import note, refuse_inputs, require_directory, say
from prefect.cli.runs import store_option

if TYPE_CHECKING:
    from prefect.records.run import Run

_FORMS = {".html": "html", ".htm": "html", ".svg": "svg", ".txt": "text"}


@click.command(cls=Command, short_help="Show what became of a run, as a page or text.")
@click.argument("run", metavar="RUN|FILE.jsonl|last")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, in the form of its ending: .html, a page that needs no network; .svg, the "
    "graph coloured by state; .txt.",
)  # fmt: skip
@click.option("--text", "as_text", is_flag=True, help="Print text, as without any option.")
@click.option("--svg", "as_svg", is_flag=True, help="Print the graph as SVG.")
@click.option(
    "--all", "everything", is_flag=True, help="In text, all tasks, failures and log lines."
)
@store_option
def report(
    run: str,
    output: Path | None,
    as_text: bool,
    as_svg: bool,
    everything: bool,
    store: str | None,
) -> None:
    """Show what became of RUN, of which a record was kept: `prefect run --keep`.

    RUN is the run's id, its beginning or its end as far as no other has it, "last", or a path that ends in
    .jsonl. It may still go on, or have been killed. Nothing of it is executed.

    \b
      prefect report last
      prefect report last -o run.html                 (opens in any browser)
      prefect report 3f9a2c -o run.svg
      prefect view last                               (follows it while it goes on)
    """  # noqa: D301 - click reads the \b
    from prefect.records.finding import run_meant  # noqa: PLC0415 - not for --help

    if as_text and as_svg:
        raise click.UsageError("--text and --svg are two forms: leave one out")
    if output is not None and (as_text or as_svg):
        raise click.UsageError("The ending of --output says its form: leave --text and --svg out")
    form = "svg" if as_svg else "text"
    if output is not None:
        form = form_of(output)
    if everything and form != "text":
        raise click.UsageError(f"--all is for text, and {form} has all there is: leave it out")
    try:
        found = run_meant(run, store)
    except OSError as error:
        raise click.FileError(run, error.strerror or str(error)) from error
    data = _rendered(found, form, store, everything=everything)
    if output is None:
        click.echo(data, nl=False)
        return
    refuse_inputs(output, [Path(run)])
    _write(output, data)
    say(f"Wrote the report of {found.run} to {output}.")


def form_of(output: Path) -> str:
    """Return the form that a file's ending names.

    Raises:
        click.UsageError: there is none, or there is no such directory.
    """
    form = _FORMS.get(output.suffix.lower())
    if form is None:
        raise click.UsageError(
            f"No report has the ending {output.suffix!r}; there are .html, .svg and .txt"
        )
    require_directory(output)
    return form


def write_report(output: Path, run: str, store: str) -> None:
    """Write the report of a run that has just been kept.

    Args:
        output: the file, whose ending names its form.
        run: the run's id.
        store: where it was kept.

    Raises:
        click.ClickException: it cannot be written.
        RecordError, StoreError: it cannot be read.
    """
    from prefect.records.finding import run_meant  # noqa: PLC0415 - not for --help

    _write(output, _rendered(run_meant(run, store), form_of(output), store, everything=True))
    note(f"Wrote the report to {output}.")


def _write(output: Path, data: bytes) -> None:
    from prefect.files import replacing  # noqa: PLC0415 - not for --help

    try:
        with replacing(output, mode=None) as file:
            file.write(data)
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from error


def _rendered(run: Run, form: str, store: str | None, *, everything: bool) -> bytes:
    if form == "html":
        from prefect.records.reasons import changes, run_before  # noqa: PLC0415 - one of three
        from prefect.report.html import html  # noqa: PLC0415 - one of three

        return html(run, changes(run, run_before(run, store)))
    from prefect.report.text import text  # noqa: PLC0415 - likewise

    if form == "text":
        return text(run, everything=everything).encode()
    from prefect.core.picture import to_svg  # noqa: PLC0415 - likewise
    from prefect.records.summary import states_of  # noqa: PLC0415 - likewise

    return to_svg(run.flow, {slug: states_of(task) for slug, task in run.tasks.items()}).encode()
