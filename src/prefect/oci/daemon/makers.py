"""Which process made a container, and whether it still runs, so that what it left can be removed."""

from __future__ import annotations

import os
from pathlib import Path

LABEL_MAKER = "prefect.maker"


def this_process() -> str:
    """Return what names this process for as long as its kernel runs."""
    return f"{_kernel()} {os.getpid()} {_started(os.getpid())}"


def is_dead(maker: str) -> bool:
    """Tell whether a process is certainly gone: of another machine, nobody here can know."""
    kernel, _, rest = maker.partition(" ")
    pid, _, started = rest.partition(" ")
    return bool(
        kernel
        and kernel == _kernel()
        and pid.isdigit()
        and started
        and _started(int(pid)) != started
    )


def _kernel() -> str:
    """Return what is this boot's of this machine and this namespace of processes, if that is known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process started, in ticks since the boot; nothing where there is none."""
    try:
        # Behind the program's name, which may hold anything, it is the 20th field.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
