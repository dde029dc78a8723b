"""Garbage collection during runs."""

import gc
import logging
import weakref

import pytest

from prefect import Flow, task
from prefect.engine import collection
from prefect.engine.collection import have_stay, no_collection
from prefect.engine.nodes import Node


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was(enabled):
    """Garbage collection is on again after a run, also one that fails to start, if it was on."""
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with Flow("test") as flow:
            task(lambda x: x).map([1, 2])
        flow.run()
        assert gc.isenabled() is enabled
        with pytest.raises(ZeroDivisionError), no_collection():
            1 / 0  # noqa: B018
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_blocks_that_overlap():
    """The collector stays off until the last of them has ended, and goes on then."""
    first, second = no_collection(), no_collection()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_garbage_of_tasks_is_collected():
    """While tasks run, what they leave behind is collected as ever."""
    seen = []
    with Flow("test") as flow:
        task(lambda: seen.append(gc.isenabled())).bind()
        task(lambda x: seen.append(gc.isenabled())).map([1, 2])
    flow.run()
    assert seen == [True] * 3


class Thing:
    """Something that the collector knows of."""


def test_many_objects_stay_without_being_looked_at():
    """They are of the oldest generation at once, where few are not; young garbage has gone before."""
    gc.collect()  # so that none is due while the garbage is young
    garbage = Thing()
    garbage.itself = garbage
    gone = weakref.ref(garbage)
    del garbage
    with no_collection(many=5000):
        assert gone() is None
        many = [Thing() for _ in range(5000)]
    with no_collection(many=5):
        few = [Thing() for _ in range(5)]
    oldest = {id(each) for each in gc.get_objects(generation=2)}
    assert oldest.issuperset(map(id, many))
    assert oldest.isdisjoint(map(id, few))


def test_what_is_to_be_awaited_is_not_looked_through(monkeypatch):
    """It goes to the oldest generation; and once that is much, garbage that went there with it is collected."""
    monkeypatch.setattr(collection, "_told", 0)
    monkeypatch.setattr(collection, "_SOME", 5000)
    monkeypatch.setattr(collection, "_SHARE", 1 << 60)  # however much other tests have left here
    garbage = Thing()
    garbage.itself = garbage
    gone = weakref.ref(garbage)
    del garbage
    many = [Thing() for _ in range(250)]
    have_stay(250)
    assert {id(each) for each in gc.get_objects(generation=2)}.issuperset(map(id, many))
    have_stay(5000)
    assert gone() is None


def test_what_runs_leave_does_not_pile_up(monkeypatch):
    """In a process that runs flow after flow, the nodes of failed tasks of earlier runs are collected."""

    @task
    def fails(x):
        raise ValueError(x)

    monkeypatch.setattr(collection, "_SOME", 5000, raising=False)
    monkeypatch.setattr(collection, "_SHARE", 1 << 60)  # however much other tests have left here
    with Flow("test") as flow:
        fails.map(fails.map(list(range(1000))))
    logging.disable()  # pytest keeps what is logged, with tracebacks
    try:
        for _ in range(12):
            flow.run()
    finally:
        logging.disable(logging.NOTSET)
    assert sum(issubclass(type(each), Node) for each in gc.get_objects()) < 12_000


def test_what_somebody_froze_stays_so():
    """Who has taken objects out of collection keeps them there."""
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with no_collection(many=5000):
            pass
        assert gc.get_freeze_count() == before
    finally:
        gc.unfreeze()
