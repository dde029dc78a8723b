"""Dicts and lists, under the names of classic Prefect."""

from __future__ import annotations

from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

__all__ = [
    "CompoundKey",
    "DotDict",
    "as_nested_dict",
    "dict_to_flatdict",
    "flatdict_to_dict",
    "flatten_seq",
    "merge_dicts",
]


class DotDict(dict[str, Any]):
    """A dict of which the items are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(f"There is no item {name!r}")
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(dict, name):
            raise ValueError(f"{name!r} is an attribute of every dict; set it as an item")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"There is no item {name!r}")
        del self[name]

    def copy(self) -> DotDict:
        """Return a copy."""
        return type(self)(self)

    def to_dict(self) -> dict[str, Any]:
        """Return it, and what is in it, as plain dicts."""
        plain: dict[str, Any] = as_nested_dict(self, dict)
        return plain


class CompoundKey(tuple[Any, ...]):
    """The keys that lead to a value in nested dicts."""

    __slots__ = ()


def as_nested_dict(obj: Any, dct_class: type[Any] = DotDict) -> Any:
    """Return a value of which all dicts, however deep, are of one class.

    Args:
        obj: the value.
        dct_class: the class of dicts.
    """
    if isinstance(obj, list | tuple | set):
        return type(obj)(as_nested_dict(item, dct_class) for item in obj)
    if isinstance(obj, dict):
        return dct_class({key: as_nested_dict(value, dct_class) for key, value in obj.items()})
    return obj


def merge_dicts(d1: MutableMapping[str, Any], d2: MutableMapping[str, Any]) -> Any:
    """Return the first dict with the second's items on top; where both have a dict, merged.

    Args:
        d1: the first, of whose class the result is.
        d2: the second.
    """
    merged: Any = type(d1)()
    merged.update(d1)
    for key, value in d2.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = merge_dicts(merged[key], value) if both else value
    return merged


def dict_to_flatdict(dct: Mapping[Any, Any], parent: CompoundKey | None = None) -> dict[Any, Any]:
    """Return nested dicts as one, with the keys that lead to each value.

    Args:
        dct: the dict.
        parent: the keys that lead to it.
    """
    found: dict[Any, Any] = {}
    for key, value in dct.items():
        path = CompoundKey((*(parent or ()), key))
        if isinstance(value, dict):
            found.update(dict_to_flatdict(value, path))
        else:
            found[path] = value
    return found


def flatdict_to_dict(dct: Mapping[Any, Any], dct_class: type[Any] | None = None) -> Any:
    """Return nested dicts from one with the keys that lead to each value.

    Args:
        dct: the dict.
        dct_class: the class of dicts; by default `dct`'s own.
    """
    kind: type[Any] = dct_class or type(dct)
    found = kind()
    for path, value in dct.items():
        if not isinstance(path, CompoundKey):
            found[path] = value
            continue
        inner = found
        for key in path[:-1]:
            inner = inner.setdefault(key, kind())
        inner[path[-1]] = value
    return found


def flatten_seq(seq: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of nested lists, however deep; texts are items.

    Args:
        seq: what has items.
    """
    for item in seq:
        if hasattr(item, "__iter__") and not isinstance(item, str | bytes):
            yield from flatten_seq(item)
        else:
            yield item
