"""A whole command measured: seconds, processor's time, and memory of all its processes.

What a container engine does for a command is the command's, too: it is taken from the engine's processes,
which are found where the engine has a namespace of its own, as that of `make services` has.
"""

from __future__ import annotations

import ctypes
import os
import resource
import selectors
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUBREAPER, _TICKS = 36, os.sysconf("SC_CLK_TCK")
_LEFT_SECONDS = 2.0


@dataclass
class Taken:
    """What one run of a command took: seconds, seconds, seconds, bytes."""

    first: float
    exit: float
    cpu: float
    peak: int = 0


def children(pid: int) -> list[int]:
    """Return the children of a process, whichever of its threads has started them."""
    found: list[int] = []
    with suppress(OSError):  # it has ended meanwhile
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, path.read_text().split())
    return found


def tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def own_bytes(pid: int) -> int:
    """Return what a process has in memory, with its part of what it shares."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def statistics_of(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


class Engine:
    """The processes of the container engine, where it has a namespace of its own; else there are none."""

    def __init__(self, address: str) -> None:
        self.top = 0
        with suppress(OSError), socket.socket(socket.AF_UNIX) as link:
            link.connect(address.removeprefix("unix://"))
            peer = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid = struct.unpack("3i", peer)[0]
            space = Path(f"/proc/{pid}/ns/pid").readlink()
            if space == Path("/proc/self/ns/pid").readlink():
                return
            while Path(f"/proc/{pid}/ns/pid").readlink() == space:
                self.top, pid = pid, int(statistics_of(pid)[1])

    def processes(self) -> list[int]:
        """Return what runs of it now, its containers among them."""
        return tree(self.top) if self.top else []

    def cpu(self) -> float:
        """Return the seconds that it has computed, with those who have ended."""
        fields = [fields for pid in self.processes() if (fields := statistics_of(pid))]
        return sum(int(ticks) for one in fields for ticks in one[11:15]) / _TICKS

    def settle(self, known: list[int]) -> None:
        """Wait for what it has started to end."""
        end = time.monotonic() + _LEFT_SECONDS
        while set(self.processes()) - set(known) and time.monotonic() < end:
            time.sleep(0.02)


class Meter:
    """Measures commands, one at a time.

    Orphans of a command become children of this process, and are counted as all others.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)

    def run(
        self, line: str, *, env: Mapping[str, str], cwd: Path, marker: str, sampled: bool = False
    ) -> Taken:
        """Run a shell's line, and fail if it does, or if it never writes the marker.

        Args:
            marker: stands in what the flow's first task prints.
            sampled: look for memory, too, which slows the command down.
        """
        known = self.engine.processes()
        before = _ended_cpu() + self.engine.cpu()
        command = ["/bin/sh", "-c", line if "&&" in line else f"exec {line}"]
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        sampler = _Sampler(process.pid, self.engine, known) if sampled else None
        first, text = _follow(process, marker.encode(), begin)
        whole = time.perf_counter() - begin
        peak = sampler.stop() if sampler else 0
        status = process.wait()
        _reap()
        self.engine.settle(known)
        if status or not first:
            last = " / ".join(text.decode(errors="replace").strip().splitlines()[-4:])
            raise RuntimeError(f"`{line}` ended with {status}: {last}")
        return Taken(first, whole, _ended_cpu() + self.engine.cpu() - before, peak)


def _follow(process: subprocess.Popen[bytes], marker: bytes, begin: float) -> tuple[float, bytes]:
    """Read what a process writes until it ends; return when the marker came, and the text."""
    assert process.stdout is not None
    out, text, first = process.stdout.fileno(), b"", 0.0
    os.set_blocking(out, False)
    end = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            selector.register(end, selectors.EVENT_READ)
            ended = False
            while not ended:
                ready = {key.fd for key, _ in selector.select()}
                ended = end in ready
                with suppress(BlockingIOError):
                    while data := os.read(out, 1 << 16):
                        text += data
                    if out in selector.get_map():
                        selector.unregister(out)
                if not first and marker in text:
                    first = time.perf_counter() - begin
    finally:
        os.close(end)
        process.stdout.close()
    return first, text


def _ended_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap() -> None:
    """Wait for orphans, of which the last may be about to end."""
    end = time.monotonic() + _LEFT_SECONDS
    with suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)


class _Sampler:
    """Adds up again and again what the processes of a command have in memory."""

    def __init__(self, pid: int, engine: Engine, known: list[int]) -> None:
        self._peak, self._pid = 0, pid
        self._engine, self._known = engine, {*known, os.getpid()}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._done.wait(0.004):
            everything = {*tree(os.getpid()), *self._engine.processes()} - self._known
            self._peak = max(self._peak, sum(map(own_bytes, everything)))

    def stop(self) -> int:
        """Return the most that was seen, in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak


def machine(versions: Mapping[str, Any]) -> list[str]:
    """Return lines about the machine and its programs, in Markdown."""
    model = "unknown processor"
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(x for x in lines if x.startswith("model name")).partition(":")[2].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = os.uname().release
    about = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        f"- Machine: {os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {kernel}",
        f"- Versions: {about}",
    ]
