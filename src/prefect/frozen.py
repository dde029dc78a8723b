"""Immutable values with named fields: classes as `dataclass(frozen=True, slots=True)` makes them, at once.

That compiles half a dozen functions for each class, in a millisecond. A command imports dozens of such
classes, uses a few, and is waited for; here they share functions that look their fields up.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_: object) -> Callable[[T], T]:
        """Do nothing: it is for type checkers, and `typing` is slow to import."""
        return lambda function: function


_MISSING: Any = object()


class _Field:
    """What is known of a field beside its name."""

    __slots__ = ("compare", "default", "factory", "name", "repr")

    def __init__(self, default: Any, factory: Any, *, repr: bool, compare: bool) -> None:  # noqa: A002 - as dataclasses call it
        self.name = ""
        self.default = default
        self.factory = factory
        self.repr = repr
        self.compare = compare


def field(
    *,
    default: Any = _MISSING,
    default_factory: Any = _MISSING,
    repr: bool = True,  # noqa: A002 - as dataclasses call it
    compare: bool = True,
) -> Any:
    """Return what stands for the default of a field, with the meaning that it has for dataclasses."""
    return _Field(default, default_factory, repr=repr, compare=compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make a class one of immutable values: its annotations are its fields, with their defaults.

    Its values have slots, are equal and hash by their fields, and are pickled, as those of
    `dataclass(frozen=True, slots=True)`; `__post_init__` is called. It is another class than the decorated
    one, so that `super()` without arguments cannot be used in it.
    """
    return _made(kind, _METHODS)


@dataclass_transform(frozen_default=True, order_default=True, field_specifiers=(field,))
def ordered(kind: type[T]) -> type[T]:
    """Do as `frozen`, and have values compare as the tuples of their fields."""
    return _made(kind, _METHODS | _COMPARISONS)


def replace(value: T, /, **changes: Any) -> T:
    """Return a value with other values in some of its fields."""
    for each in type(value).__frozen_fields__:  # type: ignore[attr-defined]
        if each.name not in changes:
            changes[each.name] = getattr(value, each.name)
    return type(value)(**changes)


def field_names(value: object) -> list[str]:
    """Return the names of the fields of a class or a value, in their order."""
    return [each.name for each in value.__frozen_fields__]  # type: ignore[attr-defined]


def as_dict(value: object) -> dict[str, Any]:
    """Return a value as a dict, and so the values in its fields, and those in their lists and dicts."""
    return {name: _plain(getattr(value, name)) for name in field_names(value)}


def _plain(value: Any) -> Any:
    if hasattr(value, "__frozen_fields__"):
        return as_dict(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(each) for each in value)
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value


def _made(kind: type[T], shared: dict[str, Any]) -> type[T]:
    content = dict(vars(kind))
    own = []
    for name in content.get("__annotations__", ()):
        default = content.pop(name, _MISSING)
        one = default if isinstance(default, _Field) else field(default=default)
        one.name = name
        own.append(one)
    fields = [*getattr(kind, "__frozen_fields__", ()), *own]
    for name in ("__dict__", "__weakref__"):
        content.pop(name, None)
    content = {
        **shared,
        **content,
        "__slots__": tuple(each.name for each in own),
        "__frozen_fields__": tuple(fields),
        "__match_args__": tuple(each.name for each in fields),
        "__qualname__": kind.__qualname__,
    }
    if content["__hash__"] is None:  # as a class has it that says what is equal
        content["__hash__"] = _METHODS["__hash__"]
    meta: Any = type(kind)
    made: type[T] = meta(kind.__name__, kind.__bases__, content)
    return made


def _init(self: Any, *args: Any, **named: Any) -> None:
    fields = self.__frozen_fields__
    write = object.__setattr__
    if len(args) > len(fields):
        raise TypeError(f"{_name(self)}() takes {len(fields)} values, and {len(args)} were given")
    for one, value in zip(fields, args, strict=False):
        write(self, one.name, value)
    for one in fields[len(args) :]:
        if one.name in named:
            value = named.pop(one.name)
        elif one.default is not _MISSING:
            value = one.default
        elif one.factory is not _MISSING:
            value = one.factory()
        else:
            raise TypeError(f"{_name(self)}() lacks a value for {one.name!r}")
        write(self, one.name, value)
    if named:
        raise TypeError(f"{_name(self)}() has no field, or got two values for {min(named)!r}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _name(value: object) -> str:
    return type(value).__qualname__


def _compared(value: Any) -> tuple[Any, ...]:
    return tuple([getattr(value, one.name) for one in value.__frozen_fields__ if one.compare])


def _equals(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _represented(self: Any) -> str:
    shown = [
        f"{one.name}={getattr(self, one.name)!r}" for one in self.__frozen_fields__ if one.repr
    ]
    return f"{_name(self)}({', '.join(shown)})"


def _refuse_to_set(self: Any, name: str, value: object) -> None:  # noqa: ARG001 - as Python calls it
    raise AttributeError(f"{_name(self)} is immutable: {name!r} cannot be set")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise AttributeError(f"{_name(self)} is immutable: {name!r} cannot be deleted")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in self.__frozen_fields__]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(self.__frozen_fields__, state, strict=False):
        object.__setattr__(self, one.name, value)


class _Signature:
    """The signature of a class, for help and documentation alone."""

    def __get__(self, value: object, kind: Any) -> Any:
        from inspect import Parameter, Signature  # noqa: PLC0415 - slow to import

        found = []
        for one in kind.__frozen_fields__:
            default = Parameter.empty if one.default is _MISSING else one.default
            if one.factory is not _MISSING:
                default = one.factory
            note = _annotation(kind, one.name)
            found.append(
                Parameter(
                    one.name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=note
                )
            )
        return Signature(found, return_annotation=None)


def _annotation(kind: type, name: str) -> Any:
    return next(notes[name] for base in kind.__mro__ if name in (notes := _annotations(base)))


def _annotations(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = vars(kind).get("__annotations__", {})
    return found


_METHODS: dict[str, Any] = {
    "__init__": _init,
    "__eq__": _equals,
    "__hash__": _hash,
    "__repr__": _represented,
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
    "__getstate__": _state,
    "__setstate__": _set_state,
    "__signature__": _Signature(),
}


def _comparison(name: str) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: object) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return getattr(_compared(self), name)(_compared(other))

    return compare


_COMPARISONS = {name: _comparison(name) for name in ("__lt__", "__le__", "__gt__", "__ge__")}
