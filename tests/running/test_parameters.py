"""`prefect.running.parameters`."""

import json

import pytest

from prefect import Flow, Parameter, task
from prefect.errors import ParameterError
from prefect.running.parameters import check_described, parse_pairs, read_parameters


@task
def use(x):
    return x


def described(**parameter):
    """Return a serialized flow with one parameter, `n`."""
    with Flow("test") as flow:
        use(Parameter("n", **parameter))
    return json.loads(json.dumps(flow.serialize()))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('["a"]', ["a"]),
        ('"1"', "1"),
        ("text", "text"),
        ("", ""),
        ("a=b", "a=b"),
        ("2026-01-31", "2026-01-31"),
    ],
)
def test_a_parameter_is_json_or_else_text(text, value):
    """Numbers and lists are themselves, whatever else is a str."""
    assert read_parameters(described(), parse_pairs([f"n={text}"])) == {"n": value}


@pytest.mark.parametrize("text", ["2024", "true", "1e5", "null", "[1]", "{}"])
def test_a_text_needs_no_quotes(text):
    """For a parameter that is a text, what looks like something else is one as well."""
    flow = described(default="x")
    assert read_parameters(flow, parse_pairs([f"n={text}"])) == {"n": text}
    assert read_parameters(flow, parse_pairs([f'n="{text}"'])) == {"n": text}


def test_null_is_no_text_where_there_may_be_nothing():
    """An optional text can be given as nothing."""
    assert read_parameters(described(type=str | None), {"n": "null"}) == {"n": None}


@pytest.mark.parametrize("text", ["", "n", "=1"])
def test_a_parameter_has_a_name_and_a_value(text):
    """Anything else is refused with an example."""
    with pytest.raises(ParameterError, match="name=value"):
        parse_pairs([text])


def test_a_parameter_is_given_once():
    """As pairs, within JSON, or in both: the second is no correction of the first."""
    with pytest.raises(ParameterError, match="'n' is given twice"):
        parse_pairs(["n=1", "n=1"])
    for pairs, text in (({}, '{"n": 1, "n": 2}'), ({"n": "1"}, '{"n": 1}')):
        with pytest.raises(ParameterError, match="'n' is given twice"):
            read_parameters(described(), pairs, text)


@pytest.mark.parametrize("text", ["", "{", "[1]", "1", "null"])
def test_parameters_are_a_json_object(text):
    """Anything else is refused."""
    with pytest.raises(ParameterError, match="JSON"):
        read_parameters(described(), {}, text)


def test_a_description_without_types_takes_any():
    """Manifests of earlier releases are read as they were."""
    flow = described(default=3)
    del flow["parameters"][0]["type"]
    check_described(flow, {"n": "x"})
    flow["parameters"][0]["type"] = "of a later release"
    check_described(flow, {"n": "x"})
