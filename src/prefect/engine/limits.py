"""Limits by tag: how many tasks that have a tag may run at a time."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect.engine.nodes import Node


class Limits:
    """Keeps nodes back until fewer of their kind run.

    Args:
        limits: the numbers by tag, from 1.
        ready: where nodes go that may be tried again; the last is taken first.
    """

    def __init__(self, limits: Mapping[str, int], ready: deque[Node]) -> None:
        self._free = dict(limits)
        self._ready = ready
        self._waiting: dict[str, deque[Node]] = {tag: deque() for tag in limits}

    def admit(self, node: Node) -> bool:
        """Tell whether a node may begin, and count it; else it waits here."""
        tags = self._tags(node)
        full = next((tag for tag in tags if not self._free[tag]), None)
        if full is None:
            for tag in tags:
                self._free[tag] -= 1
            return True
        self._waiting[full].append(node)
        for tag in tags:  # what it does not take another may
            self._wake(tag)
        return False

    def leave(self, node: Node) -> None:
        """Count a node no more, which was admitted."""
        for tag in self._tags(node):
            self._free[tag] += 1
            self._wake(tag)

    def waiting(self) -> Iterator[Node]:
        """Go through the nodes that are kept back."""
        for nodes in self._waiting.values():
            yield from nodes

    def _wake(self, tag: str) -> None:
        if self._free[tag] and self._waiting[tag]:
            self._ready.append(self._waiting[tag].popleft())

    def _tags(self, node: Node) -> list[str]:
        if node.step.mapped and node.map_index is None:
            return []  # it does nothing: its children do
        tags = node.step.task.tags
        return [tag for tag in self._free if tag in tags]
