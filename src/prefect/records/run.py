"""A run as its record tells of it: plain data that cannot be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from prefect.frozen import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PENDING = "Pending"
RUNNING = "Running"
RETRYING = "Retrying"
LOOPED = "Looped"
PAUSED = "Paused"
MAPPED = "Mapped"
SUCCESSFUL = frozenset({"Success", "Cached", "Mapped", "Skipped"})
# As `prefect.core.state_kinds` has them, whose classes nobody needs who reads records.
FAILED = frozenset({"Failed", "TimedOut", "TriggerFailed", "ValidationFailed"})
ENDED = SUCCESSFUL | FAILED | {"Cancelled"}


class Try(NamedTuple):
    """One try of a task, or of a child of a mapped one. Values of it are made by the ten thousand.

    Args:
        started: when it began, in seconds since 1970.
        ended: when it ended; None while it runs, and where it was cut off.
        state: what it came to: of a try that was followed by another, "Retrying", "Looped" or "Paused".
        worker: who ran it: a thread, process or address; "" where nothing tells.
        run_count: which try it was, from 1 on.
        message: what its state said; "" where that was nothing.
        traceback: of a failure; "" otherwise.
    """

    started: float
    ended: float | None
    state: str
    worker: str
    run_count: int
    message: str
    traceback: str


class Result(NamedTuple):
    """What is known of a task's result, which is in the store.

    Args:
        digest: of its content, as "sha256:" and hexadecimal digits.
        size: in bytes.
        format: "pickle", "json", "text" or "bytes".
        run: the id of the run that stored it, where that was another one; else None.
    """

    digest: str
    size: int
    format: str
    run: str | None = None


class TaskRun(NamedTuple):
    """What became of a task, or of a child of a mapped one.

    Args:
        state: the name of its last state; "Pending" where it had none.
        tries: in order. What takes no time, such as a parameter, has none.
        ended: when it came to its last state, in seconds since 1970; None before that.
        message: of the last state.
        traceback: of the last failure, also of one that was followed by another try.
        result: of its result in the store; None where it has none there.
        why: why it ran again, or did not; "" where nothing tells.
        child_count: how many children a mapped task has.
        children: those of them that have a state, by index.
        inputs: digests of what it was given, by name, where a store was asked for its result.
    """

    state: str
    tries: tuple[Try, ...]
    ended: float | None
    message: str
    traceback: str
    result: Result | None
    why: str
    child_count: int
    children: Mapping[int, TaskRun]
    inputs: Mapping[str, str]

    @property
    def missing(self) -> int:
        """How many children of a mapped one have no state yet."""
        return max(self.child_count - len(self.children), 0)

    def units(self) -> Iterator[tuple[int | None, TaskRun]]:
        """Yield what is run by itself, with its index: the task, or its children that have a state."""
        if self.state != MAPPED:
            yield None, self
        yield from self.children.items()


class Log(NamedTuple):
    """A line that was logged, or printed.

    Args:
        time: when, in seconds since 1970.
        level: such as "INFO"; of what was printed, "stdout" or "stderr".
        logger: its name; "" of what was printed.
        message: the text, maybe of several lines.
        map_index: which child of a mapped task logged it.
    """

    time: float
    level: str
    logger: str
    message: str
    map_index: int | None


@frozen
class Run:
    """A run, as far as its record goes.

    Args:
        run: its id, such as "20261129-221530-etl-3f9a2c".
        flow: the serialized flow, as `Flow.serialize` gives it, checked.
        started: when it began, in seconds since 1970.
        ended: when it ended; None where it still goes on, or was cut off.
        last: when the last line of the record was written.
        state: of the flow, in the end; None before that.
        message: of that state.
        parameters: their values, plain JSON, secrets masked.
        executor: its text, such as "threads:8"; None where nothing tells, as of all that follows.
        place: "here", "venv", "sandbox" or "engine".
        artifact: digest of what was run.
        resumes: id of the run that this one went on with.
        host: name of the machine.
        pid: of the process there.
        versions: "python", "prefect" and others, and "requirements": a list of texts.
        tasks: by slug, each task of the flow in its order.
        logs: lines by the slug of the task that logged them, those of none under "".
        code: by slug what the code of a task consists of, each by its name: a digest, version or type.
        reads: by slug what a task reads of `prefect.context`, each by its name: a digest, "" of secrets, and JSON with
            secrets masked, or "";
            a task of which it is not known is not there.
        ignored: how many lines were left out: malformed, or too many.
    """

    run: str
    flow: dict[str, Any]
    started: float
    ended: float | None
    last: float
    state: str | None
    message: str
    parameters: dict[str, Any]
    executor: str | None = None
    place: str | None = None
    artifact: str | None = None
    resumes: str | None = None
    host: str | None = None
    pid: int | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, TaskRun] = field(default_factory=dict)
    logs: dict[str, tuple[Log, ...]] = field(default_factory=dict)
    code: dict[str, dict[str, str]] = field(default_factory=dict)
    reads: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    ignored: int = 0

    def units(self) -> Iterator[tuple[str, int | None, TaskRun]]:
        """Yield what is run by itself: (slug, index, what became of it), for a mapped task its children."""
        for slug, task in self.tasks.items():
            for index, one in task.units():
                yield slug, index, one
