"""Looks into what went wrong, under the names of classic Prefect."""

from __future__ import annotations

from prefect.core.context import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["is_serializable", "raise_on_exception"]


def raise_on_exception() -> Scope:
    """Return a block within which a task that fails ends the run with its exception.

    A debugger then stops where it was raised.
    """
    return Scope({"raise_on_exception": True})


def is_serializable(obj: Any, raise_on_error: bool = False) -> bool:
    """Tell whether a value can be sent to another process.

    Args:
        obj: the value.
        raise_on_error: whether to raise what its pickling raises, instead of returning False.
    """
    from prefect.payload.values import pickled, unpickled  # noqa: PLC0415  # seldom needed

    try:
        unpickled(pickled(obj))
    except Exception:
        if raise_on_error:
            raise
        return False
    return True
