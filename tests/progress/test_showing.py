"""`flow.run(progress=True)`: on terminals, in files, and where it cannot be."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading

import pytest

from prefect import Flow, Parameter, task
from prefect.errors import RenderError

PROGRAM = """
import sys, time
from prefect import Flow, task

@task
def load(x):
    if x == 0:
        print("printed", x)
        print("half", end=" ")
        print("a line")
        print("an error line", file=sys.stderr)
    time.sleep(0.3)
    if x == 99:
        print("sleeps", flush=True)
        time.sleep(60)
    return x

with Flow("show") as flow:
    load.map([0, 1, 2, *map(int, sys.argv[1:])])
state = flow.run(progress=True)
print(state)
"""


@task
def load(x):
    return x


@pytest.fixture
def flow():
    """A flow of a mapped task."""
    with Flow("test") as flow:
        load.map([1, 2, 3])
    return flow


def on_terminal(tmp_path, *arguments, until=None, size=(30, 100), **environment):
    """Run the program on a terminal; return its status and all that is written there."""
    (tmp_path / "program.py").write_text(PROGRAM)
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "program.py", *arguments],
        cwd=tmp_path, stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(follower)
    drawn = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other side was closed
            break
        drawn += chunk
        if until is not None and until in drawn:
            until = None
            process.send_signal(signal.SIGINT)
    os.close(leader)
    return process.wait(timeout=60), drawn.decode()


class Screen:
    """What a terminal shows of what is written to it, as far as progress needs one."""

    def __init__(self, text):
        self.lines, self.row, column = [""], 0, 0
        self.highest = 0
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\r\n\x1b]+", text):
            if part == "\r":
                column = 0
            elif part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part == "\x1b[J":
                self.lines[self.row :] = [self.lines[self.row][:column]]
            elif re.fullmatch(r"\x1b\[\d+A", part):
                self.row -= int(part[2:-1])
            elif part[0] != "\x1b":
                line = self.lines[self.row].ljust(column)
                self.lines[self.row] = line[:column] + part + line[column + len(part) :]
                column += len(part)


def test_a_terminal_shows_it_below_what_is_written(tmp_path):
    """What tasks print stands whole; at the end one line of it is left, and the cursor is below."""
    status, drawn = on_terminal(tmp_path)
    assert status == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert re.search(r"━+─* +load: [12]/3", plain)
    lines = Screen(drawn).lines
    assert lines[:3] == ["printed 0", "half a line", "an error line"]
    assert re.fullmatch(
        r"show: Success in [\d.]+ m?s\. 3 Success\. slowest: load\[\d\] .*s", lines[3]
    )
    assert lines[4:] == ["<Success: 'All reference tasks succeeded.'>", ""]


def test_ctrl_c_leaves_the_terminal_clean(tmp_path):
    """Nothing of the progress is left but that the run was cancelled."""
    status, drawn = on_terminal(tmp_path, "99", until=b"sleeps")
    assert status != 0
    left = "\n".join(Screen(drawn).lines)
    assert re.search(r"show: Cancelled in ", left)
    assert "━" not in left
    assert "?25l" not in drawn  # the cursor was never hidden


def test_a_narrow_terminal_without_colours(tmp_path):
    """No line is wider than it, but for the last; and NO_COLOR is heard."""
    status, drawn = on_terminal(tmp_path, size=(20, 30), NO_COLOR="1")
    assert status == 0
    assert not re.search(r"\x1b\[[0-9;]*m", drawn)
    shown = [line for line in re.split(r"[\r\n]+", drawn) if re.search(r"[━─⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", line)]
    assert shown
    assert max(len(re.sub(r"\x1b\[[0-9;]*[A-Z]", "", line)) for line in shown) <= 29


def test_elsewhere_it_is_lines(flow, capfd):
    """Where nothing can be drawn anew there is a line at the end, on standard error."""
    assert flow.run(progress=True).is_successful()
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"test: Success in .*s\. 3 Success\n", err)


def test_nothing_is_shown_unless_asked(flow, capfd):
    """Neither by default, nor with False."""
    flow.run()
    flow.run(progress=False)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(TypeError, match="progress"):
        flow.run(progress="yes")


def test_observers_are_told_as_well(flow, capfd):
    """`on_state` hears of each change, as without."""
    told = []
    flow.run(progress=True, on_state=told.append)
    with_it = [str(event) for event in told]
    told.clear()
    flow.run(on_state=told.append)
    assert with_it == [str(event) for event in told]


def test_within_a_task_there_is_nowhere(flow, caplog):
    """A flow in a task cannot show its own: that is an error, and not ignored."""

    @task
    def nested():
        flow.run(progress=True)

    with Flow("outer") as outer:
        ran = nested()
    state = outer.run()
    assert isinstance(state.result[ran].result, RenderError)
    assert "within a task" in str(state.result[ran].result)


def test_two_at_once_are_refused(capfd):
    """A second run that asks for it in this process is refused while the first goes on."""
    begun, go_on = threading.Event(), threading.Event()

    @task
    def waits():
        begun.set()
        go_on.wait(60)

    with Flow("first") as first:
        waits()
    thread = threading.Thread(target=lambda: first.run(progress=True))
    thread.start()
    begun.wait(60)
    try:
        with pytest.raises(RenderError, match="another run"):
            Flow("second").run(progress=True)
    finally:
        go_on.set()
        thread.join()
    assert Flow("second").run(progress=True).is_successful()


def test_a_parameter_of_that_name_is_asked_for_elsewhere():
    """It is not clear which is meant: that is said."""
    with Flow("test") as flow:
        load(Parameter("progress"))
    with pytest.raises(TypeError, match="progress= is of the run"):
        flow.run(progress=True)
    assert flow.run({"progress": 1}).is_successful()


def test_a_reader_of_standard_error_that_goes_away_ends_no_run():
    """Nobody is shown how far it is; what it comes to is there."""
    program = (
        "from prefect import Flow, Parameter\n"
        "print(Flow('f', tasks=[Parameter('p', 1)]).run(progress=True).is_successful())"
    )
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writes, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    os.close(writes)
    assert done.stdout == "True\n"


def test_a_closed_standard_error_is_said(flow, monkeypatch):
    """Where there is nothing to write to, it is an error."""
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(RenderError, match="standard error is closed"):
        flow.run(progress=True)
