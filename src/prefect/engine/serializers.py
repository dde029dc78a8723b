"""Classic Prefect's ways of writing a result as bytes: functions in the form of classes.

Files for classic Prefect give one to a result, and may call it themselves. What a store here writes it decides alone.
"""

from __future__ import annotations

import importlib
import json
import pickle
from datetime import datetime
from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = [
    "CompressedSerializer",
    "DateTimeSerializer",
    "JSONSerializer",
    "PandasSerializer",
    "PickleSerializer",
    "Serializer",
]

_FORMATS = ("bz2", "gzip", "lzma", "zlib")


class Serializer:
    """What all have; equal to one of the same class."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it has arguments that can change

    def serialize(self, value: Any) -> bytes:
        """Return a value as bytes."""
        raise NotImplementedError(f"{type(self).__name__} has no serialize()")

    def deserialize(self, value: bytes) -> Any:
        """Return the value that bytes were made of."""
        raise NotImplementedError(f"{type(self).__name__} has no deserialize()")


class PickleSerializer(Serializer):
    """By pickle: whoever reads such bytes trusts who wrote them."""

    def serialize(self, value: Any) -> bytes:
        """Return a value as bytes."""
        return pickle.dumps(value)

    def deserialize(self, value: bytes) -> Any:
        """Return the value that bytes were made of."""
        return pickle.loads(value)  # noqa: S301  # as its name says


class JSONSerializer(Serializer):
    """As JSON."""

    def serialize(self, value: Any) -> bytes:
        """Return a value as bytes."""
        return json.dumps(value).encode()

    def deserialize(self, value: bytes) -> Any:
        """Return the value that bytes were made of."""
        return json.loads(value)


class DateTimeSerializer(Serializer):
    """A datetime as ISO 8601 has it."""

    def serialize(self, value: datetime) -> bytes:
        """Return a datetime as bytes."""
        return value.isoformat().encode()

    def deserialize(self, value: bytes) -> datetime:
        """Return the datetime that bytes were made of."""
        return datetime.fromisoformat(value.decode())


class PandasSerializer(Serializer):
    """A data frame in a form that pandas has, such as "csv" or "parquet".

    Args:
        file_type: the form.
        deserialize_kwargs: for `pandas.read_...`.
        serialize_kwargs: for `DataFrame.to_...`.
    """

    def __init__(
        self,
        file_type: str,
        deserialize_kwargs: Mapping[str, Any] | None = None,
        serialize_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.file_type = file_type
        self.deserialize_kwargs = dict(deserialize_kwargs or {})
        self.serialize_kwargs = dict(serialize_kwargs or {})

    def serialize(self, value: Any) -> bytes:
        """Return a data frame as bytes."""
        write = getattr(value, f"to_{self.file_type}", None)
        if write is None:
            raise ValueError(f"There is no to_{self.file_type} of {type(value).__name__}")
        buffer = BytesIO()
        write(buffer, **self.serialize_kwargs)
        return buffer.getvalue()

    def deserialize(self, value: bytes) -> Any:
        """Return the data frame that bytes were made of."""
        read = getattr(importlib.import_module("pandas"), f"read_{self.file_type}", None)
        if read is None:
            raise ValueError(f"There is no pandas.read_{self.file_type}")
        return read(BytesIO(value), **self.deserialize_kwargs)


class CompressedSerializer(Serializer):
    """What another writes, compressed.

    Args:
        serializer: the other.
        format: "bz2", "gzip", "lzma" or "zlib".
        compress: or a function that does it.
        decompress: and one that undoes it.
        compress_kwargs: for that function.
        decompress_kwargs: for the other.

    Raises:
        ValueError: neither is given, or there is no such format.
    """

    def __init__(
        self,
        serializer: Serializer,
        format: str | None = None,  # noqa: A002
        compress: Callable[..., bytes] | None = None,
        decompress: Callable[..., bytes] | None = None,
        compress_kwargs: Mapping[str, Any] | None = None,
        decompress_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if format is not None and format not in _FORMATS:
            raise ValueError(f"The format is one of {', '.join(_FORMATS)}, not {format!r}")
        module = None if format is None else importlib.import_module(format)
        compress = compress or getattr(module, "compress", None)
        decompress = decompress or getattr(module, "decompress", None)
        if compress is None or decompress is None:
            raise ValueError("Give a format, or both compress and decompress")
        self._serializer, self._compress, self._decompress = serializer, compress, decompress
        self._compress_kwargs = dict(compress_kwargs or {})
        self._decompress_kwargs = dict(decompress_kwargs or {})

    def serialize(self, value: Any) -> bytes:
        """Return a value as bytes."""
        return self._compress(self._serializer.serialize(value), **self._compress_kwargs)

    def deserialize(self, value: bytes) -> Any:
        """Return the value that bytes were made of."""
        return self._serializer.deserialize(self._decompress(value, **self._decompress_kwargs))
