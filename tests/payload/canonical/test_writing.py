"""`prefect.payload.canonical.writing`: one form for all pickles of the same thing, executing nothing."""

import collections
import dataclasses
import datetime as dt
import enum
import math
import operator
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import PicklingError
from prefect.payload.canonical.writing import canonical


@dataclasses.dataclass(frozen=True)
class Point:
    """Equal by what it holds."""

    x: int
    y: object = None


class Color(enum.Enum):
    """Its members are made by a call each."""

    RED = 1
    GREEN = 2


class Vertex:
    """Equal to itself alone; its neighbours stand in a set."""

    def __init__(self, name):
        self.name = name
        self.neighbours = set()


ATOMS = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8)
    | st.floats(allow_nan=False)
)  # fmt: skip
HASHABLE = st.recursive(
    ATOMS | st.dates() | st.sampled_from(Color),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4)
    | st.builds(Point, st.integers(0, 3), inner),
    max_leaves=8,
)  # fmt: skip
VALUES = st.recursive(
    HASHABLE | st.binary(max_size=5).map(bytearray) | st.sets(HASHABLE, max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(HASHABLE, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@st.composite
def tangles(draw):
    """Lists and dicts that hold one another, themselves too, in tuples or as they are."""
    pool = [draw(st.sampled_from((list, dict)))() for _ in range(draw(st.integers(1, 5)))]
    for position, container in enumerate(pool):
        for number in range(draw(st.integers(0, 4))):
            other = pool[draw(st.integers(0, len(pool) - 1))]
            value = draw(st.sampled_from((other, (other,), ("text", (other, 1)), position)))
            if draw(st.booleans()):
                value = draw(VALUES)
            container.append(value) if isinstance(container, list) else container.update(
                {number: value}
            )
    return pool


def shape(value, known=None):  # noqa: PLR0911 - one for each kind
    """Describe a value with types and signs, and which mutable objects are the same."""
    known = {} if known is None else known
    if isinstance(value, (list, dict, set, bytearray)):
        if id(value) in known:
            return ("the same as", known[id(value)])
        known[id(value)] = len(known)
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return (kind, *(shape(item, known) for item in value))
    if isinstance(value, dict):
        return (kind, *((shape(k, known), shape(v, known)) for k, v in value.items()))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(shape(item, {}) for item in value)
    if isinstance(value, Point):
        return kind, shape(value.x), shape(value.y)
    if isinstance(value, float):
        return kind, value, math.copysign(1, value)
    return kind, bytes(value) if isinstance(value, bytearray) else value


def rebuilt(value, known=None):  # noqa: C901, PLR0911, PLR0912 - one for each kind
    """Make it of new objects, as far as Python does: sets in another order, no text interned."""
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)][0]
    kind = type(value)
    if kind is str:
        return "".join(list(value))
    if kind is bytes:
        return bytes(bytearray(value))
    if kind is bytearray:
        made = bytearray(value)
    elif kind in (list, dict):
        made = kind()
    elif kind is set:
        made = set()
    elif kind is tuple:
        return tuple(rebuilt(item, known) for item in value)
    elif kind is frozenset:
        return frozenset(shuffled(rebuilt(item, known) for item in value))
    elif kind is Point:
        return Point(rebuilt(value.x, known), rebuilt(value.y, known))
    else:
        return value
    known[id(value)] = (made, value)
    if kind is list:
        made.extend(rebuilt(item, known) for item in value)
    elif kind is dict:
        made.update({rebuilt(k, known): rebuilt(v, known) for k, v in value.items()})
    elif kind is set:
        made.update(shuffled(rebuilt(item, known) for item in value))
    return made


def shuffled(items):
    """Return the items in another order, with more room in the table for the next set."""
    items = list(items)
    random.Random(len(items)).shuffle(items)
    return items


def dumps(value):
    """Pickle as payloads are."""
    return pickle.dumps(value, 5)


@settings(deadline=None)
@given(VALUES | tangles())
def test_what_it_loads_is_the_same(value):
    """Values, types, orders of dicts and the identities of mutable objects stay as they were."""
    assert shape(pickle.loads(canonical(dumps(value)))) == shape(value)


@settings(deadline=None)
@given(VALUES | tangles())
def test_the_canonical_form_is_its_own(value):
    """To do it twice changes nothing."""
    once = canonical(dumps(value))
    assert canonical(once) == once
    assert canonical(memoryview(once)) == once


@settings(deadline=None)
@given(tangles())
def test_identities_of_immutable_values_do_not_show(value):
    """Equal values of other objects, sets filled in another order, give the same bytes."""
    assert canonical(dumps(rebuilt(value))) == canonical(dumps(value))


class Group(set):
    """Is made by a call that takes its elements out of a container."""

    __hash__ = object.__hash__


@pytest.mark.parametrize("entered", [lambda group, one: group, lambda group, one: {group, one}])
def test_what_is_made_of_what_knows_it_loses_nothing(entered):
    """A call that copies its argument gets it whole, though what is in it holds the result."""
    group, count = Group(), collections.Counter()
    one = Vertex("one")
    one.neighbours = [group, count]
    group.add(one)
    count[one] = 3
    form = canonical(dumps(entered(group, one)))
    loaded = pickle.loads(form)
    found = loaded if type(loaded) is Group else next(x for x in loaded if type(x) is Group)
    (element,) = found
    assert element.neighbours[0] is found
    assert element.neighbours[1] == {element: 3}
    assert canonical(form) == form


TABLE = {"a": 1}


class Union:
    """Is made by an operator, of what is no type."""

    def __reduce__(self):
        return operator.or_, (TABLE, TABLE)


def test_operators_make_new_objects_of_what_is_no_type():
    """Two unions of dicts are two dicts; of types, they may as well be one."""
    one, other, alias, same = pickle.loads(
        canonical(dumps([Union(), Union(), list[int] | None, list[int] | None]))
    )
    assert one == other == TABLE
    assert one is not other
    assert alias == same == list[int] | None


def graph(seed):
    """Return vertices in sets of one another, the sets filled in an order of the seed."""
    vertices = [Vertex(f"v{number // 2}") for number in range(40)]
    edges = [(one, 3 * one % 40) for one in range(40)] + [(one, one // 2) for one in range(40)]
    random.Random(seed).shuffle(edges)
    for one, other in edges:
        vertices[one].neighbours.add(vertices[other])
    return vertices


@pytest.mark.parametrize("known", [True, False])
def test_sets_of_objects_have_one_order(known):
    """By where they are found otherwise, or else by what they hold, in circles or not."""
    forms = set()
    kept = []  # so that each has addresses, and hashes, of its own
    for seed in range(8):
        vertices = graph(seed)
        kept.append(vertices)
        # Of those that are not known otherwise no two are alike in all they hold.
        shown = vertices if known else {frozenset(vertices[::2][:10]), frozenset(vertices[::2])}
        forms.add(canonical(dumps(shown)))
    assert len(forms) == 1


def test_a_set_that_holds_nans_keeps_them():
    """What is not equal to itself is not taken for its like."""
    nans = {(math.nan,), (float("nan"),), float("nan"), math.nan}
    loaded = pickle.loads(canonical(dumps(nans)))
    assert len(loaded) == 4


def test_numbers_that_are_equal_stay_what_they_are():
    """True, 1, 1.0, 0.0 and -0.0 are told apart, in tuples and frozensets too."""
    value = [(True,), (1,), (1.0,), (0.0,), (-0.0,), frozenset({1}), frozenset({True})]
    assert shape(pickle.loads(canonical(dumps(value)))) == shape(value)


def test_immutable_circles_survive():
    """A tuple, and a call's argument, that hold themselves by way of something mutable."""
    circle = ([], "text", [1])
    circle[0].append(circle)
    point = Point(1, [])
    point.y.append((point, circle))
    for value in (circle, point, [point, circle]):
        form = canonical(dumps(value))
        assert canonical(form) == form
        assert type(pickle.loads(form)) is type(value)
    loaded = pickle.loads(canonical(dumps(circle)))
    assert loaded[0][0] is loaded
    assert loaded[2] == [1]


def test_arrays_and_large_bytes_are_kept():
    """Equal large bytes become one object, equal arrays do not: they can be changed."""
    array = np.arange(10_000.0)
    large = bytes(range(256)) * 4096
    value = [array, array.copy(), array, large, bytes(bytearray(large)), large[:-1] + b"x"]
    loaded = pickle.loads(canonical(dumps(value)))
    assert loaded[0] is loaded[2]
    assert loaded[0] is not loaded[1]
    assert (loaded[1] == array).all()
    assert loaded[1].flags.writeable
    assert loaded[3] is loaded[4]
    assert loaded[3:] == value[3:]


def test_depth_is_no_limit():
    """A hundred thousand lists in one another, or tuples in a set, are no recursion."""
    depth = 100_000
    lists = b"\x80\x05" + b"](" * depth + b"e" * depth + b"."
    tuples = b"\x80\x05\x8f(K\x01N" + b"\x85" * depth + b"\x90."
    for deep in (lists, tuples):
        form = canonical(deep)
        assert canonical(form) == form


def test_nothing_is_executed(canary, tmp_path):
    """A pickle that would leave a file behind leaves none."""
    from pathlib import Path

    form = canonical(dumps([canary]))
    assert not Path(canary.path).exists()
    pickle.loads(form)
    assert Path(canary.path).exists()


@pytest.mark.parametrize("data", [
    b"", b".", b"\x80\x05.", b"\x80\x06N.", b"\x80\x05NN.", b"\x80\x05N.N", b"\x80\x05N", b"\x80",
    b"\x80\x05h\x00.", b"\x80\x05(N.", b"\x80\x05(Ne.", b"\x80\x05Ne.", b"\x80\x05NNb.",
    b"\x80\x05(N\x85.", b"\x80\x05]]\x93N", b"cos\nsystem\n.", b"\x80\x05P0\n.", b"\x80\x05\xff.",
    b"\x80\x05\x8c\xffabc.", b"\x80\x05\x8e" + b"\xff" * 8 + b"abc.",
])  # fmt: skip
def test_malformed_pickles_are_refused(data):
    """What ends early, lacks something or is of another form is an error that says so."""
    with pytest.raises(PicklingError, match="cannot be made canonical"):
        canonical(data)


def test_a_pickle_that_is_cut_anywhere_is_refused():
    """No beginning of a pickle passes for a whole one."""
    whole = dumps([{"a": (1, 2.5, {b"x"})}, dt.date(2020, 1, 1), Point(2, "y" * 300)])
    for end in range(len(whole)):
        with pytest.raises(PicklingError):
            canonical(whole[:end])


@settings(deadline=None)
@given(st.binary(max_size=60) | st.tuples(VALUES, st.integers(0), st.integers(0, 255)))
def test_noise_is_no_other_error(noise):
    """Random bytes, and pickles with a byte changed, are refused or written; never a crash."""
    if isinstance(noise, tuple):
        value, position, byte = noise
        changed = bytearray(dumps(value))
        changed[position % len(changed)] = byte
        noise = bytes(changed)
    try:
        form = canonical(noise)
    except PicklingError:
        return
    assert canonical(form) == form
