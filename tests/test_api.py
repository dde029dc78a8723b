"""`docs/api.md` and what the package offers are the same."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
FACES = [
    "prefect",
    "prefect.triggers",
    "prefect.environments",
    "prefect.places",
    "prefect.engine",
    "prefect.engine.executors",
    "prefect.engine.signals",
    "prefect.engine.state",
    "prefect.sealed.keys",
    "prefect.oci",
    "prefect.errors",
]


def listed(face: str) -> list[str]:
    """Return what stands in the first column of a section's tables, one name or signature each."""
    _, _, section = PAGE.partition(f"\n## {face}\n")
    section = section.partition("\n## ")[0]
    columns = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return [name for column in columns for name in re.findall(r"`([^`]*)`", column)]


def shape(parameter: inspect.Parameter) -> tuple:
    """Return what a caller must know of a parameter."""
    return parameter.name, parameter.kind, parameter.default is inspect.Parameter.empty


SIGNATURES = [(face, text) for face in FACES for text in listed(face) if "(" in text]


def test_every_face_has_its_section():
    """The page's sections are the public modules, each once."""
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == FACES


@pytest.mark.parametrize("face", FACES)
def test_the_page_lists_what_a_module_offers(face):
    """`__all__`, the names that are there, and the page's rows are equal."""
    module = importlib.import_module(face)
    rows = {text.partition("(")[0] for text in listed(face)}
    assert {row for row in rows if "." not in row} == set(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert hasattr(module, name), name


@pytest.mark.parametrize(("face", "text"), SIGNATURES, ids=lambda value: value.partition("(")[0])
def test_the_page_has_the_real_signatures(face, text):
    """Names, order and kinds of all parameters, and which may be left out, are those of the code."""
    path, _, parameters = text.partition("(")
    owner, value = None, importlib.import_module(face)
    for name in path.split("."):
        owner, value = value, getattr(value, name)
    real = list(inspect.signature(value).parameters.values())
    if inspect.isfunction(value) and inspect.isclass(owner):
        real = real[1:]  # self
    said = inspect.signature(eval(f"lambda {parameters[:-1]}: 0")).parameters.values()
    assert [shape(parameter) for parameter in said] == [shape(parameter) for parameter in real]


@pytest.mark.parametrize(
    ("face", "text"),
    [
        pair
        for pair in SIGNATURES
        if pair[0]
        in {"prefect.environments", "prefect.places", "prefect.oci", "prefect.sealed.keys"}
    ],
    ids=lambda value: value.partition("(")[0],
)
def test_every_parameter_is_explained(face, text):
    """The docstring has each parameter under `Args:`, and does not send the reader elsewhere."""
    value = importlib.import_module(face)
    for name in text.partition("(")[0].split("."):
        value = getattr(value, name)
    _, _, arguments = inspect.getdoc(value).partition("Args:\n")
    entries = re.findall(r"^    (\w+(?:, \w+)*): ", arguments, re.MULTILINE)
    explained = {name for entry in entries for name in entry.split(", ")}
    assert set(inspect.signature(value).parameters) - {"self"} <= explained
