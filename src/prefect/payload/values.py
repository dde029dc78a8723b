"""Values that leave a run: what JSON can say of them, and their pickles."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

from prefect.errors import ArtifactError

_DEEPEST = 50
_MOST = 100_000  # values within one; more of them are quicker as a pickle
_LONGEST_INT = 1024  # bits: longer ones are slow to write in decimal digits
_PROTOCOL = 5


def is_plain(value: Any) -> bool:
    """Tell whether JSON gives a value back as it is: in value and in type."""
    left = _MOST

    def plain(value: Any, depth: int) -> bool:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            return False
        kind = type(value)
        if value is None or kind is bool or kind is int or kind is str:
            return kind is not int or value.bit_length() <= _LONGEST_INT
        if kind is float:
            return math.isfinite(value)
        if kind is list:
            return all(plain(each, depth + 1) for each in value)
        if kind is dict:
            return all(type(key) is str and plain(each, depth + 1) for key, each in value.items())
        return False

    return plain(value, 0)


def json_of(value: Any) -> Any:
    """Return the JSON that stands for a value, as people expect it: of dates, paths, tuples, numbers.

    Raises:
        TypeError, ValueError: it has none.
    """
    if is_plain(value):
        return value
    from prefect.core.value_types import json_form  # noqa: PLC0415 - seldom needed

    text = json.dumps(json_form(value), allow_nan=False, default=_number)
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse keys that only JSON takes for one, such as 1 and "1"."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("two keys of a dict are one in JSON")
    return found


def _number(value: Any) -> Any:
    item = getattr(value, "item", None)  # of NumPy's numbers
    if callable(item) and not hasattr(value, "__len__"):
        return item()
    raise TypeError(f"a value of type {type(value).__name__!r} has no JSON form")


def pickled(value: Any) -> bytes:
    """Return the pickle of a value, with the classes and functions that are nowhere to be imported.

    Raises:
        Exception: whatever its own code raises; it cannot be pickled.
    """
    try:
        # What is of the standard library alone needs nothing to be loaded.
        found = pickle.dumps(value, protocol=_PROTOCOL)
        if b"__main__" not in found:
            return found
    except Exception:  # noqa: BLE001, S110 - it is asked again, by who can more
        pass
    import cloudpickle  # noqa: PLC0415 - slow to import

    data: bytes = cloudpickle.dumps(value, protocol=_PROTOCOL)
    return data


def unpickled(data: bytes) -> Any:
    """Return the value of a pickle that `pickled` made. This runs code.

    Raises:
        ArtifactError: it cannot be loaded here.
    """
    try:
        return pickle.loads(data)  # noqa: S301 - authenticated by the caller
    except Exception as error:
        raise ArtifactError(
            f"It cannot be loaded here: {type(error).__name__}: {error}. Install here what it is of"
        ) from error


class Nested:
    """A pickle within another: what that is loaded as has the value, not the bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return pickle.loads, (self.data,)
