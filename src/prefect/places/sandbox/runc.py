"""A run as what runc makes, where there is no bubblewrap: as root, whose files and groups it needs.

All that runc reads and keeps, the secrets among it, is in memory, in the namespace of mounts in which it is
started: nothing of it is on the disk, or stays behind.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.errors import PlaceError
from prefect.places.sandbox import entering
from prefect.places.sandbox.entering import Launch
from prefect.places.sandbox.limits import group_name, remove_group
from prefect.secrets.handover import as_file
from prefect.secrets.secret import DEFAULT_DIRECTORY

if TYPE_CHECKING:
    from prefect.places.sandbox.entering import Layers
    from prefect.places.sandbox.spec import Spec
    from prefect.places.surroundings import Surroundings

_PERIOD = 100_000  # microseconds
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
)  # fmt: skip
_READ_ONLY = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/pressure",
    "/proc/sys",
    "/proc/sysrq-trigger",
)


def launch(program: str, spec: Spec, asked: Surroundings, layers: Layers) -> Launch:
    """Return the command that runs something by runc, on an overlay, which it may write.

    Raises:
        PlaceError: the image has too many layers for an overlay.
    """
    name = group_name()
    work = str(layers.mount_point)
    made = Launch()
    made.ended = lambda: _remove_groups(name)
    files = {"bundle/config.json": json.dumps(_config(spec, asked, work, name)).encode()}
    files |= {f"secrets/{key}": as_file(os.fsencode(text)) for key, text in spec.secrets.items()}
    lines = ['mkdir "$1"/bundle "$1"/secrets "$1"/state']
    for path, content in files.items():
        source = f"/proc/self/fd/{made.memory(content)}"
        lines.append(f'(umask 077; cat {source} >"$1"/{shlex.quote(path)})')
    lines.append(f'chown -R {spec.user.uid}:{spec.user.gid} "$1"/secrets')
    run = [program, "--root", f"{work}/state", "run", "--bundle", f"{work}/bundle", name]
    more = "".join(f"{line}\n" for line in lines)
    command = entering.overlay(layers, run, more=more)
    if command is None:
        made.begun()
        raise PlaceError("The image has too many layers for an overlay, and runc needs one here")
    made.command = command
    return made


def _config(spec: Spec, asked: Surroundings, work: str, name: str) -> dict[str, Any]:
    """Return the config.json of the OCI runtime specification 1.0."""
    flags = ["nosuid", "nodev"]
    mounts = [
        _mount("/proc", "proc", ["nosuid", "noexec", "nodev"]),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=64k"]),
        _mount(
            "/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
        ),
        _mount("/dev/shm", "tmpfs", [*flags, "mode=1777"]),  # noqa: S108
        _mount("/tmp", "tmpfs", [*flags, "mode=1777"]),  # noqa: S108
        _mount("/run", "tmpfs", [*flags, "mode=1777"]),
    ]
    if spec.secrets:
        binding = ["bind", "rw", *flags, "noexec"]
        mounts.append(_mount(DEFAULT_DIRECTORY, "bind", binding, f"{work}/secrets"))
    for each in spec.mounts:
        options = ["rbind", *flags, "rw" if each.writable else "ro"]
        mounts.append(_mount(each.target, "bind", options, each.source))
    resources: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if asked.memory is not None:
        resources["memory"] = {"limit": asked.memory, "swap": asked.memory}
    if asked.cpus is not None:
        resources["cpu"] = {"quota": max(int(asked.cpus * _PERIOD), 1000), "period": _PERIOD}
    kinds = ["pid", "ipc", "uts", "mount", *([] if spec.network else ["network"])]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": spec.user.uid, "gid": spec.user.gid},
            "args": list(spec.command),
            "env": [f"{key}={value}" for key, value in spec.env.items()],
            "cwd": spec.workdir,
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": f"{work}/root", "readonly": False},
        "hostname": "sandbox",
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "cgroupsPath": f"/{name}",
            "resources": resources,
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def _mount(target: str, kind: str, options: list[str], source: str = "") -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source or kind, "options": options}


def _remove_groups(name: str) -> None:
    groups = Path("/sys/fs/cgroup")
    for group in (groups / name, *(above / name for above in groups.iterdir())):
        remove_group(group)
