"""`prefect.payload.source_lines`: what files are called elsewhere, and which lines travel."""

import contextlib
import linecache
import sys
from types import ModuleType

import pytest

from prefect.payload.source_lines import SourceLines, remember_lines
from prefect.payload.sources import by_number


@pytest.fixture
def loaded(monkeypatch):
    """Return a function that has a module be imported from a file."""

    def load(name, file, **attributes):
        module = ModuleType(name)
        vars(module).update(attributes, __file__=file)
        monkeypatch.setitem(sys.modules, name, module)

    return load


def test_files_are_named_as_they_are_imported(loaded):
    """A module by its package, a script by its name alone, and where nothing is known as well."""
    loaded("one_helper", "/here/one_helper.py")
    loaded("one_package", "/here/one_package/__init__.py", __path__=["/here/one_package"])
    loaded("one_package.inner.deep", "/here/one_package/inner/deep.py")
    loaded("flow_file_json", "/here/json.py")
    source = SourceLines()
    assert source.name("/here/one_helper.py") == "one_helper.py"
    assert source.name("/here/one_package/__init__.py") == "one_package/__init__.py"
    assert source.name("/here/one_package/inner/deep.py") == "one_package/inner/deep.py"
    assert source.name("/here/json.py") == "json.py"
    assert source.name(contextlib.__file__) == "contextlib.py"
    assert source.name("/tmp/ipykernel_1234/567.py") == "567.py"
    assert source.name("C:\\work\\etl.py") == "etl.py"
    assert source.name("<string>") == "<string>"


def test_a_module_that_is_run_has_the_name_by_which_it_is_imported(loaded):
    """`python -m package.module` is called as others would import it; a script is not."""

    class Spec:
        name = "one_package.tool"

    loaded("__main__", "/here/one_package/tool.py", __spec__=Spec)
    assert SourceLines().name("/here/one_package/tool.py") == "one_package/tool.py"
    loaded("__main__", "/here/one_package/tool.py", __spec__=None)
    assert SourceLines().name("/here/one_package/tool.py") == "tool.py"


def test_runs_of_lines_travel_and_no_others(tmp_path):
    """Those that were noted, in their order, and runs that touch as one."""
    (tmp_path / "noted.py").write_text("a\nb\nc\n\nd\ne")
    source = SourceLines()
    for numbers in ((6,), range(1, 3), range(3, 4), (99,)):
        source.note(str(tmp_path / "noted.py"), numbers)
    source.note(str(tmp_path / "gone.py"), (1,))
    assert source.taken() == {"noted.py": [[1, "a\nb\nc\n"], [6, "e\n"]]}


def test_two_files_of_one_name_are_told_apart(tmp_path):
    """By a number, in the order in which their code is pickled."""
    source = SourceLines()
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "same.py").write_text(directory)
        source.note(str(tmp_path / directory / "same.py"), (1,))
        assert source.own_name(str(tmp_path / directory / "same.py")).startswith("same.py")
    assert source.taken() == {"same.py": [[1, "one\n"]], "same.py (2)": [[1, "two\n"]]}


def test_lines_are_known_where_there_is_no_file(tmp_path, monkeypatch):
    """Once loaded, tracebacks find them, whatever lies in the directory; a cell keeps its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(linecache, "cache", {"<cell 1>": (1, None, ["whole\n"], "<cell 1>")})
    (tmp_path / "known.py").write_text("another\n" * 9)
    remember_lines(
        by_number({"known.py": [[3, "    three\n"], [5, "5\f\n\n"]], "<cell 1>": [[2, "part\n"]]})
    )
    linecache.checkcache()
    assert linecache.getlines("known.py") == ["\n", "\n", "    three\n", "\n", "5\f\n", "\n"]
    assert linecache.getlines("<cell 1>") == ["whole\n"]
