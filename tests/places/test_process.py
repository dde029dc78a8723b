"""`prefect.places.process`: a worker as a child process, from its hand-over to its end."""

import _thread
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from processes import await_end

from prefect import Flow, Parameter, task
from prefect.errors import PlaceError
from prefect.places.following import follow
from prefect.places.process import WorkerProcess
from prefect.running.flow_directory import RESULT_KEY
from prefect.running.handed import Handed
from prefect.running.results import RunResult


@task
def tell(x):
    print(f"told {x}")
    print("and on the other stream", file=sys.stderr)
    return x + 1


@task
def use_secret():
    return os.environ["TOKEN"] == "canary-8872"


def start(flow, tmp_path, *arguments, secrets=None, reports=False):
    """Start a worker with a flow handed over, whose result goes into a file."""
    from prefect.payload.packing import pickle_flow

    packaged = pickle_flow(flow)
    handed = Handed(packaged.manifest.to_json(), packaged.payload, secrets or {})
    command = [sys.executable, "-m", "prefect.worker", "run", *arguments]
    return WorkerProcess(
        command, env=dict(os.environ), handed=handed, reports=reports, result=tmp_path / "result"
    )


def lines_of(started):
    """Return what a worker writes until its end."""
    told = []
    follow(started, lambda line, _: told.append(line))
    return told


def script(text, **options):
    """Start a Python program in the place of a worker."""
    return WorkerProcess([sys.executable, "-c", text], env=dict(os.environ), **options)


def test_a_flow_runs_as_it_was_handed_over(tmp_path):
    """Parameters, output of both streams, the exit status and the result are those of the run."""
    with Flow("etl") as flow:
        tell(Parameter("x"))
    started = start(
        flow, tmp_path, "-p", "x=3", f"--report={tmp_path / 'result'}", secrets={RESULT_KEY: "k"}
    )
    try:
        text = "\n".join(lines_of(started))
        assert started.wait() == 0
        assert "told 3" in text
        assert "and on the other stream" in text
        state = RunResult.read(started.report(), "k").to_state()
        assert state.result["tell-1"].result == 4
    finally:
        started.remove()


def test_the_streams_are_kept_apart():
    """Each line is told with the stream that it was written to, one without an end included."""
    started = script(
        "import sys; print('out', flush=True); sys.stderr.write('err\\nbegun'); print('end', end='')"
    )
    told = []
    try:
        follow(started, lambda *line: told.append(line))
    finally:
        started.remove()
    assert [line for line, stream in told if stream == "stdout"] == ["out", "end"]
    assert [line for line, stream in told if stream == "stderr"] == ["err", "begun"]


@pytest.mark.parametrize(("ends", "report"), [(None, b"Success\n"), (0, None), (3, None)])
def test_a_success_is_reported_by_the_worker_alone(tmp_path, ends, report):
    """A task that ends the process by itself has reported nothing, whatever the exit status is."""

    @task
    def leave():
        if ends is not None:
            os._exit(ends)

    with Flow("etl") as flow:
        leave()
    started = start(flow, tmp_path, reports=True)
    try:
        lines_of(started)
        assert started.wait() == (ends or 0)
        assert started.report() == report
    finally:
        started.remove()


def test_secrets_come_in_memory_and_go_to_tasks_masked(tmp_path):
    """A secret that was handed over is the task's, and stands in no argument and no environment."""
    with Flow("etl") as flow:
        use_secret()
    started = start(flow, tmp_path, secrets={"TOKEN": "canary-8872", RESULT_KEY: "k"})
    try:
        text = "\n".join(lines_of(started))
        assert started.wait() == 0, text
        assert "canary-8872" not in text
    finally:
        started.remove()


def test_large_payloads_are_handed_over_whole(tmp_path):
    """More than a pipe holds comes through, as the worker reads while it is written."""
    data = os.urandom(3 << 20)

    @task
    def measure():
        return len(data)

    with Flow("etl") as flow:
        measure()
    started = start(flow, tmp_path, f"--report={tmp_path / 'result'}", secrets={RESULT_KEY: "k"})
    try:
        list(lines_of(started))
        state = RunResult.read(started.report(), "k").to_state()
        assert state.result["measure-1"].result == 3 << 20
    finally:
        started.remove()


def test_a_worker_that_ends_early_leaves_its_words_and_its_status():
    """One that never reads what is handed over is told by its own output, not by a broken pipe."""
    handed = Handed(b"{}", bytes(1 << 20), {})
    started = script("import sys; print('no'); sys.exit(7)", handed=handed)
    try:
        assert list(lines_of(started)) == ["no"]
        assert started.wait() == 7
        assert started.report() is None
    finally:
        started.remove()


def test_what_is_no_program_is_told():
    """A program that cannot be started is an error that names it, and leaves nothing behind."""
    cleaned = []
    with pytest.raises(PlaceError, match="/nowhere/python"):
        WorkerProcess(["/nowhere/python"], env={}, clean_up=lambda: cleaned.append(1))
    assert cleaned == [1]


def test_a_signal_is_a_status_as_shells_have_it():
    """128 and the signal's number."""
    started = script("import os; os.kill(os.getpid(), 9)")
    assert started.wait() == 137
    started.remove()


def test_children_that_outlive_the_worker_keep_nobody_waiting():
    """Output ends with the worker, and what it started in its session is ended with it."""
    started = script(
        "import subprocess, sys; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "print(child.pid)"
    )
    (line,) = lines_of(started)
    started.wait()
    started.remove()
    await_end(int(line))


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(
            lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT),
            id="in the wait",
        ),
        # A signal that Python knows of, and that ends no wait.
        pytest.param(_thread.interrupt_main, id="just before the wait"),
    ],
)
def test_a_signal_that_stops_the_caller_is_passed_on_and_waited_for(tmp_path, send):
    """The worker unwinds, and what it says of that is read before the caller's own exception."""
    ready = tmp_path / "ready"
    started = script(
        "import pathlib, signal, sys, time\n"
        "try:\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        "    while True:\n"  # a signal just before a sleep does not end that
        "        time.sleep(0.01)\n"
        "except KeyboardInterrupt:\n"
        "    print('unwound')\n"
        "    sys.exit(130)\n"
    )

    def interrupt():
        while not ready.exists():
            time.sleep(0.01)
        send()

    threading.Thread(target=interrupt).start()
    told = []
    with pytest.raises(KeyboardInterrupt):
        follow(started, lambda line, _: told.append(line))
    assert told == ["unwound"]
    assert started.wait() == 130
    started.remove()


def test_a_worker_ends_with_who_started_it(tmp_path):
    """Where the starter is killed, nobody is left working for it."""
    source = (
        "import os, sys, time\n"
        "from prefect.places.process import WorkerProcess\n"
        "from prefect.running.handed import Handed\n"
        "code = 'import sys, time; from prefect.running.handed import take_handed;'\n"
        "code += 'take_handed(int(sys.argv[1].partition(\"=\")[2])); print(1, flush=True); time.sleep(600)'\n"
        "handed = Handed(b'{}', b'', {})\n"
        "started = WorkerProcess([sys.executable, '-c', code], env=dict(os.environ), handed=handed)\n"
        "next(started.logs())\n"
        "print(started._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    worker = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    await_end(worker)


def test_a_line_without_an_end_is_told_whole_and_soon():
    """However long it is, it is put together once."""
    started = script("import sys; sys.stdout.write('x' * 30_000_000)")
    try:
        (line,) = lines_of(started)
        assert len(line) == 30_000_000
    finally:
        started.remove()
