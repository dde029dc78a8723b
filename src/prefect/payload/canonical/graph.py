"""What a pickle says, as a graph: its opcodes read by a symbolic machine, which executes nothing.

It reads what `pickle.Pickler` writes with protocol 5, in-band. Values that are equal become one
node, whether or not they were one object: text, bytes, tuples and frozensets, names of globals.
Mutable objects stay what they are. Nothing recurses, and large bytes are not copied.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from struct import error as StructError  # noqa: N812 - an exception's name
from typing import TYPE_CHECKING

from prefect.errors import PicklingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PROTOCOL = 5
# Bytes from this size on are neither copied nor hashed as a whole while they are read.
_LARGE = 4096
_PROBED = 64 * 1024
_INDEX = Struct("<I")

# Opcodes by the names of pickletools.
_MARK, _STOP, _POP = b"(", b".", b"0"
_MEMOIZE = b"\x94"
_CONTAINERS = {b"]", b"}", b"\x8f"}
_FROZENSET, _ADDITEMS, _REDUCE, _STACK_GLOBAL = b"\x91", b"\x90", b"R", b"\x93"
_O_MEMOIZE, _O_BINGET, _O_LONG_BINGET, _O_STOP = ord(_MEMOIZE), ord("h"), ord("j"), ord(_STOP)
_O_SHORT_BINUNICODE, _O_BINFLOAT = 0x8C, ord("G")

# Values that are written in place each time: None, booleans, (), numbers, extension codes.
_ATOMS = {
    "N": 1, "\x88": 1, "\x89": 1, ")": 1, "K": 2, "M": 3, "J": 5, "G": 9,
    "\x82": 2, "\x83": 3, "\x84": 5,
}  # fmt: skip
_ATOM_SIZES = [_ATOMS.get(chr(code), 0) for code in range(256)]
# Text and bytes, and whole numbers beyond 32 bits: an opcode, a length, that many bytes.
_COUNTED = {
    "\x8c": "B", "X": "<I", "\x8d": "<Q", "C": "B", "B": "<I", "\x8e": "<Q", "\x96": "<Q",
    "\x8a": "B", "\x8b": "<I",
}  # fmt: skip
_BYTEARRAY8 = "\x96"
_LONGS = {"\x8a", "\x8b"}

# Functions whose results are values: equal arguments give what may as well be the same object.
# Libraries keep such results in caches of limited size, so whether they are is chance.
_VALUE_MAKERS = {("re", "_compile"), ("_operator", "getitem"), ("_operator", "or_")}
# But not if an argument is no type: two calls give two sets, or another thing each time.
_CHANGEABLE = {*_CONTAINERS, b"\x81", b"\x92"}


DISTINCT, OBJECT, VALUE = 0, 1, 2
"""How far a node can be told from an equal one: a NaN always, an object by identity, a value not.

What holds a NaN is as distinct as it is: a set may hold it twice.
"""


class Node:
    """Something that a pickle makes: its parts, the opcode that makes it of them, and effects.

    An effect is what an opcode does to it afterwards: a mark or none, parts, the opcode.
    """

    __slots__ = ("args", "effects", "given", "level", "mark", "op", "ref", "uses")

    def __init__(self, args: Sequence[Node], op: bytes | memoryview, level: int) -> None:
        self.mark = b""
        self.args = args
        self.op = op
        self.effects: list[tuple[bytes, list[Node], bytes]] | None = None
        self.level = level
        self.uses = 0
        self.ref: bytes | None = None
        """What is written in its place, once there is something."""
        self.given: dict[Node, int] | None = None
        """Of a call's arguments: containers in it, by how much was in them when it was made."""

    @property
    def content(self) -> int:
        """How many parts have been put into it."""
        return sum(len(args) for _, args, _ in self.effects or ())


def read_graph(payload: bytes | memoryview) -> tuple[Node, list[tuple[Node, list[Node]]]]:
    """Return the root of a pickle's graph, and all sets in it with their elements.

    Raises:
        PicklingError: it is malformed, or not of the form that a pickler of protocol 5 writes.
    """
    reader = _Reader(payload if isinstance(payload, bytes) else bytes(payload))
    try:
        return reader.read(), reader.sets
    except (IndexError, KeyError, StructError) as error:
        raise _malformed("it ends early, or refers to what is not there") from error


def _malformed(why: str) -> PicklingError:
    return PicklingError(f"The pickle cannot be made canonical: {why}")


class _Reader:
    """The symbolic machine: a stack, marks in it, and a memo, as an unpickler has them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Node] = []
        self.marks: list[int] = []
        self.sets: list[tuple[Node, list[Node]]] = []
        self._memo: list[Node] = []
        self._atoms: dict[bytes, Node] = {}
        self._texts: dict[bytes, Node] = {}
        self._large: dict[tuple[int, ...], list[Node]] = {}
        self._composites: dict[object, Node] = {}
        self._handlers: dict[int, Callable[[int], None]] = {}
        for handler, codes in {
            self._proto: "\x80",
            self._frame: "\x95",
            self._mark: "(",
            self._empty: "]}\x8f",
            self._counted: "".join(_COUNTED),
            self._tuple_of: "\x85\x86\x87",
            self._tuple: "t",
            self._frozenset: "\x91",
            self._global: "\x93",
            self._reduce: "R",
            self._make: "\x81\x92",
            self._effect: "ab",
            self._effect_of_two: "s",
            self._effect_of_many: "eu\x90",
            self._pop: "0",
            self._pop_mark: "1",
        }.items():
            self._handlers.update((ord(code), handler) for code in codes)

    def read(self) -> Node:
        """Read all of it and return the root."""
        data, stack, atoms, texts = self.data, self.stack, self._atoms, self._texts
        handlers, sizes = self._handlers, _ATOM_SIZES
        memo, index_at = self._memo, _INDEX.unpack_from
        push, memoize = stack.append, memo.append
        position = 0
        while True:  # the most frequent opcodes stand here, for speed
            code = data[position]
            if code == _O_MEMOIZE:
                memoize(stack[-1])
                position += 1
            elif code == _O_BINGET:
                push(memo[data[position + 1]])
                position += 2
            elif code == _O_LONG_BINGET:
                push(memo[index_at(data, position + 1)[0]])
                position += 5
            elif size := sizes[code]:
                raw = data[position : position + size]
                push(atoms.get(raw) or self._atom(raw, size))
                position += size
            elif code == _O_SHORT_BINUNICODE:
                end = position + 2 + data[position + 1]
                raw = data[position:end]
                push(texts.get(raw) or self._text(raw))
                position = end
            elif code == _O_STOP:
                break
            elif code in handlers:
                self.position = position + 1
                handlers[code](code)
                position = self.position
            else:
                raise _malformed(f"the opcode {code:#04x} at byte {position} is not supported")
        if len(stack) != 1 or self.marks or position + 1 != len(data):
            raise _malformed("it does not end with one object")
        stack[0].uses += 1
        return stack[0]

    # ---- leaves --------------------------------------------------------------------------

    def _atom(self, raw: bytes, size: int) -> Node:
        if len(raw) != size:
            raise IndexError
        node = self._atoms[raw] = Node((), raw, VALUE)
        node.ref = raw
        if raw[0] == _O_BINFLOAT:
            (value,) = unpack_from(">d", raw, 1)
            node.level = VALUE if value == value else DISTINCT  # noqa: PLR0124 - asks for a NaN
        return node

    def _text(self, raw: bytes) -> Node:
        node = self._texts[raw] = Node((), raw, VALUE)
        return node

    def _counted(self, code: int) -> None:
        kind = chr(code)
        (length,) = unpack_from(_COUNTED[kind], self.data, self.position)
        start = self.position - 1
        body = self.position + {"B": 1, "<I": 4, "<Q": 8}[_COUNTED[kind]]
        self.position = end = body + length
        if end > len(self.data):
            raise IndexError
        if end - start > _LARGE:
            node = self._large_leaf(memoryview(self.data)[start:end], kind)
        elif kind in _LONGS:
            raw = self.data[start:end]
            node = self._atoms.get(raw) or self._atom(raw, len(raw))
        elif kind == _BYTEARRAY8:
            node = Node((), self.data[start:end], OBJECT)
        else:
            raw = self.data[start:end]
            node = self._texts.get(raw) or self._text(raw)
        self.stack.append(node)

    def _large_leaf(self, raw: memoryview, kind: str) -> Node:
        if kind == _BYTEARRAY8:
            return Node((), raw, OBJECT)
        ends = hash((bytes(raw[:_LARGE]), bytes(raw[-_LARGE:])))
        alike = self._large.setdefault((len(raw), ends), [])
        for node in alike:
            if _equal(raw, node.op):
                return node
        node = Node((), raw, VALUE)
        alike.append(node)
        return node

    # ---- what is made of others ----------------------------------------------------------

    def _above(self, count: int) -> list[Node]:
        """Take so many nodes off the stack, none of them below the last mark."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise IndexError
        nodes = self.stack[start:]
        del self.stack[start:]
        return nodes

    def _above_mark(self) -> list[Node]:
        start = self.marks.pop()
        nodes = self.stack[start:]
        del self.stack[start:]
        return nodes

    def _new(self, args: list[Node], op: bytes, level: int, mark: bytes = b"") -> Node:
        for node in args:
            node.uses += 1
        made = Node(args, op, level)
        made.mark = mark
        return made

    def _shared(self, args: list[Node], op: bytes, mark: bytes = b"") -> Node:
        """Return the value of such parts, the same each time."""
        level = min([node.level for node in args], default=VALUE)
        if level == DISTINCT:
            return self._new(args, op, level, mark)
        key = (op, frozenset(args) if op == _FROZENSET else tuple(args))
        node = self._composites.get(key)
        if node is None:
            node = self._composites[key] = self._new(args, op, level, mark)
            if op == _FROZENSET:
                self.sets.append((node, args))
        return node

    def _proto(self, _code: int) -> None:
        if self.data[self.position] > _PROTOCOL:
            raise _malformed(f"its protocol is newer than {_PROTOCOL}")
        self.position += 1

    def _frame(self, _code: int) -> None:
        self.position += 8

    def _mark(self, _code: int) -> None:
        self.marks.append(len(self.stack))

    def _empty(self, code: int) -> None:
        self.stack.append(Node((), bytes((code,)), OBJECT))

    def _tuple_of(self, code: int) -> None:
        self.stack.append(self._shared(self._above(code - 0x84), bytes((code,))))

    def _tuple(self, _code: int) -> None:
        self.stack.append(self._shared(self._above_mark(), b"t", _MARK))

    def _frozenset(self, _code: int) -> None:
        args = self._above_mark()
        node = self._shared(args, _FROZENSET, _MARK)
        if node.level == DISTINCT:
            self.sets.append((node, args))
        self.stack.append(node)

    def _global(self, _code: int) -> None:
        self.stack.append(self._shared(self._above(2), _STACK_GLOBAL))

    def _reduce(self, _code: int) -> None:
        function, arguments = parts = self._above(2)
        if function.op == _STACK_GLOBAL and arguments.level != DISTINCT:
            named = tuple(bytes(name.op[2:]).decode(errors="replace") for name in function.args)
            if named in _VALUE_MAKERS and _CHANGEABLE.isdisjoint(n.op for n in arguments.args):
                self.stack.append(self._shared(parts, _REDUCE))
                return
        self._give(arguments)
        self.stack.append(self._new(parts, _REDUCE, OBJECT))

    def _make(self, code: int) -> None:
        count = 2 if code == 0x81 else 3  # noqa: PLR2004 - NEWOBJ, and NEWOBJ_EX
        parts = self._above(count)
        self._give(parts[1])
        self.stack.append(self._new(parts, bytes((code,)), OBJECT))

    def _give(self, arguments: Node) -> None:
        if arguments.level == OBJECT and arguments.given is None:
            found = {n: n.content for n in arguments.args if n.effects and n.op in _CONTAINERS}
            arguments.given = found or None

    # ---- what is done to others ----------------------------------------------------------

    def _done(self, args: list[Node], op: bytes, mark: bytes) -> None:
        (target,) = self._above(1)
        self.stack.append(target)
        if target.level != OBJECT:
            raise _malformed("it changes what cannot be changed")
        for node in args:
            node.uses += 1
        if op == _ADDITEMS:
            if target.effects and target.effects[-1][2] == op:  # of a large set, in pieces
                target.effects[-1][1].extend(args)
                return
            self.sets.append((target, args))
        target.effects = target.effects or []
        target.effects.append((mark, args, op))

    def _effect(self, code: int) -> None:
        self._done(self._above(1), bytes((code,)), b"")

    def _effect_of_two(self, code: int) -> None:
        self._done(self._above(2), bytes((code,)), b"")

    def _effect_of_many(self, code: int) -> None:
        args = self._above_mark()
        self._done(args, bytes((code,)), _MARK)

    def _pop(self, _code: int) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
            return
        (node,) = self._above(1)
        # A state setter: a call with the object below, whose result nobody wants. Otherwise a
        # double of what lies in the memo, which the pickler made before it met the cycle.
        below = self.stack[-1] if self.stack else None
        if node.op == _REDUCE and below is not None and node.args[1].args[:1] == [below]:
            self._done([node], _POP, b"")

    def _pop_mark(self, _code: int) -> None:
        self._above_mark()


def _equal(one: memoryview, other: bytes | memoryview) -> bool:
    return all(
        bytes(one[start : start + _PROBED]) == bytes(other[start : start + _PROBED])
        for start in range(0, len(one), _PROBED)
    )
