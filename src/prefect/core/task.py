"""`Task`: one step of a flow; `@task`: a function as one."""

from __future__ import annotations

from prefect.core import check
from prefect.core.binding import Bindable
from prefect.core.call_signature import RunSignature, suggest
from prefect.core.context import ambient_tags, building, task_logger
from prefect.core.own import OWN, own
from prefect.core.triggers import all_successful
from prefect.unsupported import RefusedMethod, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import timedelta
    from typing import Any, ClassVar, Self, TypeAlias

    from prefect.core.state import State
    from prefect.core.triggers import Trigger

    TaskHandler: TypeAlias = Callable[["Task", State, State], State | None]


class Task(Bindable):
    """A step of a flow: subclass it and override `run`, or use the decorator `@task`.

    A subclass with its own `__init__` calls `super().__init__(**kwargs)`.

    Args:
        name: for people; the class's name by default. Several tasks may share one.
        slug: identifies the task in its flow; made from the name by default.
        tags: labels.
        max_retries: how many times to try again after a failure.
        retry_delay: how long to wait before that (timedelta, or seconds); not at all by default.
        timeout: how long one try may take (timedelta, or seconds); for ever by default.
        trigger: whether to run, given the states of the upstream tasks; see `prefect.triggers`.
        skip_on_upstream_skip: whether to be skipped when an upstream task was. If not, that
            task's result is None here.
        state_handlers: called as `handler(task, old_state, new_state)` at each change of state;
            may return another state to have instead.
        on_failure: called as `on_failure(task, state)` at each failure, retried or not.
        on_success: called as `on_success(task, state)` at each success, also a skip or a stored result; of a mapped
            task, for each child.
        log_stdout: whether what `run` prints goes to the task's logger, line by line.
        at_most_once: whether a try is never made again by itself when its process, or worker, died
            and nobody knows how far it came: not even if `max_retries` allows.
        resources: how much it needs of what there is little of where it runs, such as `{"GPU": 1}`.
        nout: how many values `run` returns, so that the task can be unpacked; by default known
            from a return annotation such as `tuple[int, str]`.
        retry_on: the exceptions after which it is tried again; by default all.
        task_run_name: what a run of it is called, as `prefect.context.task_run_name`: a template of its
            inputs such as "load {day}", or a function that takes them.
        cache: whether its result is stored, and taken from an earlier run, of this flow or another, that was
            given the same: inputs, code, and versions of what it imports.
        cache_for: for how long it is taken (timedelta); it is cached then.
        cache_key: what decides in place of inputs and code: a text, or a function of the inputs that
            returns one; it is cached then.
        checkpoint: False keeps its result from being stored in any case.
        cache_validator: whether a Cached state that a run begins with holds; it has no other meaning here, which a
            warning says.
        result: where its results are stored, in place of the run's store: a directory, a URL that fsspec knows, or one
            of classic Prefect's `Result` objects.
        target: accepted with a warning: it has no meaning here.

    Raises:
        TypeError, ValueError: an argument is of the wrong type, or makes no sense.
    """

    _signature: ClassVar[RunSignature] = RunSignature()
    _type_name: ClassVar[str] = "prefect.core.task.Task"
    _overridden: ClassVar[frozenset[str]] = frozenset()
    """The names below for which a class has something else, which its instances do not take."""
    _is_plain: ClassVar[bool] = False
    """Whether an instance is what its dict has, and copied as such."""
    auto_generated: ClassVar[bool] = False
    """Whether a flow adds tasks of this class by itself."""
    is_cleanup: ClassVar[bool] = False
    """Whether it ends what others needed, and so decides nothing of a flow."""
    restarts: ClassVar[bool] = False
    """Whether what it came to in an earlier run is of no use in another."""
    learns: ClassVar[staticmethod[[Any], None] | None] = None
    """Called with what it has come to in the process that runs the flow, wherever it ran."""

    serialize = RefusedMethod()

    # What is as it is here has no place in an instance: flows may have a million tasks.
    slug: str | None = None
    tags: set[str] = own(set)  # type: ignore[assignment]  # what it makes for each instance
    max_retries: int = 0
    retry_delay: timedelta | None = None
    timeout: float | None = None
    trigger: Trigger = staticmethod(all_successful)
    skip_on_upstream_skip: bool = True
    state_handlers: list[TaskHandler] = own(list)  # type: ignore[assignment]  # likewise
    log_stdout: bool = False
    at_most_once: bool = False
    nout: int | None = None
    resources: dict[str, int] | None = None
    retry_on: Any = None
    task_run_name: Any = None
    cache: bool = False
    caches: bool = False
    """Whether its result may be taken from an earlier run."""
    cache_for: Any = None
    cache_key: Any = None
    cache_validator: Any = None
    checkpoint: Any = None
    result: Any = None
    stored_in: str | None = None
    """Where its results are stored, if that is for itself to say."""
    target: Any = None

    def __init__(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        max_retries: int = 0,
        retry_delay: timedelta | float | None = None,
        timeout: timedelta | float | None = None,
        trigger: Trigger | None = None,
        skip_on_upstream_skip: bool = True,
        state_handlers: Iterable[TaskHandler] | None = None,
        on_failure: Callable[[Task, State], Any] | None = None,
        log_stdout: bool = False,
        nout: int | None = None,
        *,
        on_success: Callable[[Task, State], Any] | None = None,
        at_most_once: bool = False,
        resources: Mapping[str, int] | None = None,
        retry_on: type[BaseException] | Iterable[type[BaseException]] | None = None,
        task_run_name: str | Callable[..., str] | None = None,
        cache: bool | None = None,
        cache_for: timedelta | None = None,
        cache_key: str | Callable[..., str] | None = None,
        cache_validator: Callable[..., bool] | None = None,
        checkpoint: bool | None = None,
        result: Any = None,
        target: str | Callable[..., str] | None = None,
    ) -> None:
        self.name = check.text("name", type(self).__name__ if name is None else name)
        checked = {
            "slug": check.slug(slug),
            "tags": check.tags(tags) | ambient_tags(),
            "max_retries": check.count("max_retries", max_retries),
            "retry_delay": check.delay(retry_delay),
            "timeout": check.timeout(timeout),
            "trigger": check.trigger(all_successful if trigger is None else trigger),
            "skip_on_upstream_skip": check.flag("skip_on_upstream_skip", skip_on_upstream_skip),
            "state_handlers": check.handlers(state_handlers, on_failure, on_success),
            "log_stdout": check.flag("log_stdout", log_stdout),
            "at_most_once": bool(at_most_once) and check.flag("at_most_once", at_most_once),
            "nout": check.nout(nout),
            "resources": check.resources(resources),
        }
        for attribute, value in checked.items():
            if attribute in self._overridden or value != _DEFAULTS[attribute]:
                setattr(self, attribute, value)
        given = (
            retry_on,
            task_run_name,
            cache,
            cache_for,
            cache_key,
            cache_validator,
            checkpoint,
            result,
            target,
        )
        if given != _NONE_GIVEN:
            _keep(self, dict(zip(_CLASSIC, given, strict=True)))
        if self.retry_delay is not None and not self.max_retries:
            raise ValueError(f"Task {self.name!r} has a retry_delay but no max_retries")
        if retry_on is not None and not self.max_retries:
            raise ValueError(f"Task {self.name!r} has retry_on but no max_retries")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_plain = _copies_by_dict(cls)
        special = cls.__mro__[: cls.__mro__.index(Task)]
        cls._overridden = frozenset(
            name for name in _DEFAULTS if any(name in base.__dict__ for base in special)
        )
        cls._type_name = type_name(cls)
        owner = next(base for base in cls.__mro__ if "run" in base.__dict__)
        if owner is not cls and "_signature" in owner.__dict__:
            return  # inherited from a task, together with its signature
        static = isinstance(owner.__dict__["run"], (staticmethod, classmethod))
        cls._signature = RunSignature.of(cls.run, f"task class {cls.__name__!r}", method=not static)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.__dict__.get('name', '?')}>"

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work: override it, with whatever arguments it needs."""

    @property
    def logger(self) -> logging.Logger:
        """The task's logger, `prefect.task.<name>`."""
        return task_logger(self.name)

    def _copied(self) -> Self:
        kind = type(self)
        if not self._is_plain:
            import copy  # noqa: PLC0415  # seldom needed

            return copy.copy(self)
        new = kind.__new__(kind)  # what copy.copy does, after it has found out
        new.__dict__ = self.__dict__.copy()
        return new

    def __getstate__(self) -> Any:
        """Return what is pickled: the same whether or not somebody has looked at what is empty."""
        state: Any = object.__getstate__(self)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        if attributes is not None:
            attributes = {k: v for k, v in attributes.items() if v or k not in OWN}
        return attributes if slots is None else (attributes, slots)

    def copy(self, **task_args: Any) -> Self:
        """Return a copy, with other constructor arguments where given; tags come on top.

        Raises:
            TypeError: not an argument that all tasks have.
        """
        new = self._copied()
        for name in OWN.intersection(new.__dict__):
            setattr(new, name, getattr(self, name).copy())
        if ambient := ambient_tags():
            new.tags |= ambient
        for name, value in task_args.items():
            if name in _CLASSIC:
                _keep(new, {name: value})
                continue
            if name not in check.TASK_ARGS:
                raise TypeError(
                    f"task_args has {name!r}{suggest(name, check.TASK_ARGS)}; "
                    f"it can have {', '.join(check.TASK_ARGS)}"
                )
            checked = check.TASK_ARGS[name](value)
            setattr(new, name, new.tags | checked if name == "tags" else checked)
        return new

    def inputs(self) -> dict[str, dict[str, Any]]:
        """Return the arguments of `run`: of each its type, and whether it must be given."""
        from prefect.core.classic_task import inputs_of  # noqa: PLC0415  # seldom needed

        return inputs_of(self)

    def outputs(self) -> Any:
        """Return the type of what `run` returns, as it is annotated; else Any."""
        from prefect.core.classic_task import outputs_of  # noqa: PLC0415  # seldom needed

        return outputs_of(self)

    def __format__(self, spec: str) -> str:
        if building.get() is not None:
            raise TypeError(
                f"The result of task {self.name!r} cannot be put into a text before it has run: pass it to a task, "
                "and format it there. Its name is `.name`; `!r` in an f-string shows the task itself"
            )
        return super().__format__(spec)

    def __iter__(self) -> Iterator[Task]:
        flow = building.get()
        if flow is not None and self in flow.tasks and any(e.mapped for e in flow.edges_to(self)):
            raise TypeError(
                f"Task {self.name!r} is mapped, and its result a list of what each child returns, which "
                "cannot be unpacked: map a task over it that takes what you want of each"
            )
        nout = _nout(self.run) if self.nout is None else self.nout
        if nout is None:
            raise TypeError(
                f"Task {self.name!r} cannot be unpacked before it has run: say how many values it "
                "returns with nout=..., or with a return annotation such as tuple[int, str]"
            )
        return (self[index] for index in range(nout))


_DEFAULTS: dict[str, Any] = {
    "slug": None, "tags": set(), "max_retries": 0, "retry_delay": None, "timeout": None,
    "trigger": all_successful, "skip_on_upstream_skip": True, "state_handlers": [], "log_stdout": False,
    "at_most_once": False, "nout": None, "resources": None,
}  # fmt: skip
_CLASSIC = (
    "retry_on", "task_run_name", "cache", "cache_for", "cache_key", "cache_validator", "checkpoint", "result", "target",
)  # fmt: skip
_NONE_GIVEN = (None,) * len(_CLASSIC)


def _keep(task: Task, given: dict[str, Any]) -> None:
    from prefect.core.classic_task import keep  # noqa: PLC0415  # few tasks have one

    keep(task, given)


_REDUCING = ("__reduce_ex__", "__reduce__")
_COPYING = (
    "__copy__", "__setstate__", "__getnewargs__", "__getnewargs_ex__",
)  # fmt: skip


def _copies_by_dict(kind: type) -> bool:
    """Tell whether `copy.copy` does no more for a class than to copy the dict of an instance."""
    own = [base for base in kind.__mro__ if base is not object]
    return (
        all(getattr(kind, name) is getattr(object, name) for name in _REDUCING)
        and kind.__getstate__ is Task.__getstate__  # type: ignore[comparison-overlap]
        and not any(hasattr(kind, name) for name in _COPYING)
        and not any(base.__dict__.get("__slots__") for base in own)
    )


def _nout(run: Callable[..., Any]) -> int | None:
    """Return the length of the tuple that a function is annotated to return, if it is."""
    import typing  # noqa: PLC0415  # slow to import

    try:
        returned = typing.get_type_hints(run).get("return")
    except Exception:  # noqa: BLE001  # annotations may refer to what only type checkers see
        return None
    items = typing.get_args(returned)
    if typing.get_origin(returned) is not tuple or Ellipsis in items:
        return None
    return len(items)


def type_name(kind: Any) -> str:
    """Return `module.QualName` of a class or function.

    What is defined in a script is named by the script's file, for that is what it is called
    wherever it is imported; `__main__` is another module there.
    """
    module = getattr(kind, "__module__", None) or "builtins"
    if module == "__main__":
        import sys  # noqa: PLC0415

        file = getattr(sys.modules.get("__main__"), "__file__", None)
        if isinstance(file, str):
            module = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    name = getattr(kind, "__qualname__", None) or type(kind).__qualname__
    return f"{module}.{name}"


def __getattr__(name: str) -> Any:
    """Find what flows that an earlier release has pickled look for here."""
    if name != "FunctionTask":
        refuse(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from prefect.core.function_task import FunctionTask  # noqa: PLC0415  # it subclasses Task

    return FunctionTask
