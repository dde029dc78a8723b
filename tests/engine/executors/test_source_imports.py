"""What modules import, as their sources say it."""

import sysconfig
import tokenize
from pathlib import Path

import pytest

from prefect.engine.executors.source_imports import imported, mentioned


def names(text, module="pack.inner", *, is_package=False):
    """Return what both find, which is the same for all but strings and comments."""
    found = {name for name, _ in imported(text, module, is_package=is_package)}
    assert found == set(mentioned(text, module, is_package=is_package))
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import a.b as c, d", {"a", "a.b", "d"}),
        ("from a.b import c as d", {"a", "a.b", "a.b.c"}),
        ("from . import a", {"pack", "pack.a"}),
        ("from.a import(b)", {"pack", "pack.a", "pack.a.b"}),
        ("from . . import a", {"a"}),
        ("from a import (\n    b,  # (of c)\n    d as e,\n)", {"a", "a.b", "a.d"}),
        ("from a \\\n  import b, \\\n  c", {"a", "a.b", "a.c"}),
        ("def f():\n    if x: import a; import b\n    else: from c import d", {"a", "b", "c", "c.d"}),
        ("try: pass\nexcept E: import a\nfinally: import b", {"a", "b"}),
        ("match x:\n    case 1:\n        import a", {"a"}),
        ("from import_a import import_b", {"import_a", "import_a.import_b"}),
        ("from zipimport import x", {"zipimport", "zipimport.x"}),
        ("import ﬁle", {"file"}),  # as Python compares names
        ("import_a = reimport = 1\nx = lambda: a.imports", set()),
    ],
)  # fmt: skip
def test_imports_of_all_forms_are_found(text, found):
    """Relative ones by the name of the module, with the packages above; within functions, too."""
    assert names(text) == found


def test_relative_imports_of_a_package_are_of_what_is_in_it():
    """As Python understands them."""
    assert names("from .a import b", "pack", is_package=True) == {"pack", "pack.a", "pack.a.b"}


def test_what_may_be_an_attribute_is_told_from_modules():
    """Packages come before what is in them."""
    found = list(imported("from a.b import c", "m", is_package=False))
    assert found == [("a", True), ("a.b", True), ("a.b.c", False)]


def test_strings_and_comments_are_mentioned_alone():
    """Prose that nothing closes hides no import behind it."""
    text = '"""Those import (a\nfrom what import b"""\nimport c  # or import d\n'
    assert {name for name, _ in imported(text, "m", is_package=False)} == {"c"}
    found = set(mentioned(text, "m", is_package=False))
    assert {"c", "d", "what"} <= found


def test_nothing_that_the_standard_library_imports_is_missed():
    """What is not parsed is as sure to be found."""
    for file in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        with tokenize.open(file) as opened:
            text = opened.read()
        found = {name for name, _ in imported(text, "a.b", is_package=False)}
        missed = found - set(mentioned(text, "a.b", is_package=False))
        assert all(name.endswith(".*") for name in missed), (file, missed)


def test_what_is_no_source_is_refused():
    """By what needs to be exact alone."""
    with pytest.raises(SyntaxError):
        list(imported("import", "m", is_package=False))
    assert list(mentioned("import", "m", is_package=False)) == []
