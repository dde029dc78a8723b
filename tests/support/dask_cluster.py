"""A Dask scheduler and workers, each a process of its own, that tests may kill, freeze and starve."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# The program of a worker; what `first` has is executed in it before anything else.
WORKER = """
import sys, time
{first}
from distributed.cli.dask_worker import main
main({arguments!r})
"""


class Cluster:
    """A scheduler and workers, in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self._start(
            "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", str(self.port),
            "--no-dashboard",
        )  # fmt: skip
        while self.scheduler.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.1)

    def worker(self, first="", name="one", *, address=None, threads=1, memory=None, resources=None):
        """Start a worker.

        Args:
            first: what is executed in it before anything else.
            name: its name.
            address: of the scheduler, as the worker is to see it.
            threads: how many tasks it does at a time.
            memory: as of `--memory-limit`; a nanny then sees to it.
            resources: amounts by name, of what only some workers have: tasks that need it run there.
        """
        arguments = [address or self.address, "--nthreads", str(threads), "--no-dashboard"]
        arguments += ["--name", name]
        if resources:
            arguments += ["--resources", " ".join(f"{key}={n}" for key, n in resources.items())]
        if memory is None:
            arguments.append("--no-nanny")
        else:
            arguments += ["--memory-limit", memory]
        return self._start("-c", WORKER.format(first=first, arguments=arguments))

    def wait_for_workers(self, count):
        """Wait until the scheduler knows them."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def _start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=self.directory, process_group=0,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def end(self):
        """End what is left of it, and what that has started."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def cluster_of(workers, directory, threads=1):
    """Have a cluster of so many workers."""
    cluster = Cluster(directory)
    try:
        for number in range(workers):
            cluster.worker(name=str(number), threads=threads)
        cluster.wait_for_workers(workers)
        yield cluster
    finally:
        cluster.end()
