"""Modules that were brought as source."""

import sys

import pytest

from prefect.engine.executors import brought


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Leave nothing of it behind."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(brought, "BROUGHT", {})
    yield
    for name in ("brought_one", "brought_pack", "brought_pack.inner"):
        sys.modules.pop(name, None)


def of(text, *, is_package=False):
    return text, "<brought>", is_package


def test_a_module_is_found_by_its_name():
    """Packages, too, and their modules import each other."""
    brought.bring(
        {
            "brought_pack": of("from .inner import VALUE", is_package=True),
            "brought_pack.inner": of("VALUE = 3"),
        }
    )
    import brought_pack

    assert brought_pack.VALUE == 3


def test_a_module_that_is_there_stays_while_its_source_is_the_same():
    """Another source takes its place, and so it does of a module that came otherwise."""
    sys.modules["brought_one"] = type(sys)("brought_one")
    brought.bring({"brought_one": of("VALUE = 1")})
    import brought_one as first

    assert first.VALUE == 1
    brought.bring({"brought_one": of("VALUE = 1")})
    assert sys.modules["brought_one"] is first
    brought.bring({"brought_one": of("VALUE = 2")})
    import brought_one as second

    assert second.VALUE == 2
    assert sum(isinstance(f, brought.SourceFinder) for f in sys.meta_path) == 1
