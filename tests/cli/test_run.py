"""`prefect run`, of files and sealed flows."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from installing import install
from tests.cli.conftest import NOISE, NOISY

from prefect.environments import PickleEnvironment
from prefect.running.result_files import without_older


def test_a_file_is_run_as_it_is(prefect):
    """The flow runs with its helper module, and what is guarded by __main__ does not."""
    out, _ = prefect("run", "etl.py", "-p", "n=2")
    assert "loaded [0, 2]" in out
    assert "flow 'etl & co': Success" in out


def test_a_changed_file_is_never_run_from_bytecode_of_before(prefect, monkeypatch):
    """The change counts also where the file keeps its size and its time."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    file = prefect.directory / "etl.py"
    text, status = file.read_text(), file.stat()
    assert "loaded [0, 2]" in prefect("run", "etl.py", "-p", "n=2")[0]
    file.write_text(text.replace("loaded", "LOADED"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "LOADED [0, 2]" in prefect("run", "etl.py", "-p", "n=2")[0]
    assert not list(prefect.directory.glob("__pycache__/etl.*"))


def test_a_sealed_flow_runs_where_its_source_is_not(sealed):
    """The file and the key are enough: source and helper are deleted first."""
    for name in ("etl.py", "helper_beside_it.py"):
        (sealed.directory / name).unlink()
    out, _ = sealed("run", "etl.flow", "--key-file", "flow.key", "-p", "n=4")
    assert "loaded [0, 2, 4, 6]" in out


@pytest.mark.parametrize("executor", ["local", "threads", "dask"])
def test_tasks_run_where_they_are_told_to(sealed, executor):
    """Here, in threads, or on a Dask cluster, the outcome is the same."""
    out, _ = sealed("run", "etl.flow", "--key-file", "flow.key", "--executor", executor, "--json")
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert events[-1]["state"] == "Success"


def test_a_failed_flow_is_exit_status_1(prefect):
    """Its traceback is shown, to people and to programs."""
    out, _ = prefect("run", "etl.py", "-p", "fail=true", status=1)
    assert "RuntimeError: as asked" in out
    out, _ = prefect("run", "etl.py", "-p", "fail=true", "--json", status=1)
    outcome = json.loads(out.splitlines()[-1])
    assert outcome["state"] == "Failed"
    assert "RuntimeError: as asked" in outcome["failed"][0]["traceback"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["etl.py", "-p", "m=1"], "'m'"),
        (["etl.py", "-p", "n"], "name=value"),
        (["etl.py", "-p", "n=x"], "'n' is of type int"),
        (["etl.py", "-p", "n=1", "-p", "n=2"], "'n' is given twice"),
        (["etl.py", "--executor", "cloud"], "no executor 'cloud'"),
        (["etl.flow"], "no file etl.flow"),
    ],
)
def test_bad_input_is_exit_status_2_and_nothing_runs(prefect, arguments, says):
    """Each mistake is named before a task starts."""
    out, err = prefect("run", *arguments, status=2)
    assert says in err
    assert "loaded" not in out


@pytest.mark.parametrize("of", ["file", "sealed flow"])
def test_parameters_have_types(prefect, of):
    """A date arrives as a date, and anything else is refused before the flow is even loaded."""
    (prefect.directory / "typed.py").write_text(
        "from datetime import date\nfrom prefect import Flow, Parameter, task\n"
        "@task\ndef show(day, name):\n    print(repr(day), repr(name))\n\n"
        "with Flow('typed') as flow:\n"
        "    show(Parameter('day', default=date(2024, 1, 1)), Parameter('name', default='x'))\n"
    )
    artifact = ["typed.py"]
    if of != "file":
        prefect("keygen", "flow.key")
        prefect("build", "typed.py", "-o", "typed.flow", "--key-file", "flow.key")
        artifact = ["typed.flow", "--key-file", "flow.key"]
        out, _ = prefect("info", *artifact)
        assert ["day", "2024-01-01", "date"] in [line.split() for line in out.splitlines()]
    out, _ = prefect("run", *artifact, "-p", "day=2024-02-02", "-p", "name=2024")
    assert "datetime.date(2024, 2, 2) '2024'" in out
    _, err = prefect("run", *artifact, "-p", "day=tomorrow", status=2)
    assert "'day' is of type date, a date such as 2024-02-29; 'tomorrow' is not" in err


SECRETIVE = """
import os
from prefect import Flow, task
from prefect.environments import Environment

@task
def show():
    print("token", os.environ["TOKEN"], os.environb[b"TOKEN"])
    print("length", len(os.environb[b"TOKEN"]))

with Flow("secretive", environment=Environment(secrets=["TOKEN"])) as flow:
    show()
"""


def test_a_secret_is_resolved_and_masked(prefect):
    """Without a value nothing runs; with one, what prints it shows a mask."""
    (prefect.directory / "secret.py").write_text(SECRETIVE)
    (prefect.directory / "secrets").mkdir()
    directory = str(prefect.directory / "secrets")
    _, err = prefect("run", "secret.py", status=2, PREFECT_SECRETS_DIR=directory)
    assert "TOKEN" in err
    (prefect.directory / "secrets" / "TOKEN").write_text("canary-value\n")
    out, _ = prefect("run", "secret.py", PREFECT_SECRETS_DIR=directory)
    assert "token *** b'***'" in out


def test_a_secret_arrives_as_it_is(prefect):
    """Carriage returns and bytes that are no text reach the task, and do not hinder a build."""
    (prefect.directory / "secret.py").write_text(SECRETIVE)
    value = b"\xff\xfe\r\n no text"
    (prefect.directory / "TOKEN").write_bytes(value + b"\n")
    prefect("keygen", "flow.key")
    for given in ({"TOKEN": os.fsdecode(value)}, {"PREFECT_SECRETS_DIR": str(prefect.directory)}):
        prefect("build", "secret.py", "-o", "secret.flow", "--key-file", "flow.key", **given)
        for what in (["secret.py"], ["secret.flow", "--key-file", "flow.key"]):
            out, _ = prefect("run", *what, **given)
            assert "token *** b'***'" in out
            assert f"length {len(value)}" in out


@pytest.mark.parametrize("of", ["file", "sealed flow"])
def test_json_is_one_object_a_line_whoever_writes(prefect, of):
    """C code, child processes, exit handlers, standard error, and the file while it is loaded."""
    (prefect.directory / "noisy.py").write_text(NOISY)
    artifact, noise = ["noisy.py"], NOISE | {"while it is loaded", "print at exit "}
    if of != "file":
        prefect("keygen", "flow.key")
        prefect("build", "noisy.py", "-o", "noisy.flow", "--key-file", "flow.key")
        artifact, noise = ["noisy.flow", "--key-file", "flow.key"], NOISE | {"print at exit "}
    out, err = prefect("run", *artifact, "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert {event["text"] for event in events if event["event"] == "output"} == noise
    outcome = next(n for n, event in enumerate(events) if event["event"] == "flow")
    late = [event["text"] for event in events[outcome + 1 :]]
    assert late == ["print at exit ", "write at exit", "C at exit"]
    streams = {event["text"]: event["stream"] for event in events if event["event"] == "output"}
    assert {text for text, stream in streams.items() if stream == "stderr"} == {
        "print", "write to 2", "child error",
    }  # fmt: skip


def test_what_is_written_after_the_run_is_masked(prefect):
    """Exit handlers know secrets still."""
    text = NOISY.replace('Flow("noisy")', 'Flow("noisy", environment=Environment(["NOISE"]))')
    text = text.replace(
        "import Flow, task", "import Flow, task\nfrom prefect.environments import Environment"
    )
    text = text.replace('os.write(1, b"write at exit', 'os.write(1, os.environb[b"NOISE"] + b"')
    text = text.replace('os.environ.get("NOISE", "")', "secret")
    text = text.replace(
        "def noisy():", "def noisy():\n    global secret\n    secret = os.environ['NOISE']"
    )
    text = text.replace('os.environb[b"NOISE"]', "secret.encode()")
    (prefect.directory / "noisy.py").write_text(text)
    for arguments in ([], ["--json"]):
        out, _ = prefect("run", "noisy.py", *arguments, NOISE="canary-of-noise")
        assert "print at exit ***" in out
        # Only where all is taken is what was written below Python, too.
        assert arguments == [] or "canary" not in out


@pytest.mark.services
def test_an_image_that_is_not_in_the_engine_is_pulled(prefect, daemon, unique):
    """From the registry that its name has; a bare name may be a slip, and is looked for nowhere else."""
    name = f"127.0.0.1:1/{unique}:1"
    _, err = prefect("run", name, status=2)
    assert f"Pulling {name}" in err
    assert "127.0.0.1:1" in err.splitlines()[-1]
    _, err = prefect("run", f"image:{unique}", status=2)
    assert "Pulling" not in err
    assert "name the registry that has it" in err


@pytest.mark.services
def test_json_of_an_image_is_one_object_a_line(prefect, daemon, base_image, unique):
    """Both streams of the container are events, and who writes to them does not matter."""
    (prefect.directory / "noisy.py").write_text(NOISY)
    prefect("build", "noisy.py", "--image", base_image, "--tag", unique)
    out, err = prefect("run", f"image:{unique}", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    texts = {event["text"] for event in events if event["event"] == "output"}
    assert NOISE | {"print at exit "} <= texts


def test_other_versions_are_told_and_with_strict_refused(prefect):
    """What the flow imports, and what that needs in turn: one line each, before anything runs."""
    old, new = (prefect.directory / name / "site-packages" for name in ("old", "new"))
    for site, version in ((old, "1.0"), (new, "2.0")):
        install(site, "topofours", version, "deepofours")
        install(site, "deepofours", version)
    (prefect.directory / "uses.py").write_text(
        "import topofours\nfrom prefect import Flow, task\n"
        "@task\ndef use():\n    print('ran with', topofours.version)\n"
        "with Flow('uses') as flow:\n    use()\n"
    )
    key = PickleEnvironment().encryption_key
    there = {"PYTHONPATH": str(old), "PREFECT_ENCRYPTION_KEY": key}
    here = there | {"PYTHONPATH": str(new)}
    # No index has them: --no-infer leaves them out of the lock.
    prefect("build", "uses.py", "-o", "uses.flow", "--no-infer", **there)
    assert "with deepofours 1.0" in " ".join(prefect("info", "uses.flow", **there)[0].split())
    out, err = prefect("run", "uses.flow", "--strict", **there)
    assert "ran with 1.0" in out + err
    assert "Packaged with" not in out + err
    out, err = prefect("run", "uses.flow", **here)
    assert "ran with 2.0" in out + err
    for name in ("topofours", "deepofours"):
        assert (out + err).count(f"Packaged with {name}==1.0, and here is 2.0") == 1
    out, err = prefect("run", "uses.flow", "--strict", status=2, **here)
    assert "ran with" not in out + err
    assert "deepofours==1.0 (here 2.0), topofours==1.0 (here 2.0)" in out + err
    assert "build it" in prefect("run", "uses.py", "--strict", status=2, **here)[1]


REMOTE = """
import os
import helper_beside_it
from helper_beside_it import Row, double
from prefect import Flow, Parameter, task

@task
def extract(n):
    return [Row(i) for i in range(n)]

@task
def transform(row):
    return helper_beside_it.double(row.value) + double(0)

@task(log_stdout=True)
def load(values):
    print("loaded", values, "in", os.path.basename(os.getcwd()))

with Flow("remote") as flow:
    load(transform.map(extract(Parameter("n", default=3))))
"""


@pytest.fixture
def cluster(tmp_path_factory):
    """The address of a Dask scheduler with one worker, processes in a directory of their own."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    where = elsewhere / "scheduler.json"
    told = ["--scheduler-file", where, "--no-dashboard"]
    programs = {
        "dask_scheduler": ["--host", "127.0.0.1", "--port", "0"],
        "dask_worker": ["--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"],
    }
    started = []
    try:
        for name, options in programs.items():
            command = [sys.executable, "-m", f"distributed.cli.{name}", *told, *options]
            with (elsewhere / f"{name}.log").open("w") as log:
                started.append(
                    subprocess.Popen(command, cwd=elsewhere, stdout=log, stderr=subprocess.STDOUT)
                )
        while not where.exists():
            assert started[0].poll() is None, (elsewhere / "dask_scheduler.log").read_text()
            time.sleep(0.05)
        yield json.loads(where.read_text())["address"], elsewhere.name
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_file_travels_to_workers_elsewhere_as_a_sealed_flow_does(prefect, cluster):
    """Its own code and that of the helper beside it: workers have neither file."""
    address, directory = cluster
    (prefect.directory / "job.py").write_text(REMOTE)
    helper = "class Row:\n    def __init__(self, value):\n        self.value = value\n"
    with (prefect.directory / "helper_beside_it.py").open("a") as file:
        file.write(helper)
    prefect("keygen", "flow.key")
    prefect("build", "job.py", "--key-file", "flow.key")
    for artifact in (["job.flow", "--key-file", "flow.key"], ["job.py"]):
        out, _ = prefect("run", *artifact, "--executor", address, "-p", "n=4")
        assert f"loaded [0, 2, 4, 6] in {directory}" in out


BESIDE = {
    "parts/__init__.py": """
import dataclasses
import threading
from importlib.resources import files

LOCK = threading.Lock()  # which no pickle has

@dataclasses.dataclass
class Row:
    number: int

def label():
    with LOCK:
        return files("parts").joinpath("label.txt").read_text()
""",
    "parts/label.txt": "labelled",
    "parts/adding.py": "def add(x):\n    import late\n    return x + late.ONE\n",
    "late.py": "ONE = 1\n",
    "given.py": """
import os
import sys
from parts import Row, label
from parts.adding import add
from prefect import Flow, task

@task
def make():
    return [Row(add(1)), Row(add(2))]

@task
def use(row):
    if "FAILS" in os.environ:
        raise ValueError("once")
    assert type(row) is Row
    return row.number

@task(log_stdout=True)
def tell(numbers, rows):
    print("told", numbers, sum(row.number for row in rows), label(), os.path.basename(os.getcwd()))
    return rows

with Flow("given") as flow:
    rows = make()
    told = tell(use.map(rows), rows)

if __name__ == "__main__":
    state = flow.run(executor=sys.argv[1])
    assert [type(row) for row in state.result[told].result] == [Row, Row]
""",
}


def test_local_modules_reach_workers_elsewhere_by_a_script_as_by_the_command(prefect, cluster):
    """Workers can import none of them: one that cannot be pickled, one that is imported late, one that reads beside it."""
    address, directory = cluster
    for path, text in BESIDE.items():
        (prefect.directory / path).parent.mkdir(exist_ok=True)
        (prefect.directory / path).write_text(text)
    told = f"told [2, 3] 5 labelled {directory}"
    done = subprocess.run(
        [sys.executable, "given.py", address], cwd=prefect.directory, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    out, err = prefect("run", "given.py", "--executor", address)
    assert told in out
    assert "Warning" not in err  # of files that do not travel, as nothing is packaged


def test_a_kept_run_of_a_file_is_gone_on_with_on_workers_elsewhere(prefect, cluster, monkeypatch):
    """Stored values of its local classes are found by who lacks the modules."""
    for path, text in BESIDE.items():
        (prefect.directory / path).parent.mkdir(exist_ok=True)
        (prefect.directory / path).write_text(text)
    monkeypatch.setenv("FAILS", "1")
    prefect("run", "given.py", "--store", "kept", status=1)
    monkeypatch.delenv("FAILS")
    out, _ = prefect("run", "given.py", "--store", "kept", "--resume", "--executor", cluster[0])
    assert "task 'make': Cached" in out
    assert "told [2, 3] 5 labelled" in out


def test_a_local_module_that_a_worker_cannot_execute_is_said_with_what_to_do(prefect, cluster):
    """It is named, with the error of its own."""
    (prefect.directory / "odd.py").write_text(
        "import os\nif 'odd' not in os.getcwd() and os.path.exists('scheduler.json'):\n"
        "    raise OSError('not on a worker')\ndef one():\n    return 1\n"
    )
    (prefect.directory / "uses.py").write_text(
        "import odd\nfrom prefect import Flow, task\n@task\ndef t():\n    return odd.one()\n"
        "with Flow('uses') as flow:\n    t()\n"
    )
    out, err = prefect("run", "uses.py", "--executor", cluster[0], status=1)
    assert (
        "The local module 'odd' came as source, and cannot be executed here: OSError" in out + err
    )
    assert "read files within tasks" in out + err


@pytest.mark.parametrize(
    "form", ["{address!r}", "DaskExecutor({address!r}, client_kwargs={{'timeout': 9}})"]
)
def test_a_file_travels_to_where_its_own_executor_runs_tasks(prefect, cluster, form):
    """By the text of one, or by an executor that text cannot say all of; --executor outranks it."""
    address, directory = cluster
    text = "from prefect.engine.executors import DaskExecutor\n" + REMOTE
    own = f"executor={form.format(address=address)}"
    named = re.sub(r"with Flow\((.*?)\) as", rf"with Flow(\1, {own}) as", text)
    assert own in named
    (prefect.directory / "own.py").write_text(named)
    with (prefect.directory / "helper_beside_it.py").open("a") as file:
        file.write("class Row:\n    def __init__(self, value):\n        self.value = value\n")
    assert f"loaded [0, 2, 4, 6] in {directory}" in prefect("run", "own.py", "-p", "n=4")[0]
    out, _ = prefect("run", "own.py", "-p", "n=4", "--executor", "threads:2")
    assert f"loaded [0, 2, 4, 6] in {prefect.directory.name}" in out


HOSTILE = r"""
from prefect import Flow, context, task

@task(name="forged\nsigned by me")
def hostile():
    context.logger.warning("\x1b[2Jcleared \x1b]0;title\x07 \x1b[31mred\x1b[0m\tand\nmore\r")
    raise ValueError("\x1b[2Jno")

with Flow("h") as flow:
    hostile()
"""


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_what_is_logged_commands_no_terminal_and_is_recorded_as_it_is(prefect, quiet):
    """Newlines, tabs and colours of what a task logs are left; a name's newline begins no line."""
    (prefect.directory / "h.py").write_text(HOSTILE)
    out, _ = prefect("run", "h.py", "--store", "kept", *quiet, status=1)
    assert r"\x1b[2Jcleared \x1b]0;title\x07 \x1b[31mred".replace(r"\x1b[31m", "\x1b[31m") in out
    assert "red\x1b[0m\tand\nmore\\r\x1b[0m\n" in out
    assert not [each for each in out.splitlines() if each.startswith("signed by me")]
    assert r"Some reference tasks failed: forged\nsigned by me." in out
    (record,) = (prefect.directory / "kept").glob("runs/*.jsonl")
    logged = [e for e in map(json.loads, record.read_text().splitlines()) if e["event"] == "log"]
    assert logged[0]["message"].startswith("\x1b[2Jcleared \x1b]0;title\x07")


STOPPED = """
import os, signal, time
from prefect import Flow, Parameter, task

@task
def stops(fail):
    if fail:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    return 1

with Flow("s") as flow:
    stops(Parameter("fail", default=False))
"""


def test_no_result_of_an_earlier_run_is_left_as_if_it_were_this_ones(prefect):
    """Of a run that is stopped; where nothing has run, the earlier one's stays, and is said to be its."""
    (prefect.directory / "s.py").write_text(STOPPED)
    path = prefect.directory / "out.json"
    assert prefect("run", "s.py", "--result", "out.json")[1] == ""
    assert "Success" in path.read_text()
    _, err = prefect("run", "s.py", "-p", "fail=1 or 2", "--result", "out.json", status=2)
    assert "out.json is of an earlier run: this one has left no result" in err
    assert path.exists()
    _, err = prefect("run", "s.py", "-p", "fail=true", "--result", "out.json", status=130)
    assert "Removed out.json, which was of an earlier run: this one has left no result" in err
    assert not path.exists()
    assert prefect("run", "s.py", "--result", "out.json")[1] == ""
    assert path.exists()


def test_an_earlier_result_that_cannot_be_removed_hides_nothing(tmp_path, monkeypatch):
    """What ended the run is raised, and the file is said to be of an earlier one."""

    def refuse(*_, **__):
        raise PermissionError(13, "not yours")

    path, said = tmp_path / "out.json", []
    path.touch()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(KeyboardInterrupt), without_older(path, said.append):
        raise KeyboardInterrupt
    assert said == [f"{path} is of an earlier run, and cannot be removed: [Errno 13] not yours"]


LEVELS = """
from prefect import Flow, context, task
from prefect.utilities.logging import get_logger

@task
def logs():
    context.logger.debug("of debug")
    context.logger.info("of info")
    get_logger("mine").info("of mine")
    context.logger.warning("of warning")

with Flow("l") as flow:
    logs()
"""


@pytest.mark.parametrize("options", [(), ("--json",), ("--executor", "processes:1"), ("--quiet",)])
def test_a_variable_says_which_lines_of_tasks_are_shown(prefect, options):
    """More or fewer than by default, and with --quiet no more; the outcome is told whatever it says."""
    (prefect.directory / "l.py").write_text(LEVELS)
    seen = {}
    for level in ("DEBUG", "INFO", "WARNING", "CRITICAL"):
        out, _ = prefect("run", "l.py", *options, PREFECT__LOGGING__LEVEL=level)
        seen[level] = re.findall(r"of (debug|info|mine|warning)", out)
        assert "All reference tasks succeeded" in out
    every = ["debug", "info", "mine", "warning"]
    expected = {"DEBUG": every, "INFO": every[1:], "WARNING": every[3:], "CRITICAL": []}
    if options == ("--quiet",):
        expected |= {"DEBUG": every[3:], "INFO": every[3:]}
    assert seen == expected
