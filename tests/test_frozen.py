"""Immutable values with named fields: as those of dataclasses, and made in no time."""

import copy
import inspect
import pickle
import subprocess
import sys
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import pytest

from prefect.frozen import as_dict, field, field_names, frozen, ordered, replace


@frozen
class Point:
    """A point, with a note that is neither shown nor compared."""

    x: int
    y: int = 2
    tags: list = field(default_factory=list)
    note: str = field(default="n", repr=False, compare=False)

    @property
    def total(self):
        return self.x + self.y


@dataclass(frozen=True, slots=True)
class Model:
    """The same as a dataclass."""

    x: int
    y: int = 2
    tags: list = dataclass_field(default_factory=list)
    note: str = dataclass_field(default="n", repr=False, compare=False)


@ordered
class Version:
    """What can be sorted."""

    major: int
    minor: int = 0


@frozen
class Checked:
    """What looks at its field."""

    size: int

    def __post_init__(self):
        if self.size < 0:
            raise ValueError("It is negative")


@frozen
class Pair:  # noqa: PLW1641 - its hash is made, as for a dataclass
    """What says itself what is equal, and has values in its fields."""

    first: Point
    others: tuple = ()

    def __eq__(self, other):
        return isinstance(other, Pair) and self.first == other.first


@frozen
class Marked(Point):
    """A point with one field more."""

    mark: str = "m"


def test_fields_are_taken_by_position_and_by_name_with_defaults():
    """What a class annotates are its fields, each default made anew where it is to be."""
    point = Point(1, note="z")
    assert (point.x, point.y, point.tags, point.note, point.total) == (1, 2, [], "z", 3)
    assert Point(1).tags is not Point(1).tags
    assert Point(x=3, y=4) == Point(3, 4)


@pytest.mark.parametrize(
    ("arguments", "named", "told"),
    [
        ((), {}, "lacks a value for 'x'"),
        ((1, 2, [], "n", 5), {}, "takes 4 values, and 5 were given"),
        ((1,), {"x": 2}, "two values for 'x'"),
        ((1,), {"z": 2}, "no field, or got two values for 'z'"),
    ],
)
def test_wrong_arguments_are_named(arguments, named, told):
    """A missing, an unknown and a doubled field are a TypeError that names it."""
    with pytest.raises(TypeError, match=told):
        Point(*arguments, **named)


def test_values_compare_hash_and_show_as_dataclasses_do():
    """Equality, hash, repr and what `match` takes are those of the same dataclass."""
    assert Point(1, 2, [3]) == Point(1, 2, [3], "other")
    assert Point(1) != Point(2)
    assert Point(1) != Model(1)
    assert repr(Point(1)) == repr(Model(1)).replace("Model", "Point")
    assert hash(Version(1, 2)) == hash(Version(1, 2)) == hash((1, 2))
    assert Point.__match_args__ == Model.__match_args__
    assert hash(Pair(Version(1))) == hash((Version(1), ()))


def test_ordered_values_compare_as_tuples_of_their_fields():
    """Such values sort, and compare with none of another class."""
    assert sorted([Version(2), Version(1, 5), Version(1)]) == [
        Version(1),
        Version(1, 5),
        Version(2),
    ]
    assert Version(1) <= Version(1) < Version(2) > Version(1, 9) >= Version(1, 9)
    with pytest.raises(TypeError):
        Version(1) < (1, 0)  # noqa: B015


def test_values_are_immutable_and_have_slots():
    """No field can be set or deleted, and there is no other attribute."""
    point = Point(1)
    for change in (
        lambda: setattr(point, "x", 2),
        lambda: setattr(point, "z", 2),
        lambda: delattr(point, "x"),
    ):
        with pytest.raises(AttributeError, match="immutable"):
            change()
    assert not hasattr(point, "__dict__")


def test_values_are_checked_where_a_class_says_so():
    """`__post_init__` is called, also by `replace`."""
    with pytest.raises(ValueError, match="negative"):
        replace(Checked(1), size=-1)


def test_values_are_copied_pickled_and_replaced():
    """Copies are equal, and those with a change differ in it alone."""
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(Point(1, 2, [3]), protocol)).tags == [3]
    assert copy.deepcopy(Point(1, note="z")).note == "z"
    changed = replace(Point(1, note="z"), y=9)
    assert (changed.x, changed.y, changed.note) == (1, 9, "z")


def test_the_state_in_a_pickle_is_that_of_a_dataclass():
    """What was pickled as a dataclass with slots can still be read."""
    assert Point(1).__getstate__() == Model(1).__getstate__()


def test_values_are_dicts_with_all_that_is_in_them():
    """Nested values, in tuples, too, become dicts."""
    expected = {
        "first": {"x": 1, "y": 2, "tags": [], "note": "n"},
        "others": ({"major": 1, "minor": 0},),
    }
    assert as_dict(Pair(Point(1), (Version(1),))) == expected
    assert field_names(Pair) == ["first", "others"]


def test_a_class_adds_fields_to_those_of_its_base():
    """The base's fields come first."""
    assert repr(Marked(1, mark="k")) == "Marked(x=1, y=2, tags=[], mark='k')"


def test_the_signature_is_that_of_a_dataclass():
    """Help shows fields, defaults and annotations."""
    ours, theirs = inspect.signature(Point), inspect.signature(Model)
    assert [*ours.parameters] == [*theirs.parameters]
    assert ours.parameters["y"] == theirs.parameters["y"]


def test_it_loads_nothing_slow():
    """Neither dataclasses nor what that imports is loaded for it."""
    code = "import sys; import prefect.frozen; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"dataclasses", "inspect", "typing", "functools"} & {*loaded} or "coverage" in loaded
