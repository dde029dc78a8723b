"""`python -m prefect.worker`, as the program that it is."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from prefect import Flow, Parameter, task
from prefect.environments import Environment
from prefect.payload.packing import pickle_flow


@task
def speak(name, fail):
    print(f"hello {name}, token {os.environ.get('TOKEN', 'unset')}", flush=True)
    if fail == "wait":
        time.sleep(60)
    if fail:
        raise ValueError(f"with {os.environ.get('TOKEN')}")


@pytest.fixture
def directory(tmp_path):
    """A packaged flow, as images hold it, that needs the secret TOKEN."""
    with Flow("speaks", environment=Environment(secrets=["TOKEN"])) as flow:
        speak(Parameter("name", default="world"), Parameter("fail", default=None))
    pickled = pickle_flow(flow)
    (tmp_path / "manifest.json").write_bytes(pickled.manifest.to_json())
    (tmp_path / "payload.pickle").write_bytes(pickled.payload)
    return tmp_path


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "prefect.worker", *arguments],
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def worker(*arguments, **environment):
    process = start(*arguments, **environment)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_what_was_imported_for_a_run_is_none_of_the_collectors_business(tmp_path):
    """In a process that is there for the run alone; tasks' own garbage is collected as ever."""

    @task
    def look():
        import gc

        print("enabled", gc.isenabled(), "frozen", gc.get_freeze_count() > 1000)

    with Flow("looks") as flow:
        look()
    pickled = pickle_flow(flow)
    (tmp_path / "manifest.json").write_bytes(pickled.manifest.to_json())
    (tmp_path / "payload.pickle").write_bytes(pickled.payload)
    status, output = worker("run", f"--flow={tmp_path}")
    assert status == 0
    assert "enabled True frozen True" in output


def test_a_worker_that_runs_a_flow_imports_nothing_for_other_programs(directory):
    """What starts programs is imported where one is to be started: every run would wait for it."""
    code = "import sys, prefect.worker.__main__ as worker; worker.main(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", f"--flow={directory}", "-p", "name=you"],
        capture_output=True, text=True, check=True, env=os.environ | {"TOKEN": "some token"},
    )  # fmt: skip
    assert "flow 'speaks': Success" in done.stdout
    loaded = done.stdout.splitlines()[-1].split()
    assert "prefect.worker.__main__" in loaded
    assert not {"subprocess", "tempfile", "selectors"} & {*loaded}


def test_a_flow_runs_and_is_reported_in_lines(directory):
    """Log lines, the tasks' output, and exit status 0."""
    status, output = worker("run", f"--flow={directory}", "-p", "name=you", TOKEN="some token")
    assert status == 0
    assert "hello you, token ***" in output
    assert "flow 'speaks': Success" in output


def test_a_failed_flow_shows_a_masked_traceback(directory):
    """Exit status 1, the traceback, and no secret in it."""
    status, output = worker(
        "run", f"--flow={directory}", '--parameters={"fail": true}', TOKEN="some token"
    )
    assert status == 1
    assert "ValueError: with ***" in output
    assert "some token" not in output


def test_events_are_json_lines(directory):
    """Each state and the outcome is an object of its own, and tells which task and why."""
    status, output = worker(
        "run", f"--flow={directory}", "--json", "-p", "fail=true", TOKEN="some token"
    )
    assert status == 1
    events = [json.loads(line) for line in output.splitlines()]
    assert ("output", "hello world, token ***") in [(e["event"], e.get("text")) for e in events]
    states = [(e["task"], e["state"]) for e in events if e["event"] == "task"]
    assert states[-2:] == [("speak-1", "Running"), ("speak-1", "Failed")]
    assert events[-1]["event"] == "flow"
    assert events[-1]["state"] == "Failed"
    assert "ValueError: with ***" in events[-1]["failed"][0]["traceback"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "nmae=x"], "nmae"),
        (["-p", "nothing"], "write name=value"),
        (["--parameters=[1]"], "not a JSON object"),
        (["--parameters={"], "not JSON"),
        (["--flow=/nowhere"], "no flow to run"),
    ],
)
def test_bad_input_is_exit_status_2(directory, arguments, says):
    """Nothing runs, and the message names the cause."""
    status, output = worker("run", f"--flow={directory}", *arguments, TOKEN="some token")
    assert status == 2
    assert says in output
    assert "hello" not in output
    assert "Traceback" not in output


def test_a_missing_secret_is_named(directory):
    """The flow does not start without it."""
    environment = {k: v for k, v in os.environ.items() if k != "TOKEN"}
    done = subprocess.run(
        [sys.executable, "-m", "prefect.worker", "run", f"--flow={directory}"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "TOKEN" in done.stderr


def test_an_awaited_secret_is_used_once_it_is_there(directory, tmp_path):
    """The program waits for its file, and prefers it to the variable."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    process = start("run", f"--flow={directory}", "--secret=TOKEN", "-p", "fail=true",
                    TOKEN="some token", PREFECT_SECRETS_DIR=str(secrets))  # fmt: skip
    (secrets / "TOKEN.new").write_text("awaited\n")
    (secrets / "TOKEN.new").rename(secrets / "TOKEN")
    output, _ = process.communicate(timeout=60)
    assert "ValueError: with ***" in output
    assert process.returncode == 1


def test_another_program_runs_in_the_flows_place(tmp_path):
    """It has the secrets in its environment, and its exit status is the worker's."""
    (tmp_path / "TOKEN").write_text("for sh\n")
    arguments = ["exec", "--secret=TOKEN", "--", "sh", "-c", "echo $TOKEN; exit 5"]
    assert worker(*arguments, PREFECT_SECRETS_DIR=str(tmp_path)) == (5, "for sh\n")


def test_a_program_that_cannot_run_is_a_shells_exit_status(tmp_path):
    """127 for what is not there, 126 for what is not executable, 2 for nothing at all."""
    assert worker("exec", "--", "no-such-program")[0] == 127
    (tmp_path / "file").write_text("")
    assert worker("exec", "--", str(tmp_path / "file"))[0] == 126
    assert worker("exec", "--")[0] == 2


def test_held_up_it_ends_when_stopped_with_the_works_status():
    """With --hold the program waits for a signal, then tells how the work ended."""
    process = start("exec", "--hold", "--", "sh", "-c", "echo done; exit 3")
    assert process.stdout.readline() == "done\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 3


def test_a_signal_ends_a_running_flow(directory):
    """SIGTERM stops the flow at once, with the status that shells give it."""
    process = start("run", f"--flow={directory}", "-p", "fail=wait", TOKEN="some token")
    while "hello" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("value", ['pä"ss\\wörd-9931', "with a space and 'quotes'", "x" * 300])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_odd_secret_is_masked_in_every_form(directory, value, form):
    """Quotes, backslashes and other letters do not let a value pass, printed or raised."""
    _, output = worker("run", f"--flow={directory}", *form, "-p", "fail=true", TOKEN=value)
    for spelling in (value, repr(value)[1:-1], json.dumps(value)[1:-1]):
        assert spelling not in output
        assert json.dumps(spelling)[1:-1] not in output
    assert "***" in output


def test_a_task_that_exits_has_failed(tmp_path):
    """sys.exit(0) in a task is no success, and what it says is masked."""
    with Flow("exits", environment=Environment(secrets=["TOKEN"])) as flow:
        task(lambda: sys.exit(os.environ["TOKEN"]), name="leave")()
    pickled = pickle_flow(flow)
    (tmp_path / "manifest.json").write_bytes(pickled.manifest.to_json())
    (tmp_path / "payload.pickle").write_bytes(pickled.payload)
    status, output = worker("run", f"--flow={tmp_path}", TOKEN="some token")
    assert status == 1
    assert "SystemExit: ***" in output
    assert "some token" not in output


def test_output_without_a_reader_is_no_end(directory):
    """Behind `| head -1` the run goes on, says so once, and keeps its own exit status."""
    process = start("run", f"--flow={directory}", TOKEN="some token")
    process.stdout.close()
    assert process.wait(timeout=60) == 0


def test_an_unfinished_line_does_not_swallow_an_event(tmp_path):
    """What is printed without a newline is an event of its own, and so is what follows."""
    with Flow("prints") as flow:
        task(lambda: print("no newline", end=""), name="a")()
        task(lambda: print('{"event": "error", "code": 5}'), name="b", log_stdout=True)()
    pickled = pickle_flow(flow)
    (tmp_path / "manifest.json").write_bytes(pickled.manifest.to_json())
    (tmp_path / "payload.pickle").write_bytes(pickled.payload)
    status, output = worker("run", f"--flow={tmp_path}", "--json")
    events = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    assert "no newline" in [e.get("text") for e in events]
    assert '{"event": "error", "code": 5}' in [e.get("message") for e in events]
    assert events[-2]["event"] in {"flow", "output"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "nmae=1"], "nmae"),
        (["-p", "name=a", "-p", "name=b"], "'name' is given twice"),
        (["-p", "name=a", '--parameters={"name": "b"}'], "'name' is given twice"),
        (['--parameters={"name": 1}'], "'name' is of type str"),
    ],
)
def test_a_bad_parameter_is_exit_status_2(directory, arguments, says):
    """Nothing runs, and the log names the parameter."""
    status, output = worker("run", f"--flow={directory}", *arguments, TOKEN="some token")
    assert (status, says in output, "hello" in output) == (2, True, False)


def test_events_are_json_lines_whoever_writes(tmp_path):
    """Standard error, child processes and bare descriptors are events, told before the outcome."""

    def noisy():
        print("on stderr", file=sys.stderr)
        os.write(1, b"to 1")
        os.write(2, b"to 2")
        subprocess.run("echo of a child >&2", shell=True, check=True)

    with Flow("noisy") as flow:
        task(noisy)()
    pickled = pickle_flow(flow)
    (tmp_path / "manifest.json").write_bytes(pickled.manifest.to_json())
    (tmp_path / "payload.pickle").write_bytes(pickled.payload)
    status, output = worker("run", f"--flow={tmp_path}", "--json")
    events = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    told = {(e["stream"], e["text"]) for e in events if e["event"] == "output"}
    assert told == {("stderr", "on stderr"), ("stdout", "to 1"), ("stderr", "to 2of a child")}
    assert events[-1]["event"] == "flow"


def test_tasks_run_where_the_worker_is_told(directory):
    """By the text form of an executor; of another, the worker's usage says what there is."""
    status, output = worker(
        "run", f"--flow={directory}", "--executor=threads:2", TOKEN="some token"
    )
    assert (status, "hello world" in output) == (0, True)
    status, output = worker("run", f"--flow={directory}", "--executor=cloud", TOKEN="some token")
    assert status == 2
    assert "There is no executor 'cloud'; choose local" in output
