"""Parameters as they are written: JSON, and name=value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prefect.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_parameters(text: str, pairs: Iterable[str] = ()) -> dict[str, Any]:
    """Return parameters by name: those of a JSON object, and of lines of name=value after it.

    Raises:
        ParameterError: it is no JSON object, or a pair has no name or no `=`.
    """
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise ParameterError(f"The parameters are not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise ParameterError("The parameters are not a JSON object of names and values")
    return parameters | dict(map(parse_parameter, pairs))


def parse_parameter(text: str) -> tuple[str, Any]:
    """Take `name=value` apart; a value that is JSON counts as such, any other as a str.

    Raises:
        ParameterError: there is no name or no `=`.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ParameterError(f"{text!r} is no parameter: write name=value, such as -p limit=10")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
