"""Everything that code can be made of, in tasks whose results can be compared.

Run as a script with a directory, it packages its flow into that.
"""

from __future__ import annotations

import abc
import asyncio
import collections
import contextlib
import dataclasses
import enum
import functools
import pathlib
import sys
import typing

import parts
from parts.deep import inner
from parts.plain import Annotated, annotated

from prefect import Flow, Task, task

T = typing.TypeVar("T")
# fmt: off
LEVELS = [lambda x: x + 1, lambda x: x + 2, lambda x, /, y=3, *z, k=(lambda: 5): (x, y, z, k())]; EXTRA = lambda: "é", lambda: "ü"
# fmt: on
counter = 0


def maker(factor, *, label="maker"):
    total = 0

    def outer(x):
        nonlocal total
        total += x * factor

        def innermost():
            return (label, total, factor, x)

        return innermost

    return outer


made = maker(3)


def recursive():
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)

    return fact


fact = recursive()


def logged(prefix):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return prefix, function(*args, **kwargs)

        return wrapper

    return decorate


@logged("outer")
@logged(
    "inner",
)
def decorated(a: int, b: str = "b", *rest: int, c: float = 1.5, **more: str) -> tuple:
    """Say what it is given.

    In several lines.
    """
    return a, b, rest, c, sorted(more.items())


class Base:
    registry: typing.ClassVar[list] = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Base.registry.append(cls.__name__)

    def who(self):
        return f"Base of {type(self).__name__}"


class Child(Base):
    __hidden = "hidden"

    def __init__(self):
        self.__own = 1

    def who(self):
        def twice():
            return super(Child, self).who() + "/" + __class__.__name__

        return [super().who(), twice(), self.__hidden, self.__own, self.__secret(2)]

    def __secret(self, x, __y=4):
        return lambda: (self.__own, x, __y)

    @property
    def value(self):
        return self.__own

    @value.setter
    def value(self, new):
        self.__own = new

    @classmethod
    def named(cls):
        return cls.__qualname__

    @staticmethod
    def plain(x):
        return -x

    @functools.cached_property
    def slow(self):
        return self.value * 100

    class Inner:
        class Innermost:
            __deep = "deep"

            def get(self):
                return self.__deep, type(self).__qualname__, [self.__deep for _ in range(2)]


class Meta(type):
    def __new__(mcs, name, bases, names, **kwargs):
        made = super().__new__(mcs, name, bases, names)
        made.tag = name.lower()
        return made

    def __call__(cls, *args):
        return super().__call__(*args), cls.tag


class WithMeta(metaclass=Meta):
    def hello(self):
        return "hello"


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

    def twice(self):
        return 2 * self.area()


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


@typing.runtime_checkable
class HasArea(typing.Protocol):
    def area(self) -> float: ...


@typing.runtime_checkable
class HasSide(typing.Protocol):
    side: int


class Box(typing.Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content

    def map(self, function):
        return Box(function(self.content))


class Colour(enum.Enum):
    RED = enum.auto()
    BLUE = enum.auto()

    @property
    def pretty(self):
        return self.name.title()

    @classmethod
    def _missing_(cls, value):
        return cls.RED


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = enum.auto()
    SLOW = enum.auto()


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Number(enum.IntFlag):
    ONE = 1
    TWO = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2
    tags: list = dataclasses.field(default_factory=list, compare=False)
    kind: typing.ClassVar[str] = "point"
    start: dataclasses.InitVar[int] = 5
    _: dataclasses.KW_ONLY
    scale: float = 1.0
    note: str = dataclasses.field(default="n", repr=False, metadata={"unit": "m"})

    def __post_init__(self, start):
        self.started = start

    def moved(self, **changes):
        return dataclasses.replace(self, start=0, **changes)


@dataclasses.dataclass
class Point3(Point):
    z: int = 9


@dataclasses.dataclass(frozen=True, order=True)
class Key:
    a: int
    b: str = "b"


@dataclasses.dataclass(frozen=True, order=True)
class LongKey(Key):
    c: tuple = ()


@dataclasses.dataclass(slots=True)
class Slim:
    a: int
    b: int = 7
    c: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slimmer:
    a: int
    b: int = 7


@dataclasses.dataclass(eq=False, repr=False, init=False)
class Bare:
    a: int = 1

    def __init__(self, a):
        self.a = a * 2


@dataclasses.dataclass(unsafe_hash=True)
class Hashed:
    self: int
    cls: int = 0


@dataclasses.dataclass
class Node:
    value: int
    children: list[Node] = dataclasses.field(default_factory=list)

    def leaf(self):
        return Leaf(self.value)


@dataclasses.dataclass
class Leaf(Node):
    pass


KEYED = {Key(1): "one", LongKey(2, "x", (1,)): "two"}
Pair = collections.namedtuple("Pair", "left right", defaults=[5])
Single = collections.namedtuple("Single", ["only"])
Classed = collections.namedtuple("Classed", ["class_name", "b"])


class Typed(typing.NamedTuple):
    name: str
    size: int = 3

    def both(self):
        return f"{self.name}{self.size}"


@functools.total_ordering
class Ordered:
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n

    def __lt__(self, other):
        return self.n < other.n


@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@contextlib.contextmanager
def managed(into):
    into.append("enter")
    try:
        yield into
    finally:
        into.append("exit")


class Job(Task):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.function = lambda x: x * factor

    def run(self):
        return self.function(4)


@task
def closures():
    one, two = made(1), made(2)
    grown = maker(10, label="here")
    return one(), two(), grown(3)(), fact(5), made.__qualname__, made(0).__qualname__


@task
def lambdas():
    return (
        [f(10) for f in LEVELS],
        [f() for f in EXTRA],
        (lambda: (lambda: 4)())(),
        [g() for g in parts.TABLE],
    )


@task
def comprehensions():
    rows = [[1, 2], [3, 4]]
    k = 10
    return (
        [x * k for row in rows for x in row if (y := x) > 1],
        {x: [z + k for z in range(x)] for x in range(3)},
        sorted({x % 2 for row in rows for x in row}),
        sum(x for row in rows for x in row),
        [(lambda: x)() for x in range(3)],
        [f() for f in [lambda i=i: i + k for i in range(3)]],
        y,
    )


@task
def generators():
    def count(n):
        for i in range(n):
            got = yield i
            if got:
                yield got

    def chained():
        yield from count(2)
        return "end"

    going = count(3)
    return list(chained()), next(going), going.send("sent"), list(going)


@task
def asynchronous():
    async def ticks(n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def main():
        async with contextlib.AsyncExitStack():
            return [i async for i in ticks(3)], [await one() for one in (small, small)]

    async def small():
        return "small"

    return asyncio.run(main())


@task
def classes():
    child = Child()
    child.value = 4
    hidden = [x() if callable(x) else x for x in child.who()]
    hello, tag = WithMeta()
    return (
        hidden, child.value, Child.named(), Child.plain(3), child.slow, Child.Inner.Innermost().get(),
        hello.hello(), tag, sorted(Base.registry), Slotted(1, 2).b, Square(3).twice(), repr(Square.__mro__[1]),
        Child.value.fget.__qualname__, issubclass(Square, Shape), Box(3).map(str).content,
        [isinstance(x, HasArea) for x in (Square(1), 1)], [isinstance(x, HasSide) for x in (Square(1), 1)],
        Slotted.__slots__,
    )  # fmt: skip


@task
def abstract():
    try:
        Shape()
    except TypeError as error:
        return type(error).__name__
    return "made"


@task
def enums():
    return (
        [c.pretty for c in Colour], Colour("other").name, Colour["BLUE"].value, Level.HIGH > Level.LOW, Level(2).name,
        f"{Mode.FAST}", str(Level.HIGH), repr(Right.READ | Right.WRITE), (Right.READ & Right.WRITE).value,
        Right(3).name, repr(Number.ONE | Number.TWO), Mode("slow").name, list(Right.BOTH) == [Right.READ, Right.WRITE],
        Colour.RED in Colour, {Colour.RED: 1}[Colour(1)], len(Colour), ~Right.READ == Right.WRITE,
    )  # fmt: skip


def outcome(function, *args, **kwargs):
    try:
        return repr(function(*args, **kwargs))
    except Exception as error:
        return type(error).__name__


@task
def data():
    point, key = Point(1, tags=["t"]), Key(1)
    return (
        repr(point), point == Point(1), point.started, repr(point.moved(x=8)), dataclasses.asdict(Point3(1, z=4)),
        repr(Point3(1, 2)), [f.name for f in dataclasses.fields(Point3)], Point.kind, Point.__match_args__,
        dataclasses.fields(Point)[-1].metadata["unit"], dataclasses.fields(Point)[0].default is dataclasses.MISSING,
        repr(key), sorted([Key(2), Key(1, "z"), key]) == [key, Key(1, "z"), Key(2)], KEYED[Key(1)],
        KEYED[LongKey(2, "x", (1,))], hash(key) == hash(Key(1)), outcome(setattr, key, "a", 5), outcome(delattr, key, "a"),
        outcome(setattr, LongKey(1), "c", 5), outcome(lambda: LongKey(1) < LongKey(2)), outcome(lambda: key < 5),
        repr(Slim(1)), Slim(1) == Slim(1), Slim(1).c is Slim(1).c, repr(Slimmer(a=1)), outcome(Slimmer, 1),
        outcome(setattr, Slimmer(a=2), "a", 5), Bare(4).a, Bare(1) == Bare(1), len({Hashed(1), Hashed(1), Hashed(2)}),
        outcome(Point), outcome(hash, point), Point.__init__.__qualname__, Point.__doc__ is None,
        repr(Node(1, [Node(2)]).leaf()), typing.get_type_hints(Hashed), dataclasses.is_dataclass(Point3),
        Point.__init__.__annotations__["x"], dataclasses.fields(Slim)[2].default_factory(),
        repr(dataclasses.make_dataclass("Late", [("q", int, 4)], bases=(Point3,))(1, q=3, tags=[])),
    )  # fmt: skip


@task
def tuples():
    pair = Pair(1)
    return (
        repr(pair),
        pair._replace(left=3),
        pair._asdict(),
        Pair._fields,
        Single(4).only,
        Classed(1, 2).class_name,
        Typed("a").both(),
        Typed._field_defaults,
        outcome(Pair),
    )


@task
def tools():
    into = []
    with managed(into) as same:
        same.append("within")
    return (
        fibonacci(30), fibonacci.cache_info().misses, into, functools.partial(decorated, 1, c=2)("x", 3, d="d"),
        Ordered(1) >= Ordered(0), max(Ordered(1), Ordered(3)).n, decorated.__doc__.split(), decorated.__name__,
        decorated.__wrapped__.__wrapped__.__annotations__, managed.__name__, functools.reduce(lambda a, b: a * b, [1, 2, 3]),
    )  # fmt: skip


@task
def matching():
    def one(value):
        match value:
            case {"a": [x, *rest], **more}:
                return x, rest, more
            case Key(a, "b"):
                return "key", a
            case Colour.RED | Colour.BLUE as colour:
                return colour.name
            case int() | float() if value > 5:
                return "large"
            case [] | "":
                return "empty"
            case _:
                return None

    return [one(v) for v in ({"a": [1, 2, 3], "b": 4}, Key(5), Colour.RED, 9, 2, [], "")]


@task
def texts():
    name, width, value = "wörld", 10, 3.14159
    return (
        f"{name!r:>{width}}|{value:.2f}|{{}}|{name.upper():*^{width + 2}}|{value=:.1f}"
        f"""
    {name}
        {[c for c in name]}""",
        "\d".encode(),
        r"\d",
        b"\x00\xff",
        "ab",
        "日本" * 2,
    )


@task
def errors():
    found = []
    try:
        raise ExceptionGroup("both", [ValueError("v"), KeyError("k"), TypeError("t")])
    except* ValueError as group:
        found.append(len(group.exceptions))
    except* (KeyError, TypeError) as group:
        found.append(len(group.exceptions))
    finally:
        found.append("finally")
    while True:
        try:
            break
        finally:
            found.append("broken")
    with contextlib.suppress(ZeroDivisionError), contextlib.nullcontext(5) as five:
        found.append(five)
        1 / 0
    return found


@task
def scopes():
    global counter
    counter += 1
    before = counter

    def change():
        global counter
        counter += 10

    change()
    return before, counter, sys.modules["__main__"] is not None


@task
def local():
    @dataclasses.dataclass
    class Here:
        a: int = 4

        def both(self):
            return self.a, before

    before = 7
    return Here().both(), [Here(n).a for n in range(2)]


@task
def packages():
    return (
        parts.total(),
        inner.up(),
        parts.VERSION,
        inner.Deep().get(),
        annotated(1, 2),
        Annotated.__annotations__,
        Annotated().both(1),
    )


@task
def paths():
    return [str(path) for path in PATHS], PATHS[0] / "x" == pathlib.PurePosixPath("a/x")


PATHS = [pathlib.PurePosixPath("a"), pathlib.Path("b")]


@task
def failing(x=1):
    def within():
        raise ValueError(x)  # the line that fails

    within()


with Flow("everything") as flow:
    Job(5, name="job")()
    for one in (
        closures, lambdas, comprehensions, generators, asynchronous, classes, abstract, enums, data, tuples, tools,
        matching, texts, errors, scopes, local, packages, paths, failing,
    ):  # fmt: skip
        one()


if __name__ == "__main__":
    from prefect.payload.packing import pickle_flow

    pickled = pickle_flow(flow)
    to = pathlib.Path(sys.argv[1])
    (to / "m").write_bytes(pickled.manifest.to_json())
    (to / "p").write_bytes(pickled.payload)
