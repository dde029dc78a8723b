"""Values as bytes and back."""

import array
import pickle
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import ResultUnavailableError, StoreError
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
    """A pickle of a class that is not here says so, and how its package comes here."""
    with pytest.raises(
        ResultUnavailableError,
        match=r"cannot be loaded here: ModuleNotFoundError: .*-r nowhere_at_all",
    ):
        decode("pickle", [b"cnowhere_at_all.within\nName\n."])
    with pytest.raises(ResultUnavailableError, match="cannot be loaded here: AttributeError"):
        decode("pickle", [b"cjson\nNoName\n."])


@pytest.mark.parametrize("index", [None, [7, 8]])
def test_a_frame_that_needs_pyarrow_says_so_where_that_is_missing(index, tmp_path):
    """As an Arrow file, or as a pickle of texts that pandas keeps with pyarrow."""
    encoded = encode(pd.DataFrame({"text": ["a", "b"]}, index=index))
    path = tmp_path / "parts"
    path.write_bytes(pickle.dumps((encoded.format, [bytes(part) for part in encoded.parts])))
    program = (
        "import pickle, sys\nsys.modules['pyarrow'] = None\nfrom prefect.errors import ResultUnavailableError\n"
        "from prefect.store.formats import decode\n"
        "try: decode(*pickle.load(open(sys.argv[1], 'rb')))\nexcept ResultUnavailableError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert "if built with -r pyarrow" in done.stdout


_COLUMNS = {
    **{name: np.arange(4, dtype=name) for name in ("i1", "u2", "i8", "u8", "f4", "f8")},
    "bool": [True, False, True, False],
    "floats": [np.nan, -0.0, np.inf, 1.5],
    "text": ["a", None, "", "\u00fc"],
    "masked": pd.array([1, None, 3, 4], dtype="Int16"),
    "flags": pd.array([True, None, False, True], dtype="boolean"),
    **{
        f"time {unit}": pd.to_datetime(["2020-01-01", None, "1999-12-31", "2038-02-01"]).astype(f"M8[{unit}]")
        for unit in ("s", "ms", "us", "ns")
    },
    "long": pd.to_timedelta([1, None, 3, 4], unit="s"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*_COLUMNS, None])
def test_a_pandas_frame_comes_back_exactly_by_way_of_arrow(name):
    """Types, missing values and the index are the same, what is there can be changed, and equal frames are equal."""
    frame = pd.DataFrame(_COLUMNS if name is None else {name: _COLUMNS[name]})
    for each in (frame, frame[:0], pd.DataFrame(frame, copy=True).set_axis(range(5, 13, 2))):
        encoded = encode(each)
        assert encoded.format == "arrow/pandas"
        assert encode(each.copy()).digest == encoded.digest
        found = _back(each)
        pd.testing.assert_frame_equal(found, each, check_exact=True, check_index_type="exact")
        assert repr(found.index) == repr(each.index)
        assert list(map(repr, found.dtypes)) == list(map(repr, each.dtypes))
        assert list(map(type, found.columns)) == list(map(type, each.columns))
        if len(found):
            found.iloc[0, 0] = found.iloc[2, 0]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1]}, index=["a"]),
        pd.DataFrame({"x": [1]}, index=pd.date_range("2020", periods=1, freq="D")),
        pd.DataFrame({"x": [1]}).rename_axis("name"),
        pd.DataFrame({"x": [1]}).rename_axis("name", axis="columns"),
        pd.DataFrame([[1]]),
        pd.DataFrame([[1, 2]], columns=["x", "x"]),
        pd.DataFrame({"x": [[1], "a"]}),
        pd.DataFrame({"x": pd.array([1.5, None], dtype="Float64")}),
        pd.DataFrame({"x": pd.Categorical(["a"], ["b", "a"], ordered=True)}),
        pd.DataFrame({"x": pd.date_range("2020", periods=1, tz="Europe/Berlin")}),
        pd.DataFrame({"x": pd.period_range("2020", periods=1, freq="D")}),
        pd.DataFrame({"x": np.array([1], dtype="f2")}),
        pd.DataFrame({"x": [1 + 2j]}),
        pd.DataFrame(),
    ],
)
def test_a_frame_that_arrow_would_change_is_pickled(frame):
    """Its index, labels and types come back as they were."""
    assert encode(frame).format == "pickle"
    found = _back(frame)
    pd.testing.assert_frame_equal(found, frame, check_exact=True, check_freq=True)
    assert list(map(repr, found.dtypes)) == list(map(repr, frame.dtypes))


def test_attributes_of_a_frame_and_classes_of_ones_own_are_kept():
    """Arrow has neither."""
    frame = pd.DataFrame({"x": [1]})
    frame.attrs["source"] = "a"
    assert _back(frame).attrs == {"source": "a"}
    assert type(_back(_Frame({"x": [1]}))) is _Frame


class _Frame(pd.DataFrame):
    @property
    def _constructor(self):
        return _Frame


def test_frames_of_polars_come_back_exactly():
    """With types that only polars has."""
    frame = pl.DataFrame(
        {
            "numbers": [1, None],
            "categories": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
            "zoned": pl.Series([0, 1]).cast(pl.Datetime("ms", "Europe/Berlin")),
            "lists": [[1, 2], []],
            "structs": [{"a": 1}, {"a": None}],
            "decimals": pl.Series(["1.23", "2"]).cast(pl.Decimal(10, 2)),
            "nothing": [None, None],
            "large": pl.Series([1 << 100, 2], dtype=pl.Int128),
            "arrays": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int8, 2)),
        }
    )
    assert encode(frame).format == "arrow/polars"
    for each in (frame, frame[:0]):
        assert _back(each).equals(each)
        assert _back(each).schema == each.schema


def test_tables_of_pyarrow_come_back_exactly():
    """With their metadata; what an Arrow file cannot have is pickled."""
    texts = pa.array(["x", "y"]).dictionary_encode()
    table = pa.table({"a": [1, None], "d": texts}).replace_schema_metadata({"k": "v"})
    assert encode(table).format == "arrow/pyarrow"
    assert _back(table).equals(table, check_metadata=True)
    other = pa.table({"a": [1, None], "d": pa.array(["z", "y"]).dictionary_encode()})
    both = pa.concat_tables([table, other])
    assert encode(both).format == "pickle"
    assert _back(both).equals(both)


class Money(pa.ExtensionType):
    """A type of one's own, which is registered nowhere."""

    def __init__(self):
        super().__init__(pa.int64(), "money")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


def test_tables_with_types_of_ones_own_are_pickled():
    """Arrow would give back what is below them, numbers here, wherever they are not registered."""
    money = pa.ExtensionArray.from_storage(Money(), pa.array([1]))
    for each in (money, pa.StructArray.from_arrays([money], names=["in"])):
        table = pa.table({"a": each})
        assert encode(table).format == "pickle"
        assert _back(table).schema.types == table.schema.types


def test_a_stored_frame_is_a_file_that_other_programs_read(tmp_path):
    """What lies in a store is an Arrow file as it is."""
    from prefect.store.store import open_store

    frame = pd.DataFrame({"x": np.arange(10_000)})
    open_store(tmp_path).put("a" * 64, frame, {})
    (path,) = (each for each in (tmp_path / "values").rglob("*") if each.is_file())
    assert pl.read_ipc(path)["x"].to_list() == list(range(10_000))


def test_a_frame_is_pickled_where_there_is_no_pyarrow():
    """It comes back all the same."""
    program = (
        "import sys\nsys.modules['pyarrow'] = None\nimport pandas as pd\n"
        "from prefect.store.formats import decode, encode\n"
        "encoded = encode(pd.DataFrame({'x': [1, 2]}))\n"
        "print(encoded.format, decode(encoded.format, encoded.parts)['x'].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "pickle [1, 2]\n"
