"""Flows that one series of Python packages and another runs, in all directions."""

import itertools
import json
import logging
import re
import sys
from pathlib import Path

import pytest
from other_pythons import HERE, SERIES, packages, run

from prefect import Flow, task
from prefect.payload.loading import load_flow
from prefect.payload.packing import pickle_flow, warn_of_fixed

EVERYTHING = Path(__file__).parent / "series_flow"
EXAMPLES = Path(__file__).parents[2] / "examples"
PACK = """
import sys
from pathlib import Path
from prefect.payload.loading import load_flow
from prefect.payload.packing import pickle_flow
def pack(flow, to="."):
    pickled = pickle_flow(flow)
    Path(to, "m").write_bytes(pickled.manifest.to_json())
    Path(to, "p").write_bytes(pickled.payload)
"""
RUN = """
import json, sys
from pathlib import Path
from prefect.payload.loading import load_flow
from prefect.payload.manifest import Manifest
flow = load_flow(Manifest.from_json(Path("m").read_bytes()), Path("p").read_bytes())
states = flow.run(parameters=json.loads(sys.argv[1]) if sys.argv[1:] else None).result
told = {t.name: s.traceback if s.is_failed() else repr(s.result) for t, s in states.items()}
print("told", json.dumps(told))
"""
BOTH = [(one, other) for one, other in itertools.product(SERIES, SERIES) if one != other]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """A directory with what this package needs."""
    return packages(tmp_path_factory.mktemp("series") / "site-packages")


@pytest.fixture(scope="module")
def everything(packaged, tmp_path_factory):
    """Return a function that packages and runs a large flow by a series, once; its directory."""
    made = {}

    def make(series, script="job.py"):
        if (series, script) not in made:
            directory = made[series, script] = tmp_path_factory.mktemp(series)
            done = run(series, packaged, "-W", "ignore", script, directory, cwd=EVERYTHING)
            assert done.returncode == 0, done.stderr
            (directory / "told").write_text(json.dumps(told(series, packaged, directory)))
        return made[series, script]

    return make


def told(series, packaged, directory, *arguments):
    """Run what a directory has by a series; return the result or the traceback of each task."""
    done = run(series, packaged, "-c", RUN, *arguments, cwd=directory)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("told ")[2])


def write(packaged, series, directory, text, *, stdin=False, name="job.py"):
    """Package the flow of a script by a series."""
    script = f"{PACK}\n{text}\npack(flow)\n"
    (directory / name).write_text("" if stdin else script)
    arguments = ("-",) if stdin else (name,)
    done = run(series, packaged, *arguments, cwd=directory, input=script if stdin else None)
    assert done.returncode == 0, done.stderr
    if not stdin:
        (directory / name).unlink()
    return json.loads((directory / "m").read_bytes())


def without_carets(text):
    """Return a traceback without the marks below its lines, which each series sets in its way."""
    return [line for line in text.splitlines() if line.strip("~^ ")]


@pytest.mark.parametrize(("builder", "runner"), BOTH)
def test_a_flow_of_everything_runs_on_another_series(everything, packaged, builder, runner):
    """What code can be made of gives there what it gives where it was packaged."""
    directory = everything(builder)
    assert json.loads((directory / "m").read_bytes())["fixed"] == []
    expected = json.loads((directory / "told").read_text())
    found = told(runner, packaged, directory)
    assert without_carets(found.pop("failing")) == without_carets(expected.pop("failing"))
    assert found == expected
    assert not [text for text in expected.values() if text.startswith("Traceback")]


@pytest.mark.parametrize(("builder", "runner"), BOTH)
def test_what_is_rare_runs_on_another_series(everything, packaged, builder, runner):
    """Functions under `if`, `try`, `for`, `with`, `match`; global ones of functions; descriptors."""
    directory = everything(builder, "odd.py")
    assert json.loads((directory / "m").read_bytes())["fixed"] == []
    found = told(runner, packaged, directory)
    assert found == json.loads((directory / "told").read_text())
    assert "Traceback" not in found["odd"]
    assert found["enumerations"] == (
        "(2, <Planet.EARTH: (1, 2)>, True, ['EARTH', 'MARS', 'TERRA'], [<Planet.EARTH: (1, 2)>, "
        "<Planet.MARS: (3, 4)>], <Access.RW: 3>, ['NONE', 'R', 'W', 'RW'], True, <Access.NONE: 0>, "
        "<Access.W: 2>, [<Access.R: 1>, <Access.W: 2>])"
    )


def test_a_traceback_names_file_line_and_text(everything, packaged):
    """As if the file were there: also of a function within a function."""
    runner = next(series for series in SERIES if series != HERE)
    text = told(runner, packaged, everything(HERE))["failing"]
    lines = (EVERYTHING / "job.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "the line that fails" in line)
    assert f'File "job.py", line {number}, in within\n    raise ValueError(x)  # the line' in text


@pytest.mark.parametrize("series", SERIES)
def test_the_same_series_takes_bytecode(everything, packaged, series):
    """There nothing is compiled, so that nothing can fail that did not before."""
    code = f"{RUN}\nprint('prefect.payload.recompiling' in sys.modules)"
    done = run(series, packaged, "-c", code, cwd=everything(series))
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.parametrize(("builder", "runner"), BOTH)
@pytest.mark.parametrize("example", ["hello", "secret_report"])
def test_examples_run_on_another_series(packaged, tmp_path, example, builder, runner):
    """Those that need no other package."""
    code = f"{PACK}\nimport {example}; pack({example}.flow, {str(tmp_path)!r})"
    done = run(builder, packaged, "-c", code, cwd=EXAMPLES)
    assert done.returncode == 0, done.stderr
    environment = "import os; os.environ['REPORT_KEY'] = 'correct-horse-battery'\n"
    results = [
        run(series, packaged, "-c", environment + RUN, cwd=tmp_path) for series in (builder, runner)
    ]
    assert results[0].stdout.rpartition("told ")[1:] == results[1].stdout.rpartition("told ")[1:]
    assert "told" in results[1].stdout, results[1].stderr


CELLS = """
import linecache
def cell(name, text, space):
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), space)
space = {"__name__": "__main__"}
cell("<ipython-input-1-0a1b>", "from prefect import Flow, task\\n\\ndef twice(x):\\n    return 2 * x\\n", space)
cell("/tmp/ipykernel_1234/567.py", "@task\\ndef go():\\n    return twice(21), (lambda: 'a')()\\n", space)
cell("<ipython-input-3-ffff>", "with Flow('cells') as flow:\\n    go()\\n", space)
flow = space["flow"]
"""


@pytest.mark.parametrize(("builder", "runner"), BOTH)
def test_cells_of_notebooks_travel(packaged, tmp_path, builder, runner):
    """Their sources are known, whatever they are called."""
    described = write(packaged, builder, tmp_path, CELLS)
    assert (described["fixed"], list(described["sources"])) == (
        [],
        ["567.py", "<ipython-input-1-0a1b>"],
    )
    assert told(runner, packaged, tmp_path) == {"go": "(42, 'a')"}


SMALL = "from prefect import Flow, task\n@task\ndef go():\n    return 1\nwith Flow('small') as flow: go()\n"


@pytest.mark.parametrize("series", SERIES)
def test_what_is_typed_is_named(packaged, tmp_path, series):
    """A function without a source runs on the same series, and its name is told elsewhere."""
    described = write(packaged, series, tmp_path, SMALL, stdin=True)
    assert described["fixed"] == [
        "go of <stdin> (no source is found: made by exec, or typed at a prompt)"
    ]
    assert told(series, packaged, tmp_path) == {"go": "1"}
    other = next(each for each in SERIES if each != series)
    done = run(other, packaged, "-c", RUN, cwd=tmp_path)
    assert re.search(
        rf"CompatibilityError.*go of <stdin>.*Run it with Python {series}", done.stderr
    )


GENERIC = """
from prefect import Flow, task
@task
def generic():
    class Box[T]:
        def __init__(self, content: T): self.content = content
        def of[U](self, other: U) -> tuple[T, U]: return self.content, other
        def parameters(self): return [p.__name__ for p in Box.__type_params__], T.__name__
    def first[V](values: list[V]) -> V: return values[0], V.__name__
    type Pair[W] = tuple[W, W]
    return Box(1).of(2), Box(1).parameters(), first([3]), Pair.__name__
def top[X](x: X): return x, X.__name__
@task
def quoted(): return f"{'a' + f'{"b"}'}", top(1)
with Flow('newer') as flow:
    generic()
    quoted()
"""


def test_newer_syntax_runs_where_it_is_known(packaged, tmp_path):
    """Type parameters of 3.12 run on 3.13; 3.11 names the function, the line, and what to do."""
    described = write(packaged, "3.12", tmp_path, GENERIC)
    assert described["fixed"] == []
    expected = {
        "generic": "((1, 2), (['T'], 'T'), (3, 'V'), 'Pair')",
        "quoted": "('ab', (1, 'X'))",
    }
    assert told("3.12", packaged, tmp_path) == told("3.13", packaged, tmp_path) == expected
    done = run("3.11", packaged, "-c", RUN, cwd=tmp_path)
    assert re.search(
        r"CompatibilityError: \w+ cannot be compiled by Python 3\.11: .*\(job\.py, line \d+\)",
        done.stderr,
    ), done.stderr


def test_a_build_says_what_fixes_the_series(tmp_path, monkeypatch, caplog):
    """Each function with its reason: made by exec, and changed since it was imported."""
    (tmp_path / "changing.py").write_text(
        "def first():\n    return 1\ndef second():\n    return 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "changing", None)
    del sys.modules["changing"]
    import changing

    (tmp_path / "changing.py").write_text(
        "def first():\n    return 1\ndef second():\n    return 3\n"
    )
    space = {}
    exec("def third():\n    return 3\n", space)
    third = space["third"]

    with Flow("odd") as flow:
        task(lambda: changing.first() + changing.second() + third(), name="sum")()
    manifest = pickle_flow(flow).manifest
    assert manifest.fixed == [
        "second of changing.py (not what its source says: that was changed since, or the code was rewritten)",
        "third of <string> (no source is found: made by exec, or typed at a prompt)",
    ]
    with caplog.at_level(logging.WARNING, "prefect"):
        warn_of_fixed(manifest)
        warn_of_fixed(pickle_flow(Flow("plain")).manifest)
    (said,) = caplog.messages
    assert f"the flow 'odd' runs on Python {HERE} alone" in said
    assert "second of changing.py" in said
    assert "third of <string>" in said


def test_code_with_objects_among_its_constants_travels_on_its_series():
    """Tools that bind globals early make such code; it is named as any that was rewritten."""
    value = Path("bound")

    def bound():
        return 12345

    code = bound.__code__
    constants = tuple(value if each == 12345 else each for each in code.co_consts)
    bound.__code__ = code.replace(co_consts=constants)
    with Flow("bound") as flow:
        task(bound)()
    pickled = pickle_flow(flow)
    assert len(pickled.manifest.fixed) == 1
    loaded = load_flow(pickled.manifest, pickled.payload)
    assert [state.result for state in loaded.run().result.values()] == [value]
