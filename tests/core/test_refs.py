"""Values that lie elsewhere, in states."""

import pickle

import pytest

from prefect.core.refs import Gathered, Ref, Released, gathered, sending
from prefect.engine.state import Success
from prefect.errors import ResultUnavailableError


class Far(Ref):
    """A value that is fetched when it is read, counted."""

    def __init__(self, value):
        self.value, self.fetched = value, 0

    def fetch(self):
        self.fetched += 1
        return self.value


def test_a_result_is_fetched_when_it_is_read():
    """A state holds a reference; its result is the value, fetched when somebody reads it."""
    far = Far(5)
    state = Success("done", far)
    assert (state.held, far.fetched) == (far, 0)
    assert (state.result, far.fetched) == (5, 1)


def test_a_collection_of_references_is_one():
    """A list with a reference in it is fetched as a whole, whatever its kind."""
    assert gathered([1, 2]) == [1, 2]
    refs = gathered([1, Far(2), Gathered([Far(3)], tuple)])
    assert Success(None, refs).result == [1, 2, (3,)]
    assert refs.items()[0] == 1


def test_a_released_value_says_what_to_do():
    """Reading a value that was released is an error of our own; its state is as good as before."""
    state = Success(None, Released("x was released: run with results='all'"))
    copied = pickle.loads(pickle.dumps(state))
    for each in (state, copied):
        assert each.is_successful()
        with pytest.raises(ResultUnavailableError, match="results='all'"):
            each.result  # noqa: B018


def test_pickled_a_reference_becomes_its_value():
    """Except where inputs are sent, whose references are not fetched."""
    far = Far(5)
    assert pickle.loads(pickle.dumps(Success(None, far))).result == 5
    token = sending.set(lambda ref: (str, (ref.value,)))
    try:
        assert pickle.loads(pickle.dumps([Gathered([far, 1])])) == [["5", 1]]
    finally:
        sending.reset(token)
    assert far.fetched == 1
