"""Random flows as plain data, and what they come to: told twice, by the engine and by a few rules here.

`graphs()` draws a description, `expected` evaluates it, and `random_work` makes the flow. Nothing of the package
is imported here, and all is as simple as can be: task after task, in order, no executor.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import strategies as st

BIG = 100_000
"""Characters of a value that is not small: it stays where it was made, and travels apart."""


@dataclass
class Argument:
    """Where one argument comes from, and how it is taken."""

    how: str  # whole, mapped, flat (mapped over the items' items), or list (of two, whole)
    source: int
    other: int = -1


@dataclass
class Piece:
    """One task.

    Attributes:
        gives: what it returns where it succeeds: text, big, list, lists, none or a generator.
        tries: for its child number n, what becomes of each try; the last goes on.
        arguments: those with data.
        after: whom it only follows.
    """

    gives: str
    tries: list[list[str]]
    arguments: list[Argument]
    after: list[int]
    trigger: str
    max_retries: int
    follows_skips: bool
    is_async: bool
    limited: bool

    @property
    def has_timeout(self) -> bool:
        return any("timeout" in tries for tries in self.tries)

    @property
    def is_limited(self) -> bool:  # a try that was given up may go on for a moment
        return self.limited and not self.has_timeout

    @property
    def is_mapped(self) -> bool:
        return any(each.how in {"mapped", "flat"} for each in self.arguments)

    def outcome(self, index, attempt):
        tries = self.tries[(index or 0) % len(self.tries)]
        return tries[min(attempt, len(tries)) - 1]


ENDS = ("value",) * 8 + ("nested", "SUCCESS", "LOOP", "raise", "FAIL", "SKIP", "SKIP")
BEGINNINGS = ("raise", "raise", "FAIL", "RETRY", "SKIP")
TRIGGERS = ("all_successful",) * 4 + (
    "all_failed", "any_successful", "any_failed", "all_finished", "not_all_skipped",
    "some_failed:1", "some_successful:0.5", "some_failed:..1",
)  # fmt: skip


@st.composite
def graphs(draw, most=12):
    """Draw the pieces of a flow, each of which refers to those before it."""
    pieces = []
    for number in range(draw(st.integers(1, most))):
        before = st.integers(0, number - 1)
        arguments = []
        if number:
            hows = st.sampled_from(["whole", "whole", "mapped", "mapped", "flat", "list"])
            for how in draw(st.lists(hows, max_size=2)):
                other = draw(before) if how == "list" else -1
                arguments.append(Argument(how, draw(before), other))
        ends = st.sampled_from((*ENDS, "timeout") if draw(st.integers(0, 9)) == 0 else ENDS)
        tries = st.builds(
            lambda first, last: [*first, last],
            st.lists(st.sampled_from(BEGINNINGS), max_size=2),
            ends,
        )
        plain = st.just([["value"]])
        pieces.append(
            Piece(
                gives=draw(
                    st.sampled_from(["text", "big", "list", "list", "lists", "none", "generator"])
                ),
                tries=draw(st.one_of(plain, st.lists(tries, min_size=1, max_size=3))),
                arguments=arguments,
                after=sorted(draw(st.sets(before, max_size=1))) if number else [],
                trigger=draw(st.sampled_from(TRIGGERS)),
                max_retries=draw(st.integers(0, 2)),
                follows_skips=draw(st.booleans()),
                is_async=draw(st.integers(0, 4)) == 0,
                limited=draw(st.integers(0, 3)) == 0,
            )
        )
    return pieces


# ---- what it comes to ---------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a task has come to; `children`, if it was mapped."""

    kind: str
    value: object = None
    children: list["Outcome"] | None = None
    tries: list[int] = field(default_factory=list)


class Error:
    """Stands for an exception that is a task's result."""

    def __init__(self, kind):
        self.kind = kind


def digest(*values):
    """Return a short text that tells values from others."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]


def described(value):
    """Return a value in a form that is the same for who computed it and who expects it."""
    if isinstance(value, Error):
        return ("error", value.kind)
    if isinstance(value, BaseException):
        return ("error", type(value).__name__)
    if isinstance(value, list | tuple):
        return [described(each) for each in value]
    return value[:8] if isinstance(value, str) else value


def given(gives, number, index, inputs):
    """Return what a task returns."""
    text = digest(number, index, described(inputs))
    if gives == "list":
        return [text + str(item) for item in range(2)]
    if gives == "lists":
        return [[text + "a", text + "b"], [], [text + "c"]]
    return {"text": text, "big": text * (BIG // 8), "none": None, "generator": [text, text]}[gives]


def expected(pieces):
    """Return what each task comes to."""
    outcomes = []
    for number, piece in enumerate(pieces):
        edges = []  # mapped over?, whose outcome
        for each in piece.arguments:
            source = outcomes[each.source]
            if each.how == "flat":
                source = flattened(source)
            elif each.how == "list":
                source = listed([source, outcomes[each.other]])
            edges.append((each.how in {"mapped", "flat"}, source))
        after = [outcomes[source] for source in piece.after]
        outcome = spread if piece.is_mapped else tried
        outcomes.append(outcome(piece, number, edges, after))
    return outcomes


def tried(piece, number, edges, after, index=None):
    """Return what one task, or one child, comes to."""
    if refused := refusal(piece, [source for _, source in edges] + after):
        return refused
    inputs = [result_of(source) for _, source in edges]
    attempt = 0
    while True:
        attempt += 1
        what = piece.outcome(index, attempt)
        tries = list(range(1, attempt + 1))
        if what == "RETRY":
            continue
        failed = {"raise": "ValueError", "FAIL": "FAIL", "timeout": "TaskTimeoutError"}.get(what)
        if failed is None:
            break
        if attempt > piece.max_retries:
            kind = "TimedOut" if what == "timeout" else "Failed"
            return Outcome(kind, Error(failed), tries=tries)
    if what == "SKIP":
        return Outcome("Skipped", None, tries=tries)
    value = given(piece.gives, number, index, inputs)
    if what == "LOOP":
        tries = [*tries, attempt, attempt]
    return Outcome("Success", value, tries=tries)


def spread(piece, number, edges, after):
    """Return what a mapped task comes to: it expands as soon as what it maps over is there."""
    lengths = [length_of(source) for is_mapped, source in edges if is_mapped]
    problem = None in lengths
    # What each child has of its own is not asked before; all the rest is.
    common = [
        source for is_mapped, source in edges if not (is_mapped and source.children is not None)
    ]
    common += after
    if refused := refusal(piece, common, ask=problem or piece.trigger == "all_successful"):
        return refused
    if problem or len(set(lengths)) > 1:
        return Outcome("Failed", Error("TypeError"))
    children = []
    for index in range(lengths[0]):
        mine = []
        for is_mapped, source in edges:
            if is_mapped and source.children is not None:
                mine.append((False, source.children[index]))
            elif is_mapped:
                mine.append((False, Outcome("Success", source.value[index])))
            else:
                mine.append((False, source))
        children.append(tried(piece, number, mine, after, index))
    return Outcome("Mapped", [result_of(each) for each in children], children)


def length_of(source):
    """Return over how many items of an outcome one can map; None, if one cannot."""
    if source.children is not None:
        return len(source.children)
    return (
        len(source.value) if source.kind == "Success" and isinstance(source.value, list) else None
    )


def refusal(piece, sources, *, ask=True):
    """Return what a task comes to that does not run, given what came before it; else None."""
    count = Counter()
    for source in sources:
        for each in [source] if source.children is None else source.children:
            count["all"] += 1
            count["skipped"] += each.kind == "Skipped"
            count["good"] += each.kind in {"Success", "Skipped", "Mapped"}
            count["bad"] += each.kind in {"Failed", "TimedOut", "TriggerFailed"}
    if piece.follows_skips and count["skipped"]:
        return Outcome("Skipped")
    if not ask:
        return None
    if piece.trigger == "not_all_skipped" and count["all"] and count["skipped"] == count["all"]:
        return Outcome("Skipped")
    share = count["good"] / max(count["all"], 1)
    allowed = {
        "all_successful": count["good"] == count["all"],
        "not_all_skipped": count["good"] == count["all"],
        "all_failed": count["bad"] == count["all"],
        "any_successful": count["good"] > 0,
        "any_failed": count["bad"] > 0,
        "all_finished": True,
        "some_failed:1": count["bad"] >= 1,
        "some_failed:..1": count["bad"] <= 1,
        "some_successful:0.5": share >= 0.5,
    }[piece.trigger]
    return None if allowed or not count["all"] else Outcome("TriggerFailed", Error("TRIGGERFAIL"))


def listed(sources):
    """Return what a list of tasks comes to."""
    plain = Piece("", [], [], [], "all_successful", 0, True, False, False)
    return refusal(plain, sources) or Outcome("Success", [result_of(each) for each in sources])


def flattened(source):
    """Return what the items of the items come to."""
    value = result_of(source)
    if not isinstance(value, list):
        return Outcome("Failed", Error("TypeError"))
    states = []
    for each in value:
        if isinstance(each, Error):
            states.append(Outcome("Failed", each))
        elif isinstance(each, list):
            states += [Outcome("Success", item) for item in each]
        elif each is not None:
            return Outcome("Failed", Error("TypeError"))
    results = [result_of(each) for each in states]
    if any(each.kind == "Failed" for each in states):
        return Outcome("Mapped", results, states)
    return Outcome("Success", results)


def result_of(outcome):
    """Return what a task gets of another."""
    return outcome.value
