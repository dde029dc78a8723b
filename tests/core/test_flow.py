"""`Flow`: building, changing, validating, running."""

import json

import cloudpickle
import pytest

from prefect import Flow, Parameter, Task, core, task, unmapped
from prefect.core.graph import Edge
from prefect.errors import (
    CycleError,
    DuplicateNameError,
    FlowError,
    ParameterError,
    UnsupportedError,
)


@task
def inc(x):
    return x + 1


@task
def add(x, y):
    return x + y


def test_functional_and_imperative_ways_are_the_same():
    """The same flow comes of calling tasks and of adding edges."""
    with Flow("test") as functional:
        a = inc(1)
        b = add(a, y=2, upstream_tasks=[a])
    imperative = Flow("test")
    imperative.set_dependencies(a, keyword_tasks={"x": 1})
    imperative.add_edge(a, b, key="x")
    imperative.set_dependencies(b, upstream_tasks=[a], keyword_tasks={"y": 2})
    assert functional.edges == imperative.edges == {Edge(a, b, "x"), Edge(a, b)}
    assert functional.constants == imperative.constants
    assert functional.serialize() == imperative.serialize()
    assert functional.run().result[b].result == imperative.run().result[b].result == 4


def test_flows_nest():
    """Within nested `with` blocks tasks go to the inner flow, afterwards to the outer one."""
    with Flow("outer") as outer:
        a = inc(1)
        with Flow("inner") as inner:
            b = inc(1)
        c = inc(1)
    assert outer.tasks == {a, c}
    assert inner.tasks == {b}


def test_constructor_arguments():
    """Tasks, edges and reference tasks can be given to the constructor, which checks them."""
    a, b = inc.copy(), inc.copy()
    flow = Flow("test", tasks=[a], edges=[Edge(a, b, "x")], reference_tasks=[a])
    assert (flow.tasks, flow.reference_tasks()) == ({a, b}, {a})
    with pytest.raises(FlowError, match="misses its argument 'x'"):
        Flow("test", tasks=[a], validate=True)
    with pytest.raises(TypeError, match="no argument 'z'"):
        Flow("test", edges=[Edge(a, b, "z")])
    assert repr(flow) == "<Flow: test>"


def test_add_task_twice():
    """Adding a task again changes nothing; a task of the same slug is refused."""
    a = Task(slug="s")
    flow = Flow("test", tasks=[a])
    assert flow.add_task(a) is a
    assert len(flow.tasks) == 1
    with pytest.raises(DuplicateNameError, match="slug 's'"):
        flow.add_task(Task(slug="s"))
    with pytest.raises(DuplicateNameError, match="'s'"):
        flow.add_task(Parameter("s"))


def test_chain():
    """Chain makes each task wait for the one before."""
    a, b, c = (Task(name) for name in "abc")
    flow = Flow("test")
    assert flow.chain(a, b, c) == [Edge(a, b), Edge(b, c)]
    assert flow.sorted_tasks() == (a, b, c)


def test_cycles_are_found_before_anything_runs():
    """A cycle is found when the flow is used, or at once with validate=True."""
    a, b, c = (Task(name) for name in "abc")
    flow = Flow("test")
    flow.chain(a, b, c, a)
    for use in (flow.run, flow.validate, flow.serialize, flow.sorted_tasks, flow.visualize):
        with pytest.raises(CycleError, match=r"^a -> b -> c -> a$"):
            use()
    with pytest.raises(CycleError, match=r"^a -> b -> a$"):
        Flow("test").chain(a, b, a, validate=True)


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (lambda f, a, b: f.add_edge(a, b, "z"), TypeError, r"Task 'add' has no argument 'z'"),
        (lambda f, a, b: f.add_edge(b, a, "x"), FlowError, "'x' of task 'inc' is given twice"),
        (lambda f, a, b: f.add_edge(inc.copy(), b, "x"), FlowError, "'x' of task 'add' is given"),
        (lambda f, a, b: f.add_edge(a, 3), TypeError, "connects two tasks"),
        (lambda f, a, b: f.set_dependencies(b, keyword_tasks={"x": 1}), FlowError, "given twice"),
        (lambda f, a, b: f.set_dependencies(b, keyword_tasks={"z": 1}), TypeError, "'z'"),
        (lambda f, a, b: f.set_dependencies(b, downstream_tasks=a), TypeError, "list of tasks"),
        (lambda f, a, b: f.add_task(Flow), TypeError, "made of tasks"),
        (lambda f, a, b: f.set_dependencies("a"), TypeError, "task is a Task"),
        (lambda f, a, b: f.update([a]), TypeError, "flow is a Flow"),
    ],
)
def test_contradictions(break_it, error, message):
    """What contradicts the flow, or the signature of a task, is refused when it is added."""
    flow = Flow("test")
    a, b = inc(1, flow=flow), add.copy()
    flow.add_edge(a, b, "x")
    before = set(flow.edges)
    with pytest.raises(error, match=message):
        break_it(flow, a, b)
    assert flow.edges == before


def test_missing_arguments_are_found_before_anything_runs():
    """A task that was added without an argument is named by validate, and by run."""
    flow = Flow("test", tasks=[add.copy()])
    with pytest.raises(FlowError, match="Task 'add' misses its arguments 'x', 'y'"):
        flow.run()


def test_update():
    """Update adds what another flow has, and refuses a second parameter of a name."""
    with Flow("one") as one:
        a = inc(1)
    with Flow("two") as two:
        b = inc(inc(2))
    one.update(two)
    assert one.tasks == {a, *two.tasks}
    assert one.run().result[b].result == 4
    clash = Flow("clash", tasks=[Parameter("p")])
    one.add_task(Parameter("p"))
    with pytest.raises(DuplicateNameError, match="'p'"):
        one.update(clash)


def test_replace():
    """Replace puts a task in another's place: edges, constants, position, reference tasks."""
    with Flow("test") as flow:
        a = inc(1)
        b = add(a, 10)
        c = inc(b)
    flow.set_reference_tasks([b])
    multiply = task(lambda x, y: x * y).copy(name="multiply")
    flow.replace(b, multiply)
    assert list(flow.tasks) == [a, multiply, c]
    assert flow.reference_tasks() == {multiply}
    assert flow.run().result[c].result == 21
    with pytest.raises(FlowError, match="not in flow"):
        flow.replace(b, a)
    with pytest.raises(TypeError, match="no argument 'y'"):
        flow.replace(multiply, inc.copy())
    assert multiply in flow.tasks


def test_copy():
    """A copy has the same tasks, and can be added to without changing the original."""
    with Flow("test", state_handlers=[lambda *_: None]) as flow:
        a = inc(1)
    copy = flow.copy()
    with copy:
        b = inc(a)
    copy.constants[a]["x"] = 5
    copy.state_handlers.clear()
    assert flow.tasks == {a}
    assert copy.tasks == {a, b}
    assert flow.run().result[a].result == 2
    assert len(flow.state_handlers) == 1


def test_pickles_with_its_tasks():
    """A flow comes back from pickling whole; what refers to its tasks still does."""
    with Flow("test") as flow:
        a = inc(Parameter("x"))
        b = add(a, [a, 1])
    flow.set_reference_tasks([a])
    with flow:  # pickled while it is being built
        back, a2 = cloudpickle.loads(cloudpickle.dumps((flow, a)))
    assert back.serialize() == flow.serialize()
    assert a2 in back.tasks
    assert back.reference_tasks() == {a2}
    assert back.run(x=1).result[a2].result == 2
    assert b not in back.tasks


def test_large_flows_pickle():
    """A chain of 10,000 tasks pickles without recursing."""
    flow = Flow("test")
    flow.chain(*(Task() for _ in range(10_000)))
    assert len(cloudpickle.loads(cloudpickle.dumps(flow)).sorted_tasks()) == 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Flow 'test' needs a value for parameter 'day'; it has 'day', 'limit'"),
        ({"day": 1, "limti": 2}, r"no parameter 'limti' \(did you mean 'limit'\?\)"),
        ({"parameters": {1: 2}}, "no parameter 1"),
    ],
)
def test_wrong_parameters(arguments, message):
    """Missing and unknown parameters are named before anything runs."""
    ran = []
    with Flow("test") as flow:
        task(lambda day, limit: ran.append(day))(Parameter("day"), Parameter("limit", default=3))
    with pytest.raises(ParameterError, match=message):
        flow.run(**arguments)
    assert not ran


def test_parameters_by_keyword_or_dict():
    """Parameters are given as keywords, as a dict, or both, but each once."""
    with Flow("test") as flow:
        total = add(Parameter("x"), Parameter("y"))
    for arguments in ({"x": 1, "y": 2}, {"parameters": {"x": 1}, "y": 2}):
        assert flow.run(**arguments).result[total].result == 3
    with pytest.raises(TypeError, match="given twice: x"):
        flow.run(parameters={"x": 1, "y": 2}, x=1)


def test_the_runner_is_bound_by_the_package(monkeypatch):
    """Core alone cannot run flows, and says so; whatever is bound is what run calls."""
    monkeypatch.setattr(core, "runner", None)
    with pytest.raises(RuntimeError, match="import prefect"):
        Flow("test").run()
    monkeypatch.setattr(core, "runner", lambda flow, parameters, *_: (flow.name, parameters))
    assert Flow("test").run(a=1) == ("test", {"a": 1})


def test_visualize(tmp_path):
    """Visualize returns a drawing, and writes one to a file if it is given one."""
    with Flow("test") as flow:
        inc(inc(1))
    assert "inc-2" in flow.visualize()
    assert flow.visualize(format="mermaid").startswith("flowchart")
    assert (
        flow.visualize(tmp_path / "flow.dot", format="dot") == (tmp_path / "flow.dot").read_text()
    )
    with pytest.raises(ValueError, match="no format 'jpg'"):
        flow.visualize(format="jpg")


def test_visualize_a_state(tmp_path):
    """Each task is drawn with the state that a run has given it, in its colour, a mapped one with those of its children."""

    @task
    def halve(x):
        return 6 // x

    with Flow("test") as flow:
        halved = halve.map([1, 2, 0])
        inc(halved)
    state = flow.run()
    text = flow.visualize(flow_state=state)
    assert [line.split("  ")[-1] for line in text.splitlines()[1:]] == [
        "Success",
        "2 Success, 1 Failed",
        "TriggerFailed",
    ]
    dot = flow.visualize(format="dot", flow_state=state)
    assert 'label="halve-1: 2 Success, 1 Failed" peripheries=2 style=solid color="#c3271b"' in dot
    mermaid = flow.visualize(format="mermaid", flow_state=state)
    assert "inc-1#58; TriggerFailed" in mermaid
    assert "style t2 stroke:#8e6bbf" in mermaid
    flow.visualize(state, tmp_path / "flow.svg")  # as in classic Prefect
    assert "2 Success, 1 Failed" in (tmp_path / "flow.svg").read_text()
    for suffix, drawn in {"dot": dot, "mmd": mermaid, "txt": text}.items():
        flow.visualize(tmp_path / f"flow.{suffix}", flow_state=state)
        assert (tmp_path / f"flow.{suffix}").read_text() == drawn
    with pytest.raises(ValueError, match="has no states of tasks"):
        flow.visualize(flow_state=state.result[halved])
    with Flow("other") as other:
        inc(1)
    with pytest.raises(FlowError, match="is of another flow: it has "):
        other.visualize(flow_state=state)
    by_slugs = core.state.Success(
        result={slug: state.result[each] for each, slug in flow.slugs.items()}
    )
    assert flow.visualize(flow_state=by_slugs) == text  # as `prefect.places.run` returns it
    with pytest.raises(TypeError, match="flow_state"):
        flow.visualize(flow_state="Success")


def test_the_environment_is_described():
    """Serialize has what the environment says of itself."""

    class Here:
        def serialize(self):
            return {"type": "Here"}

    flow = Flow("test", environment=Here())
    assert flow.serialize()["environment"] == {"type": "Here"}
    json.dumps(flow.serialize(), allow_nan=False)


def test_an_edge_may_flatten_and_begin_at_a_value():
    """`add_edge` takes `flattened`, what annotates a task, and plain values, as calls of tasks do."""
    with Flow("test") as flow:
        lists = task(lambda: [[1, 2], [3]], name="lists")()
        each, both = inc.copy(), add.copy()
        assert flow.add_edge(lists, each, "x", mapped=True, flattened=True).mapped
        flow.add_edge(unmapped(lists), both, "x")
        flow.add_edge([each, 7], both, "y")
        flow.add_edge([[0]], inc.copy(), "x", True, False, validate=True)
    with pytest.raises(TypeError, match="not a task"):
        flow.add_edge(3, both)
    with pytest.raises(FlowError, match="given twice"):
        flow.add_edge(3, both, "x")
    state = flow.run()
    assert state.result[each].result == [2, 3, 4]
    assert state.result[both].result == [[1, 2], [3], [2, 3, 4], 7]


def test_an_edge_by_itself_does_not_flatten():
    """What flattens is a task between, which a flow adds; the error says so."""
    with pytest.raises(UnsupportedError, match=r"flow\.add_edge"):
        Edge(inc, add, "x", False, True)
