"""What the command answers before click is imported: the same as click would."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[2] / "scripts" / "command_table.py"
BY_CLICK = "from prefect.cli.main import main; main(prog_name='prefect')"
LOADED = (
    "import sys, atexit; from prefect.cli.start import main;"
    "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
)
ANSWERED = [
    ["--version"],
    ["--help"],
    ["-h"],
    ["help"],
    [],
    *(["completion", s] for s in ("bash", "zsh", "fish")),
]


def run(code: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Return how a program ends and what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_table_is_what_click_says():
    """A changed option, choice or line of help without `make table` fails here."""
    done = subprocess.run(
        [sys.executable, TABLE, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", ANSWERED, ids=" ".join)
@pytest.mark.parametrize("columns", ["", "0", "72", "80", "90", "100", "170", "wide"])
def test_answers_are_those_of_click(arguments, columns):
    """Exit status, standard output and standard error are click's, at any width of the terminal."""
    code = "from prefect.cli.start import main; main()"
    assert run(code, *arguments, COLUMNS=columns) == run(BY_CLICK, *arguments, COLUMNS=columns)


@pytest.mark.parametrize("columns", [80, 90, 120])
def test_help_fits_the_terminal_that_it_is_printed_to(columns):
    """On a terminal its own width counts, as with click."""
    shown = []
    for code in ("from prefect.cli.start import main; main()", BY_CLICK):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
        subprocess.run(
            [sys.executable, "-c", code, "--help"], check=True, stdout=theirs, env=environment
        )
        os.close(theirs)
        text = b""
        with os.fdopen(ours, "rb", buffering=0) as file:
            try:
                while piece := file.read(65536):
                    text += piece
            except OSError:  # how Linux tells the end of a terminal
                pass
        shown.append(text)
    assert shown[0] == shown[1]
    assert b"Usage: prefect" in shown[0]


@pytest.mark.parametrize(
    "arguments", [*ANSWERED, ["completion", "bash", "--", "build", "--o"]], ids=" ".join
)
def test_answers_import_next_to_nothing(arguments):
    """The answers to these need neither click nor any module of the standard library that is slow."""
    _, _, err = run(LOADED, *arguments, COLUMNS="80")
    loaded = err.split("\n")[-2].split()
    assert "prefect.cli.start" in loaded
    assert not {"click", "re", "typing", "enum", "shutil", "json", "prefect.errors"} & {*loaded}


def test_a_closed_pipe_is_no_traceback(run_python):
    """Help whose reader has gone ends quietly, as from click."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_file_makes_is_collected_as_ever(tmp_path):
    """Importing the command goes without the garbage collector, and what it runs does not."""
    file = tmp_path / "look.py"
    file.write_text(
        "import gc\nfrom prefect import Flow\nprint('enabled', gc.isenabled())\n"
        "with Flow('looks') as flow:\n    pass\n"
    )
    code = "from prefect.cli.start import main; main()"
    status, output, errors = run(code, "run", str(file), "--in", "here")
    assert (status, "enabled True" in output) == (0, True), errors
