"""A flow with all that is known to make pickles differ from process to process."""

import abc
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import re
import typing
import weakref
import zoneinfo
from pathlib import PurePosixPath

import helpers
import helpers.inner
import numpy as np
import pandas as pd
from helpers import state as helper_state
from prefect import Flow, Parameter, Task, task, unmapped

VOWELS = {"a", "e", "i", "o", "u"}
PAIRS = {("alpha", 1), ("beta", 2), ("gamma", -0.0), (), ("alpha", True)}
NESTED = {frozenset({"x", "y"}), frozenset({"z", b"z"}), frozenset()}
DATES = {datetime.date(2020, 1, day) for day in range(1, 9)}
GROUPS = {frozenset(DATES), frozenset({datetime.date(2021, 1, 1), decimal.Decimal("1.5")})}
MATRIX = np.arange(12.0).reshape(3, 4)
MASK = MATRIX.T > 5
FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]}, index=["p", "q", "r"])
PATTERN = re.compile(r"(\w+)@(\w+)")
SAME_PATTERN = re.compile(r"(\w+)@(\w+)")
MAYBE = typing.Optional[dict[str, list[int]]]
T = typing.TypeVar("T")
BERLIN = datetime.datetime(2024, 5, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
PLACES = {PurePosixPath("a/b"), PurePosixPath("c")}


class Color(enum.Enum):
    RED = 1
    GREEN = "green"
    BLUE = (1, 2)


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


COLORS = {Color.RED, Color.GREEN, Color.BLUE}


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int = 0
    tags: frozenset = frozenset({"one", "two", "three"})
    extra: typing.ClassVar[dict] = {}

    @functools.cached_property
    def length(self) -> float:
        return float(np.hypot(self.x, self.y))


POINTS = {Point(1, 2), Point(3), Point(5, 6)}


@dataclasses.dataclass
class Record:
    names: list = dataclasses.field(default_factory=list, metadata={"k": {"s", "t"}})
    when: "datetime.date | None" = None


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

    @abc.abstractmethod
    def name(self): ...


@Shape.register
class Square:
    pass


@Shape.register
class Circle:
    pass


@Shape.register
class Oval:
    pass


class Pair(typing.NamedTuple):
    left: int
    right: str = "right"


class Box(typing.Generic[T]):
    def get(self, value: T) -> T:
        return value


class Tags(set):
    """A set with something more."""


TAGS = Tags({"q", "r", "s"})
TAGS.owner = "somebody"
WATCHED = weakref.WeakSet({Square, Circle, Oval})


@functools.lru_cache(maxsize=50)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def decorated(kind):
    kind.decorated = True
    return kind


@decorated
class Decorated:
    kinds = {"k", "l", "m"}

    def __init__(self):
        self.values = collections.defaultdict(list, a=[1])
        self.counter = collections.Counter("mississippi")
        self.ordered = collections.OrderedDict(z=1, y=2)
        self.queue = collections.deque([1, 2], maxlen=5)
        self.me = self

    @property
    def many(self):
        return len(self.kinds)


OBJECT = Decorated()


@contextlib.contextmanager
def opened(name):
    yield name


def outer(limit):
    cell = {"inner", "cell", "set"}

    def middle(x):
        class Local:
            allowed = {"p", "q"}

            def check(self, y):
                self.beta, self.alpha = y, x
                return y in {"deep", "deeper", "deepest"} or y in cell

        return Local().check(x) or x in (1, 2, limit)

    return middle


@task
def extract(n: int, *, scale: "float" = 1.5) -> list:
    kept = [word for word in ("a", "b", "c") if word in {"a", "c", "d"}]
    return [n * scale, len(kept), len(VOWELS | set(map(str, PAIRS | NESTED | DATES | GROUPS)))]


@task(max_retries=2, retry_delay=datetime.timedelta(seconds=1), tags=["slow", "big", "red"])
def transform(x, factor=functools.partial(max, 2)):
    with opened("it") as name:
        return [helpers.scale(x), helpers.inner.ten(), helper_state.describe(), name, factor(1)]


@task(tags={"b", "a", "c"}, state_handlers=[lambda task, old, new: new])
def load(xs, **options: typing.Any):
    total = FRAME["a"].sum() + MATRIX.sum() + MASK.sum() + fibonacci(10)
    kinds = (Color, Access.READ | Access.WRITE, POINTS, Record(), Shape, Pair(1), Box, TAGS)
    other = (PATTERN, SAME_PATTERN, MAYBE, BERLIN, PLACES, COLORS, OBJECT.values, WATCHED)
    return total, len(str(kinds)), len(other), outer(3)("deep"), list(numbers(2))


def numbers(n):
    yield from (i for i in range(n) if i in {0, 1, 5})


class Scale(Task):
    """A task with a state of its own."""

    units = frozenset({"mm", "cm", "m"})

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.seen = {"k1": {"v1", "v2"}, "k2": Point(7)}

    def run(self, x, y=None):
        return [x, y, len(self.units), Point(3, 4).length if x else None]


class Friend(Task):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.friends = set()

    def run(self):
        return len(self.friends)


@task
def fail(x):
    broken = {"one", "two"}
    raise ValueError(f"no {len(broken)} {x}")  # a comment, too


with Flow("rich", state_handlers=[lambda flow, old, new: new]) as flow:
    limit = Parameter("limit", default={"nested": [1, 2.5, None]})
    odd = Parameter("odd", default={"s", "e", "t"})
    mapped = transform.map(extract(2, task_args={"name": "extract it"}))
    load(mapped, more={"in", "a", "set"}, which=limit)
    Scale(3)(mapped, y=unmapped({"list": [odd, {limit.name}]}))
    friends = [Friend(name="friend")() for _ in range(6)]
    for friend in friends:
        friend.friends.update(friends)
    task(lambda: {"lambda", "of", "strings"}, name="lambda", trigger=helpers.some_trigger)()

with Flow("failing") as failing:
    fail(1)

if __name__ == "__main__":
    import sys

    from build import build

    build(failing if "failing" in sys.argv else flow, *sys.argv[1:])
