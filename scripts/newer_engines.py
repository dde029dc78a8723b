"""Run a command against newer engines than this Debian's, one after the other.

    python3 scripts/newer_engines.py trixie .venv/bin/pytest tests/oci/daemon/test_loading.py -k services

The engines of a newer Debian (trixie: Docker 26.1 and podman 5.4; forky: 28.5 and 5.8) are put into a
directory of its own, which takes two minutes and 800 MB. Each is started beside any other, in its
own process and mount namespaces: Docker with containerd's image store, Docker with the classic one,
and podman, which speaks Docker's language. DOCKER_HOST tells the command where; the tests of podman
itself go to PREFECT_TEST_PODMAN. Registry and base image are those of the services, which have to
be up. Nothing of it remains; the exit status is the worst one.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import services

PACKAGES = (
    "docker.io,containerd,runc,ca-certificates,iptables,podman,netavark,aardvark-dns,nftables"
)
KINDS = ("containerd", "classic", "podman")
BRIDGE, ADDRESS = "pf-newer", "10.213.77.1/24"
# An engine finds its programs in a root of its own.
ROOT = """set -e
mount --bind "$0/root" "$0/root"
mount --rbind /dev "$0/root/dev"
mount --rbind /sys "$0/root/sys"
mount -t proc proc "$0/root/proc"
mount -t tmpfs none "$0/root/run"
mkdir -p "$0/root/run/work" "$0/root/old" "$0/$1"
mount --bind "$0" "$0/root/run/work"
mount --bind "$0/$1" "$0/root/$3"
cp /etc/resolv.conf "$0/root/etc/resolv.conf"
cd "$0/root"
pivot_root . old
umount -l /old
"""
# Beware of --bridge=none, as services.py does.
DOCKER = """exec dockerd --config-file="/run/work/$1.json" --host="unix:///run/work/$1.sock" \\
    --bridge="$2" --cgroup-parent="/$2" --exec-opt=native.cgroupdriver=cgroupfs --iptables=false \\
    --ip6tables=false --ip-masq=false --ip-forward=false --ip=127.0.0.1 --log-level=warn"""
PODMAN = """export CONTAINERS_REGISTRIES_CONF=/run/work/registries.conf
export CONTAINERS_CONF=/run/work/containers.conf
exec podman --runtime=runc --cgroup-manager=cgroupfs --events-backend=file \\
    system service --time=0 "unix:///run/work/$1.sock\""""


def make_root(work: Path, suite: str) -> None:
    """Install the engines of another Debian into a directory, from this machine's own sources."""
    services.require("mmdebstrap")
    code_name = platform.freedesktop_os_release()["VERSION_CODENAME"]
    sources = [line.replace(code_name, suite) for line in services.apt_sources()]
    settings = services.run("apt-config", "dump").splitlines()
    wanted = ("Acquire::http", "Acquire::Check", "Acquire::Force", "Acquire::Retries")
    (work / "apt.conf").write_text("\n".join(s for s in settings if s.startswith(wanted)) + "\n")
    options = ["--variant=minbase", f"--include={PACKAGES}", f"--aptopt={work}/apt.conf"]
    (work / "root").mkdir()
    services.run(*services.UNSHARE[:-2], "mmdebstrap", *options, suite, f"{work}/root", *sources)
    for storage in ("docker", "containers"):
        (work / "root/var/lib" / storage).mkdir(parents=True, exist_ok=True)


def try_engine(work: Path, kind: str, command: list[str]) -> int:
    """Start an engine, run the command, and end the engine."""
    address = f"unix://{work}/{kind}.sock"
    podman = kind == "podman"
    program, storage = (PODMAN, "containers") if podman else (DOCKER, "docker")
    features = {"containerd-snapshotter": kind == "containerd"}
    (work / f"{kind}.json").write_text(json.dumps({"features": features}))
    registry = os.environ.get("PREFECT_TEST_REGISTRY", "")
    (work / "registries.conf").write_text(
        f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n' if registry else ""
    )
    # Its own default is the most that a kernel has, which root in a container may not set.
    limits = '[containers]\ndefault_ulimits = ["nofile=256:256", "nproc=256:256"]\n'
    (work / "containers.conf").write_text(limits)
    with (work / f"{kind}.log").open("wb") as log:
        start = [*services.UNSHARE, ROOT + program, str(work), kind, BRIDGE, f"var/lib/{storage}"]
        engine = subprocess.Popen(start, stdout=log, stderr=log, env=services.ENVIRON)
    try:
        if not services.wait(lambda: services.answers(address, "/_ping"), 60):
            sys.exit((work / f"{kind}.log").read_text())
        version = json.loads(services.call(address, "/version"))["Version"]
        services.say(f"{kind}, {version}: {shlex.join(command)}")
        there = {"DOCKER_HOST": address} | ({"PREFECT_TEST_PODMAN": address} if podman else {})
        return subprocess.run(command, check=False, env=os.environ | there).returncode
    finally:
        engine.kill()  # and with it all that is in its namespaces
        engine.wait()


def main() -> None:
    """Install the engines, and run the command with each."""
    if len(sys.argv) < 3:  # noqa: PLR2004
        sys.exit(__doc__)
    suite, *command = sys.argv[1:]
    work = Path(tempfile.mkdtemp(prefix="prefect-engine-"))
    services.run("ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        services.run("ip", "address", "add", ADDRESS, "dev", BRIDGE)
        services.run("ip", "link", "set", BRIDGE, "up")
        services.say("engines: installing with mmdebstrap (about two minutes)...")
        make_root(work, suite)
        sys.exit(max(try_engine(work, kind, command) for kind in KINDS))
    finally:
        for group in sorted(Path("/sys/fs/cgroup").glob(f"**/{BRIDGE}/**/"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
        services.run("ip", "link", "delete", BRIDGE)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
