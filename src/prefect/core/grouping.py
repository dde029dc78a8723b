"""The tasks of a flow in few groups, of which each is drawn as one: nobody sees a thousand nodes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

MOST = 120
"""Groups, at most: what a screen shows, and what is laid out at once."""


class Groups:
    """Groups of tasks, in an order in which they can run, and the edges between them.

    Attributes:
        members: of each group, its tasks as positions in the flow's list.
        labels: of each group, a name.
        edges: from one group to a later one, each with whether it is mapped.
        columns: of each group, where to draw it; None where the edges say it.
    """

    __slots__ = ("columns", "edges", "labels", "members")

    def __init__(
        self, members: list[list[int]], labels: list[str], edges: dict[tuple[int, int], bool]
    ) -> None:
        self.members = members
        self.labels = labels
        self.edges = edges
        self.columns: list[int] | None = None


def group(flow: dict[str, Any], most: int = MOST) -> Groups:
    """Return the tasks of a flow in groups, of one task each where these are not too many.

    First, what is alike goes together: tasks of a name between the same others. Then what follows one
    after the other, then tasks of a name that are equally deep, and at last all of some depths.

    Args:
        flow: serialized.
        most: how many groups there may be.
    """
    tasks = flow["tasks"]
    numbers = {task["id"]: number for number, task in enumerate(tasks)}
    edges: dict[tuple[int, int], bool] = {}
    for edge in flow["edges"]:
        ends = numbers[edge["upstream"]], numbers[edge["downstream"]]
        edges[ends] = edges.get(ends, False) or edge["mapped"]
    names = [task["name"] for task in tasks]
    whose: list[int] = list(range(len(tasks)))
    if len(tasks) > most:
        whose = _merged(whose, _alike(len(tasks), edges, names))
    if _count(whose) > most:
        whose = _merged(whose, _chained(whose, edges))
    if _count(whose) <= most:
        return _groups(tasks, whose, edges)
    depths = _depths(len(tasks), edges)
    single = list(range(len(tasks)))
    step = 1
    while _count(whose := _merged(single, _at(depths, step, names))) > most:
        if step > max(depths):
            step = max(depths) // most + 1
            whose = _merged(single, _at(depths, step, None))
            break
        step *= 2
    steps = [depth // step for depth in depths]
    # Edges within one step could lead round.
    found = _groups(tasks, whose, {e: m for e, m in edges.items() if steps[e[0]] != steps[e[1]]})
    found.columns = [steps[members[0]] for members in found.members]
    return found


def _groups(
    tasks: list[dict[str, Any]], whose: list[int], edges: dict[tuple[int, int], bool]
) -> Groups:
    members: dict[int, list[int]] = {}
    for number, first in enumerate(whose):
        members.setdefault(first, []).append(number)
    between: dict[tuple[int, int], bool] = {}
    for (up, down), mapped in edges.items():
        ends = whose[up], whose[down]
        if ends[0] != ends[1]:
            between[ends] = between.get(ends, False) or mapped
    order = _sorted([*members], [*between])
    places = {first: place for place, first in enumerate(order)}
    unique: dict[str, int] = {}
    for task in tasks:
        unique[task["name"]] = unique.get(task["name"], 0) + 1
    return Groups(
        [members[first] for first in order],
        [_label([tasks[number] for number in members[first]], unique) for first in order],
        {(places[up], places[down]): mapped for (up, down), mapped in between.items()},
    )


def _label(tasks: list[dict[str, Any]], unique: dict[str, int]) -> str:
    first, last = tasks[0], tasks[-1]
    names = dict.fromkeys(task["name"] for task in tasks)
    if len(tasks) == 1:
        return str(first["name"] if unique[first["name"]] == 1 else first["id"])
    if len(names) == 1:
        return str(first["name"])
    return f"{first['name']} … {last['name']}"


def _count(whose: list[int]) -> int:
    return len(set(whose))


def _merged(whose: list[int], key: Callable[[int], Hashable]) -> list[int]:
    """Return for each task the first of those in groups with the same key."""
    firsts: dict[Hashable, int] = {}
    return [firsts.setdefault(key(first), first) for first in whose]


def _alike(
    count: int, edges: dict[tuple[int, int], bool], names: list[str]
) -> Callable[[int], Hashable]:
    around: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for up, down in edges:
        around[up].append((1, down))
        around[down].append((0, up))
    return lambda number: (names[number], frozenset(around[number]))


def _chained(whose: list[int], edges: dict[tuple[int, int], bool]) -> Callable[[int], Hashable]:
    """Return what gives for each group the first of its chain: links without another way in or out."""
    right: dict[int, set[int]] = {}
    left: dict[int, set[int]] = {}
    for up, down in edges:
        if whose[up] != whose[down]:
            right.setdefault(whose[up], set()).add(whose[down])
            left.setdefault(whose[down], set()).add(whose[up])
    first: dict[int, int] = {}
    for number in sorted(set(whose)):  # a group's first task comes after those before it
        before = left.get(number, ())
        one = next(iter(before)) if len(before) == 1 else None
        alone = one is not None and len(right[one]) == 1
        first[number] = first.get(one, number) if alone and one is not None else number
    return first.__getitem__


def _depths(count: int, edges: dict[tuple[int, int], bool]) -> list[int]:
    depths = [0] * count
    for up, down in sorted(edges):
        depths[down] = max(depths[down], depths[up] + 1)
    return depths


def _at(depths: list[int], step: int, names: list[str] | None) -> Callable[[int], Hashable]:
    return lambda number: (depths[number] // step, names[number] if names else "")


def _sorted(nodes: list[int], edges: list[tuple[int, int]]) -> list[int]:
    """Return nodes so that edges lead to later ones, else in their order."""
    from heapq import heapify, heappop, heappush  # noqa: PLC0415 - for drawings alone

    waiting = dict.fromkeys(nodes, 0)
    right: dict[int, list[int]] = {}
    for up, down in edges:
        waiting[down] += 1
        right.setdefault(up, []).append(down)
    ready = [node for node in nodes if not waiting[node]]
    heapify(ready)
    order = []
    while ready:
        node = heappop(ready)
        order.append(node)
        for other in right.get(node, ()):
            waiting[other] -= 1
            if not waiting[other]:
                heappush(ready, other)
    return order
