"""Processes that a test waits for, by their numbers."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def runs(pid: int) -> bool:
    """Tell whether there is a process of a number that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_end(*pids: int) -> None:
    """Wait until all of these have ended; fail after half a minute."""
    deadline = time.monotonic() + 30
    while any(map(runs, pids)):
        assert time.monotonic() < deadline, f"{pids} still run"
        time.sleep(0.01)


_KILLER = """
import ctypes, json, os, subprocess, sys, time
command, env, moments = json.loads(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # who is left without a parent becomes this one's child

def children(pid):
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            found += file.read().split()
    return found

left = []
for moment in moments:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    while process.poll() is None:
        try:
            if children(process.pid):
                break
        except OSError:  # it has just ended
            pass
        time.sleep(0.0002)
    assert process.returncode is None, "it ended without a child"
    time.sleep(moment)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while (mine := children(os.getpid())) and time.monotonic() < deadline:
        os.waitpid(-1, os.WNOHANG)
        time.sleep(0.005)
    for pid in mine:
        with open(f"/proc/{pid}/cmdline") as file:
            left.append(f"after {moment} s: " + file.read().replace(chr(0), " "))
        os.kill(int(pid), 9)
        os.waitpid(int(pid), 0)
print(json.dumps(left))
"""


def left_behind(command: list[str], env: dict[str, str] | None = None) -> list[str]:
    """Kill a command at many moments after it has started its first child; tell what it left each time."""
    moments = [0, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03]
    arguments = [json.dumps(each) for each in (command, env or dict(os.environ), moments)]
    done = subprocess.run(
        [sys.executable, "-c", _KILLER, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
