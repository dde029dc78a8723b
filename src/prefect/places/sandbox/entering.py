"""The commands that enter a sandbox: namespaces of its own, an overlay's mount there, then bubblewrap.

What enters it is the first process of a namespace of processes, whose end is that of all in it: bubblewrap alone
cannot be killed without a trace before its child has asked to die with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.frozen import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FORM = 3  # counts up when what is tried of the host changes
# What programs of the host get: nothing of this process's, and nothing of the image's, which could
# name libraries for them to load.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "LIBMOUNT_FORCE_MOUNT2": "always",  # the other call takes 256 bytes of an option
}
_PAGE = 3900  # bytes of options that mount(2) takes, and some to spare
_MOST_MODES = 100
# The first process of a namespace asks, once it dies with unshare, whether that was killed before: the machine's
# /proc tells. Who dies with whom is set by each for itself, and for nobody who is dead already.
_ASK = """set -e
read -r _ _ _ starter _ </proc/self/stat
read -r _ name _ <"/proc/$starter/stat"
[ "$name" = "(unshare)" ]
mount -t proc proc /proc
"""
_ENTER = f"""{_ASK}exec "$@"
"""
# In the namespace of this very process: nobody else sees the mounts, and they go with it.
_MOUNT = """{ask}\
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


@frozen
class Layers:
    """Unpacked layers for an overlay.

    Args:
        mount_point: an empty directory.
        lower: the layers' directories from the base up, as seen from the working directory.
        modes: permissions of directories that the upper layers have wrong.
    """

    mount_point: Path
    lower: Sequence[str]
    modes: Mapping[str, int] = field(default_factory=dict)

    @property
    def merged(self) -> Path:
        """Where the overlay has the files."""
        return self.mount_point / "root"


class Launch:
    """A command that enters a sandbox, and what goes with it.

    Attributes:
        command: with its arguments.
        inherited: descriptors that it inherits, which are closed once it has begun.
        status: the descriptor from which bubblewrap's own words can be read.
        depth: of what signals go to, among what descends from the command's process.
        ended: removes what stays behind, once it has ended.
    """

    def __init__(self) -> None:
        self.command: list[str] = []
        self.inherited: list[int] = []
        self.status: int | None = None
        self.depth = 1
        self.ended: Callable[[], object] = lambda: None

    def begun(self) -> None:
        """Let go of what the command has by now."""
        for number in self.inherited:
            os.close(number)
        self.inherited = []

    def close(self) -> None:
        """Let go of the rest, once the command has ended."""
        if self.status is not None:
            os.close(self.status)
            self.status = None
        self.ended()

    def tell(self) -> int:
        """Return the descriptor to which bubblewrap is to write how it goes."""
        self.status, writing = os.pipe()
        os.set_blocking(self.status, False)
        self.inherited.append(writing)
        return writing

    def memory(self, data: bytes) -> int:
        """Return a descriptor of memory that has some bytes, to be read from its beginning."""
        number = os.memfd_create("prefect", os.MFD_CLOEXEC)
        self.inherited.append(number)
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.lseek(number, 0, os.SEEK_SET)
        return number


def virtual() -> list[str]:
    """Return bubblewrap's options for what is not the image's, in the order of mounting.

    A run of root's has root's number on this machine, and its files in /proc, such as the kernel's settings, ask
    for no capability: they are read-only, whatever they are called.
    """
    words = ["--proc", "/proc"]
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal() or entry.is_symlink():
                continue
            with suppress(OSError):  # gone by now
                if entry.is_dir() or entry.stat().st_mode & 0o222:
                    words += ["--ro-bind-try", entry.path, entry.path]
    return [*words, "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run"]  # noqa: S108


def overlay(layers: Layers, command: Sequence[str], *, more: str = "") -> list[str] | None:
    """Return the command that mounts an overlay and goes on with another one; None if it is too much.

    What is written to it is in memory, and goes with it.

    Args:
        command: what goes on.
        more: lines for the shell that mounts it, whose "$1" is the mount point.
    """
    unshare = _unshare()
    lowest = ":".join(reversed(layers.lower))
    if unshare is None or len(lowest) > _PAGE or len(layers.modes) > _MOST_MODES:
        return None
    lines = "".join(
        f'mkdir -p "$1"/upper/{shlex.quote(path)}\nchmod {mode:o} "$1"/upper/{shlex.quote(path)}\n'
        for path, mode in sorted(layers.modes.items())
    )
    script = _MOUNT.format(ask=_ASK, modes=lines + more)
    return [
        *unshare, "sh", "-c", script, "sh",
        # As seen from where the layers are: what a run sees of the mount tells nobody's name.
        f"../{layers.mount_point.name}", lowest, *command,
    ]  # fmt: skip


def tied(command: Sequence[str]) -> list[str] | None:
    """Return a command of bubblewrap's that ends with whoever starts it, at any moment; None if it cannot."""
    unshare = _unshare()
    return None if unshare is None else [*unshare, "sh", "-c", _ENTER, "sh", *command]


def _unshare() -> list[str] | None:
    program = shutil.which("unshare", path=ENVIRONMENT["PATH"])
    if program is None:
        return None
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [program, "--mount", "--pid", "--fork", "--kill-child", *user]
