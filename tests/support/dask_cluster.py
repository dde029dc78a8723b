"""Clusters of Dask whose scheduler and workers are processes of their own, to be killed and frozen."""

import socket
import subprocess
import sys
import time

WORKER = """
import sys, time
{first}
from distributed.cli.dask_worker import main
main(["{address}", "--nthreads", "{threads}", "--no-nanny", "--no-dashboard", "--name", "{name}"])
"""


class Cluster:
    """A scheduler and workers, each a process, in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start(
            "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
        )
        while self.scheduler.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)

    def worker(self, first="", name="one", threads=1):
        """Start a worker; what `first` has is executed in it before anything else."""
        source = WORKER.format(first=first, address=self.address, name=name, threads=threads)
        return self._start("-c", source)

    def wait_for_workers(self, count):
        """Wait until the scheduler knows them."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def _start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=self.directory,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def end(self):
        """End what is left of it."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
