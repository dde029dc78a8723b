"""What can be asked of a flow."""

import pytest

from prefect import Flow, Parameter, Task
from prefect.core.graph import Edge
from prefect.errors import FlowError

A, B, C, P = Task("a", tags=["x"]), Task("b", tags=["x", "y"]), Task("a"), Parameter("p")


@pytest.fixture
def flow():
    flow = Flow("test", tasks=[A, B, C, P])
    flow.chain(A, B, C)
    flow.add_edge(A, C)
    flow.add_task(Parameter("q", default=1))
    return flow


def test_neighbours(flow):
    """Edges and tasks before and after a task."""
    assert flow.edges_to(C) == {Edge(B, C), Edge(A, C)}
    assert flow.edges_from(A) == {Edge(A, B), Edge(A, C)}
    assert list(flow.upstream_tasks(C)) == [B, A]
    assert list(flow.downstream_tasks(A)) == [B, C]
    assert flow.edges_to(A) == set()


def test_ends(flow):
    """Roots depend on nothing, nothing depends on terminal tasks."""
    assert [t.name for t in flow.root_tasks()] == ["a", "p", "q"]
    assert [t.name for t in flow.terminal_tasks()] == ["a", "p", "q"]
    assert C in flow.terminal_tasks()


def test_parameters(flow):
    """All parameters, or the required ones."""
    assert [p.name for p in flow.parameters()] == ["p", "q"]
    assert flow.parameters(only_required=True) == {P}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "a"}, [A, C]),
        ({"slug": "a-2"}, [C]),
        ({"tags": ["x"]}, [A, B]),
        ({"tags": ["x", "y"]}, [B]),
        ({"name": "a", "tags": ["y"]}, []),
        ({"task_type": Parameter, "name": "p"}, [P]),
    ],
)
def test_get_tasks(flow, query, expected):
    """Tasks are found by name, slug, tags and type, all of which must fit."""
    assert flow.get_tasks(**query) == expected


def test_strangers(flow):
    """Asking about a task of another flow is an error that says so."""
    for ask in (flow.edges_to, flow.edges_from, flow.upstream_tasks, flow.downstream_tasks):
        with pytest.raises(FlowError, match="not in flow 'test'"):
            ask(Task("stranger"))


def test_reference_tasks(flow):
    """The terminal tasks, unless others are chosen; choosing none goes back to them."""
    assert flow.reference_tasks() == flow.terminal_tasks()
    flow.set_reference_tasks({B, A})
    assert list(flow.reference_tasks()) == [A, B]
    flow.set_reference_tasks([])
    assert flow.reference_tasks() == flow.terminal_tasks()
    with pytest.raises(FlowError, match="not in flow"):
        flow.set_reference_tasks([Task("stranger")])


def test_order(flow):
    """sorted_tasks is a topological order, position the order of addition."""
    assert flow.sorted_tasks()[:3] == (A, B, C)
    assert flow.position(B) == 1
    assert flow.position(Task()) == len(flow.tasks)
