"""Values of the globals that functions read, as a manifest has them: a text for each, to be compared.

A text is the value as Python writes it, where it is plain and short; a digest of that; or the type, where
nothing says the same for the same value. Who reads a manifest has the payload, too; but it is printed, and
so a text that could be somebody's token or password is a digest as well.
"""

from __future__ import annotations

import hashlib
import re
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from prefect.patterns import pattern
from prefect.payload.code_within import names_in

if TYPE_CHECKING:
    from collections.abc import Callable

Globals: TypeAlias = "dict[str, str]"
"""Of each global, as "NAME of FILE": its value, "sha256:..." of it, or "of type ..."."""

_MOST = 10_000
_LONGEST_NAME = 700
_LONGEST = 80
_LARGEST = 16 << 20  # of a text, in characters, or of bytes
_MOST_ITEMS = 100_000
_DEEPEST = 20
_UNCOMPARED = "of type "
_DIGEST = "sha256:"
# What travels by its source or its name, or is described by itself.
_NOT_VALUES = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, CodeType, type)
# Whatever known tokens have, and passwords in names that say so.
_SECRET_LIKE = pattern(r"[A-Za-z0-9_+/=-]{20}")
_SECRET_NAME = pattern(r"pass|pwd|secret|token|key|credential|auth", re.IGNORECASE)
_PLAIN = {
    *(
        (kind.__module__, kind.__qualname__)
        for kind in (bool, int, float, complex, str, bytes, range)
    ),
    ("builtins", "NoneType"),
    ("builtins", "ellipsis"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("re", "Pattern"),
    ("uuid", "UUID"),
}


class _NotPlainError(Exception):
    """A value, or something in it, has no text that says the same for the same."""


class GlobalValues:
    """Collects the values of what functions name."""

    def __init__(self) -> None:
        self._found: Globals = {}

    def note(self, function: FunctionType, file: str, travels: Callable[[str], object]) -> None:
        """Note the globals that a function names.

        Args:
            function: travels by value.
            file: what its file is called wherever it is packaged.
            travels: tells whether a path leads to a file that travels, which is elsewhere in each place.
        """
        values = function.__globals__
        for name in names_in(function.__code__):
            key = f"{name} of {file}"
            if name not in values or name.startswith("__") or key in self._found:
                continue
            value = values[name]
            code = getattr(value, "__wrapped__", value)  # of a cached function, for example
            if isinstance(code, _NOT_VALUES) or _is_ours(value) or len(key) > _LONGEST_NAME:
                continue
            if len(self._found) < _MOST:
                is_path = type(value) is str and value.startswith("/") and travels(value)
                self._found[key] = f"{_UNCOMPARED}path" if is_path else _told(name, value)

    def taken(self) -> Globals:
        """Return what was noted, sorted."""
        return dict(sorted(self._found.items()))


def are_globals(values: Any) -> bool:
    """Whether a JSON value, whatever it is, has values of globals."""
    return (
        isinstance(values, dict)
        and len(values) <= _MOST
        and all(
            0 < len(name) <= _LONGEST_NAME
            and isinstance(text, str)
            and 0 < len(text) <= _LONGEST_NAME
            for name, text in values.items()
        )
    )


def is_compared(text: str) -> bool:
    """Tell whether equal texts of a manifest mean equal values."""
    return not text.startswith(_UNCOMPARED)


def _told(name: str, value: Any) -> str:
    try:
        text = _text(value, [_MOST_ITEMS], 0)
    except _NotPlainError:
        kind = type(value)
        return f"{_UNCOMPARED}{kind.__module__}.{kind.__qualname__}"[:_LONGEST_NAME]
    named = name if type(value) in {str, bytes} else text  # a dict may have names of its own
    hidden = _SECRET_LIKE.search(text) or _SECRET_NAME.search(named)
    if hidden or len(text) > _LONGEST or not text.isprintable():
        return f"{_DIGEST}{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    return text


def _text(value: Any, left: list[int], depth: int) -> str:
    """Return a value as Python writes it; of sets, in an order that does not depend on hashes."""
    kind = type(value)
    if (kind.__module__, kind.__qualname__) in _PLAIN:
        return _atom(value)
    if kind not in {list, tuple, set, frozenset, dict}:
        raise _NotPlainError
    left[0] -= len(value)
    if left[0] < 0 or depth == _DEEPEST:
        raise _NotPlainError
    if kind is dict:
        pairs = (
            f"{_text(k, left, depth + 1)}: {_text(v, left, depth + 1)}" for k, v in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    items = [_text(item, left, depth + 1) for item in value]
    if not items:
        return repr(value)
    if kind is list:
        return f"[{', '.join(items)}]"
    if kind is tuple:
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    text = f"{{{', '.join(sorted(items))}}}"
    return text if kind is set else f"frozenset({text})"


def _atom(value: Any) -> str:
    if type(value) in {str, bytes} and len(value) > _LONGEST:
        if len(value) > _LARGEST:  # of which even a digest takes its time
            raise _NotPlainError
        data = value if type(value) is bytes else value.encode("utf-8", "surrogatepass")
        return f"{type(value).__name__} {hashlib.sha256(data).hexdigest()}"
    if type(value) is re.Pattern:
        return f"re.compile({_atom(value.pattern)}, {value.flags})"
    try:
        text = repr(value)
    except ValueError as error:  # an int of thousands of digits
        raise _NotPlainError from error
    if " at 0x" in text:  # a date's zone, of somebody's own kind
        raise _NotPlainError
    return text


def _is_ours(value: Any) -> bool:
    """Whether it is a task, flow or environment, which the manifest describes as such."""
    return any(one.__module__.startswith("prefect.") for one in type(value).__mro__)
