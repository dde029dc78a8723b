"""What functions that go by value import where they run: modules of their flow before others of the same names."""

from __future__ import annotations

from functools import partial
from opcode import opmap
from types import CodeType, FunctionType

from prefect.engine.executors.brought import Modules, known_by, note, sending_here, top_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_IMPORT = opmap["IMPORT_NAME"]


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
    if _may_import(function.__code__, here, of_them=top_of(function.__module__ or "") in here.tops):
        digest = here.digest
        note(digest)
    return _made, (digest, make, *args), state, items, pairs, partial(_set_state, set_state)


def _may_import(code: CodeType, modules: Modules, *, of_them: bool) -> bool:
    """Tell whether code may import one of modules: it has an import and such a name, or such a text.

    Args:
        code: of a function.
        modules: the modules.
        of_them: whether the function is of one, which may import from its own package.
    """
    names = [each for each in code.co_consts if isinstance(each, str)]
    if _IMPORT in code.co_code[::2]:
        if of_them:
            return True
        names += code.co_names
    return any(top_of(each) in modules.tops for each in names) or any(
        _may_import(each, modules, of_them=of_them)
        for each in code.co_consts
        if isinstance(each, CodeType)
    )


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
