"""Runs that begin with states of some of their tasks."""

from datetime import UTC, datetime, timedelta

import pytest

import prefect
from prefect import Flow, Parameter, task
from prefect.engine.state import Cached, Failed, Mapped, Pending, Retrying, Running, Success
from prefect.errors import FlowError
from prefect.tasks.secrets import EnvVarSecret

EXECUTORS = pytest.mark.parametrize("executor", ["local", "threads:2", "processes:1"])


@task
def tries(x=None):
    return [x, prefect.context.task_run_count]


@EXECUTORS
@pytest.mark.parametrize("limits", [None, {"t": 1}])
def test_what_is_finished_is_not_run_and_what_is_tried_again_goes_on_counting(executor, limits):
    """In every executor, with limits and without."""
    with Flow("f") as flow:
        done, again, new = tries(), tries(), tries(task_args={"tags": ["t"]})
        after = tries([done, again, new])
    states = {done: Success(result="given"), again: Retrying(run_count=2), new: Pending()}
    state = flow.run(executor=executor, limits=limits, task_states=states)
    assert state.result[done].result == "given"
    assert state.result[after].result == [["given", [None, 3], [None, 1]], 1]


@EXECUTORS
def test_children_of_a_mapped_task_have_their_own_states(executor):
    """One that is finished is not run; what maps over it goes on with its result."""
    with Flow("f") as flow:
        mapped = tries.map([1, 2, 3])
        after = tries.map(mapped)
    given = Mapped(map_states=[Success(result="given"), Retrying(run_count=4)])
    state = flow.run(executor=executor, task_states={mapped: given})
    assert state.result[mapped].result == ["given", [2, 5], [3, 1]]
    assert state.result[after].result == [["given", 1], [[2, 5], 1], [[3, 1], 1]]
    assert flow.run(task_states={mapped: Success(result=[7])}).result[after].result == [[7, 1]]


def test_a_given_failure_is_one():
    """What follows it fails by its trigger, and it is not run."""
    with Flow("f") as flow:
        after = tries(tries())
    first = next(iter(flow.upstream_tasks(after)))
    state = flow.run(task_states={first: Failed("told")})
    assert state.result[first].message == "told"
    assert type(state.result[after]).__name__ == "TriggerFailed"


def test_a_state_with_a_time_waits_for_it():
    """A retry that is due later begins then."""
    with Flow("f") as flow:
        made = task(lambda: datetime.now(UTC), name="when")()
    due = datetime.now(UTC) + timedelta(seconds=0.2)
    assert flow.run(task_states={made: Retrying(start_time=due)}).result[made].result >= due


def test_the_states_that_were_given_stay_as_they_are():
    """A run lets go of large values in its own states alone."""
    with Flow("f") as flow:
        made = tries(tries())
    first = next(iter(flow.upstream_tasks(made)))
    given = Success(result=bytearray(10_000_000))
    flow.run(task_states={first: given})
    assert len(given.result) == 10_000_000


def test_a_cached_state_holds_if_the_validator_says_so():
    """It is asked with the inputs and the parameters; without one, the task is run."""
    seen = []

    def validator(state, inputs, parameters):
        seen.append((state.result, inputs, parameters))
        return inputs["x"] == 1

    with pytest.warns(UserWarning, match="cache_validator"):
        cached = tries.copy(cache_validator=validator)
    with Flow("f") as flow:
        one, two, none = cached(Parameter("p")), cached(2), tries(3)
    given = Cached(result="cached")
    state = flow.run(p=1, task_states={one: given, two: given, none: given})
    found = [state.result[each].result for each in (one, two, none)]
    assert found == ["cached", [2, 1], [3, 1]]
    assert sorted(seen, key=str) == [("cached", {"x": 1}, {"p": 1}), ("cached", {"x": 2}, {"p": 1})]


def test_secrets_are_read_anew(monkeypatch):
    """A secret's value is never that of an earlier run."""
    monkeypatch.setenv("C14", "fresh")
    with Flow("f") as flow:
        made = EnvVarSecret("C14")
        tries(made)
    assert flow.run(task_states={made: Success(result="old")}).result[made].result == "fresh"


def test_a_run_that_is_kept_begins_with_states_as_well(tmp_path):
    """A store does not change what is run."""
    with Flow("f") as flow:
        made = tries()
    state = flow.run(store=tmp_path, task_states={made: Success(result="given")})
    assert state.result[made].result == "given"


@pytest.mark.parametrize(
    ("states", "error", "match"),
    [
        ({"x": Success()}, TypeError, "Task"),
        ([], TypeError, "task_states"),
        ({tries: Success()}, FlowError, "not in flow"),
        ("running", FlowError, "cannot begin as Running"),
        ("result", TypeError, "task_states"),
    ],
)
def test_what_cannot_be_begun_with_is_refused(states, error, match):
    """A state of each is of a task of the flow, and pending or finished."""
    with Flow("f") as flow:
        made = tries()
    given = {"running": {made: Running()}, "result": {made: 1}}
    with pytest.raises(error, match=match):
        flow.run(task_states=given[states] if isinstance(states, str) else states)


def test_a_parameter_of_that_name_is_told_apart():
    """It goes into `parameters`."""
    with Flow("f") as flow:
        made = tries(Parameter("task_states"))
    assert flow.run(parameters={"task_states": 1}).result[made].result == [1, 1]
    with pytest.raises(TypeError, match="of the run"):
        flow.run(task_states=1)
