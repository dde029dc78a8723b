"""What a container gets of the container engine's machine, as the engine's API has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from prefect.frozen import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.errors import ContainerEngineError

_NANO = 10**9
_ALL = -1
# What container engines say, and what to do.
_FIXES = {
    r"bind source path does not exist": "Make it first: paths of volumes are those of the container "
    "engine's machine",
    r"could not select device driver|nvidia|\bcdi\b": "Its machine has no GPUs to give: install the "
    "NVIDIA Container Toolkit there, or leave out --gpus",
    r"unable to find (user|group)|no matching entries in (passwd|group)": "Name a user that the image "
    "has, or a number, such as --user 1000:1000",
    r"network \S+ not found|unable to find network": "`docker network ls` lists the networks",
    r"duplicate mount": "Two volumes, or a volume and what prefect mounts, have one target: choose "
    "another one",
}


@frozen
class Mount:
    """A path of the container engine's machine, or the name of a volume, and where it is seen.

    Args:
        label: "z" or "Z", by which the engine labels it for containers where there is SELinux.
    """

    source: str
    target: str
    writable: bool = True
    label: str = ""

    def bind(self) -> str:
        """Return it in the only form in which the API has labels."""
        return f"{self.source}:{self.target}:{'rw' if self.writable else 'ro'},{self.label}"

    def document(self) -> dict[str, Any]:
        """Return it as the API has it."""
        # Not as "Binds", for which engines make a missing directory, silently and as root.
        kind = "bind" if self.source.startswith("/") else "volume"
        return {
            "Type": kind,
            "Source": self.source,
            "Target": self.target,
            "ReadOnly": not self.writable,
        }


@frozen
class Settings:
    """How a container is to run.

    Args:
        tty: whether it gets a terminal.
        tmpfs: options of file systems in memory, by where they are seen.
        mounts: what it sees of the engine's machine.
        env: variables, which outrank those of docker's configuration for proxies.
        memory: bytes at most.
        cpus: processors at most, such as 1.5.
        gpus: "all", a number, or "device=0,1".
        user: a name or a number, with ":GROUP" or without; None is the image's own.
        network: None is the engine's default.
        workdir: an absolute path; None is the image's own.
        directories: made in it, where every user may write.
    """

    tty: bool = False
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    memory: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    user: str | None = None
    network: str | None = None
    workdir: str | None = None
    directories: tuple[str, ...] = ()

    def document(self, proxies: Mapping[str, str]) -> dict[str, Any]:
        """Return the settings as the API has them, without the image and the command.

        Raises:
            ValueError: `gpus` is none of its forms.
        """
        host: dict[str, Any] = {
            "Tmpfs": dict(self.tmpfs),
            "Mounts": [mount.document() for mount in self.mounts if not mount.label],
            "Binds": [mount.bind() for mount in self.mounts if mount.label],
            "NetworkMode": self.network,
            "Memory": self.memory,
            "NanoCpus": None if self.cpus is None else round(self.cpus * _NANO),
            "DeviceRequests": None if self.gpus is None else [device_request(self.gpus)],
        }
        variables = {**proxies, **dict(self.env)}
        settings: dict[str, Any] = {
            "Tty": self.tty,
            "User": self.user,
            "WorkingDir": self.workdir,
            "HostConfig": {name: value for name, value in host.items() if value},
            "Env": [f"{name}={value}" for name, value in variables.items()],
        }
        return {name: value for name, value in settings.items() if value is not None}


DEFAULT = Settings()
"""Those of the image and the engine."""


def device_request(gpus: str) -> dict[str, Any]:
    """Return what `docker run --gpus` asks an engine for.

    Raises:
        ValueError: it is neither "all", nor a number, nor "device=" with what to name them by.
    """
    request: dict[str, Any] = {"Driver": "", "Capabilities": [["gpu"]]}
    text = gpus.strip("\"'")  # which docker wants around a comma
    if text == "all":
        return request | {"Count": _ALL}
    if re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        return request | {"Count": int(text)}
    if devices := re.fullmatch(r"device=([\w:.-]+(?:,[\w:.-]+)*)", text, re.ASCII):
        return request | {"DeviceIDs": devices[1].split(",")}
    raise ValueError(f"{gpus!r} names no GPUs: write all, a number, or device=0,1")


def with_fix(error: ContainerEngineError) -> ContainerEngineError:
    """Return what a container engine says of a container that it does not start, and what to do."""
    said = str(error)
    for pattern, fix in _FIXES.items():
        if re.search(pattern, said, re.IGNORECASE):
            return type(error)(f"{said}. {fix}")
    return error
