"""Tells whether a stored value is sure to be loaded here, without loading it."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from prefect.payload.local_modules import is_local_file, requirements_of

if TYPE_CHECKING:
    from prefect.store.formats import Encoded

_OWN_OF_PYTHON = sys.stdlib_module_names | {"builtins", "copyreg"}


def needs(encoded: Encoded) -> dict[str, str] | None:
    """Return the versions of the packages that a value cannot be loaded without; None where they are not known.

    Modules of the user's own have none, and stand there with "".
    """
    if encoded.modules is None or "__main__" in encoded.modules:
        return None
    tops = {each.partition(".")[0] for each in encoded.modules} - _OWN_OF_PYTHON
    return {top: version(top) for top in sorted(tops)}


def is_sure_to_load(needed: Any, *, same_code: bool) -> bool:
    """Tell whether all that a value needs is here, each in the version with which it was stored.

    Args:
        needed: what `needs` has returned, perhaps to another process.
        same_code: whether the code of the user's own that made it is what is here.
    """
    if not isinstance(needed, dict):
        return False
    return all(
        each == version(top) if each else same_code and sys.modules.get(top) is not None
        for top, each in needed.items()
    )


@cache
def version(top: str) -> str:
    """Return the version of what provides an installed module; "" of what is none or not here."""
    own = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(own, str):
        return own
    if sys.modules.get(top, top) is None or is_local_file(top):  # None is what must not be imported
        return ""
    return requirements_of([top], frozenset()).get(top, "").partition("==")[2]
