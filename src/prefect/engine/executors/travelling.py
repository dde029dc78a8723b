"""How tasks, inputs, states and log records go from process to process."""

from __future__ import annotations

import io
import logging
import pickle
import sys
from collections import ChainMap
from contextlib import contextmanager
from functools import cache
from types import CodeType, FunctionType

from prefect.core.inputs import items_of
from prefect.core.own import has_handlers
from prefect.core.refs import Ref
from prefect.core.state import Failed
from prefect.core.tracebacks import describe
from prefect.engine.executors.brought import is_any, reduced, sending_here
from prefect.engine.job import UNLOADABLE
from prefect.errors import RemoteTaskError, ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, ClassVar, TypeVar

    from prefect.core.state import State
    from prefect.core.task import Task

    T = TypeVar("T")

NAMELESS = "<dynamic-code>"
"""What cloudpickle from 3.1.3 on writes in place of the file of a function, which tracebacks need."""
_LARGE = 1 << 16
"""Bytes of a buffer from which on it travels beside the pickle, without being copied into it."""


def packed(value: Any) -> list[Any]:
    """Pickle anything: plainly where that suffices, for the rest with cloudpickle.

    Returns:
        The pickle, and the buffers that it refers to (PEP 574).
    """
    buffers: list[pickle.PickleBuffer] = []

    def beside(buffer: pickle.PickleBuffer) -> bool:
        try:
            if buffer.raw().nbytes < _LARGE:
                return True
        except BufferError:  # not contiguous
            return True
        buffers.append(buffer)
        return False

    data = _dumps(value, beside)
    return [data, *(buffer.raw() for buffer in buffers)]


def is_large(data: list[Any]) -> bool:
    """Whether what was packed is not worth being loaded where nobody may want it."""
    return len(data) > 1 or len(data[0]) > _LARGE


def _dumps(value: Any, beside: Any) -> bytes:
    if is_any() or sending_here.get() is not None:
        return dumps_with_modules(value, beside)
    return _dumps_by(_pickler(), value, beside)


def _dumps_by(pickler: Any, value: Any, beside: Any) -> bytes:
    with io.BytesIO() as file:
        pickler(file, protocol=5, buffer_callback=beside).dump(value)
        return file.getvalue()


def are_names_known() -> bool:
    """Whether what is found by its name here is found by it in other processes: what a flow has brought may not be."""
    import cloudpickle  # noqa: PLC0415  # not at every start

    if is_any() or sending_here.get() is not None:
        return False
    return not cloudpickle.list_registry_pickle_by_value()


def by_value(name: str, *, on: bool | None = None) -> bool:
    """Tell whether what is of a module goes to other processes by value, and begin or end that.

    Args:
        name: of the module, which is imported.
        on: what is to be from now on; None to leave it.

    Raises:
        ValueError: it is to end, and does not.
    """
    import cloudpickle  # noqa: PLC0415  # not at every start

    if on is not None:
        change = (
            cloudpickle.register_pickle_by_value if on else cloudpickle.unregister_pickle_by_value
        )
        change(sys.modules[name])
    return name in cloudpickle.list_registry_pickle_by_value()


def dumps_with_modules(value: Any, beside: Any = None) -> bytes:
    """Pickle anything; what is in modules that a flow brought as source goes by the digest of that.

    Args:
        value: anything.
        beside: as the `buffer_callback` of pickle.
    """
    return _dumps_by(_pickler_with_modules(), value, beside)


@cache
def _pickler() -> Any:
    """Make the class once: to make one takes longer than a small value, and each would be garbage."""
    import cloudpickle  # noqa: PLC0415  # not at every start

    known = cloudpickle.Pickler.dispatch_table

    def reduced_code(code: CodeType) -> Any:
        make, args = known[CodeType](code)
        named = (code.co_filename if type(arg) is str and arg == NAMELESS else arg for arg in args)
        return make, tuple(named)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        # One map of maps: each object that is pickled is looked up.
        dispatch_table: ClassVar[Any] = ChainMap(
            {CodeType: reduced_code}, *getattr(known, "maps", [known])
        )

    return Pickler


@cache
def _pickler_with_modules() -> Any:
    """Make the class of one for which what is of modules that a flow brought goes by the digest of these."""
    from prefect.engine.executors.brought_imports import (  # noqa: PLC0415  # flows that bring modules alone
        reduced_by_value,
    )

    base: Any = _pickler()

    class WithModules(base):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if (found := reduced(obj)) is not None:
                return found
            found = super().reducer_override(obj)
            if type(obj) is FunctionType and found is not NotImplemented:
                return reduced_by_value(obj, found)
            return found

    return WithModules


def unpacked(data: list[Any]) -> Any:
    """Load what `packed` returned."""
    return pickle.loads(data[0], buffers=data[1:])  # noqa: S301  # of a process of this run


class Packed(Ref):
    """A value that a process has sent, which goes on to others as it came, and is loaded if it is read."""

    __slots__ = ("_data", "_value")

    def __init__(self, data: list[Any]) -> None:
        self._data = data

    def fetch(self) -> Any:
        """Return the value; the same one each time."""
        if not hasattr(self, "_value"):
            try:
                self._value = unpacked(self._data)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise ResultUnavailableError(
                    f"The result cannot be loaded here: {describe(error)}"
                ) from error
        return self._value

    def items(self) -> Sequence[Any]:
        """Return its items."""
        return items_of(self.fetch())

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (bytes(self._data[0]), *map(pickle.PickleBuffer, self._data[1:]))


def _loaded(*data: Any) -> Any:
    return unpacked(list(data))


def for_workers(task: Task) -> Task:
    """Return a task as it goes to others: its state handlers stay here, where they are called."""
    if not has_handlers(task):
        return task
    sent = task.copy()
    sent.state_handlers = [stays_here]
    return sent


def stays_here(*_: object) -> None:
    """Stand for state handlers: what becomes of a failure is decided where they are."""


_CHAIN = "__prefect_chain__"


def _chained(error: BaseException) -> Iterator[BaseException]:
    """Return an exception, those that it came from, and those that are in a group."""
    left, seen = [error], set()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [other for other in (each.__cause__, each.__context__) if other is not None]
        left += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


@contextmanager
def _chain_noted(errors: list[BaseException]) -> Iterator[None]:
    """Have exceptions say, among their attributes, what they came from: a pickle has nothing else of it."""
    try:
        for each in errors:
            vars(each)[_CHAIN] = (each.__cause__, each.__context__, each.__suppress_context__)
        yield
    finally:
        for each in errors:
            vars(each).pop(_CHAIN, None)


def _restore_chain(error: BaseException) -> None:
    for each in _chained(error):  # which goes on to those that are found
        if (chain := vars(each).pop(_CHAIN, None)) is not None:
            each.__cause__, each.__context__, each.__suppress_context__ = chain


def packed_state(state: State, dumps: Callable[[State], T], loads: Callable[[T], State]) -> T:
    """Pickle a state as `dumps` does; where that cannot be, one with text for its result.

    An exception takes along what it came from, if that can be.
    """
    chained: list[BaseException] = []
    if isinstance(state.held, BaseException):
        chained = [
            each
            for each in _chained(state.held)
            if each.__cause__ is not None or each.__context__ is not None
        ]
    if chained:
        try:
            with _chain_noted(chained):
                return _packed(state, dumps, loads)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  # as below; it goes without them
            state.traceback = state.traceback  # in which they are
            for each in chained:
                each.__cause__ = each.__context__ = None
    try:
        return _packed(state, dumps, loads)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # anything that an object's pickling raises
        return dumps(without_result(state, error))


def _packed(state: State, dumps: Callable[[State], T], loads: Callable[[T], State]) -> T:
    data = dumps(state)
    if isinstance(state.held, BaseException):
        _check_exception(loads(data).held)
    return data


def _check_exception(loaded: Any) -> None:
    """Refuse what is none any more. Many cannot be loaded at all, which raises before."""
    if not isinstance(loaded, BaseException):
        raise TypeError(f"its exception is pickled as {loaded!r:.80}")


def without_result(state: State, error: BaseException) -> State:
    """Return a state like one that cannot be pickled, with text for its result."""
    if not isinstance(state.held, BaseException):
        message = f"the task's result cannot be pickled: {describe(error)}"
        return Failed(message, RemoteTaskError(message))
    text = state.traceback
    state.result = RemoteTaskError(describe(state.held))
    state.traceback = text
    return state


def arrived(load: Callable[..., State], *sent: Any) -> State:
    """Load a state that was sent; where that cannot be, one that says so."""
    try:
        state = load(*sent)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # anything that an object's unpickling raises
        message = f"the result cannot be loaded here: {describe(error)}"
        return Failed(message, error, context={UNLOADABLE: True})
    held = getattr(state, "held", None)  # what ends the run rather than the task is no state
    if isinstance(held, BaseException):
        _restore_chain(held)
    return state


def packed_plainly(value: Any) -> list[Any]:
    """Do the same for what pickle knows by itself, in a tenth of the time."""
    return [pickle.dumps(value, protocol=5)]


def packed_record(record: logging.LogRecord, dumps: Callable[[dict[str, Any]], T]) -> T:
    """Pickle a log record, as what `logging.makeLogRecord` takes: message and traceback are text."""
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    sent = {**vars(record), "msg": record.getMessage(), "args": None, "exc_info": None}
    try:
        return dumps(sent)
    except Exception:  # noqa: BLE001  # what somebody gave as `extra`
        plain = (str, int, float, type(None))
        return dumps({key: value for key, value in sent.items() if isinstance(value, plain)})
