"""Values as bytes and back."""

import array
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import StoreError
from prefect.store.formats import decode, encode

_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.characters(categories=["Cs"]),
    lambda each: (
        st.lists(each)
        | st.dictionaries(st.text() | st.integers(), each)
        | st.tuples(each, each)
        | st.sets(st.integers() | st.text())
    ),
    max_leaves=20,
)


def _back(value):
    encoded = encode(value)
    return decode(encoded.format, [bytearray(part) for part in encoded.parts])


@given(_PLAIN)
def test_a_value_comes_back_as_it_was(value):
    """Whatever the form, both value and types are the same."""
    found = _back(value)
    assert found == value
    assert repr(found) == repr(value) or isinstance(value, set | dict | list | tuple)
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "form"),
    [("a", "text"), (b"a", "bytes"), ({"a": [1, 2.5, None]}, "json"), ((1,), "pickle"), ({1: 2}, "pickle"),
     (float("nan"), "pickle"), (1 << 70, "pickle"), ("\ud800", "pickle"), (["\ud800"], "pickle")],
)  # fmt: skip
def test_the_form_suits_the_value(value, form):
    """Text and JSON are themselves; what JSON would change is pickled."""
    assert encode(value).format == form


def test_equal_values_have_equal_digests_however_they_were_made():
    """Neither the identity of strings nor the order in which a set was filled counts."""
    text = "".join(["a", "b"] * 30)
    other = "".join(["ab"] * 30)
    assert encode((text, text)).digest == encode((text, other)).digest
    names = [f"name {number}" for number in range(50)]
    assert encode(set(names)).digest == encode(set(names)).digest
    assert encode([1]).digest != encode((1,)).digest != encode("[1]").digest


def test_arrays_and_frames_go_beside_the_pickle_and_can_be_written_to_when_they_are_back():
    """Their buffers are not copied into the pickle, and what comes back is not read-only."""
    numbers = np.arange(100_000, dtype=float)
    encoded = encode({"numbers": numbers})
    assert len(encoded.parts) == 2
    assert len(encoded.parts[0]) < 1000
    found = _back({"numbers": numbers})["numbers"]
    found[0] = 5
    frame = pd.DataFrame({"x": numbers, "y": [str(n) for n in range(100_000)]})
    pd.testing.assert_frame_equal(_back(frame), frame)
    assert _back(array.array("d", [1.5] * 1000)) == array.array("d", [1.5] * 1000)


def test_what_cannot_be_pickled_is_named_by_its_type():
    """The error says which type, and why."""
    with pytest.raises(StoreError, match=r"type 'lock' cannot be pickled: TypeError"):
        encode(threading.Lock())


def test_what_cannot_be_loaded_is_an_error_of_ours():
    """A pickle of a class that is not here says so."""
    with pytest.raises(StoreError, match="cannot be loaded here: ModuleNotFoundError"):
        decode("pickle", [b"cnowhere_at_all\nName\n."])
