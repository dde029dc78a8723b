"""Types of parameters: what is taken, converted and refused."""

import enum
import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Optional
from uuid import UUID

import numpy as np
import pytest

from prefect import Flow, Parameter, task
from prefect.core.parameter_check import check_parameters, expected_by_description
from prefect.core.value_types import json_form
from prefect.errors import ParameterError


class Level(enum.Enum):
    """Numbers, which say nothing: named."""

    LOW = 1
    HIGH = 2


class Color(enum.StrEnum):
    """Texts."""

    RED = "red"
    BLUE = "blue"


class Zero(enum.IntEnum):
    """A member that is false."""

    NONE = 0


@task
def give(x):
    return x


def flow_of(*arguments, **parameter):
    with Flow("test") as flow:
        give(Parameter("p", *arguments, **parameter))
    return flow


def run_with(flow, value):
    """Return what the task got; the description of the flow takes the same."""
    serialized = json.loads(json.dumps(flow.serialize()))
    try:
        check_parameters("test", expected_by_description(serialized), {"p": value})
        refused = False
    except ParameterError:
        refused = True
    try:
        state = flow.run(p=value)
    except ParameterError:
        assert refused
        raise
    assert not refused
    return next(s.result for t, s in state.result.items() if t.name == "give")


UTC = timezone.utc  # noqa: UP017  # as it is pickled
GOOD = [
    (True, False, False),
    (3, 4, 4),
    (3, np.int64(4), 4),
    (2.5, 4, 4),
    (2.5, 0.5, 0.5),
    (2.5, np.float32(0.5), 0.5),
    ("a", "b", "b"),
    ([1], [2, 3], [2, 3]),
    ([1], range(2), range(2)),
    ((1,), [2, 3], (2, 3)),
    ({1}, [2, 2], {2}),
    (frozenset([1]), [2, 2], frozenset([2])),
    ({"a": 1}, {"b": 2}, {"b": 2}),
    (date(2024, 1, 1), "2024-02-29", date(2024, 2, 29)),
    (date(2024, 1, 1), date(2024, 2, 29), date(2024, 2, 29)),
    (datetime(2024, 1, 1, tzinfo=UTC), "2024-02-29T12:30:00+00:00",
     datetime(2024, 2, 29, 12, 30, tzinfo=UTC)),
    (time(1), "12:30:00", time(12, 30)),
    (timedelta(1), 1.5, timedelta(seconds=1.5)),
    (Path("a"), "b/c", Path("b/c")),
    (Decimal(1), "0.1", Decimal("0.1")),
    (Decimal(1), 0.1, Decimal("0.1")),
    (UUID(int=1), str(UUID(int=2)), UUID(int=2)),
    (Level.LOW, "HIGH", Level.HIGH),
    (Level.LOW, Level.HIGH, Level.HIGH),
    (Color.RED, "blue", Color.BLUE),
    (Zero.NONE, "NONE", Zero.NONE),
    (None, "anything", "anything"),
    (b"bytes", "anything", "anything"),
]  # fmt: skip


@pytest.mark.parametrize(("default", "given", "expected"), GOOD)
def test_a_default_says_the_type(default, given, expected):
    """What is of the default's type, or its JSON form, reaches the task as that type."""
    got = run_with(flow_of(default), given)
    assert got == expected
    if not isinstance(given, np.generic):
        assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("default", "given", "says"),
    [
        (3, "x", "'p' is of type int, a whole number; 'x' is not"),
        (3, 2.5, "type int"),
        (3, True, "type int"),
        (3, None, "type int"),
        (3, np.array([1]), "type int"),
        (True, 1, "type bool, true or false"),
        (2.5, "1", "type float"),
        ("a", 1, "type str"),
        ([1], "abc", "type list"),
        ([1], {"a": 1}, "type list"),
        ([1], 1, "type list"),
        ({}, [1], "type dict"),
        (date(2024, 1, 1), "2024-02-30", "a date such as 2024-02-29; '2024-02-30' is not"),
        (date(2024, 1, 1), 20240101, "type date"),
        (datetime(2024, 1, 1), "noon", "type datetime"),  # noqa: DTZ001
        (timedelta(1), "1 day", "type timedelta, a number of seconds"),
        (Path("a"), 1, "type path"),
        (Decimal(1), "one", "type decimal"),
        (UUID(int=1), "1", "type uuid"),
        (Level.LOW, "low", "one of LOW, HIGH; 'low' is not"),
        (Level.LOW, ["LOW"], "type enum"),
        (Color.RED, "RED", "one of red, blue"),
    ],
)
def test_another_type_is_refused_before_anything_runs(default, given, says):
    """The error names the parameter, its type, and how a value is written."""
    with pytest.raises(ParameterError) as caught:
        run_with(flow_of(default), given)
    assert says in str(caught.value)


def test_all_wrong_values_are_named_at_once():
    """One run tells all that has to be changed."""
    with Flow("test") as flow:
        give([Parameter("a", default=1), Parameter("b", default="x")])
    with pytest.raises(ParameterError, match=r"(?s)'a' is of type int.*'b' is of type str"):
        flow.run(a="x", b=1)


def test_a_type_may_be_said():
    """Without a default, or beside one in its JSON form; None where it is said or the default."""
    assert run_with(flow_of(type=date), "2024-02-29") == date(2024, 2, 29)
    assert Parameter("d", "2024-02-29", type=date).default == date(2024, 2, 29)
    assert run_with(flow_of(None, type=int), None) is None
    assert run_with(flow_of(type=int | None), None) is None
    assert run_with(flow_of(type=Optional[int]), 3) == 3  # noqa: UP045
    assert run_with(flow_of(type=list[int]), [1]) == [1]
    assert run_with(flow_of(1, type=float), 2.5) == 2.5
    with pytest.raises(ParameterError, match="type int"):
        run_with(flow_of(type=int), None)
    with pytest.raises(ParameterError, match="type int"):
        Parameter("n", "x", type=int)
    for wrong in ("int", 3, int | str):
        with pytest.raises(TypeError, match="A parameter's type is a class"):
            Parameter("n", type=wrong)


def test_a_class_without_a_json_form_may_be_a_type():
    """Then only its instances are taken."""
    flow = flow_of(type=Flow)
    assert flow.run(p=flow).is_successful()
    with pytest.raises(ParameterError, match="type Flow, which has no JSON form"):
        flow.run(p="x")


def test_annotations_say_the_type():
    """Where the tasks that take the parameter whole agree, and the default is one of it."""

    @task
    def typed(day: date, factor: "float" = 1, limit: "Optional[int]" = None):  # noqa: UP045
        return day, factor, limit

    with Flow("test") as flow:
        got = typed(
            Parameter("day"), Parameter("factor", default=1), Parameter("limit", default=None)
        )
    types = {each["name"]: each.get("type") for each in flow.serialize()["parameters"]}
    assert types == {"day": "date", "factor": "float", "limit": "int"}
    state = flow.run(day="2024-02-29", factor=2.5, limit=None)
    assert state.result[got].result == (date(2024, 2, 29), 2.5, None)
    for wrong in ({"day": "x"}, {"factor": "x"}, {"limit": "x"}):
        with pytest.raises(ParameterError, match=f"'{next(iter(wrong))}' is of type"):
            flow.run({"day": "2024-02-29"} | wrong)


def test_annotations_that_do_not_tell_are_left_alone():
    """Names that only type checkers know, kinds of types, other items than the whole, quarrels."""

    @task
    def vague(a: "Nonsense", b: Sequence, c: int | str, d: int, e):  # noqa: F821
        return a, b, c, d, e

    with Flow("test") as flow:
        names = [Parameter(name) for name in "abcde"]
        vague(*names)
        vague.map(*([each] for each in names[:3]), names[3], names[4])
    assert not any("type" in each for each in flow.serialize()["parameters"])
    everything = dict.fromkeys("abc", "x") | {"d": [1], "e": [1]}
    assert flow.run(everything).is_successful()


def test_the_description_tells_types():
    """Their names, and the choices of an enum, are in the serialized flow."""
    described = flow_of(Color.RED).serialize()["parameters"][0]
    assert (described["type"], described["choices"]) == ("enum", ["red", "blue"])
    assert flow_of(type=int | None).serialize()["parameters"][0]["nullable"] is True
    assert "type" not in flow_of().serialize()["parameters"][0]


@pytest.mark.parametrize("case", GOOD)
def test_every_value_comes_back_from_its_json_form(case):
    """What is given to an image as Python has it arrives as the same."""
    default, given, expected = case
    if default is None or isinstance(given, (bytes, range, np.generic)):
        return
    flow = flow_of(default)
    assert run_with(flow, json.loads(json.dumps(json_form(expected)))) == expected
