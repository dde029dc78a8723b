"""Stored results that are of no use in a place: they are made again, and that is said."""

import importlib
import json
import os
import subprocess
import sys
import textwrap

import pytest
from notes import Noted

from prefect import Flow, task

FLOW = """
    import sys
    from prefect import Flow, task

    @task
    def table():
        print("table", flush=True)
        import pandas as pd
        return pd.DataFrame({"x": range(1000)})

    @task
    def odd():
        print("odd", flush=True)
        import one_of_a_place
        return one_of_a_place.Odd(3)

    @task
    def total(table):
        print("total", flush=True)
        if "fail" in sys.argv:
            raise ValueError("not now")
        return int(table["x"].sum())

    with Flow("f") as flow:
        end = total(table())
        if "odd" in sys.argv:
            odd()

    if __name__ == "__main__":
        state = flow.run(
            store="store", resume="fail" not in sys.argv, executor=sys.argv[1],
        )
        print(type(state).__name__, state.result[end].result if state.is_successful() else "")
"""


@pytest.fixture
def run(tmp_path):
    """Run the flow in a process; return what it printed and said."""

    def run(*arguments, **variables):
        (tmp_path / "flow.py").write_text(textwrap.dedent(FLOW))
        done = subprocess.run(
            [sys.executable, "flow.py", *arguments], cwd=tmp_path, text=True, timeout=120,
            capture_output=True, check=True,
            env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), **variables},
        )  # fmt: skip
        return done.stdout.splitlines(), done.stderr

    return run


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:1"])
def test_a_result_that_cannot_be_loaded_in_a_place_is_made_again_there(tmp_path, run, executor):
    """A frame that lies as Arrow file, where pyarrow is missing: the run says so, and so does `prefect why`."""
    out, _ = run(executor, "fail")
    assert out == ["table", "total", "Failed "]
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "pyarrow.py").write_text(
        "raise ModuleNotFoundError('No module named pyarrow', name='pyarrow')"
    )
    out, err = run(executor, PYTHONPATH=str(tmp_path / "place"))
    assert out == ["table", "total", "Success 499500"]
    assert "Task 'table' runs again: A stored value cannot be loaded here: ModuleNotFoundError: " in err  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-m", "prefect", "why", "last", "table", "--store", "store"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "table ran again: the result that run " in told
    assert "is of no use here: A stored value cannot be loaded here: ModuleNotFoundError" in told
    assert "table" not in run(executor)[0]  # what was made there can be read in both


def test_a_result_that_its_own_code_cannot_load_in_a_place_is_made_again(tmp_path, run):
    """Whatever a class does there, it ends no run."""
    (tmp_path / "one_of_a_place.py").write_text(
        "import os\nclass Odd:\n    def __init__(self, x): self.x = x\n"
        "    def __setstate__(self, state): raise ValueError(os.environ['PLACE'])\n"
    )
    assert "odd" in run("local", "fail", "odd")[0]
    out, err = run("local", "odd", PLACE="other")
    assert out[-1] == "Success 499500"
    assert "odd" in out
    assert "Task 'odd' runs again: A stored value cannot be loaded here: ValueError: other" in err


def test_a_result_that_cannot_be_loaded_where_the_flow_runs_is_not_stored(tmp_path, caplog):
    """Its task has failed, which says so, and runs again as others that failed."""
    here = os.getpid()

    class Elsewhere:
        def __reduce__(self):
            return load, (here,)

    def load(number):
        if os.getpid() == number:
            raise ValueError("not here")
        return Elsewhere()

    @task
    def gives():
        return Elsewhere()

    with Flow("f") as flow:
        given = gives()
    for resume in (False, True):
        state = flow.run(executor="processes:1", store=tmp_path, resume=resume)
        message = state.result[given].message
        assert message == "the result cannot be loaded here: ValueError: not here"
    assert "runs again" not in caplog.text


def test_what_a_value_needs_is_known_without_loading_it(tmp_path, run):
    """Versions of the packages are kept with it, and where they are the same nothing is loaded to find out."""
    run("local", "fail")
    (pack,) = (tmp_path / "store" / "packs").iterdir()
    line = next(each for each in pack.read_bytes().splitlines() if each.startswith(b"{"))
    needed = json.loads(line)["about"]["needs"]
    assert needed.keys() == {"pandas", "pyarrow"}
    assert all(needed.values())


def test_a_result_of_a_class_that_is_gone_is_made_again_also_by_a_key_that_has_no_code(
    tmp_path, monkeypatch, caplog
):
    """Its module is there and imported, and has no version that would tell of the change."""
    (tmp_path / "own_of_this_test.py").write_text("class Old: pass\nclass New: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("own_of_this_test")
    classes = [own.Old, own.New]

    @task(cache_key="always the same")
    def made():
        return classes.pop(0)()

    with Flow("f") as flow:
        end = task(lambda one: type(one).__name__)(made())
    try:
        assert flow.run(store=tmp_path / "store").result[end].result == "Old"
        del own.Old
        assert flow.run(store=tmp_path / "store").result[end].result == "New"
    finally:
        del sys.modules["own_of_this_test"]
    assert (
        "Task 'made' runs again: A stored value cannot be loaded here: AttributeError"
        in caplog.text
    )


@pytest.mark.parametrize("executor", ["local", "threads:2"])
def test_a_result_that_is_damaged_fails_who_needs_it_and_is_made_again_afterwards(
    tmp_path, executor
):
    """The run comes to its end with that said, and who goes on with it has it made again: it is not found again and again."""
    calls = Noted()

    @task
    def made():
        calls.append("made")
        return "x" * 100_000

    @task
    def size(text):
        calls.append("size")
        return None if calls.count("size") == 1 and 1 / 0 else len(text)

    with Flow("f") as flow:
        end = size(made())
    assert flow.run(store=tmp_path, executor=executor).is_failed()
    (path,) = (each for each in (tmp_path / "values").rglob("*") if each.is_file())
    path.write_bytes(b"y" + path.read_bytes()[1:])
    state = flow.run(store=tmp_path, resume=True, executor=executor)
    assert "A stored result is gone from" in state.result[end].message
    state = flow.run(store=tmp_path, resume=True, executor=executor)
    assert state.result[end].result == 100_000
    assert calls == ["made", "size", "made", "size"]
