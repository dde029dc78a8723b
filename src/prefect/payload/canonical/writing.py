"""A pickle in its one canonical form: what it loads decides its bytes, not how it came about.

The pickle is read into a graph, without executing anything, and the graph is written anew. What
differs then is what loading would show: values, types, the order of dicts, which mutable objects
are the same. What no longer differs: identities of equal immutable values, numbers in the memo,
frames, and the order of sets.
"""

from __future__ import annotations

from prefect.payload.canonical.graph import Node, read_graph
from prefect.payload.canonical.sets import sort_sets

_BEGINNING, _STOP, _POP, _MEMOIZE = b"\x80\x05", b".", b"0", b"\x94"
_SHORT_REFERENCES = 256
_ENTERED = b""


def canonical(payload: bytes | memoryview) -> bytes:
    """Return the canonical form of a pickle, executing nothing.

    Raises:
        PicklingError: it is malformed, or not of the form that a pickler of protocol 5 writes.
    """
    root, sets = read_graph(payload)
    sort_sets(root, sets)
    written = _write(root, memoize_all=False)
    if written is None:
        root, sets = read_graph(payload)
        sort_sets(root, sets)
        written = _write(root, memoize_all=True)
    return b"".join(written or ())


class _Made:
    """Stands on the list of work where a node has been made, and its effects are to follow."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node


def _write(  # noqa: C901, PLR0912 - one loop, for speed
    root: Node, *, memoize_all: bool
) -> list[bytes | memoryview] | None:
    """Return the pieces of a graph's pickle; None if it needs to memoize all, and must not.

    What is used once needs no place in the memo, unless something immutable holds, further in,
    itself: `t = ([],); t[0].append(t)`. As every pickler does, the inner one is then made first,
    the outer one thrown away, and for that all that lies between must be found in the memo.
    """
    written: list[bytes | memoryview] = [_BEGINNING]
    write = written.append
    memoized = 0
    work: list[Node | _Made | bytes | memoryview] = [root]
    while work:
        item = work.pop()
        if isinstance(item, Node):
            if item.ref:
                write(item.ref)
                continue
            if item.ref is not None and not memoize_all:
                return None
            again = item.ref is not None
            keep = memoize_all or item.uses > 1
            if not item.args and item.effects is None:
                if item.mark:
                    write(item.mark)
                write(item.op)
                if keep:
                    write(_MEMOIZE)
                    item.ref = _reference(memoized)
                    memoized += 1
                continue
            item.ref = _ENTERED
            if keep or item.effects:
                work.append(_Made(item))
            if item.mark:
                write(item.mark)
            if item.args:
                work.append(item.op)
                work.extend(reversed(_whole(item) if again and item.given else item.args))
            else:
                write(item.op)
        elif isinstance(item, _Made):
            node = item.node
            if node.ref:
                write(_POP + node.ref)
                continue
            if memoize_all or node.uses > 1:
                write(_MEMOIZE)
                node.ref = _reference(memoized)
                memoized += 1
            for mark, args, op in reversed(node.effects or ()):
                work.append(op)
                work.extend(reversed(args))
                if mark:
                    work.append(mark)
        else:
            write(item)
    write(_STOP)
    return written


def _whole(arguments: Node) -> list[Node | bytes | memoryview]:
    """Return the parts of a call's arguments while their containers are still being filled.

    What was whole when it was given, and is nobody else's, is there once more: the function takes
    out of it what is in it now.
    """
    parts: list[Node | bytes | memoryview] = []
    for part in arguments.args:
        if part.uses > 1 or (arguments.given or {}).get(part) != part.content:
            parts.append(part)
            continue
        parts.append(part.op)
        for mark, args, op in part.effects or ():
            parts += [mark, *args, op]
    return parts


def _reference(index: int) -> bytes:
    """Return the opcode that takes something from the memo."""
    if index < _SHORT_REFERENCES:
        return bytes((0x68, index))
    return b"j" + index.to_bytes(4, "little")
