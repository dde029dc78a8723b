"""Frames of pandas, polars and pyarrow as Arrow files, which other programs read as well.

A frame that Arrow does not give back exactly as it was is none of this module's: an index or attributes of
its own, columns of Python's objects, and types whose missing values, zones or classes would change.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "arrow/"
"""Before the name of the library whose frame it was, in the name of a form."""
LIBRARIES = ("pandas", "polars", "pyarrow")
_KINDS = {"DataFrame", "Table"}
_MASKED = {"boolean", *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))}
"""Types of pandas with a mask; in its floats NaN would become NA."""


def arrow(value: Any) -> tuple[str, memoryview] | None:
    """Return the form of a frame and an Arrow file; None of what is none, or has to be pickled."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if kind.__name__ not in _KINDS or library not in LIBRARIES:
        return None
    try:
        data = _WRITERS[library](value)
    except Exception:  # noqa: BLE001 - of a library, or it is not there: then a pickle has to do
        return None
    return None if data is None else (PREFIX + library, data)


def modules_of(form: str) -> tuple[str, ...]:
    """Return the modules without which such a frame cannot be loaded."""
    library = form.removeprefix(PREFIX)
    return (library,) if library == "polars" else (library, "pyarrow")


def frame(form: str, data: memoryview) -> Any:
    """Return the frame of an Arrow file. No code of whoever wrote it is run."""
    return _READERS[form.removeprefix(PREFIX)](data)


def _of_pandas(value: Any) -> memoryview | None:
    import pandas as pd  # noqa: PLC0415 - the frame is of it
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and there for frames alone

    if type(value) is not pd.DataFrame or not _is_plain(value, pd):
        return None
    return _written(pa.Table.from_pandas(value))


def _is_plain(value: Any, pd: Any) -> bool:
    """Tell whether Arrow, with what pandas notes in it, has all of a frame."""
    index, names = value.index, list(value.columns)
    return (
        not value.attrs
        and value.flags.allows_duplicate_labels
        and type(index) is pd.RangeIndex
        and index.name is None
        and value.columns.name is None
        and bool(names)
        and all(type(name) is str for name in names)
        and len(set(names)) == len(names)
        and str(value.columns.dtype) in {"object", "str"}
        and all(_is_kept(dtype, pd) for dtype in set(value.dtypes))
    )


def _is_kept(dtype: Any, pd: Any) -> bool:
    if dtype == "str":
        return True
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return str(dtype) in _MASKED and type(dtype).__module__.partition(".")[0] == "pandas"
    return kind in "iubmM" or (kind == "f" and dtype.itemsize in {4, 8})


def _of_polars(value: Any) -> memoryview | None:
    import polars as pl  # noqa: PLC0415 - the frame is of it

    if type(value) is not pl.DataFrame:
        return None
    file = io.BytesIO()
    value.write_ipc(file, compression="uncompressed")
    return file.getbuffer()


def _of_pyarrow(value: Any) -> memoryview | None:
    import pyarrow as pa  # noqa: PLC0415 - as above

    # A class of somebody's, which Arrow forgets where it is not registered.
    def is_own(kind: Any) -> bool:
        return isinstance(kind, pa.ExtensionType) or any(
            is_own(kind.field(index).type) for index in range(kind.num_fields)
        )

    return None if any(map(is_own, value.schema.types)) else _written(value)


def _written(table: Any) -> memoryview:
    import pyarrow as pa  # noqa: PLC0415 - as above

    size = pa.MockOutputStream()  # first how much it is, or what was written is copied as it grows
    with pa.ipc.new_file(size, table.schema) as writer:
        writer.write_table(table)
    data = pa.allocate_buffer(size.size())
    with (
        pa.FixedSizeBufferWriter(data) as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    return memoryview(data).cast("B")  # Arrow's own bytes are signed: not what encrypts takes


def _table(data: memoryview) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - as above

    return pa.ipc.open_file(pa.py_buffer(data)).read_all()


def _to_pandas(data: memoryview) -> Any:
    return _table(data).to_pandas()


def _to_polars(data: memoryview) -> Any:
    import polars as pl  # noqa: PLC0415 - as above

    return pl.read_ipc(io.BytesIO(data))


_WRITERS: dict[str, Callable[[Any], memoryview | None]] = {
    "pandas": _of_pandas, "polars": _of_polars, "pyarrow": _of_pyarrow,
}  # fmt: skip
_READERS: dict[str, Callable[[memoryview], Any]] = {
    "pandas": _to_pandas, "polars": _to_polars, "pyarrow": _table,
}  # fmt: skip
