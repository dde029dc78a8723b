"""What functions that go by value import where they run: modules of their flow before others of the same names."""

from __future__ import annotations

from functools import partial
from types import CodeType, FunctionType

from prefect.engine.executors.brought import Modules, known_by, note, sending_here, top_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def reduced_by_value(function: FunctionType, parts: Any) -> Any:
    """Return how to pickle a function by value for workers elsewhere, whose imports are to find the run's modules there.

    By names alone they would find what another run has brought, or the worker has.

    Args:
        function: the function.
        parts: how cloudpickle does it.
    """
    here = sending_here.get()
    if here is None or not here.sources:
        return parts
    make, args, state, items, pairs, set_state = parts
    digest = ""
    if top_of(function.__module__ or "") in here.tops or _names(function.__code__, here):
        digest = here.digest
        note(digest)
    return _made, (digest, make, *args), state, items, pairs, partial(_set_state, set_state)


def _names(code: CodeType, modules: Modules) -> bool:
    """Tell whether code has a name, or a text, that may be one of modules."""
    for each in (*code.co_names, *code.co_consts):
        if isinstance(each, str):
            if top_of(each) in modules.tops:
                return True
        elif isinstance(each, CodeType) and _names(each, modules):
            return True
    return False


def _made(digest: str, make: Callable[..., FunctionType], *args: Any) -> FunctionType:
    """Make a function; what is made within it later, and by others with its globals, imports as it does."""
    shared = args[1]
    known = known_by(digest).builtins if digest else shared.get("__builtins__")
    function = make(*args)
    if not _is_of_run(known):
        return function
    shared["__builtins__"] = known
    return FunctionType(
        function.__code__, shared, function.__name__, function.__defaults__, function.__closure__
    )


def _set_state(
    set_state: Callable[[FunctionType, Any], object], function: FunctionType, state: Any
) -> None:
    known = function.__globals__.get("__builtins__")
    set_state(function, state)
    if _is_of_run(known):
        function.__globals__["__builtins__"] = known


def _is_of_run(known: Any) -> bool:
    """Tell whether builtins have the import of modules that were brought."""
    own = known.get("__import__") if isinstance(known, dict) else None
    return isinstance(getattr(own, "__self__", None), Modules)
