"""Standard output that cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    ["--help"],
    ["--version"],
    ["help", "info"],
    ["info", "--help"],
    ["completion", "bash"],
    ["completion", "bash", "--", "in"],
    ["info", "etl.flow"],
    ["info", "etl.flow", "--key-file", "flow.key", "--json"],
    ["graph", "etl.py"],
    ["verify", "etl.flow", "--key-file", "flow.key"],
    ["keygen", "-"],
    ["cache"],
    ["build", "etl.py", "-o", "-", "--key-file", "flow.key"],
    ["run", "etl.py"],
    ["run", "etl.flow", "--key-file", "flow.key", "--json"],
]


def run(sealed, arguments, redirection):
    """Run a command whose output a shell has redirected; return its exit status and its errors."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "prefect", *arguments],
        cwd=sealed.directory, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_full_disk(sealed):
    """Is an error of every command, and said."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    for arguments in COMMANDS:
        status, errors = run(sealed, arguments, ">/dev/full")
        told = (status, errors.count("No space left"), "Traceback" in errors)
        assert told == (2, 1, False), (arguments, errors)


def test_closed(sealed):
    """Output that was closed is an error, too, for nobody gets what was asked for."""
    for arguments in COMMANDS:
        status, errors = run(sealed, arguments, ">&-")
        told = (status, errors.count("Bad file"), "Traceback" in errors)
        assert told == (2, 1, False), (arguments, errors)


def test_a_reader_that_has_gone(sealed):
    """Is no error: it has seen enough."""
    for arguments in COMMANDS:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=sealed.directory, stdin=subprocess.DEVNULL,
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(writing)
        assert done.returncode == 0, (arguments, done.stderr)
        assert "roken pipe" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_a_failed_flow_without_output(sealed):
    """A flow that failed is what the exit status tells first."""
    assert run(sealed, ["run", "etl.py", "-p", "fail=true"], ">&-")[0] == 1


MUCH = """
import pathlib, sys
from prefect import Flow, task

@task
def tell():
    for number in range(20_000):
        print("line", number)
        sys.stderr.write("and an error\\n")
    sys.stdout.flush()
    pathlib.Path("told").touch()

with Flow("much") as flow:
    tell()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["much.py"],
        ["much.py", "--json"],
        ["much.flow", "--in", "here"],
        ["much.flow", "--in", "venv"],
    ],
    ids=" ".join,
)
def test_a_reader_that_goes_while_a_task_prints(prefect, arguments):
    """As `| head` does: the task goes on, and the run ends as it would have, however it was started."""
    (prefect.directory / "much.py").write_text(MUCH)
    prefect("keygen", "flow.key")
    if arguments[0] == "much.flow":
        prefect("build", "much.py", "--key-file", "flow.key")
        arguments = [*arguments, "--key-file", "flow.key"]
    started = subprocess.Popen(
        [sys.executable, "-m", "prefect", "run", *arguments], cwd=prefect.directory,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while "line" not in started.stdout.readline():
        pass
    started.stdout.close()
    assert started.wait(timeout=240) == 0
    assert (prefect.directory / "told").exists()


CLOSING = """
import sys
from prefect import Flow, task

@task
def close():
    for stream in ({streams}):
        stream.close()

@task
def after(closed):
    print("printed")

with Flow("closing") as flow:
    after(close())
"""


@pytest.mark.parametrize("streams", ["sys.stdout, sys.stderr", "sys.__stdout__, sys.__stderr__"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--secret", "TOKEN"]], ids=" ".join)
def test_a_task_that_closes_the_streams(prefect, streams, options):
    """The run goes on and says its end, and what later tasks print is there."""
    (prefect.directory / "closing.py").write_text(CLOSING.format(streams=streams))
    out, err = prefect("run", "closing.py", *options, TOKEN="a-token-of-somebody")
    assert "printed" in out
    assert "All reference tasks succeeded" in out
    assert err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "etl.py", "--key-file", "flow.key", "-o", "some/new/x.flow"],
        ["build", "etl.py", "--key-file", "flow.key", "--lock", "some/x.lock"],
        ["build", "etl.py", "--image", "./base", "--export", "some/new/x.tar"],
        [
            "rewrap",
            "etl.flow",
            "--key-file",
            "flow.key",
            "--to-key-file",
            "flow.key",
            "-o",
            "some/x.flow",
        ],
    ],
)
def test_no_command_makes_a_directory_for_its_output(sealed, arguments):
    """A name that was mistyped is an error, and no new place to look for the file."""
    _, err = sealed(*arguments, status=2)
    assert "There is no directory some" in err
    assert not (sealed.directory / "some").exists()
