"""The commands that enter a sandbox: an overlay's mount in a namespace of its own, then bubblewrap."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

from prefect.oci.cache.layout import MOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORM = 1  # counts up when what is tried of the host changes
# What programs of the host get: nothing of this process's, and nothing of the image's, which could
# name libraries for them to load.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "LIBMOUNT_FORCE_MOUNT2": "always",  # the other call takes 256 bytes of an option
}
# In the order of mounting.
VIRTUAL = ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run")  # noqa: S108
# As seen from where the unpacked layers are: what a run sees of the mount tells nobody's name.
MOUNT_POINT = f"../{MOUNT}"
_PAGE = 4000  # bytes of options that mount(2) takes, and some to spare
_MOST_MODES = 100
# In the namespace of this very process: nobody else sees the mounts, and they go with it.
_MOUNT = """set -e
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
{modes}mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work,userxattr" overlay "$1/root"
shift 2
exec "$@"
"""


def namespaces(uid: int = 0, gid: int = 0, *, network: bool = False) -> list[str]:
    """Return what of bubblewrap's options sets the run apart from the machine.

    Args:
        network: whether it has the machine's network.
    """
    return [
        "--unshare-user", "--uid", str(uid), "--gid", str(gid), "--unshare-ipc", "--unshare-pid",
        "--unshare-uts", "--unshare-cgroup-try", *([] if network else ["--unshare-net"]),
        "--hostname", "sandbox", "--die-with-parent", "--new-session", "--as-pid-1",
        "--cap-drop", "ALL",
    ]  # fmt: skip


def overlay(
    mount_point: str, lower: Sequence[str], modes: Mapping[str, int], command: Sequence[str]
) -> list[str] | None:
    """Return the command that mounts an overlay and goes on with another one; None if it is too much.

    The overlay is in `root` of the mount point; what is written to it is in memory, and goes with it.

    Args:
        mount_point: an empty directory, as seen from the working directory: the run sees the text.
        lower: the layers' directories from the base up, as seen from there.
        modes: permissions of directories that the upper layers have wrong.
        command: what goes on.
    """
    unshare = shutil.which("unshare", path=ENVIRONMENT["PATH"])
    lowest = ":".join(reversed(lower))
    if unshare is None or len(lowest) + 3 * len(mount_point) > _PAGE or len(modes) > _MOST_MODES:
        return None
    lines = "".join(
        f'mkdir -p "$1"/upper/{shlex.quote(path)}\nchmod {mode:o} "$1"/upper/{shlex.quote(path)}\n'
        for path, mode in sorted(modes.items())
    )
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = _MOUNT.format(modes=lines)
    return [unshare, "--mount", *user, "sh", "-c", script, "sh", mount_point, lowest, *command]


def merged(root: Path) -> Path:
    """Return where `overlay` has the files, of a store with this root."""
    return root / MOUNT / "root"
