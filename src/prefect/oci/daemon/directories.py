"""Directories of a container whose engine sees none of this machine: made there, and copied from there."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.oci.daemon.transport import CHUNK, in_path

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.oci.daemon.client import Daemon

_FOR_ANYBODY = 0o777
_OWN = 0o600
_PERMISSIONS = 0o777


def make_directory(daemon: Daemon, container: str, path: str) -> None:
    """Make a directory in a container, which every user of it may write.

    Raises:
        ContainerEngineError: the container engine does not make it.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(path.strip("/"))
        info.type, info.mode = tarfile.DIRTYPE, _FOR_ANYBODY
        tar.addfile(info)
    with daemon.http.request(
        "PUT", f"/containers/{in_path(container)}/archive", f"make {path} in {container[:12]}",
        query={"path": "/"}, body=[buffer.getvalue()],
        headers={"Content-Type": "application/x-tar"}, timeout=None,
    ):  # fmt: skip
        pass


def copy_directory(daemon: Daemon, container: str, path: str, target: Path) -> list[str]:
    """Copy what is in a directory of a container into one of this machine; return what stays behind.

    The container's content is anybody's: nothing is written outside of the target, nor through a link.
    Files, directories and links are copied, and are this user's; devices and the like stay behind.

    Raises:
        ContainerEngineError: the directory is not there, or cannot be had whole.
        OSError: something cannot be written.
    """
    behind: list[str] = []
    links: list[tuple[Path, str]] = []
    with daemon.http.request(
        "GET", f"/containers/{in_path(container)}/archive", f"copy {path}", query={"path": path},
        timeout=None,
    ) as answer:  # fmt: skip
        try:
            with tarfile.open(fileobj=answer, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    own = _below(target, member.name)
                    if own == target:
                        continue
                    if own is None:
                        behind.append(member.name)
                    elif member.issym():
                        links.append((own, member.linkname))
                    elif not _write(tar, member, own, target):
                        behind.append(member.name)
        except tarfile.TarError as error:
            raise answer.nonsense(f"its archive is malformed: {error}") from error
        answer.read_all(CHUNK)  # what fills the archive up
    for own, leads_to in links:  # last, so that nothing is written through one
        with suppress(FileNotFoundError):
            own.unlink()
        own.symlink_to(leads_to)
    return behind


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, own: Path, target: Path) -> bool:
    """Write a member; tell whether it is of a kind that can be, and in a directory that there is."""
    if not own.parent.is_dir():
        return False
    if member.isdir():
        own.mkdir(exist_ok=True)
        return True
    content = tar.extractfile(member) if member.isfile() else None
    first = _below(target, member.linkname) if member.islnk() else None
    if content is None and (first is None or not first.is_file()):
        return False
    with suppress(FileNotFoundError):
        own.unlink()  # another name of the old file keeps that
    if first is not None:
        own.hardlink_to(first)
    elif content is not None:
        mode = member.mode & _PERMISSIONS | _OWN
        with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
        os.utime(own, (member.mtime, member.mtime))
    return True


def _below(target: Path, name: str) -> Path | None:
    """Return where a member goes: without the first part of its name; None where that is no place."""
    _, *parts = (part for part in name.split("/") if part not in {"", "."})
    path = target
    for part in parts:
        if part == ".." or (path != target and path.is_symlink()):
            return None
        path = path / part
    return path
