"""Completion in shells: the answers, and shells that ask for them."""

import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from prefect.cli import completing_names
from prefect.cli.completing import candidates, complete
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


FLOWS = """
from prefect import Flow
import prefect
raise SystemExit("executed")
with open("x") as file, Flow("a") as first:
    pass
if True:
    second: Flow = prefect.Flow("b")
else:
    second = Flow("c")
third = other = Flow("d")
nothing, self.field = Flow("e"), Flow("f")
def function():
    hidden = Flow("g")
"""


def test_flows_of_a_file_are_completed(tmp_path, monkeypatch):
    """After `FILE.py:` come the names that flows are assigned to; the file is not executed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etl.py").write_text(FLOWS)
    (tmp_path / "wrong.py").write_text("with Flow(")
    (tmp_path / "binary.py").write_bytes(b"\0\xff")
    for command in ("build", "run", "graph"):
        for file in ("etl.py", "./etl.py", str(tmp_path / "etl.py"), "file:etl.py"):
            found = [value for value, _ in candidates([command, f"{file}:"])]
            assert found == [f"{file}:{name}" for name in ("first", "second", "third", "other")]
    assert candidates(["run", "etl.py:th"]) == [("etl.py:third", "")]
    for line in (
        ["info", "etl.py:"],
        ["run", "wrong.py:"],
        ["run", "binary.py:"],
        ["run", "no.py:"],
    ):
        assert candidates(line) == []


@pytest.mark.services
def test_flow_images_are_completed(prefect, base_image, unique):
    """After `image:` come the flow images of the container engine, and no others."""
    prefect("build", "etl.py", "--image", base_image, "--tag", f"{unique}:1")
    prefect("build", "etl.py", "--image", base_image, "--tag", unique)
    for command in ("info", "run", "graph"):
        found = {value for value, _ in candidates([command, f"image:{unique}"])}
        assert found == {f"image:{unique}", f"image:{unique}:1"}
    assert candidates(["run", f"image:{base_image}"]) == []
    assert candidates(["verify", f"image:{unique}"]) == []
    assert f"image\\:{unique}\\:1\n" in complete("zsh", ["run", f"image:{unique}"])


def test_an_engine_that_does_not_answer_is_no_matter(tmp_path, monkeypatch):
    """Whether there is none, it is far away, or it never answers: nothing is completed, or said."""
    monkeypatch.setattr(completing_names, "_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        for address in (
            "unix:///nowhere",
            "tcp://127.0.0.1:9",
            "nonsense://",
            f"unix://{tmp_path}/silent",
        ):
            monkeypatch.setenv("DOCKER_HOST", address)
            assert candidates(["run", "image:"]) == []


def test_proposals_for_an_options_value():
    """Executors' names are proposed, after a space and after an equals sign, as are choices."""
    assert [v for v, _ in candidates(["run", "--executor", ""])] == [
        "local",
        "threads",
        "processes",
        "dask",
    ]
    assert candidates(["run", "--executor=th"]) == [("--executor=threads", "")]
    assert candidates(["graph", "--format=d"]) == [("--format=dot", "")]
    assert candidates(["run", "--executor", "tcp://"]) == candidates(["run", "--network="]) == []


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
        self.directory = directory
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
    (terminal.directory / "two.py").write_text(FLOWS)
    shown = terminal.say("prefect run two.py:fir\t--executor=thr\t--he\t\n", "Usage: prefect run")
    assert "prefect run two.py:first --executor=threads --help" in shown
    line = terminal.say("prefect keyg\t--he\t\n", "Usage: prefect keygen")
    assert "Error" not in line
