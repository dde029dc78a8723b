"""`prefect run --quiet`."""

import re

import pytest

FLOW = """
from prefect import Flow, Parameter, context, task

@task(log_stdout=True)
def logs():
    context.logger.info("nothing of note")
    print("logged, and no output")

@task
def warns(fail):
    context.logger.warning("take care")
    print("printed")
    if fail:
        raise ValueError("as asked")

with Flow("q") as flow:
    warns(Parameter("fail", default=False), upstream_tasks=[logs()])
"""
TIMES = re.compile(r"^\d\d:\d\d:\d\d  ", re.MULTILINE)


@pytest.fixture
def quiet(prefect):
    """Return a function that runs the flow quietly, and returns what it says."""
    (prefect.directory / "q.py").write_text(FLOW)

    def run(*options, status=0, **environment):
        out, err = prefect("run", "q.py", "--quiet", *options, status=status, **environment)
        return TIMES.sub("", out), err

    run.directory = prefect.directory
    return run


@pytest.mark.parametrize("place", ["here", "venv"])
def test_a_run_tells_warnings_and_what_it_came_to(quiet, place):
    """And what tasks print; no line for each task, and none of how the run was made ready or kept."""
    out, err = quiet("--in", place, "--store", "kept", "--report", "run.html")
    assert out.splitlines() == [
        "WARNING  warns: take care",
        "printed",
        "INFO     flow 'q': Success: All reference tasks succeeded.",
    ]
    assert err == ""
    record = (quiet.directory / "kept").glob("runs/*.jsonl")
    assert "nothing of note" in next(record).read_text()


@pytest.mark.parametrize("place", ["here", "venv"])
def test_a_failure_is_told_in_full(quiet, place):
    """With its traceback, and how to go on with a run that was kept; the outcome is said once."""
    out, err = quiet("--in", place, "--store", "kept", "-p", "fail=true", status=1)
    assert "Traceback" in out
    assert out.count("ValueError: as asked") == 2  # the state's message, and the traceback's end
    assert out.splitlines()[-1].startswith("ERROR    flow 'q': Failed: ")
    assert out.count("flow 'q'") == 1
    assert "nothing of note" not in out
    assert "Go on with it: prefect run q.py" in err


def test_quiet_is_not_for_programs(quiet):
    """JSON tells everything."""
    assert "leave out --quiet" in quiet("--json", status=2)[1]
