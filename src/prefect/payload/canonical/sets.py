"""The order in which a canonical pickle writes the elements of sets.

Whatever decides must not depend on the order in which they were read. In this order:

1. values, such as text, numbers and tuples of them: by their bytes;
2. what is also found without going through a set: in the order in which it is found there;
3. the rest: by what it holds, as far as that tells one element from another.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING

from prefect.payload.canonical.graph import VALUE, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_OF_SETS = {b"\x90", b"\x91"}  # ADDITEMS, FROZENSET
# How deep elements are compared. What differs only further in keeps the order that it has.
_DEEPEST = 100


def sort_sets(root: Node, sets: list[tuple[Node, list[Node]]]) -> None:
    """Bring the elements of all sets of a graph into their canonical order, in place."""
    digests: dict[Node, bytes] = {}
    objects = False
    for _, elements in sets:
        if all(node.level == VALUE for node in elements):
            elements.sort(key=lambda node: _value_key(node, digests))
        else:
            objects = True
    if objects:
        _Order(root, digests).sort()


def _value_key(node: Node, digests: dict[Node, bytes]) -> tuple[int, bytes, bytes]:
    return (0, b"", _digest(node, digests)) if node.args else (0, bytes(node.op), b"")


def _digest(node: Node, digests: dict[Node, bytes]) -> bytes:
    """Return a digest of a value, which is made of values."""
    work = [node]
    while work:
        item = work[-1]
        if missing := [part for part in item.args if part not in digests]:
            work += missing
            continue
        work.pop()
        if item not in digests:
            digests[item] = _hash(
                item.op, _in_order(item.op, [digests[part] for part in item.args])
            )
    return digests[node]


def _hash(op: bytes | memoryview, parts: Sequence[bytes]) -> bytes:
    hashed = blake2b(op, digest_size=16)
    hashed.update(len(parts).to_bytes(8, "little"))
    for part in parts:
        hashed.update(part)
    return hashed.digest()


def _in_order(op: bytes | memoryview, parts: list[bytes]) -> list[bytes]:
    return sorted(parts) if op in _OF_SETS else parts


def _steps(node: Node) -> Iterator[tuple[Sequence[Node], bytes | memoryview]]:
    """Yield what makes a node, and then what is done to it."""
    yield node.args, node.op
    for _, args, op in node.effects or ():
        yield args, op


class _Order:
    """Numbers the objects of a graph in the order of a walk that leaves sets for later."""

    def __init__(self, root: Node, digests: dict[Node, bytes]) -> None:
        self._digests = digests
        self._numbers: dict[Node, int] = {}
        self._waiting: deque[list[Node]] = deque()
        self._walk(root)

    def sort(self) -> None:
        """Sort one set after the other, each as soon as a walk has come to it."""
        while self._waiting:
            elements = self._waiting.popleft()
            unknown = [n for n in elements if n.level != VALUE and n not in self._numbers]
            colors = self._colors(unknown) if len(unknown) > 1 else {}
            elements.sort(key=lambda node: self._key(node, colors))
            for node in elements:
                self._walk(node)

    def _key(self, node: Node, colors: dict[Node, bytes]) -> tuple[int, bytes, bytes]:
        if node.level == VALUE:
            return _value_key(node, self._digests)
        if node in self._numbers:
            return 1, self._numbers[node].to_bytes(8, "big"), b""
        return 2, colors.get(node, b""), b""

    def _walk(self, start: Node) -> None:
        work = [start]
        while work:
            node = work.pop()
            if node.level == VALUE or node in self._numbers:
                continue
            self._numbers[node] = len(self._numbers)
            further: list[Node] = []
            for args, op in _steps(node):
                if op in _OF_SETS:
                    if isinstance(args, list) and any(part.level != VALUE for part in args):
                        self._waiting.append(args)
                else:
                    further += args
            work += reversed(further)

    def _colors(self, nodes: list[Node]) -> dict[Node, bytes]:
        """Tell nodes apart by what they hold: a step further in with each round."""
        region = self._region(nodes)
        colors = {node: _hash(node.op, ()) for node in region}
        distinct = 0
        for _ in range(_DEEPEST):
            if len({colors[node] for node in nodes}) == len(nodes):
                break
            before, distinct = distinct, len(set(colors.values()))
            if before == distinct:  # no further round would tell more apart
                break
            colors = {node: self._color(node, colors) for node in region}
        return colors

    def _color(self, node: Node, colors: dict[Node, bytes]) -> bytes:
        steps = [
            _hash(op, _in_order(op, [self._outer(part) or colors[part] for part in args]))
            for args, op in _steps(node)
        ]
        return _hash(colors[node], steps)

    def _outer(self, node: Node) -> bytes:
        """Return what a node is known by already, if it is."""
        if node.level == VALUE:
            return _digest(node, self._digests)
        number = self._numbers.get(node)
        return b"" if number is None else number.to_bytes(16, "big")

    def _region(self, nodes: Iterable[Node]) -> dict[Node, None]:
        """Return the objects that these hold, themselves included, and no walk has come to."""
        region: dict[Node, None] = {}
        work = list(nodes)
        while work:
            node = work.pop()
            if node.level == VALUE or node in self._numbers or node in region:
                continue
            region[node] = None
            for args, _ in _steps(node):
                work += args
        return region
