"""Run a command against a newer Docker Engine than Debian 12's, once for each kind of its storage.

    python3 scripts/containerd_engine.py .venv/bin/pytest tests/oci/test_loading.py -k services

Debian 13's engine (26.1) is put into a directory of its own, which takes two minutes and 600 MB, and
is started beside any other, in its own process and mount namespaces: with containerd's image store
first, then with the classic one. DOCKER_HOST tells the command where. Registry and base image are
those of the services, which have to be up. Nothing of it remains; the exit status is the worst one.
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

SUITE = "trixie"
PACKAGES = "docker.io,containerd,runc,ca-certificates,iptables"
BRIDGE, ADDRESS = "pf-containerd", "10.213.77.1/24"
# The engine finds its programs in a root of its own. Beware of --bridge=none, as services.py does.
ENGINE = """set -e
mount --bind "$0/root" "$0/root"
mount --rbind /dev "$0/root/dev"
mount --rbind /sys "$0/root/sys"
mount -t proc proc "$0/root/proc"
mount -t tmpfs none "$0/root/run"
mkdir -p "$0/root/run/work" "$0/root/old" "$0/$1"
mount --bind "$0" "$0/root/run/work"
mount --bind "$0/$1" "$0/root/var/lib/docker"
cp /etc/resolv.conf "$0/root/etc/resolv.conf"
cd "$0/root"
pivot_root . old
umount -l /old
exec dockerd --config-file="/run/work/$1.json" --host="unix:///run/work/$1.sock" \\
    --bridge="$2" --cgroup-parent="/$2" --exec-opt=native.cgroupdriver=cgroupfs --iptables=false \\
    --ip6tables=false --ip-masq=false --ip-forward=false --ip=127.0.0.1 --log-level=warn"""


def make_root(work: Path) -> None:
    """Install the engine of another Debian into a directory, from this machine's own sources."""
    services.require("mmdebstrap")
    code_name = platform.freedesktop_os_release()["VERSION_CODENAME"]
    sources = [line.replace(code_name, SUITE) for line in services.apt_sources()]
    settings = services.run("apt-config", "dump").splitlines()
    wanted = ("Acquire::http", "Acquire::Check", "Acquire::Force", "Acquire::Retries")
    (work / "apt.conf").write_text("\n".join(s for s in settings if s.startswith(wanted)) + "\n")
    options = ["--variant=minbase", f"--include={PACKAGES}", f"--aptopt={work}/apt.conf"]
    (work / "root").mkdir()
    services.run(*services.UNSHARE[:-2], "mmdebstrap", *options, SUITE, f"{work}/root", *sources)
    (work / "root/var/lib/docker").mkdir(parents=True, exist_ok=True)


def try_storage(work: Path, kind: str, command: list[str]) -> int:
    """Start the engine with one kind of storage, run the command, and end the engine."""
    features = {"containerd-snapshotter": kind == "containerd"}
    (work / f"{kind}.json").write_text(json.dumps({"features": features}))
    address = f"unix://{work}/{kind}.sock"
    with (work / f"{kind}.log").open("wb") as log:
        start = [*services.UNSHARE, ENGINE, str(work), kind, BRIDGE]
        engine = subprocess.Popen(start, stdout=log, stderr=log, env=services.ENVIRON)
    try:
        if not services.wait(lambda: services.answers(address, "/_ping"), 60):
            sys.exit((work / f"{kind}.log").read_text())
        version = json.loads(services.call(address, "/version"))["Version"]
        services.say(f"Docker Engine {version}, {kind} store: {shlex.join(command)}")
        return subprocess.run(
            command, check=False, env=os.environ | {"DOCKER_HOST": address}
        ).returncode
    finally:
        engine.kill()  # and with it all that is in its namespaces
        engine.wait()


def main() -> None:
    """Make the engine, and run the command with each kind of its storage."""
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    work = Path(tempfile.mkdtemp(prefix="prefect-engine-"))
    services.run("ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        services.run("ip", "address", "add", ADDRESS, "dev", BRIDGE)
        services.run("ip", "link", "set", BRIDGE, "up")
        services.say("engine: installing with mmdebstrap (about two minutes)...")
        make_root(work)
        sys.exit(max(try_storage(work, kind, sys.argv[1:]) for kind in ("containerd", "classic")))
    finally:
        for group in sorted(Path("/sys/fs/cgroup").glob(f"**/{BRIDGE}/**/"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
        services.run("ip", "link", "delete", BRIDGE)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
