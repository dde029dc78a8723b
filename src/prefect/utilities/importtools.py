"""Imports by name, under the name of classic Prefect."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["import_object"]


def import_object(name: str) -> Any:
    """Return a module, or what is in one, by its dotted name.

    Args:
        name: such as `json`, `json.dumps` or `json:dumps`.

    Raises:
        ImportError: there is no such module.
        AttributeError: there is no such name in it.
    """
    home, colon, attribute = name.partition(":")
    if colon:
        return getattr(importlib.import_module(home), attribute)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        home, dot, attribute = name.rpartition(".")
        if not dot or error.name not in {name, home}:
            raise
        return getattr(importlib.import_module(home), attribute)
