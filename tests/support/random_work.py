"""The flows that `random_flows` describes: tasks that do as they are told, and note each try in a file."""

import asyncio
import os
import time
from pathlib import Path

from random_flows import given

from prefect import Flow, Task, context, flatten, mapped, task, triggers, unmapped
from prefect.engine import signals

TIMEOUT = 0.25  # of tasks, of which most do nothing: on a loaded machine that may take long, too


def note(path, *words):
    """Add a line to a file by one call, which others do not break up."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (" ".join(map(str, words)) + "\n").encode())
    os.close(file)


class Work(Task):
    """One piece."""

    def __init__(self, piece, number, path, **settings):
        self.piece, self.number, self.path = piece, number, path
        super().__init__(**settings)

    def run(self, a=None, b=None):
        inputs = [a, b][: len(self.piece.arguments)]
        index, attempt = context.map_index, context.task_run_count
        this = (self.number, -1 if index is None else index, attempt)
        note(self.path, "begin", *this)
        try:
            value = given(self.piece.gives, self.number, index, inputs)
            self.come_to(self.piece.outcome(index, attempt), value)
            if self.piece.gives == "generator":
                return (each for each in value)
            return value
        finally:
            note(self.path, "end", *this)

    def come_to(self, what, value):
        """Raise, wait, or do nothing."""
        if what == "raise":
            raise ValueError("no")
        if what == "timeout":
            while True:
                time.sleep(0.001)
        if what == "LOOP" and context.get("task_loop_count", 1) < 3:
            raise signals.LOOP(result=1)
        if what == "SUCCESS":
            raise signals.SUCCESS("said so", result=value)
        if what in {"FAIL", "SKIP", "RETRY"}:
            raise getattr(signals, what)("said so")
        if what == "nested":
            with Flow("inner") as inner:
                made = task(lambda: value)()
            raise signals.SUCCESS("done", result=inner.run().result[made].result)


class AsyncWork(Work):
    """One piece, as an async task."""

    async def run(self, a=None, b=None):
        await asyncio.sleep(0)
        return Work.run(self, a, b)


def flow_of(pieces, path: Path):
    """Return a flow that does what the pieces say and notes each try in a file, and its tasks."""
    tasks = []
    with Flow("random") as flow:
        for number, piece in enumerate(pieces):
            made = _task(piece, number, path)
            arguments = [_argument(each, piece, tasks) for each in piece.arguments]
            after = [tasks[source] for source in piece.after]
            if piece.is_mapped:
                made = made.map(*arguments, upstream_tasks=[unmapped(each) for each in after])
            else:
                made = made.bind(*arguments, flow=flow, upstream_tasks=after)
            tasks.append(made)
    return flow, tasks


def _task(piece, number, path):
    kind = AsyncWork if piece.is_async and not piece.has_timeout else Work
    return kind(
        piece, number, str(path), name=f"t{number}", trigger=_trigger(piece.trigger),
        max_retries=piece.max_retries, skip_on_upstream_skip=piece.follows_skips,
        timeout=TIMEOUT if piece.has_timeout else None,
        tags=["limited"] if piece.is_limited else [],
    )  # fmt: skip


def _trigger(text):
    name, _, bound = text.partition(":")
    trigger = getattr(triggers, name)
    if bound.startswith(".."):
        return trigger(at_most=int(bound[2:]))
    if bound:
        return trigger(at_least=float(bound) if "." in bound else int(bound))
    return trigger


def _argument(argument, piece, tasks):
    source = tasks[argument.source]
    if argument.how == "list":
        source = [source, tasks[argument.other]]
    elif argument.how == "flat":
        source = flatten(source)
    if piece.is_mapped:
        return (mapped if argument.how in {"mapped", "flat"} else unmapped)(source)
    return source
