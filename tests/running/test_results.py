"""`prefect.running.results`: what comes out of a run, and what is refused on the way."""

import datetime as dt
import json
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, task
from prefect.core import state_kinds
from prefect.core.state import Failed
from prefect.core.state_kinds import KINDS
from prefect.engine import TaskEvent, signals
from prefect.errors import ArtifactError, RemoteTaskError
from prefect.payload.values import is_plain
from prefect.places.replaying import Replay
from prefect.running.report import describe_task
from prefect.running.results import NotCarried, RunResult

KEY = "canary-key"


def run(build):
    """Return the result of a flow that `build` adds tasks to, the messages about it, and its state."""
    with Flow("etl") as flow:
        build()
    state = flow.run()
    result, behind = RunResult.of(flow, state)
    return RunResult.read(result.to_bytes(KEY), KEY), behind, state


class Row:
    """A value that JSON cannot say."""

    def __init__(self, number):
        self.number = number


@task
def rows(count):
    return [Row(number) for number in range(count)]


@task
def double(x):
    return 2 * x


@task
def numbers():
    return {"a": [1, 2.5, None, True], "b": "ä"}


@task
def fail():
    raise ValueError("no such year")


def test_values_of_reference_tasks_come_out_and_those_of_others_do_not():
    """The last tasks' values are carried; what only others needed stays behind, and says so."""

    def build():
        double(double(4))

    result, behind, _ = run(build)
    state = result.to_state()
    assert state.is_successful()
    assert [each.result for each in state.result.values()] == [NotCarried("any"), 16]
    assert behind == []
    assert [task.get("result") for task in result.to_json()["tasks"]] == [None, 16]


def test_states_messages_and_tracebacks_are_those_of_the_run():
    """A failure comes out with its exception and traceback, what depended on it as not run."""

    def build():
        double(fail())

    result, _, there = run(build)
    state = result.to_state()
    assert state == there.__class__(there.message, state.result)
    assert [type(s).__name__ for s in state.result.values()] == ["Failed", "TriggerFailed"]
    failed = state.result["fail-1"]
    assert isinstance(failed.result, ValueError)
    assert "no such year" in failed.traceback
    assert "traceback" in result.to_json()["tasks"][0]


def test_mapped_tasks_come_out_with_each_child():
    """Children keep their states and values, in their order, failed ones among them."""

    @task
    def odd(x):
        if x % 2:
            raise signals.SKIP("odd")
        return x

    result, _, _ = run(lambda: odd.map([0, 1, 2]))
    state = result.to_state().result["odd-1"]
    assert [type(child).__name__ for child in state.map_states] == ["Success", "Skipped", "Success"]
    assert state.result == [0, None, 2]
    assert pickle.loads(result.to_pickle()) == {"odd-1": [0, None, 2]}


class Checked(state_kinds.Success):
    """A kind of state of a flow's own."""


@pytest.mark.parametrize("kind", [*KINDS.values(), Checked])
def test_each_kind_of_state_comes_out_of_a_place(kind):
    """As it is, or as what it was made of: what was taken from a store among them, or ended by a signal."""
    known = KINDS.get(kind.__name__, state_kinds.Success)
    with Flow("etl") as flow:
        last = numbers()
    ended = Failed if issubclass(kind, Failed) else state_kinds.Success
    result, _ = RunResult.of(flow, ended("over", {last: kind("as it is")}))
    read = RunResult.read(result.to_bytes(KEY), KEY)
    assert type(read.to_state().result["numbers-1"]) is known
    told = []
    replay = Replay(told.append)
    event = TaskEvent("numbers-1", "numbers", None, kind("as it is"))
    replay(json.dumps({"event": "task", "time": 1.0, **describe_task(event)}), "stdout")
    assert [type(each.state) for each in told] == [known]


def test_plain_values_are_carried_without_a_pickle():
    """Where JSON says it all nothing has to be unpickled to have it."""
    result, _, _ = run(numbers)
    assert result.pickles == b""
    assert result.to_json()["tasks"][0]["result"] == {"a": [1, 2.5, None, True], "b": "ä"}


def test_values_that_json_lacks_are_carried_as_pickles_and_said():
    """A class of the script comes out by value; its JSON tells what has it."""
    result, behind, _ = run(lambda: rows(2))
    assert behind == []
    assert result.without_json() == ["rows-1"]
    assert "result.pkl" in result.to_json()["tasks"][0]["lacks"]
    assert [row.number for row in pickle.loads(result.to_pickle())["rows-1"]] == [0, 1]
    assert [row.number for row in result.to_state().result["rows-1"].result] == [0, 1]


def test_json_says_dates_as_people_expect_them():
    """A value with a JSON form has it in the JSON, and itself in the state."""

    @task
    def day():
        return (dt.date(2026, 1, 31), 1)

    result, _, _ = run(day)
    assert result.to_json()["tasks"][0]["result"] == ["2026-01-31", 1]
    assert result.to_state().result["day-1"].result == (dt.date(2026, 1, 31), 1)


def test_what_cannot_be_carried_is_said_with_its_reason():
    """One value that cannot be pickled keeps no other from coming out."""

    @task
    def lock():
        return threading.Lock()

    def build():
        lock()
        numbers()

    result, behind, _ = run(build)
    assert len(behind) == 1
    assert "lock-1 stays behind" in behind[0]
    assert "pickle" in behind[0]
    state = result.to_state()
    assert isinstance(state.result["lock-1"].result, NotCarried)
    assert state.result["numbers-1"].result["a"][0] == 1


def test_an_exception_that_cannot_be_unpickled_is_told_in_words():
    """Its last line and its traceback are there all the same."""

    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    @task
    def odd():
        raise OddError("a", "b")

    result, _, _ = run(odd)
    failed = result.to_state().result["odd-1"]
    assert isinstance(failed.result, RemoteTaskError)
    assert "OddError: a b" in str(failed.result)


def test_only_the_run_with_the_key_is_read():
    """What another run left, or somebody changed, is refused before anything of it is parsed."""
    with Flow("etl") as flow:
        numbers()
    data = RunResult.of(flow, flow.run())[0].to_bytes(KEY)
    for wrong in (b"", b"\n", data[:-1], data.replace(b"etl", b"elt"), data + b"x"):
        with pytest.raises(ArtifactError, match="not made by this run"):
            RunResult.read(wrong, KEY)
    with pytest.raises(ArtifactError, match="not made by this run"):
        RunResult.read(data, "another key")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_what_has_the_key_and_another_form_is_refused(told):
    """Whatever a place tells, it is read as a result or refused by our own error."""
    import hashlib
    import hmac

    rest = json.dumps(told).encode() + b"\n"
    mac = hmac.new(KEY.encode(), rest, hashlib.sha256).hexdigest().encode()
    with pytest.raises(ArtifactError, match="malformed"):
        RunResult.read(mac + b"\n" + rest, KEY)


@given(_JSON | st.tuples(_JSON) | st.binary() | st.just(float("inf")))
def test_plain_is_what_json_gives_back(value):
    """What counts as plain comes back from JSON equal and of the same types."""
    if is_plain(value):
        assert repr(json.loads(json.dumps(value))) == repr(value)


def test_a_secret_that_a_task_returns_is_told():
    """It is what the task came to, and no mask changes that; whoever keeps the file hears of it."""
    from prefect.secrets.masking import masked

    @task
    def leak():
        return {"token": "canary-8872-token"}

    with masked(["canary-8872-token"]):
        _, behind, _ = run(leak)
    assert "holds a secret's value" in behind[0]


def test_keys_that_json_takes_for_one_have_no_json():
    """A dict of 1 and "1" would lose a value; a pickle carries it, and that is said."""

    @task
    def both():
        return {1: 2, "1": 3}

    result, _, _ = run(both)
    assert result.without_json() == ["both-1"]
    assert result.to_state().result["both-1"].result == {1: 2, "1": 3}
