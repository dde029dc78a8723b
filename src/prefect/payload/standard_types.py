"""How to pickle what pickle cannot take of the standard library, or takes as one series has it."""

from __future__ import annotations

import dataclasses
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, ForwardRef
from weakref import WeakKeyDictionary, WeakSet

from prefect.payload.dataclass_methods import make_params, switches
from prefect.payload.rebuilding import forward_reference

if TYPE_CHECKING:
    from collections.abc import Callable

_dataclasses: Any = dataclasses  # with what has no public name


def _cached_property(obj: Any) -> Any:
    # Its lock, which Python 3.11 has, cannot be pickled.
    state = {key: value for key, value in vars(obj).items() if key not in {"func", "lock"}}
    return cached_property, (obj.func,), state


def _weak_set(obj: WeakSet[Any]) -> Any:
    return WeakSet, (set(obj),)


def _params(obj: Any) -> Any:
    return make_params, (switches(obj),)


def _forward_reference(obj: Any) -> Any:
    # Without what it was compiled to, and what was found for it.
    names = ("arg", "is_argument", "module", "is_class")
    if sys.version_info >= (3, 14):
        return NotImplemented
    return forward_reference, tuple(getattr(obj, f"__forward_{name}__") for name in names)


def _sentinel(name: str) -> Callable[[Any], str]:
    """Return a reducer to the one object of its type, by name: it is compared by identity."""
    return lambda _: name


def _weak_keys(obj: WeakKeyDictionary[Any, Any]) -> Any:
    return WeakKeyDictionary, (dict(obj),)


REDUCERS: dict[type, Callable[[Any], Any]] = {
    cached_property: _cached_property,
    ForwardRef: _forward_reference,
    WeakKeyDictionary: _weak_keys,
    WeakSet: _weak_set,
    type(dataclasses.MISSING): _sentinel("MISSING"),
    type(dataclasses.KW_ONLY): _sentinel("KW_ONLY"),
    type(_dataclasses._HAS_DEFAULT_FACTORY): _sentinel("_HAS_DEFAULT_FACTORY"),  # noqa: SLF001
    _dataclasses._DataclassParams: _params,  # noqa: SLF001
}
