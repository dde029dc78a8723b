"""Where to draw the nodes of a graph without circles: in columns, from left to right.

As Sugiyama, Tagawa and Toda have it: a column for each node, an order within each column in which few
edges cross, and then heights at which edges are short and straight. Edges over several columns go
through points in those between. Pure, and the same in every process.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Point: TypeAlias = tuple[float, float]

_SWEEPS = 12
_BEND = 0.35
"""How high the place of a bend is; that of a node is 1."""
_STRAIGHT = 6.0
"""How much more a bend of an edge over several columns costs than one at its ends."""


class Layout:
    """Where everything is.

    Attributes:
        columns: of each node, the number of its column.
        heights: of each node, where its middle is, from 0 on; nodes of a column are 1 apart at least, bends less.
        bends: of each edge, the columns and heights that it passes between its ends.
    """

    __slots__ = ("bends", "columns", "heights")

    def __init__(
        self, columns: list[int], heights: list[float], bends: list[list[tuple[int, float]]]
    ) -> None:
        self.columns = columns
        self.heights = heights
        self.bends = bends


def lay_out(
    count: int, edges: Sequence[tuple[int, int]], columns: list[int] | None = None
) -> Layout:
    """Find where to draw nodes.

    Args:
        count: of nodes, which are numbers from 0 on.
        edges: from a node to one with a higher number.
        columns: of each node, where that is known: edges lead to higher ones.
    """
    if columns is None:
        columns = _columns(count, edges)
    owners: list[int] = list(columns)  # the column of each node and each bend
    chains: list[list[int]] = []
    for up, down in edges:
        chain = [up]
        for column in range(columns[up] + 1, columns[down]):
            chain.append(len(owners))
            owners.append(column)
        chains.append([*chain, down])
    left: list[list[int]] = [[] for _ in owners]
    right: list[list[int]] = [[] for _ in owners]
    for chain in chains:
        for one, other in zip(chain, chain[1:], strict=False):  # noqa: RUF007 - itertools is slow to import
            right[one].append(other)
            left[other].append(one)
    layers: list[list[int]] = [[] for _ in range(max(owners, default=-1) + 1)]
    for node in _by_walking(owners, left, right):
        layers[owners[node]].append(node)
    layers = _uncrossed(layers, left, right)
    heights = _heights(layers, left, right, count)
    lowest = min(heights, default=0.0)
    heights = [height - lowest for height in heights]
    bends = [[(owners[node], heights[node]) for node in chain[1:-1]] for chain in chains]
    return Layout(columns, heights[:count], bends)


def _columns(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Put each node right of all before it, and those with nothing before them beside what follows."""
    columns = [0] * count
    first = [count] * count
    is_source = [True] * count
    for up, down in sorted(edges):
        columns[down] = max(columns[down], columns[up] + 1)
        is_source[down] = False
    for up, down in edges:
        first[up] = min(first[up], columns[down])
    return [
        first[node] - 1 if is_source[node] and first[node] < count else columns[node]
        for node in range(count)
    ]


def _by_walking(owners: list[int], left: list[list[int]], right: list[list[int]]) -> list[int]:
    """Return all nodes so that neighbours are near each other: an order to begin with."""
    seen = [False] * len(owners)
    order = []
    for root in sorted(range(len(owners)), key=owners.__getitem__):
        stack = [root]
        while stack:
            node = stack.pop()
            if seen[node]:
                continue
            seen[node] = True
            order.append(node)
            stack += reversed(left[node] + right[node])
    return order


def _uncrossed(
    layers: list[list[int]], left: list[list[int]], right: list[list[int]]
) -> list[list[int]]:
    """Return the layers with the fewest crossings of some sweeps from side to side."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, right)
    idle = 0
    for sweep in range(_SWEEPS):
        if not fewest or idle > 3:  # noqa: PLR2004
            break
        forward = sweep % 2 == 0
        beside = left if forward else right
        for number in range(len(layers)) if forward else reversed(range(len(layers))):
            _sort(layers, number, beside)
        crossings = _crossings(layers, right)
        idle += 1
        if crossings < fewest:
            best, fewest, idle = [list(layer) for layer in layers], crossings, 0
    return best


def _sort(layers: list[list[int]], number: int, beside: list[list[int]]) -> None:
    """Sort a layer by the middle of each node's neighbours; those without any stay in their place."""
    layer = layers[number]
    near = {node for other in layer for node in beside[other]}
    if not near:
        return
    position: dict[int, int] = {}
    for other in (number - 1, number + 1):
        if 0 <= other < len(layers):
            position.update((n, p) for p, n in enumerate(layers[other]) if n in near)
    middles = [
        (sum(position[n] for n in beside[node]) / len(beside[node]), node)
        for node in layer
        if beside[node]
    ]
    moved = iter(sorted(middles, key=lambda pair: pair[0]))
    layers[number] = [next(moved)[1] if beside[node] else node for node in layer]


def _crossings(layers: list[list[int]], right: list[list[int]]) -> int:
    """Count how often edges between neighbouring layers cross."""
    found = 0
    for layer, following in zip(layers, layers[1:], strict=False):  # noqa: RUF007 - as above
        position = {node: place for place, node in enumerate(following)}
        tree = [0] * (len(following) + 1)
        seen = 0
        for node in layer:
            ends = sorted(position[other] for other in right[node])
            for end in ends:  # of the edges before, those that end further on cross
                place, before = end + 1, 0
                while place:
                    before += tree[place]
                    place &= place - 1
                found += seen - before
            for end in ends:
                seen += 1
                place = end + 1
                while place < len(tree):
                    tree[place] += 1
                    place += place & -place
    return found


def _heights(
    layers: list[list[int]], left: list[list[int]], right: list[list[int]], count: int
) -> list[float]:
    """Return heights: each layer as near to its neighbours' middles as the distances allow."""
    heights = [0.0] * len(left)
    places = [[0.0] * len(layer) for layer in layers]
    for number, layer in enumerate(layers):
        below = 0.0
        for place, node in enumerate(layer):
            half = 0.5 if node < count else _BEND / 2
            places[number][place] = below + half
            below += 2 * half
        for place, node in enumerate(layer):
            heights[node] = places[number][place] - below / 2
    for sweep in range(_SWEEPS):
        sides = (left,) if sweep == 0 else (left, right)
        numbers = range(len(layers))
        for number in numbers if sweep % 2 == 0 else reversed(numbers):
            layer = layers[number]
            wanted, weights = [], []
            for node in layer:
                total = weight = 0.0
                for side in sides:
                    for other in side[node]:
                        pull = _STRAIGHT if node >= count or other >= count else 1.0
                        total += pull * heights[other]
                        weight += pull
                wanted.append(total / weight if weight else heights[node])
                weights.append(weight or 0.1)
            for node, height in zip(layer, _apart(wanted, weights, places[number]), strict=True):
                heights[node] = height
    return heights


def _apart(wanted: list[float], weights: list[float], places: list[float]) -> list[float]:
    """Return values as far apart as places are, at least, and nearest to the wanted ones by least squares.

    Without their distances they rise: that is isotonic regression, and neighbours that would fall are
    pooled.
    """
    pools: list[tuple[float, float, int]] = []  # sum, weight, how many
    for value, weight, place in zip(wanted, weights, places, strict=True):
        pool = ((value - place) * weight, weight, 1)
        while pools and pools[-1][0] * pool[1] > pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    levels = [total / weight for total, weight, many in pools for _ in range(many)]
    return [level + place for level, place in zip(levels, places, strict=True)]
