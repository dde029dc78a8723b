"""`prefect.progress.resources`: what a process and those below it take."""

import subprocess
import sys

from prefect.progress.resources import Usage, told

BUSY = "x = bytearray(50 << 20)\nsum(range(10**7))\nprint(flush=True)\ninput()"


def test_a_process_below_counts():
    """Its memory and its time are among those of the process that started it, and go with it."""
    usage = Usage()
    _, before = usage.now()
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        share, during = usage.now()
        child.communicate(b"\n")
    assert share > 0
    assert during - before > 50 << 20
    assert usage.now()[1] < during


def test_a_process_that_is_not_there_has_nothing_to_tell():
    """Where the system does not tell, nothing is said."""
    usage = Usage(2**22 + 1)
    assert usage.now() is None
    assert told(None) == ""
    assert told((1.5, 300 << 20)) == "CPU 150 %, memory 300 MiB"
    assert told((0.0, 3 << 30)) == "CPU 0 %, memory 3.0 GiB"
