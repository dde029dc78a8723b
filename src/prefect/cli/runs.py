"""`prefect runs`: what runs have left, which there are, and how one went."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.options import Command
from prefect.cli.output import say
from prefect.core.labels import Labels
from prefect.errors import RecordError
from prefect.printable import duration, printable, size
from prefect.records.finding import read_run, run_meant, runs_in
from prefect.records.finding import store_option as option_of
from prefect.records.run import FAILED, MAPPED, PENDING
from prefect.records.summary import counts_of, counts_text, told_of, tries_text
from prefect.store.pruning import prune
from prefect.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.records.run import Run, TaskRun
    from prefect.store.store import Store

_MOST = 20
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def store_option(function: Any) -> Any:
    """Add the option for the store that has runs."""
    return click.option(
        "--store", metavar="DIRECTORY|URL",
        help="The store that has the runs. By default ~/.local/share/prefect ($XDG_DATA_HOME/prefect).",
    )(function)  # fmt: skip


@click.command(cls=Command, short_help="Show the runs that were kept, or one of them.")
@click.argument("words", nargs=-1, metavar="[show RUN | prune]")
@store_option
@click.option("--flow", metavar="NAME", help="Of this flow alone.")
@click.option(
    "--all", "all_runs", is_flag=True, help=f"All of them, and not the last {_MOST} alone."
)
@click.option(
    "--older-than", metavar="AGE",
    help="prune: remove what was not used for so long: 30d, 12h. Results are made again when they are needed.",
)  # fmt: skip
@click.option(
    "--larger-than", metavar="SIZE",
    help="prune: remove the results that were not used for longest, until they have less: 10G, 500M.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def runs(
    words: tuple[str, ...],
    store: str | None,
    flow: str | None,
    all_runs: bool,
    older_than: str | None,
    larger_than: str | None,
    as_json: bool,
) -> None:
    """List the runs that were kept, with `prefect run --keep` or flow.run(store=...), the last one at the end.

    show RUN tells how one went: RUN is its name, an end of that which no other has, the file of its record, or
    "last". prune removes what is old or too much. `prefect report RUN` makes a page of a run, and `prefect why RUN
    TASK` says why a task ran again.
    """
    kept = open_store(store)
    limits = [
        name
        for name, given in (("--older-than", older_than), ("--larger-than", larger_than))
        if given
    ]
    if words[:1] != ("prune",) and limits:
        raise click.UsageError(f"{limits[0]} is for `prefect runs prune`")
    if words:
        _refuse_options_of_list(words[0], flow=flow, all_runs=all_runs, as_json=as_json)
    match words:
        case ():
            _list(kept, flow, all_runs=all_runs, as_json=as_json)
        case ("show", meant):
            run = run_meant(meant, store)
            if as_json:
                say(json.dumps(_described(run)))
            else:
                for line in _shown(run):
                    say(line)
        case ("prune",):
            if not limits:
                raise click.UsageError(
                    "prune removes nothing without --older-than or --larger-than"
                )
            removed, freed = prune(
                kept,
                age=_seconds(older_than),
                most=_bytes(larger_than),
            )
            files = "1 file" if removed == 1 else f"{removed} files"
            say(f"Removed {files} from {printable(kept.where)}: {size(freed)}.")
        case ("show", *_):
            raise click.UsageError("show takes one run: its name, an end of it, or last")
        case _:
            raise click.UsageError(
                f"`prefect runs` lists runs, and takes show RUN or prune, not {printable(words[0])!r}"
            )


def _refuse_options_of_list(word: str, *, flow: str | None, all_runs: bool, as_json: bool) -> None:
    for name, given in (
        ("--flow", flow),
        ("--all", all_runs),
        ("--json", as_json and word == "prune"),
    ):
        if given:
            raise click.UsageError(
                f"{name} is for the list of runs, and means nothing to `prefect runs {printable(word)}`: "
                "leave it out"
            )


def _list(kept: Store, flow: str | None, *, all_runs: bool, as_json: bool) -> None:
    names = runs_in(kept)
    found: list[Run] = []
    for name in reversed(names):
        try:
            run = read_run(kept, name)
        except RecordError as error:
            say(f"{error}", err=True)
            continue
        if flow is None or run.flow["name"] == flow:
            found.append(run)
        if len(found) == _MOST and not all_runs:
            break
    found.reverse()
    if as_json:
        for run in found:
            say(
                json.dumps(
                    {name: value for name, value in _described(run).items() if name != "tasks"}
                )
            )
        return
    if not found:
        option = option_of(kept)
        of_flow = "" if flow is None else f" of flow {printable(flow)!r}"
        say(
            f"{printable(kept.where)} has no runs{of_flow}. `prefect run X{option or ' --keep'}` keeps one."
        )
        return
    rows = [
        (run.run, printable(run.flow["name"]), _state(run), _took(run), counts_text(counts_of(run)))
        for run in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        say(
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]
            ).rstrip()
        )
    if len(found) < len(names) and not all_runs and flow is None:
        say(f"… and {len(names) - len(found)} earlier ones: --all")


def _state(run: Run) -> str:
    return printable(run.state) if run.state else "not ended"


def _took(run: Run) -> str:
    seconds = (run.ended or run.last) - run.started
    return duration(seconds)


def _shown(run: Run) -> Iterator[str]:
    """Yield the lines that tell of a run."""
    yield f"{run.run}  {_state(run)}" + (f": {printable(run.message)}" if run.message else "")
    started = datetime.fromtimestamp(run.started, UTC).astimezone()
    yield f"flow {printable(run.flow['name'])}, {started:%Y-%m-%d %H:%M:%S}, {_took(run)}"
    where = [
        f"in {run.place}" if run.place else "",
        f"on {run.executor}" if run.executor else "",
        f"at {run.host}" if run.host else "",
        f"Python {run.versions['python']}" if run.versions.get("python") else "",
    ]
    yield printable(", ".join(part for part in where if part))
    if run.resumes:
        yield f"goes on with {run.resumes}"
    for name, value in run.parameters.items():
        yield printable(f"  {name} = {json.dumps(value)}")
    labels = Labels(run.flow)
    for slug, mapped in told_of(run):
        for index, task in mapped.units():
            yield from _task_lines(printable(labels.of(slug, index)), task)
        if mapped.missing:
            yield f"  {PENDING:<13} {printable(labels.of(slug))} ({mapped.missing:,} more children)"
    yield f"tasks: {counts_text(counts_of(run)) or 'none'}"
    if run.ignored:
        yield f"{run.ignored} lines of the record mean nothing, and were left out"


def _task_lines(label: str, task: TaskRun) -> Iterator[str]:
    more = []
    if task.tries and task.tries[-1].ended is not None:
        more.append(duration(task.tries[-1].ended - task.tries[-1].started))
    if again := tries_text([task]):
        more.append(again)
    if task.result is not None:
        taken = f" of run {task.result.run}" if task.result.run else ""
        more.append(f"{size(task.result.size)} of {printable(task.result.format)}{taken}")
    line = f"  {printable(task.state):<13} {label}"
    yield line + (f"  ({', '.join(more)})" if more else "")
    if task.state in FAILED and task.message:
        yield f"                {printable(task.message)}"


def _described(run: Run) -> dict[str, Any]:
    """Return a run as plain JSON values."""

    def described(task: TaskRun) -> dict[str, Any]:
        told: dict[str, Any] = {
            "state": task.state,
            "message": task.message,
            "tries": [one._asdict() for one in task.tries],
            "result": task.result and task.result._asdict(),
        }
        if task.state == MAPPED:
            told["children"] = {index: described(child) for index, child in task.children.items()}
        return told

    return {
        "run": run.run,
        "flow": run.flow["name"],
        "state": run.state,
        "message": run.message,
        "started": run.started,
        "ended": run.ended,
        "parameters": run.parameters,
        "executor": run.executor,
        "place": run.place,
        "artifact": run.artifact,
        "resumes": run.resumes,
        "host": run.host,
        "versions": run.versions,
        "tasks": {slug: described(task) for slug, task in run.tasks.items()},
    }


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text)
    if not found:
        raise click.UsageError(
            f"--older-than takes an age such as 30d or 12h, not {printable(text)!r}"
        )
    return float(found[1]) * _UNITS[found[2]]


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B?", text, re.IGNORECASE)
    if not found:
        raise click.UsageError(
            f"--larger-than takes a size such as 10G or 500M, not {printable(text)!r}"
        )
    return int(float(found[1]) * _SIZES[found[2].upper()])
