"""Classic Prefect's questions whether a cached state is still good, of what an earlier run had.

Files for classic Prefect give one to a task, and may call it themselves. What a store here takes is said in
docs/results.md: a task with `cache_for` whose code and inputs are the same.
"""

from __future__ import annotations

from functools import partial

from prefect.core.state import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeAlias

    from prefect.core.state_kinds import Cached

    Validator: TypeAlias = Callable[[Cached, Mapping[str, Any], Mapping[str, Any]], bool]

__all__ = [
    "all_inputs",
    "all_parameters",
    "duration_only",
    "never_use",
    "partial_inputs_only",
    "partial_parameters_only",
]


def never_use(state: Cached, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:  # noqa: ARG001  # as all of them
    """Tell that it is not."""
    return False


def duration_only(state: Cached, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:  # noqa: ARG001  # as all of them
    """Tell whether it has not expired."""
    expires = state.cached_result_expiration
    return expires is None or expires > now()


def all_inputs(state: Cached, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Tell whether it has not expired, and the inputs are the same."""
    return duration_only(state, inputs, parameters) and _values(state.cached_inputs) == inputs


def all_parameters(state: Cached, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Tell whether it has not expired, and the parameters are the same."""
    return duration_only(state, inputs, parameters) and state.cached_parameters == parameters


def partial_inputs_only(validate_on: Iterable[str] | None = None) -> Validator:
    """Return a function that looks at some inputs.

    Args:
        validate_on: their names; with none, it looks at the expiry alone.
    """
    return partial(_some_inputs, _names(validate_on))


def partial_parameters_only(validate_on: Iterable[str] | None = None) -> Validator:
    """Return a function that looks at some parameters.

    Args:
        validate_on: their names; with none, it looks at the expiry alone.
    """
    return partial(_some_parameters, _names(validate_on))


def _some_inputs(
    names: tuple[str, ...],
    state: Cached,
    inputs: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> bool:
    former = _values(state.cached_inputs)
    return duration_only(state, inputs, parameters) and _same(names, former, inputs)


def _some_parameters(
    names: tuple[str, ...],
    state: Cached,
    inputs: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> bool:
    former = state.cached_parameters or {}
    return duration_only(state, inputs, parameters) and _same(names, former, parameters)


def _same(names: tuple[str, ...], former: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return all(former.get(name) == given.get(name) for name in names)


def _names(given: Iterable[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _values(inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return inputs by name, of which each may be a result of classic Prefect's kind."""
    return {name: getattr(each, "value", each) for name, each in (inputs or {}).items()}
