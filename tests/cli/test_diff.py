"""`prefect diff`."""

import json
import re

import pytest

from prefect import Flow

FLOW = """
import helper
from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment

{more}

@task{settings}
def extract(n):
    # as it was
    return helper.rows(n)

@task
def load(xs):
    print({text!r}, xs)

with Flow({name!r}) as flow:
    load(extract(Parameter("n", default={default})))
"""


@pytest.fixture
def built(prefect):
    """Build a variant of one flow into a file; return what diff says of it and the first."""
    prefect("keygen", "flow.key")
    (prefect.directory / "data.csv").write_text("1")

    def build(output, *arguments, rows="[n]", **values):
        values = {
            "more": "",
            "settings": "",
            "text": "loaded",
            "name": "etl",
            "default": 1,
        } | values
        (prefect.directory / "helper.py").write_text(f"def rows(n):\n    return {rows}\n")
        (prefect.directory / "f.py").write_text(FLOW.format(**values))
        prefect("build", "f.py", "--key-file", "flow.key", "-o", output, *arguments)
        return output

    return build


@pytest.mark.parametrize(
    ("arguments", "values", "says"),
    [
        ([], {"name": "other"}, ["flow name: etl -> other"]),
        ([], {"settings": "(max_retries=2)"}, ["task extract-1 max_retries: 0 -> 2", "-@task", "+@task(max_retries=2)"]),
        ([], {"text": "done"}, ["--- f.py", "-    print('loaded', xs)", "+    print('done', xs)"]),
        ([], {"rows": "[n, n]"}, ["+++ helper.py", "@@ -1,2 +1,2 @@", "+    return [n, n]"]),
        ([], {"default": 2}, ["parameter n default: 1 -> 2"]),
        (["--include", "data.csv"], {}, ["+ file data.csv"]),
        (["--secret", "DB"], {}, ["+ secret DB"]),
    ],
)  # fmt: skip
def test_each_difference_is_told(prefect, built, arguments, values, says):
    """As lines for people, and as JSON; the exit status is 1."""
    built("a.flow")
    built("b.flow", *arguments, **values)
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key", status=1)
    for line in says:
        assert line in [one.strip() if one.startswith("  ") else one for one in out.splitlines()]
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key", "--json", status=1)
    found = json.loads(out)
    assert found["equal"] is False
    assert len(found["changes"]) >= 1


def test_equal_flows_are_equal(prefect, built):
    """Whatever the salt of the encryption; and code that has only moved is the same code."""
    built("a.flow")
    built("b.flow", more="\n# a comment\n\n\nclass Unused:\n    pass\n")
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key")
    assert out.startswith("Equal")
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key", "--json")
    assert json.loads(out) == {"equal": True, "changes": [], "uncompared": []}


GLOBALS = """
import datetime
import re
from functools import lru_cache
from prefect import Flow, task

LIMIT = {limit}
NAMES = {names}
DB_PASSWORD = {password}
MANY = list(range({many}))
DAY = datetime.date(2026, 1, {limit})
ODD = object()
HUGE = 10**5000
WITHIN = {{"x": [re.compile("a+"), 1.5, None, b"b" * 500]}}
UNUSED = {limit}

@lru_cache
def cached():
    return LIMIT

@task
def load():
    return LIMIT, NAMES, DB_PASSWORD, MANY, DAY, ODD, HUGE, WITHIN, cached()

with Flow("etl") as flow:
    load()
"""


def test_globals_that_functions_read_are_compared(prefect):
    """By value where they are plain and short, else by digest; of what is neither it is said."""
    prefect("keygen", "flow.key")
    first = {"limit": 1, "names": "('a', {'b'})", "password": "'hunter2'", "many": 1000}
    second = {"limit": 2, "names": "['a', {'b'}]", "password": "'hunter3'", "many": 1001}
    for name, values in ("a", first), ("same", first), ("b", second):
        (prefect.directory / "f.py").write_text(GLOBALS.format(**values))
        prefect("build", "f.py", "--key-file", "flow.key", "-o", f"{name}.flow")
    out, err = prefect("diff", "a.flow", "same.flow", "--key-file", "flow.key", PYTHONHASHSEED="7")
    assert out.startswith("Equal: tasks, their code, plain globals")
    assert (
        err
        == "Not compared: HUGE of f.py (of type builtins.int), ODD of f.py (of type builtins.object).\n"
    )
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key", status=1)
    told = dict(line.strip().split(": ", 1) for line in out.splitlines())
    assert told["value LIMIT of f.py"] == "1 -> 2"
    assert told["value NAMES of f.py"] == "('a', {'b'}) -> ['a', {'b'}]"
    assert told["value DAY of f.py"] == "datetime.date(2026, 1, 1) -> datetime.date(2026, 1, 2)"
    for name in ("DB_PASSWORD", "MANY"):
        assert told[f"value {name} of f.py"].startswith("sha256:")
    assert len(told) == 5
    assert "hunter" not in out
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key", "--json", status=1)
    assert json.loads(out)["uncompared"] == [
        "HUGE of f.py (of type builtins.int)",
        "ODD of f.py (of type builtins.object)",
    ]


def test_a_file_is_compared_with_what_was_built_of_it(prefect, built):
    """The question before a new build, whose options are not the file's business."""
    built("a.flow", "--include", "data.csv", "--secret", "DB")
    assert prefect("diff", "a.flow", "f.py", "--key-file", "flow.key")[0].startswith("Equal")


def test_a_file_that_is_compared_is_not_warned_of_as_if_it_were_built(prefect):
    """What would not travel with a FILE.py is said by its build, which takes the advice."""
    prefect("keygen", "flow.key")
    (prefect.directory / "data.csv").write_text("1")
    (prefect.directory / "f.py").write_text(
        "from pathlib import Path\nfrom prefect import Flow, task\n@task\ndef t():\n"
        "    return (Path(__file__).parent / 'data.csv').read_text()\nwith Flow('f') as flow:\n    t()\n"
    )
    built = prefect("build", "f.py", "--key-file", "flow.key", "-o", "f.flow")
    assert "--include data.csv" in "".join(built)
    told = prefect("diff", "f.flow", "f.py", "--key-file", "flow.key")
    assert "include" not in "".join(told)


def test_a_lock_is_no_difference_of_a_file(prefect):
    """Nobody locks a file: requirements are compared as they are installed, and the lock is named as left out."""
    (prefect.directory / "needs.py").write_text(
        "import iniconfig\nfrom prefect import Flow, task\n\n@task\ndef use():\n"
        "    return iniconfig.__name__\n\nwith Flow('needs') as flow:\n    use()\n"
    )
    prefect("keygen", "flow.key")
    prefect("build", "needs.py", "--key-file", "flow.key")
    for pair in (["needs.flow", "needs.py"], ["needs.py", "needs.flow"]):
        out, err = prefect("diff", *pair, "--key-file", "flow.key")
        assert out.startswith("Equal")
        assert "Not compared: lock (of the build alone)" in err
        out, _ = prefect("diff", *pair, "--key-file", "flow.key", "--json")
        assert "lock (of the build alone)" in json.loads(out)["uncompared"]
    (prefect.directory / "needs.py").write_text(
        (prefect.directory / "needs.py").read_text().replace("iniconfig", "packaging")
    )
    out, _ = prefect("diff", "needs.flow", "needs.py", "--key-file", "flow.key", status=1)
    assert "- requirement iniconfig" in out
    assert "+ requirement packaging" in out


def test_two_files_of_one_name_are_compared(prefect, built):
    """With their own helpers: an older checkout and this one."""
    built("a.flow")
    (prefect.directory / "old").mkdir()
    for name in ("f.py", "helper.py"):
        (prefect.directory / "old" / name).write_bytes((prefect.directory / name).read_bytes())
    assert prefect("diff", "f.py", "old/f.py")[0].startswith("Equal")
    assert prefect("diff", "f.py", "f.py")[0].startswith("Equal")
    (prefect.directory / "old" / "helper.py").write_text("def rows(n):\n    return 'other'\n")
    assert "helper.py" in prefect("diff", "f.py", "old/f.py", status=1)[0]
    assert (
        "is for sealed flows"
        in prefect("diff", "f.py", "f.py", "--key-file", "flow.key", status=2)[1]
    )


def test_keys_and_signatures_are_compared(prefect, built):
    """Of sealed flows: who may open them, and who has signed."""
    built("a.flow")
    built("b.flow")
    prefect("keygen", "--signing", "me")
    prefect("sign", "b.flow", "--signing-key", "me")
    out, _ = prefect("diff", "a.flow", "b.flow", "--key-file", "flow.key", status=1)
    assert [line.split()[:2] for line in out.splitlines()] == [["+", "signature"]]


def test_bad_input_is_exit_status_2(prefect, built):
    """And never the 1 that says that two differ."""
    built("a.flow")
    assert "no file nothing.flow" in prefect("diff", "a.flow", "nothing.flow", status=2)[1]
    prefect("diff", "a.flow", "a.flow", status=2)


@pytest.mark.services
def test_images_are_compared_too(prefect, built, base_image, unique):
    """With each other, and with a sealed flow: base, dependencies and all."""
    built("a.flow")
    prefect("build", "f.py", "--image", base_image, "--tag", unique)
    image = f"image:{unique}"
    assert prefect("diff", image, image)[0].startswith("Equal")
    out, _ = prefect("diff", "a.flow", image, "--key-file", "flow.key", status=1)
    assert "environment image" in out
    prefect("diff", image, image, "--trusted-signer", "nobody", status=2)
    prefect("build", "f.py", "--image", base_image, "--tag", unique, "--key-file", "flow.key")
    out, _ = prefect("diff", "a.flow", image, "--key-file", "flow.key", status=1)
    assert "environment image" in out


SETTINGS = """
from datetime import time, timedelta
from prefect import Flow, task
from prefect.schedules import Schedule, clocks, filters
from prefect.triggers import some_failed

def tell(one, old, new):
    return new

@task{of_task}
def step():
    pass

with Flow("d"{of_flow}) as flow:
    step()

flow.schedule = {schedule}
"""
HOURLY = (
    "Schedule([clocks.CronClock('0 * * * *')], filters=[filters.between_times(time({}), time(9))])"
)
OF_FLOW = """
    limits={'db': 2}, result='s3://me:pw@store/r', state_handlers=[tell], on_failure=print,
    terminal_state_handler=tell
"""
OF_TASK = """
    tags=['db'], resources={'GPU': 1}, at_most_once=True, log_stdout=True, state_handlers=[tell],
    cache_for=timedelta(hours=1), cache_key='k', result='/r', task_run_name='s', max_retries=1,
    retry_on=OSError, skip_on_upstream_skip=False, trigger=some_failed(2)
"""


def test_each_setting_is_told(prefect):
    """Of a flow and of a task, by `diff` and by `info`, with no user or password of a URL."""
    _write(prefect, "a/d.py", "None")
    _write(prefect, "b/d.py", HOURLY.format(1), f"({OF_TASK})", f", {OF_FLOW}")
    out, _ = prefect("diff", "a/d.py", "b/d.py", status=1)
    assert {one.strip() for one in out.partition("---")[0].splitlines() if one} == {
        '+ flow limits {"db": 2}',
        "+ flow schedule cron 0 * * * *; if between_times",
        "+ flow result s3://store/r",
        '+ flow state_handlers ["tell", "OnFailure(print)"]',
        "+ flow terminal_state_handler tell",
        'task step-1 tags: [] -> ["db"]',
        "task step-1 max_retries: 0 -> 1",
        "task step-1 trigger: all_successful -> some_failed(at_least=2)",
        "task step-1 skip_on_upstream_skip: true -> false",
        "+ task step-1 resources",
        "+ task step-1 at_most_once",
        "+ task step-1 log_stdout",
        "+ task step-1 cache",
        '+ task step-1 state_handlers ["tell"]',
        "+ task step-1 cache_for 3600.0",
        "+ task step-1 cache_key k",
        "+ task step-1 task_run_name s",
        '+ task step-1 retry_on ["OSError"]',
        "+ task step-1 result /r",
    }
    prefect("keygen", "flow.key")
    prefect("build", "b/d.py", "--key-file", "flow.key", "-o", "b.flow")
    out, _ = prefect("info", "b.flow", "--key-file", "flow.key")
    assert re.search("limits +db=2", out)
    assert re.search("decided by +step-1", out)
    assert re.search("results in +s3://store/r", out)
    assert re.search(r"state handlers +tell, OnFailure\(print\), tell", out)
    assert (
        "1 retries on OSError, some_failed(at_least=2), skip_on_upstream_skip=False, tag db, "
        "resources GPU=1, at most once, cached, cached for 3600 s, cached by k, result in /r, run name s, "
        "state handlers tell, logs its output"
    ) in out


def test_schedules_that_are_told_alike_are_told_to_differ(prefect):
    """Two that differ in the hours of a filter, for example; as JSON, both are there whole."""
    _write(prefect, "a/d.py", HOURLY.format(1))
    _write(prefect, "b/d.py", HOURLY.format(2))
    out, _ = prefect("diff", "a/d.py", "b/d.py", status=1)
    assert re.search("flow schedule: .* -> another", out)
    out, _ = prefect("diff", "a/d.py", "b/d.py", "--json", status=1)
    (change,) = json.loads(out)["changes"]
    assert change["before"] != change["after"]


def _write(prefect, name, schedule, of_task="", of_flow=""):
    text = SETTINGS.format(schedule=schedule, of_task=of_task, of_flow=of_flow)
    path = prefect.directory / name
    path.parent.mkdir()
    path.write_text(text)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("zip://a.zip::https://me:pw@host/x", "zip://a.zip::https://host/x"),
        ("sftp://me:p/w@host/x", "sftp://host/x"),
        ("https://host:80/x?token=pw", "https://host:80/x"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
    ],
)
def test_no_url_tells_a_password(where, told):
    """Of several in one, with a slash in it, or in a query."""
    assert Flow("f", result=where).serialize()["result"] == told
