"""Flows as plain JSON values."""

import dataclasses
import datetime as dt
import json
import math
import os
import subprocess
import sys
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, Parameter, Task, task, triggers
from prefect.core.serialization import REPR_LENGTH, default_text, is_plain, stable_repr
from prefect.running.parameters import read_parameters


@task(tags=["b", "a"], max_retries=2, retry_delay=1.5, timeout=60, trigger=triggers.any_failed)
def extract(day):
    return [day]


class Load(Task):
    """A task class."""

    def run(self, rows):
        pass


def make_flow():
    with Flow("etl") as flow:
        rows = extract(Parameter("day", default="today"))
        Load(slug="load", skip_on_upstream_skip=False).map([rows, rows, "secret"])
    return flow


def test_form():
    """Everything that may be known of a flow is in it, in topological order."""
    described = make_flow().serialize()
    assert described["schema"] == 1
    assert described["name"] == "etl"
    assert described["parameters"] == [
        {"name": "day", "required": False, "default": "today", "type": "str"}
    ]
    assert [t["id"] for t in described["tasks"]] == ["day", "extract-1", "List-1", "load"]
    assert described["tasks"][1] == {
        "id": "extract-1",
        "name": "extract",
        "type": f"{__name__}.extract",
        "tags": ["a", "b"],
        "max_retries": 2,
        "retry_delay": 1.5,
        "timeout": 60,
        "trigger": "any_failed",
        "skip_on_upstream_skip": True,
        "auto_generated": False,
    }
    assert described["tasks"][2]["auto_generated"]
    assert described["tasks"][3]["type"] == f"{__name__}.Load"
    assert described["edges"] == [
        {"upstream": "day", "downstream": "extract-1", "key": "day", "mapped": False},
        {"upstream": "extract-1", "downstream": "List-1", "key": "0", "mapped": False},
        {"upstream": "extract-1", "downstream": "List-1", "key": "1", "mapped": False},
        {"upstream": "List-1", "downstream": "load", "key": "rows", "mapped": True},
    ]
    assert described["reference_tasks"] == ["load"]
    assert described["environment"] is None


def test_constants_are_left_out():
    """The values of constants, which may be secret, are not in it."""
    assert "secret" not in json.dumps(make_flow().serialize())


def test_unpickled_flows_are_described_alike():
    """A flow that was pickled is described as it was before."""
    flow = make_flow()
    assert cloudpickle.loads(cloudpickle.dumps(flow)).serialize() == flow.serialize()


SCRIPT = """
import json
from prefect import Flow, Parameter, task
@task(tags={"x", "y", "z", "w"})
def f(x):
    return x
names = ["a", "b", "c", "d"]
with Flow("f") as flow:
    tasks = {f(name) for name in names}
    p = Parameter("p", default={"one", "two", frozenset({"three", "four"})})
    f(p, upstream_tasks=tasks)
    f(tasks)
flow.set_reference_tasks(tasks)
print(json.dumps(flow.serialize(), allow_nan=False))
"""


def test_same_in_every_process(tmp_path):
    """Processes with different hash seeds describe the same script's flow alike."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    outputs = {
        subprocess.check_output(
            [sys.executable, str(script)], env={**os.environ, "PYTHONHASHSEED": seed}, text=True
        )
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert '"type": "script.f"' in outputs.pop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_plain_values_survive_json(value):
    """What counts as plain comes back from JSON as it was; other defaults are shown by repr."""
    described = Flow("f", tasks=[Parameter("p", default=value)]).serialize()
    back = json.loads(json.dumps(described, allow_nan=False))
    assert back == described
    if is_plain(value):
        assert back["parameters"][0]["default"] == value
    else:
        assert back["parameters"][0]["default"] is None
        assert len(back["parameters"][0]["default_repr"]) <= REPR_LENGTH


def loop():
    value = []
    value.append(value)
    return value


class Sly(int):
    """Is an int to isinstance alone."""


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        (math.nan,),
        {1: 2},
        {(1,)},
        10**5000,
        object(),
        loop(),
        Sly(3),
        [{2}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_not_plain(value):
    """What JSON would refuse, or change, is not plain; describing it works all the same."""
    assert not is_plain(value)
    described = Flow("f", tasks=[Parameter("p", default=value)]).serialize()
    json.dumps(described, allow_nan=False)
    assert described["parameters"][0]["default"] is None


class Colour(Enum):
    """Has members whose values are texts."""

    RED = "red"


@pytest.mark.parametrize(
    ("default", "form", "shown"),
    [
        (dt.date(2024, 2, 29), "2024-02-29", "2024-02-29"),
        (dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), "2024-02-29T12:00:00+00:00", None),
        (dt.time(12, 30), "12:30:00", "12:30:00"),
        (dt.timedelta(minutes=1.5), 90.0, "90.0"),
        (Path("a b/c"), "a b/c", "a b/c"),
        (Path('"a"'), '"a"', '"\\"a\\""'),
        (Decimal("1.50"), "1.50", "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001", None),
        (Colour.RED, "red", "red"),
        ((1, "x"), [1, "x"], '[1, "x"]'),
        ({"b", "a"}, ["a", "b"], '["a", "b"]'),
        (frozenset({2}), [2], "[2]"),
        ("\u00e9", "\u00e9", '"\u00e9"'),
        (True, True, "true"),
    ],
    ids=lambda value: type(value).__name__,  # a set's repr is another in each process
)
def test_a_default_is_told_as_it_can_be_given(default, form, shown):
    """The serialized flow has a default in the JSON form that its type takes, and shows it as `-p` does."""
    flow = Flow("f", tasks=[parameter := Parameter("p", default=default)])
    described = flow.serialize()
    assert described["parameters"][0]["default"] == form
    assert "default_repr" not in described["parameters"][0]
    text = default_text(described["parameters"][0])
    assert text == (form if shown is None else shown)
    parsed = read_parameters(described, {"p": text})
    assert flow.run(parsed).result[parameter].result == default


class Broken:
    """Has no repr."""

    def __repr__(self):
        raise RuntimeError


@dataclasses.dataclass
class Limits:
    """Has a set, and a repr that shows some."""

    names: set
    count: int = dataclasses.field(default=1, repr=False)
    kind: ClassVar[str] = "kind"


@dataclasses.dataclass
class Shown:
    """Has a repr of its own."""

    names: set

    def __repr__(self):
        return "all shown"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "<object object>"),
        ({"b", "a"}, "{'a', 'b'}"),
        ((1,), "(1,)"),
        ((), "()"),
        ([{frozenset({2, 1})}], "[{frozenset({1, 2})}]"),
        ({"k": (1, set())}, "{'k': (1, set())}"),
        (Broken(), "<Broken>"),
        (Limits({"b", "a"}), "Limits(names={'a', 'b'})"),
        ([Shown({"b"})], "[all shown]"),
        ([10**5000], "<list>"),
    ],
)
def test_stable_repr(value, text):
    """Reprs have neither addresses nor the order of hashes in them."""
    assert stable_repr(value) == text


def test_long_reprs_are_cut():
    """A long repr is cut to 200 characters, without writing all of it."""
    text = stable_repr(range_list := list(range(100_000)))
    assert len(text) == REPR_LENGTH
    assert text.startswith("[0, 1, 2")
    assert text.endswith("...")
    assert len(range_list) == 100_000
