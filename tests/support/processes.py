"""Processes that a test waits for, by their numbers."""

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
