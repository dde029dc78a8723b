"""What tasks log in a script that configures nothing."""

import re

import pytest

FLOW = """
import logging, sys
import prefect
from prefect import Flow, task
{before}
@task(log_stdout=True, name="speaks")
def speaks(x):
    print("printed", x)
    return x

@task(name="logs")
def logs(x):
    prefect.context.logger.debug("debug %s", x)
    prefect.context.logger.info("info %s", x)
    prefect.context.logger.warning("warning %s", x)
    logging.getLogger("library").info("of a library")
    return x

def main():
    with Flow("f") as flow:
        logs(speaks(1))
    state = flow.run(executor={executor!r})
    assert state.is_successful()

if __name__ == "__main__":
    main()
"""


def lines(run_python, tmp_path, before="", executor=None, **environment):
    """Run the flow in a script of its own; return what it writes to standard error, without times."""
    script = tmp_path / "script.py"
    script.write_text(FLOW.format(before=before, executor=executor))
    done = run_python(str(script), **environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return [
        re.sub(r"^\[[-\d]{10} [:\d]{8}[+-]\d{4}\] ", "[when] ", line)
        for line in done.stderr.splitlines()
    ]


SEEN = [
    "[when] INFO - prefect.task.speaks | printed 1",
    "[when] INFO - prefect.task.logs | info 1",
    "[when] WARNING - prefect.task.logs | warning 1",
]


@pytest.mark.parametrize("executor", [None, "threads:2", "processes:1", "dask"])
def test_a_script_shows_what_its_tasks_log_and_print(run_python, tmp_path, executor):
    """From level INFO on, once, wherever the tasks run; the engine and other libraries are silent."""
    assert lines(run_python, tmp_path, executor=executor) == SEEN


@pytest.mark.parametrize(
    ("before", "seen"),
    [
        ("logging.basicConfig(format='mine: %(message)s')", ["mine: warning 1"]),
        ("logging.getLogger('prefect').addHandler(logging.NullHandler())", []),
        ("logging.getLogger('prefect').setLevel('ERROR')", []),
        ("logging.getLogger('prefect.task').addHandler(logging.NullHandler())", []),
        (
            "prefect.context.logger; logging.basicConfig(level='INFO', format='mine: %(message)s')",
            ["flow 'f' starts", "task 'speaks' starts", "printed 1", "task 'speaks': Success: the task succeeded",
             "task 'logs' starts", "info 1", "warning 1", "of a library", "task 'logs': Success: the task succeeded",
             "flow 'f': Success: All reference tasks succeeded."],
        ),
    ],
)  # fmt: skip
def test_whoever_configures_logging_decides_alone(run_python, tmp_path, before, seen):
    """A handler or a level, of the root logger or of this package's, before or after a logger was used."""
    found = lines(run_python, tmp_path, before)
    assert [line.removeprefix("mine: ") for line in found] == [
        s.removeprefix("mine: ") for s in seen
    ]


def test_variables_say_more(run_python, tmp_path):
    """The level, the form, and the loggers of other libraries are those of classic Prefect's variables."""
    found = lines(
        run_python, tmp_path,
        PREFECT__LOGGING__LEVEL="DEBUG",
        PREFECT__LOGGING__FORMAT="%(levelname)s %(message)s",
        PREFECT__LOGGING__EXTRA_LOGGERS="['library', \"other\"]",
    )  # fmt: skip
    assert found == [
        "INFO printed 1",
        "DEBUG debug 1",
        "INFO info 1",
        "WARNING warning 1",
        "INFO of a library",
    ]


def test_a_level_that_is_none_is_said(run_python, tmp_path):
    """And INFO counts: who wanted DEBUG would look for lines that never come."""
    found = lines(run_python, tmp_path, PREFECT__LOGGING__LEVEL="DEBUGG")
    said = [
        line for line in found if "PREFECT__LOGGING__LEVEL is 'DEBUGG', which is no level" in line
    ]
    assert len(said) == 1
    assert "[when] INFO - prefect.task.logs | info 1" in found


def test_named_loggers_are_shown_as_well(run_python, tmp_path):
    """Those of `get_logger`, as classic Prefect's."""
    before = "from prefect.utilities.logging import get_logger\nget_logger('mine').info('here')"
    assert lines(run_python, tmp_path, before)[0] == "[when] INFO - prefect.mine | here"


@pytest.mark.parametrize("executor", [None, "threads:2", "processes:1"])
@pytest.mark.parametrize("name", ["prefect", "prefect.task"])
def test_a_handler_that_is_added_gets_the_same_lines(run_python, tmp_path, name, executor):
    """As of classic Prefect's logger: where nobody has set a level, it is that of what is shown."""
    before = (
        "handler = logging.StreamHandler(); handler.setFormatter(logging.Formatter('%(message)s'))\n"
        f"logging.getLogger({name!r}).addHandler(handler)"
    )
    assert lines(run_python, tmp_path, before, executor) == ["printed 1", "info 1", "warning 1"]
    level = f"{before}; logging.getLogger({name!r}).setLevel(logging.WARNING)"
    assert lines(run_python, tmp_path, level, executor) == ["warning 1"]
