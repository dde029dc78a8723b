"""`prefect.running.output`."""

import json
import subprocess
import sys
import threading

from prefect.running.output import CapturedOutput, ThreadLines


def captured(script):
    """Run a script whose output is captured; return what was told, and what was not."""
    program = f"""
import ctypes, json, os, subprocess, sys, threading
from prefect.running.output import CapturedOutput
told = []
output = CapturedOutput(lambda stream, line: told.append([stream, line]))
output.start()
{script}
output.stop()
print(json.dumps(told))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    *rest, told = done.stdout.splitlines()
    return json.loads(told), rest, done.stderr


def test_whoever_writes_is_taken():
    """Python, C code whose buffer is not full, child processes, and bare file descriptors."""
    told, *rest = captured("""
print("python")
print("python error", file=sys.stderr)
print("its own", file=sys.__stdout__)
os.write(1, b"one\\n\\xff\\n")
os.write(2, b"two\\n")
ctypes.CDLL(None).puts(b"c")
subprocess.run("echo child; echo child error >&2", shell=True, check=True)
""")
    assert rest == [[], ""]
    out = [line for stream, line in told if stream == "stdout"]
    err = [line for stream, line in told if stream == "stderr"]
    assert sorted(out) == sorted(["python", "its own", "one", "\udcff", "c", "child"])
    assert sorted(err) == sorted(["python error", "two", "child error"])


def test_lines_without_an_end_are_told_before_what_follows():
    """`drain` waits for all that was written, whoever wrote it."""
    told, *_ = captured("""
for number in range(100):
    os.write(1, b"half")
    print("open", end="")
    output.drain()
    assert sorted(told[-2:]) == [["stdout", "half"], ["stdout", "open"]], told
assert len(told) == 200
""")
    assert len(told) == 200


def test_what_was_there_is_put_back():
    """Afterwards the same descriptors are written as before, and nothing is taken."""
    told, out, err = captured("""
before = sys.stdout.stream
output.stop()
assert sys.stdout is before
os.write(1, b"after\\n")
os.write(2, b"error after\\n")
""")
    assert (told, out, err) == ([], ["after"], "error after\n")


def test_a_child_that_goes_on_holds_nothing_up():
    """One that keeps its standard output open is not waited for."""
    told, *_ = captured("""
child = subprocess.Popen(["sh", "-c", "echo started; exec sleep 60"])
while not told:
    output.drain()
output.stop()
child.kill()
""")
    assert told == [["stdout", "started"]]


def test_much_output_of_many_is_complete():
    """Threads and children that write at once: no line is lost, and none is mixed with another."""
    told, *_ = captured("""
def write(name):
    for number in range(500):
        print(name, "print", number)
        os.write(1, f"{name} write {number}\\n".encode())
threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
child = subprocess.Popen([sys.executable, "-c",  # by lines, which what is buffered would cut
    "import os\\nfor n in range(5000): os.write(1, b'child %d\\\\n' % n)"])
for thread in threads: thread.start()
for thread in threads: thread.join()
child.wait()
""")
    expected = {f"{n} {how} {i}" for n in "abcd" for how in ("print", "write") for i in range(500)}
    expected |= {f"child {n}" for n in range(5000)}
    assert {line for _, line in told} == expected
    assert len(told) == len(expected)


def test_a_line_that_never_ends_is_told_in_pieces():
    """So that it does not fill the memory."""
    told, *_ = captured("""
for _ in range(50): os.write(1, b"x" * 100_000)
""")
    assert len(told) > 3
    assert sum(len(line) for _, line in told) == 5_000_000


def test_a_fork_reads_nothing():
    """A process that was forked off, and ends on its own, leaves its parent's pipes alone."""
    told, *_ = captured("""
child = os.fork()
if not child:
    os.write(1, b"of the fork\\n")
    output.stop()
    os._exit(0)
os.waitpid(child, 0)
os.write(1, b"of the parent\\n")
""")
    assert told == [["stdout", "of the fork"], ["stdout", "of the parent"]]


def test_streams_that_are_no_files_are_taken_too(capsys):
    """Where something else stands for standard output, only what Python prints is taken."""
    told = []
    output = CapturedOutput(lambda *line: told.append(line))
    output.start()
    print("taken")
    output.out.write("not taken")
    output.stop()
    assert told == [("stdout", "taken")]
    assert capsys.readouterr().out == "not taken"


def test_threads_have_lines_of_their_own():
    """Pieces that two threads write in turn are put together by thread."""
    told = []
    lines = ThreadLines(told.append)
    lines.write("a")
    thread = threading.Thread(target=lambda: lines.write("b\nc"))
    thread.start()
    thread.join()
    lines.write("A\n")
    assert told == ["b", "aA"]
    lines.end()
    assert told == ["b", "aA", "c"]
