"""What a process and those below it take of the machine, where the system tells it: Linux."""

from __future__ import annotations

import os
import time

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Usage:
    """CPU and memory of a process and all below it, since the last time that somebody asked.

    Args:
        process: its number; by default this one.
    """

    def __init__(self, process: int | None = None) -> None:
        self._process = os.getpid() if process is None else process
        self._then = time.monotonic()
        self._before = self._read()

    def now(self) -> tuple[float, int] | None:
        """Return the share of one CPU since the last call, 1.0 for all of it, and the bytes of memory.

        Pages that several of them share count for each.

        Returns:
            None where the system does not tell.
        """
        moment, read = time.monotonic(), self._read()
        passed, before = moment - self._then, self._before
        self._then, self._before = moment, read
        if not read or passed <= 0:
            return None
        ticks = sum(used - before.get(pid, (0, 0))[0] for pid, (used, _) in read.items())
        return ticks / _TICKS / passed, sum(pages for _, pages in read.values()) * _PAGE

    def _read(self) -> dict[int, tuple[int, int]]:
        """Return the ticks and the pages of each process."""
        found: dict[int, tuple[int, int]] = {}
        waiting = [self._process]
        while waiting:
            process = waiting.pop()
            try:
                with open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123  # a file of the kernel
                    # The name before it may have anything in it.
                    fields = file.read().rpartition(b")")[2].split()
                found[process] = int(fields[11]) + int(fields[12]), int(fields[21])
                for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208  # likewise
                    with open(f"/proc/{process}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                        waiting += map(int, file.read().split())
            except (OSError, ValueError, IndexError):  # it has ended, or this is no Linux
                continue
        return found


def told(usage: tuple[float, int] | None) -> str:
    """Return it as people read it."""
    if usage is None:
        return ""
    share, memory = usage
    mib = memory / 1024**2
    return f"CPU {100 * share:.0f} %, memory {f'{mib:.0f} MiB' if mib < 1024 else f'{mib / 1024:.1f} GiB'}"  # noqa: PLR2004
