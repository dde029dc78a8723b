"""Draws flows as SVG, without Graphviz: what `prefect graph -o x.svg` and the page of a run show.

Names in a serialized flow may be anybody's: what reaches a browser is escaped, and commands nothing.
"""

from __future__ import annotations

from prefect.core.grouping import MOST, group
from prefect.core.layered import lay_out
from prefect.core.state_counts import worst
from prefect.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_BOX = 30
_PITCH = 46
_GAP = 52
_MARGIN = 14
_LETTER = 6.7
_LETTERS = 24
_BAND = 5

COLOURS = {
    "Success": "#0e9376", "Cached": "#3a9bd1", "Skipped": "#8d97a8", "Failed": "#c3271b",
    "TimedOut": "#e0531f", "TriggerFailed": "#8e6bbf", "ValidationFailed": "#c3271b",
    "Retrying": "#e39a0b", "Running": "#2f6fed", "Cancelled": "#5f6878", "Looped": "#c2409a",
    "Pending": "#c5ccd8",
}  # fmt: skip
"""Of a state: to be told apart on white and on black."""
MARKS = {
    "Success": "✓", "Cached": "=", "Skipped": "↷", "Failed": "✗", "TimedOut": "✗", "ValidationFailed": "✗",
    "TriggerFailed": "⊘", "Retrying": "↻", "Looped": "↻", "Paused": "‖", "Running": "▸", "Cancelled": "■", "Pending": "·", "Mapped": "✓",
}  # fmt: skip
"""Of a state: to be told apart by who does not see red or green, too. The page of a run has the same."""
_PLAIN = {"Success", "Pending"}
"""What needs no mark where most have it."""
OTHER = "#8d97a8"
_ORDER = {state: place for place, state in enumerate(COLOURS)}


class Box:
    """A group of tasks in a picture: where it is, in pixels, and what it is called."""

    __slots__ = ("height", "label", "mapped", "members", "parameter", "width", "x", "y")

    def __init__(self, label: str, members: list[int], *, mapped: bool, parameter: bool) -> None:
        self.label = label
        self.members = members
        self.mapped = mapped
        self.parameter = parameter
        self.x = self.y = 0.0
        self.height = _BOX
        extra = 8 * _LETTER if len(members) > 1 or mapped else 0
        self.width = round(26 + _LETTER * max(4, len(label)) + extra)


class Picture:
    """A flow's groups of tasks as boxes, and the arrows between them.

    Attributes:
        width: in pixels, as the height.
        boxes: in an order in which they can run.
        arrows: (number of a box, number of a later one, whether it is mapped, an SVG path).
    """

    __slots__ = ("arrows", "boxes", "height", "width")

    def __init__(self, flow: dict[str, Any], most: int = MOST) -> None:
        groups = group(flow, most)
        tasks = flow["tasks"]
        parameters = {parameter["name"] for parameter in flow["parameters"]}
        mapped = {edge["downstream"] for edge in flow["edges"] if edge["mapped"]}
        self.boxes = [
            Box(
                shortened(label),
                members,
                mapped=any(tasks[number]["id"] in mapped for number in members),
                parameter=all(tasks[number]["id"] in parameters for number in members),
            )
            for label, members in zip(groups.labels, groups.members, strict=True)
        ]
        edges = list(groups.edges)
        layout = lay_out(len(self.boxes), edges, groups.columns)
        widths = [0] * (max(layout.columns, default=-1) + 1)
        for box, column in zip(self.boxes, layout.columns, strict=True):
            widths[column] = max(widths[column], box.width)
        lefts, x = [], float(_MARGIN)
        for width in widths:
            lefts.append(x)
            x += width + _GAP
        for box, column, height in zip(self.boxes, layout.columns, layout.heights, strict=True):
            box.x, box.width = lefts[column], widths[column]
            box.y = round(_MARGIN + height * _PITCH, 1)
        lowest = max((box.y + box.height for box in self.boxes), default=0)
        self.width = round(max(x - _GAP, _MARGIN) + _MARGIN)
        self.height = round(lowest + _MARGIN)
        self.arrows: list[tuple[int, int, bool, str]] = []
        for (up, down), bends in zip(edges, layout.bends, strict=True):
            through = [
                (
                    lefts[column],
                    lefts[column] + widths[column],
                    _MARGIN + height * _PITCH + _BOX / 2,
                )
                for column, height in bends
            ]
            path = _path(self.boxes[up], self.boxes[down], through)
            self.arrows.append((up, down, groups.edges[up, down], path))


def _path(up: Box, down: Box, through: list[tuple[float, float, float]]) -> str:
    """Return an arrow's path: straight where it passes a column, a curve between two."""
    x, y = up.x + up.width, up.y + up.height / 2
    parts = [f"M{_number(x)} {_number(y)}"]
    end = (down.x - 4, down.x - 4, down.y + down.height / 2)
    for left, right, height in [*through, end]:
        middle = (x + left) / 2
        if abs(height - y) < 0.5:  # noqa: PLR2004 - pixels
            parts.append(f"H{_number(right)}")
        else:
            points = (middle, y, middle, height, left, height)
            parts.append(f"C{' '.join(map(_number, points))}")
            if right > left:
                parts.append(f"H{_number(right)}")
        x, y = right, height
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def shortened(name: str) -> str:
    """Return a name as it fits into a box."""
    name = printable(name)
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 9]}…{name[-8:]}"


_STYLE = """\
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#1c2330}
.b{fill:#fff;stroke:#aab3c2}.e{fill:none;stroke:#98a2b3;stroke-width:1.3}.m{stroke-width:2.4}
.c{fill:#5f6b7d;font-size:11px}.s{fill:#fff;font-size:9px;font-weight:700;text-anchor:middle}#a path{fill:#98a2b3}
@media (prefers-color-scheme:dark){text{fill:#e6e9ef}.b{fill:#1d2430;stroke:#566175}.e{stroke:#6b7789}
.c{fill:#a3adbd}#a path{fill:#6b7789}}"""


def to_svg(flow: dict[str, Any], counts: Mapping[str, Mapping[str, int]] | None = None) -> str:
    """Draw as SVG.

    Args:
        flow: serialized.
        counts: of each task by its slug, how many of what it ran as came to each state: one, or as many
            as children of a mapped task. None draws no states.
    """
    picture = Picture(flow)
    tasks = flow["tasks"]
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width}" height="{picture.height}" '
            f'viewBox="0 0 {picture.width} {picture.height}" role="img">'
        ),
        f"<title>{escaped(printable(flow['name']))}</title><style>{_STYLE}</style>",
        (
            '<defs><marker id="a" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" '
            'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8Z"/></marker></defs>'
        ),
    ]
    for _, _, mapped, path in picture.arrows:
        kind = "e m" if mapped else "e"
        parts.append(f'<path class="{kind}" marker-end="url(#a)" d="{path}"/>')
    for box in picture.boxes:
        slugs = [tasks[number]["id"] for number in box.members]
        states: dict[str, int] = {}
        for slug in slugs if counts else ():
            for state, number in (counts or {}).get(slug, {}).items():
                states[state] = states.get(state, 0) + number
        parts.append(_drawn(box, slugs, states))
    parts.append("</svg>\n")
    return "\n".join(parts)


def _drawn(box: Box, slugs: list[str], states: dict[str, int]) -> str:
    told = ", ".join(f"{number} {printable(state)}" for state, number in states.items())
    shown = ", ".join(printable(slug) for slug in slugs[:12]) + (" …" if len(slugs) > 12 else "")  # noqa: PLR2004
    title = escaped(f"{shown}: {told}" if told else shown)
    x, y, width = box.x, box.y, box.width
    radius = _BOX // 2 if box.parameter else 5
    size = f'width="{width}" height="{_BOX}" rx="{radius}"'
    parts = [f"<g><title>{title}</title>"]
    if box.mapped:
        parts.append(f'<rect class="b" x="{_number(x + 4)}" y="{_number(y + 4)}" {size}/>')
    parts.append(f'<rect class="b" x="{_number(x)}" y="{_number(y)}" {size}/>')
    total = sum(states.values())
    left = x + 8
    for state in sorted(states, key=lambda state: (_ORDER.get(state, 99), state)):
        part = (width - 16) * states[state] / total
        colour = COLOURS.get(state, OTHER)
        parts.append(
            f'<rect x="{_number(left)}" y="{_number(y + _BOX - 7)}" width="{max(part, 1):.1f}" height="3" '
            f'fill="{colour}"/>'
        )
        left += part
    if (shown_state := worst(states) if states else "Success") not in _PLAIN:
        colour = COLOURS.get(shown_state, OTHER)
        parts.append(
            f'<circle cx="{_number(x + 2)}" cy="{_number(y + 2)}" r="7" fill="{colour}"/>'
            f'<text class="s" x="{_number(x + 2)}" y="{_number(y + 5)}">{MARKS.get(shown_state, "·")}</text>'
        )
    base = _number(y + (17 if states else 19))
    parts.append(f'<text x="{_number(x + 12)}" y="{base}">{escaped(box.label)}</text>')
    many = total if total > 1 else len(slugs)
    if many > 1 or box.mapped:
        count = f"×{many}" if many > 1 else "map"  # noqa: RUF001 - it is no letter
        parts.append(
            f'<text class="c" x="{_number(x + width - 10)}" y="{base}" text-anchor="end">{count}</text>'
        )
    return "".join([*parts, "</g>"])


def escaped(text: str) -> str:
    """Return text as it stands in HTML and SVG, between tags and in double quotes."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )
