"""Completion in shells: the answers, and shells that ask for them."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from prefect.cli.completing import candidates
from prefect.cli.main import main
from prefect.cli.table import COMMANDS

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
START = {
    "bash": "bind 'set enable-bracketed-paste off'; ",
    "zsh": "autoload -U compinit; compinit -u -D; ",
}
LINES = [
    [""], ["b"], ["-"], ["--"], ["nothing"], ["--version", ""],
    *([name, word] for name in COMMANDS if name for word in ("", "-", "--", "--k", "x")),
    ["build", "-o", ""], ["build", "-o", "x.flow", "--"],
    ["build", "--output", "x.flow", "-"], ["build", "etl.py", "--key-file", "k", "--"],
    ["build", "etl.py", "--verbose", "--v"],
    ["graph", "--format", ""], ["graph", "--format", "m"], ["graph", "--format", "m", "--"],
    ["completion", ""], ["completion", "z"], ["completion", "--"],
]  # fmt: skip


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_answers_are_those_of_click(words):
    """Subcommands, options that can still be given, and choices are those that click knows."""
    *before, word = words
    theirs = ShellComplete(main, {}, "prefect", "_PREFECT_COMPLETE").get_completions(before, word)
    assert [value for value, _ in candidates(words)] == [
        item.value for item in theirs if item.type == "plain"
    ]


def test_words_after_a_double_dash_are_no_options():
    """What follows `--` are arguments, and what follows an unknown subcommand is not known."""
    assert candidates(["build", "--", "--"]) == candidates(["nothing", ""]) == []


def test_every_answer_is_described():
    """Subcommands and options come with words for shells that show them."""
    for line in (["b"], ["build", "--"]):
        assert all(text for _, text in candidates(line))


class Terminal:
    """A shell at a terminal, in a directory with etl.py, whose `prefect` is ours."""

    def __init__(self, shell: str, directory: Path) -> None:
        program = directory / "bin" / "prefect"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m prefect "$@"\n')
        program.chmod(0o755)
        (directory / "etl.py").touch()
        self.fd, theirs = pty.openpty()
        environment = os.environ | {
            "PATH": f"{program.parent}:{os.environ['PATH']}", "PS1": "ready> ", "TERM": "dumb",
            "HISTFILE": "", "HOME": str(directory),
        }  # fmt: skip
        self.process = subprocess.Popen(
            SHELLS[shell], stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory,
            env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.say(f'{START[shell]}eval "$(prefect completion {shell})"; echo "set" up\n', "set up")

    def say(self, typed: str, awaited: str) -> str:
        """Type, and return what is shown until the awaited text is."""
        os.write(self.fd, typed.encode())
        shown, until = "", time.monotonic() + 60
        while awaited not in shown:
            if not select.select([self.fd], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(shown)
            shown += os.read(self.fd, 65536).decode(errors="replace")
        return shown

    def close(self) -> None:
        """End the shell."""
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture(params=filter(shutil.which, SHELLS))
def terminal(request, tmp_path):
    """Each shell that is installed, with completion set up as its users do."""
    terminal = Terminal(request.param, tmp_path)
    yield terminal
    terminal.close()


def test_shells_complete(terminal):
    """Tabs complete a subcommand, an option, a choice and a file's name, and the line works."""
    terminal.say("prefect grap\tet\t--form\tmerm\t; echo 'en''ded'\n", "ended")
    line = terminal.say("prefect keyg\t--he\t\n", "Usage: prefect keygen")
    assert "Error" not in line
