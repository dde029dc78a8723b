"""A run as bubblewrap's options, which it reads from memory: nobody sees them among the processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prefect.places.sandbox import entering
from prefect.places.sandbox.entering import Launch
from prefect.secrets.handover import as_file
from prefect.secrets.secret import DEFAULT_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prefect.places.sandbox.entering import Layers
    from prefect.places.sandbox.host import Host
    from prefect.places.sandbox.spec import Spec

_DEPTH = 2  # below unshare and bubblewrap
_MOST_ENTRIES = 200  # mounts, each of which takes a moment


def on_overlay(program: str, spec: Spec, layers: Layers) -> Launch | None:
    """Return the command that runs something on an overlay, which it may write; None if it is too much."""
    launch = Launch()
    arguments = _arguments(
        spec, launch, ["--bind", str(layers.merged), "/"], ["--dir", spec.workdir]
    )
    command = entering.overlay(layers, [program, *arguments])
    if command is None:
        launch.begun()
        launch.close()
        return None
    launch.command, launch.depth = command, _DEPTH
    return launch


def on_links(host: Host, spec: Spec, root: Path, loose: Iterable[str]) -> Launch:
    """Return the command that runs something on a tree of hard links, which it may not write.

    Args:
        loose: directories in which it writes all the same, into memory; what they have stays as it is.
    """
    launch = Launch()
    more = [word for path in loose for word in _loosened(root / path.lstrip("/"), path)]
    arguments = _arguments(spec, launch, ["--ro-bind", str(root), "/"], more)
    _enter(launch, host, arguments)
    return launch


def on_directories(host: Host, spec: Spec, words: list[str], name: str) -> Launch:
    """Return the command that runs something on a root in memory with directories of this machine.

    Args:
        words: bubblewrap's options for these.
        name: of the user, whom nobody else knows there.
    """
    launch = Launch()
    user = spec.user
    files = {
        "passwd": f"{name}:x:{user.uid}:{user.gid}::{user.home}:/bin/sh\n",
        "group": f"{name}:x:{user.gid}:\n",
    }
    more = ["--dir", user.home, "--dir", spec.workdir, "--dir", "/var/tmp"]  # noqa: S108
    for file, text in files.items():
        more += ["--file", str(launch.memory(text.encode())), f"/etc/{file}"]
    _enter(launch, host, _arguments(spec, launch, words, more))
    return launch


def _enter(launch: Launch, host: Host, arguments: list[str]) -> None:
    launch.command = [str(host.bwrap), *arguments]
    if host.tied and (command := entering.tied(launch.command)) is not None:
        launch.command, launch.depth = command, _DEPTH


def _arguments(spec: Spec, launch: Launch, root: list[str], more: list[str]) -> list[str]:
    words = entering.namespaces(spec.user.uid, spec.user.gid, network=spec.network)
    words += [*root, *entering.virtual(), *more]
    for mount in spec.mounts:
        words += ["--bind" if mount.writable else "--ro-bind", mount.source, mount.target]
    if spec.secrets:
        words += ["--tmpfs", DEFAULT_DIRECTORY]
    for name, value in spec.secrets.items():
        content = launch.memory(as_file(os.fsencode(value)))
        words += ["--file", str(content), f"{DEFAULT_DIRECTORY}/{name}"]
    for name in entering.ENVIRONMENT.keys() - spec.env.keys():
        words += ["--unsetenv", name]  # what cleared all of it came with bubblewrap 0.5
    for name, value in spec.env.items():
        words += ["--setenv", name, value]
    words += ["--chdir", spec.workdir, "--json-status-fd", str(launch.tell())]
    listed = launch.memory(b"".join(os.fsencode(word) + b"\0" for word in words))
    return ["--args", str(listed), "--", *spec.command]


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
