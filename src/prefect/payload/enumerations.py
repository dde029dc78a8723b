"""What cloudpickle leaves behind of an enumeration: aliases, and attributes of its members."""

from __future__ import annotations

import functools
import operator
from enum import Enum, Flag
from typing import Any

# What a member of an enumeration is given by Python.
_OF_MEMBERS = ("_name_", "_value_", "__objclass__", "_sort_order_", "_inverted_")


def with_aliases(kind: type[Enum], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Have an enumeration be made with other names of its members, too, and taken from its state."""
    bases, name, qualname, members, *more = args
    known = functools.reduce(operator.or_, members.values()) if issubclass(kind, Flag) else 0
    named = {}
    for each, member in kind.__members__.items():
        of_others = issubclass(kind, Flag) and not member.value & ~known
        if each in members or member.name in members or of_others:
            named[each] = member.value
            state.pop(each, None)
    return bases, name, qualname, named, *more


def attributes(kind: type[Enum]) -> dict[str, dict[str, Any]]:
    """Return what members of an enumeration were given when they were made, by their names."""
    found = {}
    for member in kind:
        own = {name: value for name, value in vars(member).items() if name not in _OF_MEMBERS}
        if own:
            found[member.name] = own
    return found
