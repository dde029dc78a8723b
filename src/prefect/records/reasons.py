"""Why a task of a run ran again, or did not: what its record has, compared with that of the run before."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from prefect.core.labels import Labels
from prefect.errors import RecordError, StoreError
from prefect.patterns import pattern
from prefect.printable import printable
from prefect.records.finding import last_run, read_run, run_meant, runs_in
from prefect.records.run import ENDED, PENDING, SUCCESSFUL
from prefect.store.store import open_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from prefect.records.run import Run, TaskRun

_MAPPED = pattern(r"(.*)\[(\d+)\]", re.DOTALL)
_TOLD = 5_000
_SHOWN = 5
"""Children that are named, of those of which the same is true."""
_LISTED = 20
"""Tasks that are named where a run has none of a name."""
_LONGEST = 60
"""Characters of a value."""
_LOOKED_AT = 50
"""Runs before one that are looked at for the one that it is compared with."""


def reasons(
    meant: str, task: str | None = None, where: str | os.PathLike[str] | None = None
) -> Iterator[str]:
    """Yield a sentence for a task of a run, or for each of its tasks.

    Args:
        meant: the run, as `prefect.records.finding.run_meant` takes it.
        task: a task's name or slug, with an index in brackets for a child of a mapped one.
        where: the store; by default the user's.

    Raises:
        RecordError, StoreError: there is no such run, or no such task in it.
    """
    run = run_meant(meant, where)
    before = _before(run, where)
    labels = Labels(run.flow)
    if task is not None:
        for slug, index in _meant(run, labels, task):
            yield from _sentences(run, before, slug, index, labels)
        return
    for slug, found in run.tasks.items():
        if slug in labels.silent:
            continue
        if slug in run.code or any(each.inputs or each.result for each in _units(found)):
            yield from _sentences(run, before, slug, None, labels)


def run_before(run: Run, where: str | os.PathLike[str] | None = None) -> Run | None:
    """Return the run that one is to be compared with; None where there is none, or the store cannot be read.

    Args:
        run: a run.
        where: the store that has the run before it; by default the user's.
    """
    try:
        return _before(run, where)
    except StoreError:
        return None


def changes(run: Run, before: Run | None) -> dict[tuple[str, int | None], str]:
    """Return what had tasks run again, and which did not: a sentence by slug and index, for those of which it is known.

    Args:
        run: a run.
        before: that of `run_before`.
    """
    labels = Labels(run.flow)
    found: dict[tuple[str, int | None], str] = {}
    for slug, index, now in run.units():
        then = None if before is None else _of(before, slug, index)
        if now.state == "Cached":
            whose = f"run {now.result.run}" if now.result and now.result.run else "an earlier run"
            found[slug, index] = f"Not run again: {whose} had stored its result"
        elif (
            before is not None
            and then is not None
            and then.state in ENDED
            and now.tries
            and len(found) < _TOLD
        ):
            known = [
                *_changed_code(run, before, slug),
                *_changed_context(run, before, slug),
                *_changed_inputs(run, before, slug, index, now, then, labels),
            ]
            if known:
                found[slug, index] = f"Ran again: {'; '.join(known)}"
    return found


def _meant(run: Run, labels: Labels, text: str) -> list[tuple[str, int | None]]:
    matched = _MAPPED.fullmatch(text)
    name, index = (matched[1], int(matched[2])) if matched else (text, None)
    names = {each["id"]: each["name"] for each in run.flow["tasks"]}
    slugs = [slug for slug in names if name in (slug, names[slug])]
    found = [(slug, index) for slug in slugs if index is None or index in run.tasks[slug].children]
    if not found:
        known = sorted({printable(labels.of(each)) for each in names})
        more = f", … and {len(known) - _LISTED:,} more" if len(known) > _LISTED else ""
        raise RecordError(
            f"Run {run.run} has no task {printable(text)!r}. It has: {', '.join(known[:_LISTED])}{more}"
        )
    return found


def _before(run: Run, where: str | os.PathLike[str] | None) -> Run | None:
    """Return the run that one is to be compared with: that which it goes on with, or the last of its flow."""
    store = open_store(where)
    if run.resumes is not None:
        try:
            return read_run(store, run.resumes)
        except RecordError:
            return None
    earlier = [name for name in runs_in(store) if name < run.run]
    found = last_run(store, earlier[-_LOOKED_AT:], lambda one: one.flow["name"] == run.flow["name"])
    return None if found is None else found[1]


def _units(task: TaskRun) -> Iterator[TaskRun]:
    yield from task.children.values() if task.children else (task,)


def _sentences(
    run: Run, before: Run | None, slug: str, index: int | None, labels: Labels
) -> Iterator[str]:
    """Yield a sentence of a task; of a mapped one, one for all of its children of which the same is true."""
    label = printable(labels.of(slug, index))
    children = run.tasks[slug].children
    count = max(run.tasks[slug].child_count, len(children))
    if index is not None or not count:
        yield f"{label} {_told(run, before, slug, index, labels)}"
        return
    alike: dict[str, list[int]] = {}
    for each in children:
        alike.setdefault(_told(run, before, slug, each, labels), []).append(each)
    many = {told: len(found) for told, found in alike.items()}
    # A record may say any number: only those that are shown are looked for.
    if missing := count - len(children):
        told = _told(run, before, slug, count, labels)
        without = islice((each for each in range(count) if each not in children), _SHOWN)
        alike.setdefault(told, []).extend(without)
        many[told] = many.get(told, 0) + missing
    for told, found in alike.items():
        if many[told] == count:
            which = "its only child" if count == 1 else f"all {count:,} children"
        else:
            shown = ", ".join(map(str, sorted(found)[:_SHOWN]))
            more = f", … and {many[told] - _SHOWN:,} more" if many[told] > _SHOWN else ""
            which = f"{many[told]:,} of {count:,} children: {shown}{more}"
        yield f"{label} ({which}) {told}"


def _told(run: Run, before: Run | None, slug: str, index: int | None, labels: Labels) -> str:
    """Return what is to be said of a task or child, after its name."""
    now = _of(run, slug, index)
    if now is None or now.state == PENDING:
        return f"did not run: run {run.run} ended before its turn."
    if now.state == "Cached":
        of_run = now.result and now.result.run
        where = f"run {of_run}" if of_run else "an earlier run"
        return f"did not run again: {where} had stored its result, and code, inputs and versions are the same."
    if now.state == "TriggerFailed" or not (now.tries or now.inputs or now.result):
        return f"did not run: {printable(now.message) or now.state}."
    if now.why:
        return f"ran again: {printable(now.why)}."
    if before is None:
        return f"ran: this is the first run of flow {printable(run.flow['name'])!r} in this store."
    return f"ran{_because(run, before, slug, index, labels)}"


def _because(run: Run, before: Run, slug: str, index: int | None, labels: Labels) -> str:
    now, then = _of(run, slug, index), _of(before, slug, index)
    if then is None or then.state not in SUCCESSFUL:
        return _unsuccessful(before, then, slug, index)
    changes = [
        *_changed_code(run, before, slug),
        *_changed_context(run, before, slug),
        *_changed_inputs(run, before, slug, index, now, then, labels),
    ]
    if changes:
        return f" again: {'; '.join(changes)}."
    return f" again: {_without_change(run, before, slug, now, then)}."


def _without_change(run: Run, before: Run, slug: str, now: TaskRun | None, then: TaskRun) -> str:
    """Return why a task ran again of which nothing that is recorded has changed."""
    if now is not None and then.inputs and not now.inputs:
        return (
            f"nothing that is recorded of it has changed since run {before.run}, and what it was given is not "
            f"recorded where it came to {printable(now.state)}"
        )
    if then.result is None:
        return f"run {before.run} had not stored its result"
    if run.resumes is None:
        return (
            f"nothing that is recorded has changed since run {before.run}, but the run did not go on with "
            "that one (--resume), and its result is not taken from any other (cache=True), or had expired"
        )
    told = "its result was not in the store any more"
    if slug in run.reads and slug in before.reads:
        untold = [name for name, (digest, _) in run.reads[slug].items() if not digest]
        return f"{told}{''.join(f', or context.{printable(name)} has changed' for name in untold)}"
    return f"{told}, or what it reads of the context has changed"  # in a record of before


def _unsuccessful(before: Run, then: TaskRun | None, slug: str, index: int | None) -> str:
    if then is None or then.state == PENDING:
        mapped = before.tasks.get(slug)
        had = index is None or (mapped is not None and index < mapped.child_count)
        return f": run {before.run} did not come to it{'' if had else ', which had no such child'}."
    if then.state not in ENDED:
        return f" again: run {before.run} ended before it had finished."
    return f" again: in run {before.run} it came to {printable(then.state)}."


def _changed_code(run: Run, before: Run, slug: str) -> Iterator[str]:
    now, then = run.code.get(slug), before.code.get(slug)
    if now is None or then is None:
        return
    for name in sorted(now.keys() | then.keys()):
        old, new = then.get(name), now.get(name)
        if old == new:
            continue
        shown = printable(name)
        if old is None:
            yield f"{shown} is new"
        elif new is None:
            yield f"{shown} is no longer part of it"
        elif "." in old + new and not old.startswith("of type"):  # versions
            yield f"{shown} is {printable(new)} now, and was {printable(old)}"
        else:
            yield f"{shown} has changed"
    old, new = (each.versions.get("python", "") for each in (before, run))
    if old.rpartition(".")[0] != new.rpartition(".")[0]:
        yield f"Python is {printable(new)} now, and was {printable(old)}"


def _changed_context(run: Run, before: Run, slug: str) -> Iterator[str]:
    now, then = run.reads.get(slug), before.reads.get(slug)
    if now is None or then is None:
        return
    for name in sorted(now.keys() | then.keys()):
        new, old = now.get(name), then.get(name)
        shown = f"context.{printable(name)}"
        if new == old:
            continue
        if new is None or old is None:
            yield (
                f"{shown} is set now, and was not"
                if old is None
                else f"{shown} is not set now, and was"
            )
        elif new[0] != old[0]:
            if new[1] and old[1] and new[1] != old[1]:
                yield f"{shown} is {_part(new[1])} now, and was {_part(old[1])}"
            else:  # a secret, or what has no text
                yield f"{shown} has changed"


def _part(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _has_inputs(task: TaskRun | None) -> bool:
    """Tell whether inputs are recorded, if there are any: of what came to no result they are not."""
    return task is not None and bool(task.inputs or task.result)


def _changed_inputs(
    run: Run,
    before: Run,
    slug: str,
    index: int | None,
    now: TaskRun | None,
    then: TaskRun,
    labels: Labels,
) -> Iterator[str]:
    if not (_has_inputs(now) and _has_inputs(then)):
        return
    inputs = {} if now is None else now.inputs
    for name in sorted(inputs.keys() | then.inputs.keys()):
        if inputs.get(name) == then.inputs.get(name):
            continue
        edge = next(
            (
                edge for edge in run.flow["edges"]
                if edge["downstream"] == slug and edge.get("key") == name
            ),
            None,
        )  # fmt: skip
        source = None if edge is None else edge["upstream"]
        shown = printable(name)
        if source in run.parameters and run.parameters.get(source) != before.parameters.get(source):
            yield (
                f"parameter {printable(str(source))} is {run.parameters[source]!r:.60} now, and was "
                f"{before.parameters.get(source)!r:.60}"
            )
        elif source is not None:
            child = index if edge is not None and edge["mapped"] else None
            yield f"its input {shown} {_come_from(run, before, source, child, labels)}"
        else:
            yield f"its input {shown} has changed"


def _come_from(run: Run, before: Run, source: str, index: int | None, labels: Labels) -> str:
    """Say what of an input has changed that comes from a task, or of that from the child of the same index."""
    label = printable(labels.of(source))
    now, then = (_digests(each.tasks.get(source), index) for each in (run, before))
    if None in now or None in then:  # it is known by how it was made, which has changed
        return f"has changed, which comes from {label}"
    if now == then:
        return f"has changed: {label} came to the same, and the code of what that is made of has changed"
    return f"has changed: {label} came to something else"


def _digests(task: TaskRun | None, index: int | None) -> list[str | None]:
    """Return the digests of what a task came to; None for each of which none is known."""
    if task is None:
        return [None]
    child = None if index is None else task.children.get(index)
    units = [child] if child is not None else _units(task)
    return [each.result and each.result.digest for each in units]


def _of(run: Run, slug: str, index: int | None) -> TaskRun | None:
    task = run.tasks.get(slug)
    return task if task is None or index is None else task.children.get(index)
