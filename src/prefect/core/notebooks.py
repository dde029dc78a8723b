"""What notebooks show of flows and states: small HTML, in which nothing of theirs can run.

A drawing is within an image: a style of its own would be the whole notebook's, and names cannot reach its page.
"""

from __future__ import annotations

from base64 import b64encode

from prefect.core.picture import COLOURS, OTHER, escaped, shortened, to_svg
from prefect.core.state_counts import WORST_FIRST, children, counts
from prefect.errors import FlowError
from prefect.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.core.flow import Flow
    from prefect.core.state import State

_MOST_ROWS = 20
_LONGEST = 200
"""Characters of a message."""


def flow_html(flow: Flow) -> str:
    """Return a flow as a drawing, or what is wrong with it."""
    try:
        serialized = flow.serialize()
    except FlowError as error:
        return f"<code>{_text(repr(flow))}</code> {_text(str(error))}"
    tasks, edges = len(serialized["tasks"]), len(serialized["edges"])
    told = f"{flow.name}: {_number(tasks, 'task')}, {_number(edges, 'edge')}"
    if not tasks:
        return f"<code>{_text(repr(flow))}</code> {_text(told)}"
    svg = b64encode(to_svg(serialized).encode()).decode()
    return (
        f'<div style="overflow-x:auto"><img style="max-width:none" alt="{_text(told)}" '
        f'src="data:image/svg+xml;base64,{svg}"></div>'
    )


def state_html(state: State) -> str:
    """Return a state with its message, and of a flow's the states of its tasks. No value is looked at."""
    head = f"<div>{_dot(type(state).__name__)} <b>{_text(type(state).__name__)}</b>"
    if state.message:
        head += f": {_text(state.message)}"
    states = _of_tasks(state)
    if not states:
        told = counts_html(counts(children(state)))
        return f"{head}{f' ({told})' if told else ''}</div>"
    told = counts_html(counts(one for _, each in states for one in children(each) or [each]))
    rows = sorted(states, key=lambda pair: _worst_first(pair[1]))
    parts = [f"{head}</div><div>{_number(len(states), 'task')}: {told}</div><table>"]
    for name, each in rows[:_MOST_ROWS]:
        kind = type(each).__name__
        several = counts_html(counts(children(each)))
        parts.append(
            f"<tr><td>{_text(shortened(name))}</td><td>{_dot(kind)} {_text(kind)}</td>"
            f"<td>{several or _text(each.message or '')}</td></tr>"
        )
    if len(rows) > _MOST_ROWS:
        parts.append(f"<tr><td>… and {len(rows) - _MOST_ROWS:,} more</td><td></td><td></td></tr>")
    return "".join([*parts, "</table>"])


def counts_html(counts: Mapping[str, int]) -> str:
    """Return how many there are of each state."""
    return ", ".join(f"{_dot(kind)} {count:,} {_text(kind)}" for kind, count in counts.items())


def _of_tasks(state: State) -> list[tuple[str, State]]:
    """Return the names and states of the tasks of a flow's state, but for what only has a value, as parameters do."""
    from prefect.core.parameter import works  # noqa: PLC0415  # for notebooks alone
    from prefect.core.state import State as AnyState  # noqa: PLC0415  # it knows this module
    from prefect.core.task import Task  # noqa: PLC0415  # likewise

    if not isinstance(state.held, dict):
        return []
    return [
        (task.name, each)
        for task, each in state.held.items()
        if isinstance(task, Task) and isinstance(each, AnyState) and works(task)
    ]


def _worst_first(state: State) -> int:
    kinds = {type(each).__name__ for each in (state, *children(state))}
    return min(
        (place for place, kind in enumerate(WORST_FIRST) if kind in kinds),
        default=len(WORST_FIRST),
    )


def _dot(kind: str) -> str:
    return f'<span style="color:{COLOURS.get(kind, OTHER)}">●</span>'


def _text(text: str) -> str:
    shown = printable(text)
    return escaped(shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…")


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
