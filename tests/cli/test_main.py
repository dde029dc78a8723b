"""The command itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prefect import __version__

README = Path(__file__).parents[2] / "README.md"
COMMANDS = [
    "build",
    "info",
    "check",
    "run",
    "report",
    "view",
    "graph",
    "diff",
    "manifest",
    "verify",
    "sign",
    "rewrap",
    "keygen",
    "cache",
]


def test_the_version_is_the_packages(prefect):
    """`prefect --version` says name and version."""
    assert prefect("--version")[0] == f"prefect {__version__}\n"


def test_help_names_every_command_with_examples(prefect):
    """The first page teaches both ways to package a flow."""
    out, _ = prefect("--help")
    assert all(re.search(rf"^  {name} +\w", out, re.MULTILINE) for name in COMMANDS)
    assert "prefect build etl.py -o etl.flow --key-file flow.key\n" in out
    assert "PREFECT_ENCRYPTION_KEY" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_stands_in_the_readme(prefect, command):
    """Each option is explained, and no command is undocumented."""
    out, _ = prefect(command, "--help")
    options = re.findall(r"^  (?:-\w, )?--[\w-]+.*(?:\n {10,}.*)*", out, re.MULTILINE)
    assert options
    assert all(re.search(r"  \S+ \S+", option) for option in options)
    assert f"prefect {command}" in README.read_text()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_says_nothing_twice(prefect, command):
    """No sentence and no line of an example comes twice on a page; what a habit says, may."""
    out, _ = prefect(*command.split(), "--help")
    examples = [line.strip() for line in out.splitlines() if line.startswith("    prefect ")]
    text = " ".join(out.split())
    said = [part for part in re.split(r"(?<=[.:;]) ", text) if part != "May be repeated."]
    assert len(set(examples)) == len(examples)
    assert sorted({part for part in said if said.count(part) > 1}) == []


@pytest.mark.parametrize("command", ["", *COMMANDS, "completion", "help"])
def test_help_is_a_command_as_well(prefect, command):
    """`prefect help [COMMAND]` prints what `--help` does there."""
    assert prefect("help", *command.split()) == prefect(*command.split(), "--help")


def test_help_of_no_command_names_those_that_there_are(prefect):
    """As wrong usage."""
    _, err = prefect("help", "biuld", status=2)
    assert "'biuld' is not one of 'build', 'info'," in err


def test_a_mistyped_command_is_corrected(prefect):
    """The nearest command is proposed."""
    _, err = prefect("biuld", status=2)
    assert "Did you mean 'build'?" in err


def piped(directory, command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a line of bash, in which `prefect` is the command."""
    script = f"set -o pipefail; prefect() {{ '{sys.executable}' -m prefect \"$@\"; }}; {command}"
    return subprocess.run(
        ["bash", "-c", script], cwd=directory, env=os.environ | environment,
        capture_output=True, text=True, check=False, errors="replace",
    )  # fmt: skip


@pytest.mark.parametrize("command", ["info", "graph", "run"])
def test_sealed_flows_come_through_pipes(sealed, command):
    """By a substitution of the shell, by a FIFO, and by standard input; they are read but once."""
    os.mkfifo(sealed.directory / "fifo")
    for line in (
        f"prefect {command} <(cat etl.flow) --key-file flow.key",
        f"cat etl.flow > fifo & prefect {command} fifo --key-file flow.key",
        f"cat etl.flow | prefect {command} /dev/stdin --key-file flow.key",
    ):
        done = piped(sealed.directory, line)
        assert done.returncode == 0, done.stderr
        assert "transform" in done.stdout


def test_an_image_in_a_pipe_is_refused(sealed):
    """An archive is read here and there; so is a file that is to be replaced."""
    (sealed.directory / "a.tar").write_bytes(bytes(257) + b"ustar" + bytes(250))
    for line in (
        "prefect info <(cat a.tar)",
        "prefect rewrap <(cat etl.flow) --key-file flow.key --to-key-file flow.key",
    ):
        done = piped(sealed.directory, line)
        assert (done.returncode, "a file first" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    "command", ["info etl.flow --key-file flow.key", "graph etl.py", "run etl.py --json",
                "run etl.py", "--help", "build --help"],
)  # fmt: skip
def test_a_reader_that_has_seen_enough_hears_nothing(sealed, command):
    """As with `head`: no error, and no traceback, on standard error."""
    # The reader is gone before anything is written.
    done = piped(sealed.directory, f"(sleep 0.5; prefect {command}) | true")
    assert "rror" not in done.stderr


def test_names_that_a_terminal_cannot_show_are_escaped(sealed):
    """Nothing fails because of an encoding: neither a command nor a task that prints."""
    text = (sealed.directory / "etl.py").read_text()
    (sealed.directory / "etl.py").write_text(
        text.replace("etl & co", "\u2713tl").replace('"loaded"', '"\u2713ed"')
    )
    sealed("build", "etl.py", "-o", "etl.flow", "--key-file", "flow.key")
    for encoding in ("latin-1", "ascii"):
        for command in ("info etl.flow --key-file flow.key", "graph etl.py", "run etl.py",
                        "run etl.py --json", "run etl.flow --key-file flow.key"):  # fmt: skip
            done = piped(sealed.directory, f"prefect {command}", PYTHONIOENCODING=encoding)
            assert (done.returncode, "Error" in done.stderr) == (0, False), (command, done.stderr)
            # Click writes UTF-8 where it takes ASCII for a mistake.
            assert any(name in done.stdout for name in ("\\u2713tl", "\u2713tl"))
