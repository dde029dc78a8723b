"""The graph inside a flow, on random graphs."""

import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect import Flow, Task
from prefect.core.graph import Edge, Graph
from prefect.errors import CycleError, DuplicateNameError, FlowError


@st.composite
def graphs(draw, *, cyclic=False):
    """Tasks t0, t1, ... with random edges, along a hidden order unless they may be cyclic."""
    count = draw(st.integers(2, 12))
    order = draw(st.permutations(range(count)))
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))))
    tasks = [Task(f"t{number}") for number in range(count)]
    edges = [(a, b) if a < b or cyclic else (b, a) for a, b in pairs if a != b]
    return tasks, [Edge(tasks[order[a]], tasks[order[b]]) for a, b in edges]


@given(graphs())
def test_order_is_topological(graph):
    """Each task comes once, after all those it depends on."""
    tasks, edges = graph
    order = Graph.of(tasks, edges).order()
    assert sorted(order, key=tasks.index) == tasks
    assert all(order.index(edge[0]) < order.index(edge[1]) for edge in edges)


@given(graphs())
def test_order_is_that_of_addition_where_it_can_be(graph):
    """Of the tasks that could come next, the one that was added first does."""
    tasks, edges = graph
    done = set()
    for task in Graph.of(tasks, edges).order():
        ready = [
            t for t in tasks if t not in done and all(e[0] in done for e in edges if e[1] is t)
        ]
        assert task is ready[0]
        done.add(task)


@given(graphs(cyclic=True))
def test_cycles_are_named(graph):
    """A graph has an order, or an error that names tasks which do depend on each other."""
    tasks, edges = graph
    try:
        Graph.of(tasks, edges).order()
    except CycleError as error:
        names = str(error).split(" -> ")
        assert names[0] == names[-1]
        assert len(set(names)) == len(names) - 1
        pairs = {(edge[0].name, edge[1].name) for edge in edges}
        assert pairs.issuperset(pairwise(names))
    else:
        test_order_is_topological.hypothesis.inner_test(graph)


@given(graphs())
def test_pickles_flat(graph):
    """A graph comes back from pickling with the same tasks, edges and order."""
    tasks, edges = graph
    before = Graph.of(tasks, edges)
    before.order()
    after = pickle.loads(pickle.dumps(before))
    assert [t.name for t in after.order()] == [t.name for t in before.order()]
    assert list(map(repr, after.edges)) == list(map(repr, before.edges))


def test_cycle_starts_from_the_task_added_first():
    """The message of a cycle is the same, whichever edge closed it."""
    a, b, c = (Task(name) for name in "abc")
    ring = [Edge(a, b), Edge(b, c), Edge(c, a)]
    for turn in range(3):
        graph = Graph.of([a, b, c], ring[turn:] + ring[:turn])
        with pytest.raises(CycleError, match=r"^a -> b -> c -> a$"):
            graph.order()


def test_self_loop_is_refused_at_once():
    """An edge from a task to itself is refused when it is added."""
    a = Task("a")
    with pytest.raises(CycleError, match=r"^a -> a$"):
        Graph.of([], [Edge(a, a)])


def test_deep_graphs_do_not_recurse():
    """A chain of 10,000 tasks can be ordered and pickled."""
    tasks = [Task(f"t{number}") for number in range(10_000)]
    edges = [Edge(a, b) for a, b in zip(tasks[1:], tasks, strict=False)]
    graph = pickle.loads(pickle.dumps(Graph.of(tasks, edges)))
    assert graph.order()[0].name == "t9999"


def test_slugs_count_from_one_and_avoid_explicit_ones():
    """Generated slugs count tasks of a name, skipping numbers that a task has as its own slug."""
    tasks = [Task("a"), Task("b", slug="a-2"), Task("a"), Task("a-3"), Task("a")]
    assert list(Graph.of(tasks, []).slugs().values()) == ["a-1", "a-2", "a-3", "a-3-1", "a-4"]


def test_duplicate_slugs():
    """The same explicit slug twice is refused when it is added."""
    with pytest.raises(DuplicateNameError, match="'s'"):
        Graph.of([Task("a", slug="s"), Task("b", slug="s")], [])


def test_edges_that_contradict_each_other():
    """An argument has one source, and the same edge may be added again."""
    a, b, c = (Task(name) for name in "abc")
    graph = Graph.of([], [Edge(a, b, "x"), Edge(a, b, "x"), Edge(a, b)])
    assert len(graph.edges) == 2
    with pytest.raises(FlowError, match=r"Argument 'x' of task 'b' is given twice: by 'a' and 'c'"):
        graph.add_edge(Edge(c, b, "x"))
    with pytest.raises(FlowError, match="mapped differently"):
        graph.add_edge(Edge(a, b, mapped=True))
    assert c not in graph.tasks


@pytest.mark.parametrize("thing", [1, "task", None, Flow("f")])
def test_refuses_other_things(thing):
    """A graph is made of tasks."""
    with pytest.raises(TypeError, match="made of tasks"):
        Graph().add_task(thing)
    with pytest.raises(TypeError, match="call it to make one"):
        Graph().add_task(Task)


@pytest.mark.parametrize("count", [3, 30])
def test_edges_are_known_however_many_there_are(count):
    """An argument is not given twice, nor an edge added twice, to tasks with few and with many edges."""
    tasks, last = [Task(name=f"t{number}") for number in range(count)], Task(name="last")
    graph = Graph()
    for number, each in enumerate(tasks):
        graph.add_edge(Edge(each, last, f"x{number}"))
        graph.add_edge(Edge(each, last))
    for number, each in enumerate(tasks):
        graph.add_edge(Edge(each, last, f"x{number}"))
        graph.add_edge(Edge(each, last))
        assert graph.has_input(last, f"x{number}")
        with pytest.raises(FlowError, match="given twice"):
            graph.add_edge(Edge(tasks[number - 1], last, f"x{number}"))
        with pytest.raises(FlowError, match="mapped differently"):
            graph.add_edge(Edge(each, last, mapped=True))
    assert not graph.has_input(last, "y")
    assert len(graph.incoming[last]) == len(graph.edges) == 2 * count
