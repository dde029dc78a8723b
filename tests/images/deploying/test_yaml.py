"""`prefect.images.deploying.yaml`: parsers give back what was written."""

import pytest
import ruamel.yaml
import yaml
from deploying_jobs import HOSTILE, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.images.deploying.yaml import document, scalar

VALUES = st.recursive(
    texts | st.integers(-(2**60), 2**60) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(texts, VALUES, max_size=5))
def test_parsers_give_back_every_value(value):
    """Of YAML 1.1 (PyYAML) and of 1.2 (ruamel.yaml), whatever texts, keys and nesting there are."""
    text = document(value, ["a comment"])
    assert (yaml.safe_load(text) or {}) == value
    assert (ruamel.yaml.YAML(typ="safe", pure=True).load(text) or {}) == value


@pytest.mark.parametrize("text", HOSTILE)
def test_a_scalar_is_one_printable_line(text):
    """Nothing in it commands a terminal, ends the line or is taken for anything but text."""
    assert scalar(text).isprintable()
    assert yaml.safe_load(scalar(text)) == text


def test_words_are_readable():
    """What can mean nothing else has no quotes."""
    assert document(
        {"kind": "Job", "name": "etl-1", "path": "/run/secrets", "on": [], "x": {}}
    ) == ('kind: Job\nname: etl-1\npath: /run/secrets\n"on": []\nx: {}\n')


def test_what_is_no_plain_value_is_refused():
    """A None would be read as null, which Kubernetes takes for a deletion."""
    with pytest.raises(TypeError, match="NoneType"):
        document({"name": None})
