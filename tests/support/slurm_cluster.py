"""A Slurm of one node, of Debian's packages, for as long as a test needs it: controller, node and munge."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Jobs are neither counted nor kept in cgroups: a container that runs the tests has none to give.
CONFIG = """\
ClusterName=prefect
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthInfo=socket={directory}/munge.sock
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 Gres= State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP
"""
# Releases from 23.02 on have "disabled" for this; those before have no cgroup where nothing is mounted.
CGROUPS = "CgroupPlugin=cgroup/v1\nCgroupMountpoint={directory}/none\n"


class Slurm:
    """Its daemons, which end with the process that made it, and its commands."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("state", "spool", "munge"):
            (directory / name).mkdir(mode=0o700)
        values = {
            "directory": directory, "host": socket.gethostname().partition(".")[0],
            "user": getpass.getuser(), "controller": _free_port(), "node": _free_port(),
        }  # fmt: skip
        (directory / "slurm.conf").write_text(CONFIG.format(**values))
        (directory / "cgroup.conf").write_text(CGROUPS.format(**values))
        self.environment = os.environ | {
            "PATH": f"{PATH}:{os.environ['PATH']}", "SLURM_CONF": f"{directory}/slurm.conf",
        }  # fmt: skip
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start everything, and wait until the node takes jobs."""
        munge = self.directory / "munge"
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o600)
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={munge}/key",
            f"--socket={self.directory}/munge.sock", f"--pid-file={munge}/pid",
            f"--log-file={munge}/log", f"--seed-file={munge}/seed",
        )  # fmt: skip
        self._until((self.directory / "munge.sock").exists, "munged")
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D")
        self._until(lambda: self.run("sinfo", "-h", "-o", "%t").strip() == "idle", "the node")

    def run(self, *command: str) -> str:
        """Run one of its commands, and return what it prints."""
        done = subprocess.run(
            command, env=self.environment, check=False, capture_output=True, text=True, timeout=30
        )
        return done.stdout

    def jobs(self) -> list[str]:
        """Return the numbers of the jobs that wait or run."""
        return self.run("squeue", "-h", "-o", "%i").split()

    def stop(self) -> None:
        """End everything, and the jobs first."""
        for job in self.jobs():
            self.run("scancel", "--signal=KILL", "--full", job)
        with contextlib.suppress(AssertionError):
            self._until(lambda: not self.jobs(), "a job")
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait(timeout=30)

    def _daemon(self, program: str, *arguments: str) -> None:
        found = shutil.which(program, path=PATH)
        assert found is not None, f"{program} is missing: run `make services`"
        with (self.directory / f"{program}.log").open("wb") as log:
            self._daemons.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig=KILL", found, *arguments],
                    env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip

    def _until(self, ready, what: str) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            logs = {log.stem: log.read_text()[-2000:] for log in self.directory.glob("*.log")}
            assert time.monotonic() < deadline, f"{what} of Slurm is not ready: {logs}"
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def slurm():
    """Have a Slurm, whose commands are found on this process's PATH meanwhile."""
    with tempfile.TemporaryDirectory(prefix="prefect-slurm-") as directory:
        # Its user may be another than the one of a temporary directory's parent.
        made = Slurm(Path(directory))
        before = {name: os.environ.get(name) for name in ("PATH", "SLURM_CONF")}
        try:
            made.start()
            os.environ.update({name: made.environment[name] for name in before})
            yield made
        finally:
            made.stop()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


if __name__ == "__main__":  # to look at it by hand
    with slurm() as cluster:
        print(f"SLURM_CONF={cluster.directory}/slurm.conf")
        sys.stdin.read()
