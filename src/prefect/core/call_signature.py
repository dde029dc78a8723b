"""The arguments that a task's `run` takes, as plain data that pickles anywhere."""

from __future__ import annotations

from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Any

    from prefect.core.task import Task

RESERVED = frozenset({"upstream_tasks", "mapped", "task_args", "flow"})
"""Keywords that calling a task takes for itself."""


class RunSignature:
    """Names of arguments: all of them, those by position, those without a default.

    `open` says that `run` takes any further keyword.
    """

    __slots__ = ("names", "open", "positional", "required")

    def __init__(
        self,
        names: tuple[str, ...] = (),
        positional: tuple[str, ...] = (),
        required: tuple[str, ...] = (),
        open: bool = False,  # noqa: A002  # an attribute's name
    ) -> None:
        self.names = names
        self.positional = positional
        self.required = required
        self.open = open

    @classmethod
    def of(cls, run: Callable[..., Any], owner: str, *, method: bool = False) -> RunSignature:
        """Read the signature of a function, or of a method (whose `self` is left out).

        Raises:
            FlowError: a task cannot pass arguments to it as it is written.
        """
        plain = type(run) is _FUNCTION
        if plain and not (hasattr(run, "__wrapped__") or hasattr(run, "__signature__")):
            arguments = _arguments(run, owner)
        else:
            arguments = _inspect(run, owner)
        names, positional, required, is_open = [], [], [], False
        for name, kind, has_default in arguments[1 if method else 0 :]:
            if kind == "VAR_POSITIONAL":
                raise FlowError(f"{owner}: run takes *{name}; a task's arguments need names")
            if kind == "POSITIONAL_ONLY":
                raise FlowError(f"{owner}: run takes {name!r} by position only, a task by name")
            if kind == "VAR_KEYWORD":
                is_open = True
                continue
            if name in RESERVED:
                raise FlowError(f"{owner}: run's argument {name!r} has a reserved name; rename it")
            names.append(name)
            if kind == _ORDINARY:
                positional.append(name)
            if not has_default:
                required.append(name)
        return cls(tuple(names), tuple(positional), tuple(required), is_open)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], task: Task) -> dict[str, Any]:
        """Return the arguments of a task by name.

        Raises:
            TypeError: they are too many, unknown, doubled or missing.
        """
        if len(args) > len(self.positional):
            raise TypeError(
                f"Task {task.name!r} takes {len(self.positional)} arguments by position, {len(args)} given"
            )
        bound = dict(zip(self.positional, args))  # noqa: B905  # twice as fast without `strict`
        for name, value in kwargs.items():
            if name in bound:
                raise TypeError(f"Task {task.name!r} got its argument {name!r} twice")
            self.check(name, task)
            bound[name] = value
        missing = self.missing(bound)
        if missing:
            raise TypeError(f"Task {task.name!r} misses its argument{listed(missing)}")
        return bound

    def check(self, name: str, task: Task) -> None:
        """Refuse an argument that `run` does not take.

        Raises:
            TypeError: it is unknown; the message has the closest known one.
        """
        if name in self.names or self.open:
            return
        takes = f"it takes the argument{listed(self.names)}" if self.names else "it takes none"
        raise TypeError(
            f"Task {task.name!r} has no argument {name!r}{suggest(name, self.names)}; {takes}"
        )

    def missing(self, given: Collection[str | None]) -> list[str]:
        """Name the required arguments that are not given."""
        return [name for name in self.required if name not in given]


def _arguments(function: Any, owner: str) -> list[tuple[str, str, bool]]:
    """Return the name and kind of each argument of a plain function, and if it has a default.

    What `inspect.signature` says, without importing it: that would double the time that
    importing this package takes, for it has tasks of its own.
    """
    code = function.__code__
    if code.co_flags & _ASYNC_GENERATOR:
        raise FlowError(f"{owner}: {_IS_ASYNC_GENERATOR}")
    total = code.co_argcount + code.co_kwonlyargcount
    first_default = code.co_argcount - len(function.__defaults__ or ())
    arguments = []
    for position, name in enumerate(code.co_varnames[:total]):
        if position >= code.co_argcount:
            arguments.append((name, "KEYWORD_ONLY", name in (function.__kwdefaults__ or ())))
        else:
            kind = "POSITIONAL_ONLY" if position < code.co_posonlyargcount else _ORDINARY
            arguments.append((name, kind, position >= first_default))
    rest = list(code.co_varnames[total:])
    for flag, kind in ((_VARARGS, "VAR_POSITIONAL"), (_VARKEYWORDS, "VAR_KEYWORD")):
        if code.co_flags & flag:
            arguments.append((rest.pop(0), kind, True))
    return arguments


def _inspect(run: Callable[..., Any], owner: str) -> list[tuple[str, str, bool]]:
    """Return the same for anything else that can be called."""
    import inspect  # noqa: PLC0415  # slow to import

    if inspect.isasyncgenfunction(run):
        raise FlowError(f"{owner}: {_IS_ASYNC_GENERATOR}")
    try:
        parameters = inspect.signature(run).parameters.values()
    except (TypeError, ValueError) as error:
        raise FlowError(
            f"{owner}: its arguments are unknown ({error}); wrap it in a function"
        ) from None
    return [(p.name, p.kind.name, p.default is not p.empty) for p in parameters]


_FUNCTION = type(RunSignature.bind)
_IS_ASYNC_GENERATOR = "run is an async generator; return a list instead of yielding"
_ORDINARY = "POSITIONAL_OR_KEYWORD"
_VARARGS, _VARKEYWORDS, _ASYNC_GENERATOR = 0x04, 0x08, 0x200  # as inspect.CO_... has them


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that somebody may have meant."""
    import difflib  # noqa: PLC0415  # for messages of errors only

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest known name, or nothing."""
    close = closest(name, known)
    return f" (did you mean {close!r}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """Return names as they follow the word argument, in its number."""
    quoted = [repr(name) for name in names]
    return f"{'s' if len(quoted) > 1 else ''} {', '.join(quoted)}"
