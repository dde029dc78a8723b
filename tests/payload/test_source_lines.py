"""`prefect.payload.source_lines`: what files are called elsewhere, and which lines travel."""

import contextlib
import linecache
import sys
from types import ModuleType

import pytest

from prefect.payload.source_lines import SourceLines, with_source_lines


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


def compiled(path, text):
    """Write a file and return the code of its first function."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    names = {}
    exec(compile(text, str(path), "exec"), names)
    return names["f"].__code__


def test_the_lines_of_a_function_travel_and_no_others(tmp_path):
    """From its first line, decorators included, to its last; in no other order than theirs."""
    text = "SECRET = 1\ndef f():\n    x = [\n        2,\n    ]\n    return x\nMORE = 2\n"
    source = SourceLines()
    source.note(compiled(tmp_path / "noted.py", text))
    make, (found,) = source.__reduce__()
    assert make(found) == {"noted.py": dict(enumerate(text.splitlines(True)[1:6], 2))}


def test_two_files_of_one_name_show_no_lines(tmp_path):
    """Whose they are could not be told; a source that is gone has none either."""
    source = SourceLines()
    source.note(compiled(tmp_path / "one" / "same.py", "def f():\n    return 1\n"))
    source.note(compiled(tmp_path / "two" / "same.py", "\ndef f():\n    return 2\n"))
    code = compiled(tmp_path / "gone.py", "def f():\n    return 3\n")
    (tmp_path / "gone.py").unlink()
    source.note(code)
    make, (found,) = source.__reduce__()
    assert make(found) == {}


def test_lines_are_known_where_there_is_no_file(tmp_path, monkeypatch):
    """Once loaded, tracebacks find them, whatever lies in the directory; a cell keeps its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(linecache, "cache", {"<cell 1>": (1, None, ["whole\n"], "<cell 1>")})
    (tmp_path / "known.py").write_text("another\n" * 9)
    files = {"known.py": {3: "    three\n"}, "<cell 1>": {2: "part\n"}}
    assert with_source_lines("the flow", files) == "the flow"
    linecache.checkcache()
    assert linecache.getlines("known.py") == ["\n", "\n", "    three\n"]
    assert linecache.getlines("<cell 1>") == ["whole\n"]
