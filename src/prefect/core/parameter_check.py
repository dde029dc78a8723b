"""What values a flow's parameters take, and the check of what is given, before a run.

A type is what `Parameter(type=...)` says; else what the tasks that take the parameter say in their
annotations, if they agree and the default is one; else that of the default. It stands in the serialized flow by its name, so
that values are checked wherever a flow is started, also where it cannot be loaded.
"""

from __future__ import annotations

from prefect.core.call_signature import suggest
from prefect.core.check import mapping
from prefect.core.value_types import (
    TYPES_BY_NAME,
    ValueType,
    enum,
    form_of_member,
    instance,
    refuse,
    type_of_class,
)
from prefect.errors import ParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from prefect.core.flow import Flow
    from prefect.core.parameter import Parameter

_LONGEST_SHOWN = 60


class Expected:
    """What a run has to give for a parameter.

    Args:
        name: the parameter's.
        required: whether a value must be given.
        type: of its values; None for any.
        nullable: whether None is a value, too.
    """

    __slots__ = ("name", "nullable", "required", "type")

    def __init__(
        self,
        name: str,
        *,
        required: bool,
        type: ValueType | None,  # noqa: A002
        nullable: bool,
    ) -> None:
        self.name = name
        self.required = required
        self.type = type
        self.nullable = nullable

    def convert(self, value: Any) -> Any:
        """Return a value as the flow gets it.

        Raises:
            ParameterError: it is not of the parameter's type.
        """
        if self.type is None or (value is None and self.nullable):
            return value
        try:
            return self.type.convert(value)
        except (ValueError, TypeError, ArithmeticError):
            shown = repr(value)
            shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
            raise ParameterError(
                f"Parameter {self.name!r} is of type {self.type.name}, {self.type.form}; {shown} "
                "is not"
            ) from None


def expected_by(flow: Flow) -> list[Expected]:
    """Return what a run of a flow has to give for each of its parameters."""
    return [_expected(parameter, flow) for parameter in flow.parameters()]


def expected_by_description(serialized: Mapping[str, Any]) -> list[Expected]:
    """Return the same for a serialized flow. One of an earlier release tells no types."""
    return [_described(parameter) for parameter in serialized["parameters"]]


def as_given(parameters: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return parameters as they were given, none where that was nothing.

    Raises:
        ParameterError: they are no dict, nor like one.
    """
    if parameters is None:
        return {}
    try:
        return mapping("parameters", "names and values", parameters)
    except TypeError as error:
        raise ParameterError(str(error)) from None


def check_parameters(
    flow: str, expected: Iterable[Expected], given: Mapping[str, Any], *, whole: bool = True
) -> dict[str, Any]:
    """Return what is given for the parameters of a flow, each as the type that it has.

    Args:
        flow: the flow's name.
        expected: its parameters.
        given: values, or their JSON forms, by the parameters' names.
        whole: whether these are all; else a required one may be missing.

    Raises:
        ParameterError: a required one is missing, one is unknown, or one is of another type; the
            message names all that are.
    """
    known = {parameter.name: parameter for parameter in expected}
    has = f"it has {', '.join(map(repr, known))}" if known else "it has none"
    for name in given:
        if name not in known:
            raise ParameterError(
                f"Flow {flow!r} has no parameter {name!r}{suggest(str(name), known)}; {has}"
            )
    missing = [repr(name) for name, each in known.items() if each.required and name not in given]
    if missing and whole:
        raise ParameterError(
            f"Flow {flow!r} needs a value for parameter {', '.join(missing)}; {has}"
        )
    converted, wrong = {}, []
    for name, value in given.items():
        try:
            converted[name] = known[name].convert(value)
        except ParameterError as error:
            wrong.append(str(error))
    if wrong:
        raise ParameterError("\n".join(wrong))
    return converted


def _expected(parameter: Parameter, flow: Flow) -> Expected:
    default, required = parameter.default, parameter.required
    optional = default is None and not required
    kind: ValueType | None
    if parameter.type is not None:
        kind, nullable = explicit_type(parameter.type)
        return Expected(parameter.name, required=required, type=kind, nullable=nullable or optional)
    said, nullable = _annotated(parameter, flow)
    kind = type_of_class(said)
    if kind is not None and default is not None and not _is_one(kind, default):
        kind = None
    kind = kind or type_of_class(type(default))
    return Expected(parameter.name, required=required, type=kind, nullable=nullable or optional)


def explicit_type(said: Any) -> tuple[ValueType, bool]:
    """Return what `Parameter(type=...)` means, and whether None is a value of it.

    Raises:
        TypeError: it is neither a class nor `X | None`.
    """
    said, nullable = _without_none(said)
    said = getattr(said, "__origin__", said)
    if not isinstance(said, type):
        raise TypeError(f"A parameter's type is a class, or one `| None`, not {said!r}")
    form = f"which has no JSON form: {said.__module__}.{said.__qualname__}"
    return type_of_class(said) or ValueType(said.__qualname__, form, instance(said)), nullable


def _is_one(kind: ValueType, value: Any) -> bool:
    try:
        return kind.convert(value) is value
    except (ValueError, TypeError, ArithmeticError):
        return False


def _annotated(parameter: Parameter, flow: Flow) -> tuple[Any, bool]:
    """Return the class that all tasks which take a parameter whole say, and whether None is one."""
    found = {
        _without_none(None if mapped else _annotation(down.run, key))
        for _, down, key, mapped in flow.edges_from(parameter)
        if key is not None
    }
    if len(found) != 1:
        return None, False
    ((said, nullable),) = found
    return getattr(said, "__origin__", said), nullable


def _annotation(run: Any, argument: str) -> Any:
    """Return what an argument is annotated with; as typing.get_type_hints does, without typing."""
    while hasattr(run, "__wrapped__"):
        run = run.__wrapped__
    try:
        said = run.__annotations__.get(argument)
        if isinstance(said, str):
            said = eval(said, run.__globals__)  # noqa: S307  # what the task's author wrote
    except Exception:  # noqa: BLE001  # it may refer to what only type checkers see
        return None
    return said


def _without_none(said: Any) -> tuple[Any, bool]:
    """Return X and True for `X | None`."""
    arguments = getattr(said, "__args__", ())
    if len(arguments) != 2 or type(None) not in arguments or isinstance(said, type):  # noqa: PLR2004
        return said, False
    return next(each for each in arguments if each is not type(None)), True


def _described(parameter: Mapping[str, Any]) -> Expected:
    choices = parameter.get("choices")
    kind = TYPES_BY_NAME.get(parameter.get("type"))
    if choices is not None:
        kind = enum(choices, lambda value: value if _form(value) in choices else refuse())
    return Expected(
        parameter["name"],
        required=parameter["required"],
        type=kind,
        nullable=parameter.get("nullable", False),
    )


def _form(value: Any) -> Any:
    return value if isinstance(value, str) or not hasattr(value, "value") else form_of_member(value)
