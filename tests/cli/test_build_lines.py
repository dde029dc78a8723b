"""`prefect.cli.build_lines`: what a build shows on a terminal, and what where there is none."""

import fcntl
import logging
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest

from prefect.cli.build_lines import _drawn, build_lines
from prefect.steps import Step, step

PROGRAM = """
import logging
from prefect.cli.build_lines import build_lines
from prefect.steps import step
logger = logging.getLogger("prefect.environments")
try:
    with build_lines(verbose=False):
        logger.info("Building it")
        logger.warning("A warning")
        with step("Pushing to \\x1b[2J somewhere", 2048) as one, step("Locking"):
            one.add(1024)
            input()
except KeyboardInterrupt:
    print("stopped")
print("the end")
"""


def on_terminal(columns, until, act, **environment):
    """Run the program on a terminal; do something when it shows something; return all that it wrote."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(follower)
    drawn = ""
    waiting = True
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other side was closed
            break
        drawn += chunk.decode(errors="replace")
        if waiting and re.search(until, drawn):
            waiting = False
            act(process)
    os.close(leader)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    return drawn


def go_on(process) -> None:
    process.stdin.write(b"\n")
    process.stdin.flush()


def interrupt(process) -> None:
    process.send_signal(signal.SIGINT)


def test_a_terminal_has_a_bar_for_each_step():
    """With its bytes and its time, in place; afterwards nothing of it is left but warnings."""
    drawn = on_terminal(100, r"Locking +[\d.]+ m?s", go_on)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert re.search(
        r"Pushing to \\x1b\[2J somewhere +━{8}─{8} +1\.0 of 2\.0 KiB +[\d.]+ m?s", plain
    )
    assert "\x1b[2J" not in drawn
    assert drawn.startswith("A warning\r\n") or "\r\x1b[JA warning\r\n" in drawn
    assert drawn.rpartition("\x1b[J")[2] == "the end\r\n"


def test_ctrl_c_leaves_the_terminal_clean():
    """What goes on is taken away, and nothing was changed of the terminal."""
    drawn = on_terminal(100, r"Locking +[\d.]+ m?s", interrupt)
    assert drawn.rpartition("\x1b[J")[2] == "stopped\r\nthe end\r\n"
    assert "\x1b[?" not in drawn


def test_no_colour_and_a_narrow_terminal():
    """NO_COLOR is heard, and a line is never wider than the terminal."""
    drawn = on_terminal(30, r"Locking +[\d.]+ m?s", go_on, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*m", drawn)
    lines = re.split(r"\r\n|\r|\x1b\[[0-9]*[A-Z]", drawn)
    assert max(map(len, lines)) <= 29
    assert "1.0 of 2.0 KiB" in drawn


@pytest.mark.parametrize("columns", [10, 20, 40, 60, 79, 120, 300])
@pytest.mark.parametrize("total", [0, 1 << 30])
def test_no_line_is_wider_than_there_is_room(columns, total):
    """Whatever is done, and however much of it."""
    one = Step("Pushing to a registry that has a rather long name, and 漢字 in it", total)
    one.add(1 << 29)
    line = re.sub(r"\x1b\[[0-9;]*m", "", _drawn(one, columns, "⠋"))
    assert len(line) + sum(char in "漢字" for char in line) <= columns


def test_elsewhere_lines_say_how_long_it_took(capsys):
    """Of what took a second or more, where it is done; not of what failed, or took no time."""
    with build_lines(verbose=False):
        logging.getLogger("prefect.environments").info("Locking it")
        logging.getLogger("prefect.environments").info("of no interest")
        for text, seconds in (("Locking it", 12), ("Packing it", 0.2)):
            with step(text) as one:
                one.began -= seconds
                one.add(3 << 20)
        with pytest.raises(ZeroDivisionError), step("Failing") as one:
            one.began -= 60
            _ = 1 / 0
    assert capsys.readouterr().err == "Locking it\nLocking it: done in 12.0 s, 3.0 MiB\n"
