"""Parameters as they are written: JSON, and name=value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prefect.core.parameter_check import check_parameters, expected_by_description
from prefect.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.core.kept import Kept
    from prefect.core.parameter_check import Expected


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Take each `name=value` apart.

    Raises:
        ParameterError: one has no name or no `=`, or a name is given twice.
    """
    parsed: dict[str, str] = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParameterError(f"{text!r} is no parameter: write name=value, such as -p limit=10")
        if name in parsed:
            raise ParameterError(f"The parameter {name!r} is given twice")
        parsed[name] = value
    return parsed


def read_parameters(
    flow: Mapping[str, Any],
    pairs: Mapping[str, str],
    json_object: str = "{}",
    *,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """Return parameters for a serialized flow from what was written for them.

    A value of a pair that is JSON counts as such, any other as text. For a parameter whose values
    are written as text, a name or a date for example, only null and what is in quotes is JSON:
    `2024` is the text.

    Args:
        flow: the serialized flow.
        pairs: values by name, as they were written.
        json_object: more of them.
        kept: what the run is to go on with, which may have those that are missing.

    Raises:
        ParameterError: the JSON is no object, one is given twice, is missing, unknown, or of
            another type than the flow says.
    """
    try:
        parameters = json.loads(json_object, object_pairs_hook=_once)
    except ParameterError:
        raise
    except ValueError as error:
        raise ParameterError(f"The parameters are not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise ParameterError("The parameters are not a JSON object of names and values")
    expected = {each.name: each for each in expected_by_description(flow)}
    for name, text in pairs.items():
        if name in parameters:
            raise ParameterError(f"The parameter {name!r} is given twice")
        parameters[name] = _read_value(text, expected.get(name))
    check_described(flow, parameters, kept)
    return parameters


def check_described(
    flow: Mapping[str, Any], parameters: Mapping[str, Any], kept: Kept | None = None
) -> None:
    """Check parameters for a serialized flow, before anything of it is loaded.

    Args:
        flow: the serialized flow.
        parameters: values by name.
        kept: what the run is to go on with, which may have those that are missing: the run itself sees.

    Raises:
        ParameterError: one is missing, unknown, or of another type than the flow says.
    """
    whole = kept is None or kept.resume is None
    check_parameters(flow["name"], expected_by_description(flow), parameters, whole=whole)


def _read_value(text: str, expected: Expected | None) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if expected is None or expected.type is None or not expected.type.is_text:
        return value
    is_json = isinstance(value, str) or (value is None and expected.nullable)
    return value if is_json else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ParameterError(f"{name!r} is given twice in the JSON of the parameters")
        found[name] = value
    return found
