"""Names that completion looks up: of images in the container engine, and of flows in a file.

Nothing is executed for it, and what cannot be found out at once is left to who types.
"""

from __future__ import annotations

import ast
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 2  # that people wait for an engine, which answers in milliseconds
_LARGEST_SOURCE = 1 << 20  # bytes


class _TooLateError(BaseException):
    """Not an Exception, which whoever asks the engine would take for its answer."""


def images() -> list[str]:
    """Return the names of the flow images that the container engine has, as far as it says so soon."""
    former = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        from prefect.images.finding import names_nearby  # noqa: PLC0415 - slow, and may fail

        return names_nearby()
    except (Exception, _TooLateError):  # noqa: BLE001 - nobody wants to hear of it now
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def flows(name: str) -> list[str]:
    """Return the variables of a file's top level that a flow is plainly assigned to."""
    with suppress(OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        path = Path(name).expanduser()
        if path.is_file() and os.path.getsize(path) <= _LARGEST_SOURCE:  # noqa: PTH202 - as quick
            return list(dict.fromkeys(_assigned(ast.parse(path.read_bytes()).body)))
    return []


def _assigned(body: list[ast.stmt]) -> Iterator[str]:
    """Yield those of `with Flow(...) as NAME` and `NAME = Flow(...)`."""
    for statement in body:
        targets: list[ast.expr | None] = []
        match statement:
            case ast.With():
                targets = [i.optional_vars for i in statement.items if _is_flow(i.context_expr)]
            case ast.Assign(value=value) if _is_flow(value):
                targets = [*statement.targets]
            case ast.AnnAssign(value=value) if _is_flow(value):
                targets = [statement.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _assigned(getattr(statement, part, []))


def _is_flow(value: ast.expr | None) -> bool:
    """Tell whether it is a call of Flow, or of prefect.Flow."""
    called = value.func if isinstance(value, ast.Call) else None
    return getattr(called, "id", None) == "Flow" or getattr(called, "attr", None) == "Flow"


def _give_up(*_: object) -> NoReturn:
    raise _TooLateError
