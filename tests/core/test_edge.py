"""Edges."""

import pickle

import pytest

from prefect import Task
from prefect.core.graph import Edge

A, B = Task("a"), Task("b")


def test_attributes():
    """An edge has its tasks, key and whether it is mapped."""
    edge = Edge(A, B, "x", mapped=True)
    assert (edge.upstream_task, edge.downstream_task, edge.key, edge.mapped) == (A, B, "x", True)
    assert edge.tasks == (A, B)


def test_equal_by_value():
    """Edges between the same tasks with the same key are equal, and hash alike."""
    assert {Edge(A, B, "x"), Edge(A, B, "x"), Edge(A, B)} == {Edge(A, B), Edge(A, B, "x")}


def test_pickles():
    """An edge comes back from pickling as an edge between the same tasks."""
    edge, a = pickle.loads(pickle.dumps((Edge(A, B, "x"), A)))
    assert type(edge) is Edge
    assert edge.upstream_task is a


@pytest.mark.parametrize("arguments", [(A, 1), (None, B), (A, B, 3)])
def test_refuses_other_things(arguments):
    """An edge connects tasks, and its key is a string."""
    with pytest.raises(TypeError, match="An edge"):
        Edge(*arguments)


def test_repr():
    """The repr reads as an arrow."""
    assert repr(Edge(A, B, "x", mapped=True)) == "<Mapped edge: a -> b as x>"
