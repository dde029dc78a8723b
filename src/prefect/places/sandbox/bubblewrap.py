"""A run as bubblewrap's options, which it reads from memory: nobody sees them among the processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prefect.places.sandbox import entering
from prefect.secrets.handover import as_file
from prefect.secrets.secret import DEFAULT_DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.places.sandbox.spec import Spec

_MOST_ENTRIES = 200  # mounts, each of which takes a moment


class Options:
    """Descriptors and arguments for a run of bubblewrap; closed once that has begun.

    Args:
        root: where the image's files are.
        writable: whether what the run writes there is nobody else's.
        loose: directories in which it writes all the same, into memory; what they have stays as it is.
        status: the descriptor to which bubblewrap writes how it goes.
    """

    def __init__(
        self, spec: Spec, root: Path, status: int, *, writable: bool, loose: tuple[str, ...] = ()
    ) -> None:
        self.descriptors = [status]
        words = entering.namespaces(spec.user.uid, spec.user.gid, network=spec.network)
        words += ["--bind" if writable else "--ro-bind", str(root), "/", *entering.VIRTUAL]
        for path in loose:
            words += _loosened(root / path.lstrip("/"), path)
        for mount in spec.mounts:
            words += ["--bind" if mount.writable else "--ro-bind", mount.source, mount.target]
        if spec.secrets:
            words += ["--tmpfs", DEFAULT_DIRECTORY]
        for name, value in spec.secrets.items():
            content = self._memory(as_file(os.fsencode(value)))
            words += ["--file", str(content), f"{DEFAULT_DIRECTORY}/{name}"]
        for name in entering.ENVIRONMENT.keys() - spec.env.keys():
            words += ["--unsetenv", name]  # what cleared all of it came with bubblewrap 0.5
        for name, value in spec.env.items():
            words += ["--setenv", name, value]
        if writable:
            words += ["--dir", spec.workdir]
        words += ["--chdir", spec.workdir, "--json-status-fd", str(status)]
        listed = self._memory(b"".join(os.fsencode(word) + b"\0" for word in words))
        self.arguments = ["--args", str(listed), "--", *spec.command]

    def close(self) -> None:
        """Let go of the descriptors, the secrets' among them, but for the one for the status."""
        for number in self.descriptors[1:]:
            os.close(number)
        del self.descriptors[1:]

    def _memory(self, data: bytes) -> int:
        number = os.memfd_create("prefect", os.MFD_CLOEXEC)
        self.descriptors.append(number)
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.lseek(number, 0, os.SEEK_SET)
        return number


def _loosened(directory: Path, target: str) -> list[str]:
    """Return options for a directory in memory, with what another one has."""
    words = ["--tmpfs", target]
    entries = sorted(directory.iterdir())
    if len(entries) > _MOST_ENTRIES:
        return []
    for entry in entries:
        if entry.is_symlink():
            words += ["--symlink", str(entry.readlink()), f"{target}/{entry.name}"]
        else:
            words += ["--ro-bind", str(entry), f"{target}/{entry.name}"]
    return words
