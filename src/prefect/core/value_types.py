"""Types of values: how each is written in JSON, and what is one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class ValueType:
    """A type of values.

    Args:
        name: what the serialized flow calls it.
        form: how its JSON is described to people.
        convert: returns the value that a value of the type, or its JSON form, stands for.
            Raises ValueError, TypeError or ArithmeticError for all else.
        is_text: whether its JSON form is a text, so that it needs no quotes on a command line.
        choices: the JSON forms of all values, if they are few.
    """

    __slots__ = ("choices", "convert", "form", "is_text", "name")

    def __init__(
        self,
        name: str,
        form: str,
        convert: Callable[[Any], Any],
        *,
        is_text: bool = False,
        choices: list[str] | None = None,
    ) -> None:
        self.name = name
        self.form = form
        self.convert = convert
        self.is_text = is_text
        self.choices = choices


def refuse() -> Any:
    """Say within an expression that a value is not of a type."""
    raise ValueError


def instance(*kinds: type) -> Callable[[Any], Any]:
    """Return a conversion that takes instances of classes alone."""
    return lambda value: value if isinstance(value, kinds) else refuse()


def _int(value: Any) -> Any:
    return value if _is_number(value, "__index__") else refuse()


def _float(value: Any) -> Any:
    return value if _is_number(value, "__float__") else refuse()


def _is_number(value: Any, conversion: str) -> bool:
    # Also NumPy's, but no array; and no bool: to Python an int, but a slip of whoever gives it.
    return hasattr(value, conversion) and not hasattr(value, "__len__") and type(value) is not bool


def _iso(name: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        import datetime as dt  # noqa: PLC0415  # seldom needed

        kind = getattr(dt, name)
        return value if isinstance(value, kind) else kind.fromisoformat(value)

    return convert


def _timedelta(value: Any) -> Any:
    from datetime import timedelta  # noqa: PLC0415

    return value if isinstance(value, timedelta) else timedelta(seconds=_float(value))


def _path(value: Any) -> Any:
    from pathlib import Path  # noqa: PLC0415

    return value if isinstance(value, Path) else Path(value)


def _decimal(value: Any) -> Any:
    from decimal import Decimal  # noqa: PLC0415

    return value if isinstance(value, Decimal) else Decimal(str(instance(str, int, float)(value)))


def _uuid(value: Any) -> Any:
    from uuid import UUID  # noqa: PLC0415

    return value if isinstance(value, UUID) else UUID(instance(str)(value))


def _items(kind: type | None) -> Callable[[Any], Any]:
    """Take what can be mapped over; what JSON has for it is made one of the kind."""

    def convert(value: Any) -> Any:
        if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
            raise ValueError
        return kind(value) if kind is not None and isinstance(value, list) else value

    return convert


_TYPES = {
    "builtins.bool": ValueType("bool", "true or false", instance(bool)),
    "builtins.int": ValueType("int", "a whole number", _int),
    "builtins.float": ValueType("float", "a number", _float),
    "builtins.str": ValueType("str", "a text", instance(str), is_text=True),
    "builtins.list": ValueType("list", "a list", _items(None)),
    "builtins.tuple": ValueType("tuple", "a list", _items(tuple)),
    "builtins.set": ValueType("set", "a list", _items(set)),
    "builtins.frozenset": ValueType("frozenset", "a list", _items(frozenset)),
    "builtins.dict": ValueType(
        "dict", "an object", lambda value: value if hasattr(value, "keys") else refuse()
    ),
    "datetime.date": ValueType("date", "a date such as 2024-02-29", _iso("date"), is_text=True),
    "datetime.datetime": ValueType(
        "datetime", "a time such as 2024-02-29T12:30:00+01:00", _iso("datetime"), is_text=True
    ),
    "datetime.time": ValueType("time", "a time such as 12:30:00", _iso("time"), is_text=True),
    "datetime.timedelta": ValueType("timedelta", "a number of seconds", _timedelta),
    "pathlib.Path": ValueType("path", "a path", _path, is_text=True),
    "decimal.Decimal": ValueType("decimal", "a number, or its text", _decimal, is_text=True),
    "uuid.UUID": ValueType("uuid", "a UUID", _uuid, is_text=True),
}
TYPES_BY_NAME: dict[str | None, ValueType] = {found.name: found for found in _TYPES.values()}
_SAME = {
    "pathlib.PosixPath": "pathlib.Path",
    "pathlib.WindowsPath": "pathlib.Path",
    "pathlib._local.Path": "pathlib.Path",
    "pathlib._local.PosixPath": "pathlib.Path",
    "pathlib._local.WindowsPath": "pathlib.Path",
}


def type_of_class(kind: Any) -> ValueType | None:
    """Return the type of a class's values; None if it has no JSON form that is known here."""
    if not isinstance(kind, type):
        return None
    name = f"{kind.__module__}.{kind.__qualname__}"
    if (found := _TYPES.get(_SAME.get(name, name))) is not None:
        return found
    members = getattr(kind, "__members__", None)  # of an Enum
    return None if members is None else _choice(kind, members)


def _choice(kind: type, members: Mapping[str, Any]) -> ValueType:
    by_form = {form_of_member(member): member for member in members.values()}

    def convert(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        return by_form[value] if value in by_form else refuse()

    return enum(list(by_form), convert)


def enum(choices: list[str], convert: Callable[[Any], Any]) -> ValueType:
    """Return the type of an enum's members."""
    form = f"one of {', '.join(choices)}"
    return ValueType("enum", form, convert, is_text=True, choices=choices)


def form_of_member(member: Any) -> str:
    """Return the JSON form of an enum's member: its value where that is a text, else its name."""
    value = member.value
    return str(value if isinstance(value, str) else member.name)


def json_form(value: Any) -> Any:
    """Return the JSON form of a value, and of what is in it; what JSON lacks stays as it is."""
    if isinstance(value, dict):
        return {key: json_form(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_form(item) for item in value]
    kind = type_of_class(type(value))
    if kind is None or kind.name not in _WRITTEN:
        return value
    return _WRITTEN[kind.name](value)


_WRITTEN: dict[str, Callable[[Any], Any]] = {
    "enum": form_of_member,
    "timedelta": lambda value: value.total_seconds(),
    **dict.fromkeys(("date", "datetime", "time"), lambda value: value.isoformat()),
    **dict.fromkeys(("path", "decimal", "uuid"), str),
}
