"""A Dask scheduler and workers, each a process of its own, that tests may kill, freeze and starve."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# The program of a scheduler or worker; what `first` has is executed in it before anything else.
PROGRAM = """
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it dies with who started it, however that ends
if os.getppid() != {parent}:
    sys.exit()
{first}
from distributed.cli.dask_{kind} import main
main({arguments!r})
"""


class Cluster:
    """A scheduler and workers, in a directory.

    They end with the thread that starts them, at the latest.

    Args:
        directory: where they run, and write what they tell to the file `output`.
        authority: a `real_registry.Authority`, whose certificates they have and want: all speak TLS.
    """

    def __init__(self, directory, authority=None):
        self.directory = directory
        self.output = Path(directory, "output")
        self.security = None
        if authority is not None:
            from distributed import Security

            files = {
                f"tls_{role}_{what}": str(authority.directory / f"server.{ending}")
                for role in ("scheduler", "worker", "client")
                for what, ending in (("cert", "cert"), ("key", "key"))
            }
            files["tls_ca_file"] = str(authority.certificate)
            self.security = Security(require_encryption=True, **files)
        self.processes = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        kind = "tcp" if authority is None else "tls"
        self.address = f"{kind}://127.0.0.1:{self.port}"
        self._common = ["--no-dashboard", "--protocol", kind]
        if self.security is not None:
            options = {"ca-file": "ca_file", "cert": "worker_cert", "key": "worker_key"}
            for option, name in options.items():
                self._common += [f"--tls-{option}", getattr(self.security, f"tls_{name}")]
        self.scheduler = self._start(
            "scheduler", ["--host", "127.0.0.1", "--port", str(self.port), *self._common]
        )
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
        arguments = [address or self.address, "--nthreads", str(threads), *self._common]
        arguments += ["--name", name]
        if resources:
            arguments += ["--resources", " ".join(f"{key}={n}" for key, n in resources.items())]
        if memory is None:
            arguments.append("--no-nanny")
        else:
            arguments += ["--memory-limit", memory]
        return self._start("worker", arguments, first)

    def wait_for_workers(self, count):
        """Wait until the scheduler knows them."""
        with self.client() as client:
            client.wait_for_workers(count, timeout=60)

    def client(self):
        """Return a client of it."""
        from distributed import Client

        return Client(self.address, set_as_default=False, security=self.security)

    def _start(self, kind, arguments, first=""):
        program = PROGRAM.format(kind=kind, arguments=arguments, first=first, parent=os.getpid())
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", program], cwd=self.directory, process_group=0,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
                stdout=output, stderr=subprocess.STDOUT,
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


def remembered_secrets():
    """Return what a worker's process, which calls it, has of secrets."""
    from prefect.engine.executors.dask import secret_values
    from prefect.secrets import masking

    return len(secret_values._of_runs), masking._active, os.environ.get("TOKEN")
