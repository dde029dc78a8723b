"""A package beside the script, with submodules and a state of its own."""

from __future__ import annotations

import typing

from helpers import state

if typing.TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS: dict[str, int] = {"low": 1, "high": 10}
NAMES = {"north", "south", "east", "west"}
Alias = typing.Optional[typing.Union[int, str]]  # noqa: UP007, UP045


def scale(x: float, others: Iterable[str] = ()) -> float | None:
    state.count("scale")
    return x * LIMITS["high"] if "north" in NAMES else None


def some_trigger(upstream: typing.Any) -> bool:
    return True
