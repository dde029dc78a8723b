"""What this machine has for sandboxes: found out by trying it, and told with what can be done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.frozen import frozen
from prefect.oci.cache import directories
from prefect.oci.cache.facts import recall
from prefect.oci.cache.layout import DIRECTORIES, MOUNT
from prefect.places.sandbox import entering

if TYPE_CHECKING:
    from prefect.oci.cache.store import Store

_SECONDS = 20.0  # for the kernel to answer
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL = (
    "install bubblewrap: apt-get install bubblewrap, dnf install bubblewrap, apk add bubblewrap"
)


@frozen
class Host:
    """What sandboxes are made with here.

    Args:
        bwrap: bubblewrap's program; None where it is runc that is to be used.
        overlay: whether overlays can be mounted, in a namespace of one's own.
        runc: its program.
        tied: whether bubblewrap can be entered by `entering.tied`.
    """

    bwrap: str | None
    overlay: bool
    runc: str | None = None
    tied: bool = True


def find_host(store: Store) -> Host:
    """Find out what there is; that it works is remembered until the machine starts anew.

    Raises:
        PlaceError: no sandbox can be made here; the message says why, and what helps.
    """
    if sys.platform != "linux":
        raise PlaceError(
            "A sandbox needs Linux. Run the image in a container engine's virtual machine, without "
            "--in sandbox"
        )
    bwrap = program("bwrap")
    if bwrap is None:
        runc = program("runc")
        if runc is None:
            raise PlaceError(f"There is no bwrap here, which makes sandboxes: {INSTALL}")
        if os.geteuid() != 0:
            raise PlaceError(
                f"There is no bwrap here, and runc makes sandboxes for root alone: {INSTALL}"
            )
        return Host(None, overlay=True, runc=runc)
    if (known := _known(bwrap, store.root)) is not None:
        return known
    host = _tried(bwrap, store)
    store.remember(_key(bwrap), [host.overlay, host.tied])
    return host


def known_host(root: Path) -> Host | None:
    """Return what is remembered in the directory of a store; None where nothing is."""
    bwrap = program("bwrap")
    return None if bwrap is None else _known(bwrap, root)


def _known(bwrap: str, root: Path) -> Host | None:
    match recall(root, _key(bwrap)):
        case [bool(overlay), bool(tied)]:
            return Host(bwrap, overlay, tied=tied)
    return None


def _key(bwrap: str) -> str:
    status = Path(bwrap).stat()
    identity = [os.geteuid(), bwrap, status.st_mtime_ns, status.st_size]
    return f"sandboxes {directories.boot()} {identity} {entering.FORM}"


def program(name: str) -> str | None:
    """Return the path of a program: of PATH, or of where systems have it."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM)


def _tried(bwrap: str, store: Store) -> Host:
    inner = [
        bwrap,
        *entering.namespaces(),
        "--ro-bind",
        "/",
        "/",
        *entering.virtual(),
        "--",
        "true",
    ]
    lower = []
    for name in ("no-files", "none-either"):  # an overlay refuses to have one directory twice
        (store.scratch() / name).mkdir(exist_ok=True)
        lower.append(os.path.relpath(store.scratch() / name, store.root / DIRECTORIES))
    overlay = entering.overlay(entering.Layers(store.root / MOUNT, lower), inner)
    if overlay is not None and not _failure(overlay, store.root / DIRECTORIES):
        return Host(bwrap, overlay=True)
    tied = entering.tied(inner)
    if tied is not None and not _failure(tied, store.root / DIRECTORIES):
        return Host(bwrap, overlay=False)
    if failure := _failure(inner, store.root / DIRECTORIES):
        raise PlaceError(f"No sandbox can be made here: {_why(failure)}")
    return Host(bwrap, overlay=False, tied=False)


def _failure(command: list[str], directory: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=directory, env=entering.ENVIRONMENT, stdin=subprocess.DEVNULL, check=False,
            capture_output=True, timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    text = (done.stderr + done.stdout).decode(errors="replace").strip()
    return text[-500:] or f"it ended with status {done.returncode}"


def _why(failure: str) -> str:
    """Return what keeps namespaces from being made, with what helps."""
    if _read("/proc/sys/user/max_user_namespaces") == "0":
        return (
            "user namespaces are turned off. As root: sysctl user.max_user_namespaces=10000, and the "
            "same line in /etc/sysctl.d/ for good"
        )
    if os.geteuid() != 0:
        if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
            return (
                "user namespaces are root's alone. As root: sysctl "
                "kernel.unprivileged_userns_clone=1; or run this as root"
            )
        if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
            return (
                "AppArmor restricts user namespaces to programs with a profile. As root: sysctl "
                "kernel.apparmor_restrict_unprivileged_userns=0; or load a profile for bwrap; or run "
                f"this as root. bwrap says: {failure}"
            )
    return (
        f"{failure}. Within a container, that needs its engine's leave: docker run --security-opt "
        "seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined; "
        "or run the image in a container engine, without --in sandbox"
    )


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""
