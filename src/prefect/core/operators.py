"""What `x + 1`, `x > y` and `x[0]` mean for tasks while a flow is built: more tasks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from prefect.core.flow import Flow
    from prefect.core.task import Task

_LONGEST_LABEL = 40


class Operators:
    """The operators of a task. Each adds a task that applies it to the results.

    `==` and `!=` do not: they tell whether two tasks are the same, as sets and dicts of tasks need
    it. `is_equal` and `is_not_equal` compare results.

    Raises:
        FlowError: no flow is being built.
    """

    __slots__ = ()
    name: str
    if TYPE_CHECKING:

        def _flow(self, flow: Flow | None) -> Flow: ...

    # NumPy's arrays leave it to the task then, and do not make one task for each of their items.
    __array_ufunc__ = None

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"Task {self.name!r} is neither true nor false before it has run: pass it to a task, and "
            "decide there. For `a and b`, `not a` and `a < b < c` write `a & b`, `a.not_()` and "
            "`(a < b) & (b < c)`, which are tasks; for whether there is a task, `is not None`"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(
            f"What is in the result of task {self.name!r} is not known before it has run: pass it "
            "to a task, and look there"
        )

    def __getitem__(self, key: Any) -> Task:
        from prefect.core.inputs import GetItem  # noqa: PLC0415  # it subclasses Task

        label = key.name if isinstance(key, Operators) else repr(key) if _is_short(key) else "..."
        return GetItem(name=f"{self.name}[{label}]").bind(self, key, flow=self._flow(None))

    def __add__(self, other: Any) -> Task:
        return _operation("+", self, other)

    def __radd__(self, other: Any) -> Task:
        return _operation("+", other, self)

    def __sub__(self, other: Any) -> Task:
        return _operation("-", self, other)

    def __rsub__(self, other: Any) -> Task:
        return _operation("-", other, self)

    def __mul__(self, other: Any) -> Task:
        return _operation("*", self, other)

    def __rmul__(self, other: Any) -> Task:
        return _operation("*", other, self)

    def __truediv__(self, other: Any) -> Task:
        return _operation("/", self, other)

    def __rtruediv__(self, other: Any) -> Task:
        return _operation("/", other, self)

    def __floordiv__(self, other: Any) -> Task:
        return _operation("//", self, other)

    def __rfloordiv__(self, other: Any) -> Task:
        return _operation("//", other, self)

    def __mod__(self, other: Any) -> Task:
        return _operation("%", self, other)

    def __rmod__(self, other: Any) -> Task:
        return _operation("%", other, self)

    def __pow__(self, other: Any) -> Task:
        return _operation("**", self, other)

    def __rpow__(self, other: Any) -> Task:
        return _operation("**", other, self)

    def __and__(self, other: Any) -> Task:
        return _operation("and", self, other)

    def __rand__(self, other: Any) -> Task:
        return _operation("and", other, self)

    def __or__(self, other: Any) -> Task:
        return _after(self, other)

    def __ror__(self, other: Any) -> Task:
        return _after(other, self)

    def __lt__(self, other: Any) -> Task:
        return _operation("<", self, other)

    def __le__(self, other: Any) -> Task:
        return _operation("<=", self, other)

    def __gt__(self, other: Any) -> Task:
        return _operation(">", self, other)

    def __ge__(self, other: Any) -> Task:
        return _operation(">=", self, other)

    def is_equal(self, other: Any) -> Task:
        """Add a task that tells whether this one's result equals another's, or a plain value."""
        return _operation("==", self, other)

    def is_not_equal(self, other: Any) -> Task:
        """Add a task that tells whether this one's result differs from another's, or a value."""
        return _operation("!=", self, other)

    def or_(self, other: Any) -> Task:
        """Add a task that has this one's result, or another's where it is false."""
        return _operation("or", self, other)

    def not_(self) -> Task:
        """Add a task that tells whether this one's result is false."""
        return _operation("not", self)


def _after(first: Any, then: Any) -> Task:
    """Have one wait for another, as `first | then` says; return it."""
    from prefect.core.composing import as_task  # noqa: PLC0415  # it needs Task

    flow = next(each for each in (first, then) if isinstance(each, Operators))._flow(None)  # noqa: SLF001
    last = as_task(then, flow)
    flow.set_dependencies(last, upstream_tasks=[as_task(first, flow)])
    return last


def _operation(symbol: str, *operands: Any) -> Task:
    from prefect.core.inputs import Operation  # noqa: PLC0415  # it subclasses Task

    flow = next(each for each in operands if isinstance(each, Operators))._flow(None)  # noqa: SLF001
    labels = [_label(each) for each in operands]
    words = [symbol, *labels] if len(labels) == 1 else [labels[0], symbol, *labels[1:]]
    return Operation(symbol, name=f"({' '.join(words)})").bind(*operands, flow=flow)


def _label(operand: Any) -> str:
    """Return what an operand is called in the name of an operation.

    Of constants only numbers are shown: texts may be secret.
    """
    if isinstance(operand, Operators):
        text = operand.name
    else:
        text = repr(operand) if operand is None or type(operand) in (int, bool, float) else "..."
    return text if len(text) <= _LONGEST_LABEL else "..."


def _is_short(key: Any) -> bool:
    return key is None or type(key) in (int, bool, float, str, slice)
