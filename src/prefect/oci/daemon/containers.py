"""Containers of a container engine: starting them and reaching into them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import docker.errors
from docker.models.containers import Container

from prefect.errors import ContainerEngineError
from prefect.oci.daemon.client import BROKEN, Daemon, translated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Container", "last_lines", "send", "start", "stop"]

_EXIT_SECONDS = 10


def start(
    daemon: Daemon,
    image: str,
    command: Sequence[str],
    *,
    tty: bool = False,
    tmpfs: Mapping[str, str] | None = None,
    network: str | None = None,
) -> Container:
    """Start a container in the background and return it."""
    with translated(f"start {image}"):
        container = daemon.client.containers.create(
            image, list(command), tty=tty, tmpfs=dict(tmpfs or {}), network=network
        )
        try:
            container.start()
        except BaseException:
            container.remove(force=True, v=True)
            raise
        return container


def send(daemon: Daemon, container: Container, command: Sequence[str], data: bytes) -> None:
    """Run a program inside a running container and write to its standard input.

    Nothing of the data reaches the container engine's disk: it goes through a stream.

    Raises:
        ContainerEngineError: the program did not end well; the message carries its output.
    """
    api = daemon.client.api
    with translated(f"reach into {container.short_id}"):
        exec_id = api.exec_create(container.id, list(command), stdin=True)["Id"]
        stream: Any = api.exec_start(exec_id, socket=True)
        connection = getattr(stream, "_sock", stream)  # a bare socket over TLS
        try:
            connection.sendall(data)
            output = b"".join(iter(lambda: connection.recv(65536), b""))
        finally:
            connection.close()
            stream._response.close()  # noqa: SLF001 - docker keeps the connection's owner there
        # The stream ends a moment before the container engine knows how the program did.
        deadline = time.monotonic() + _EXIT_SECONDS
        while (status := api.exec_inspect(exec_id)["ExitCode"]) is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        if status != 0:
            reason = output[8:].decode(errors="replace").strip()
            raise ContainerEngineError(f"{command[0]} failed in {container.short_id}: {reason}")


def last_lines(container: Container) -> str:
    """Return the end of a container's logs, or nothing where they cannot be had."""
    try:
        return container.logs(tail=20).decode(errors="replace").strip()
    except (docker.errors.DockerException, *BROKEN):
        return ""


def stop(daemon: Daemon, container_id: str, *, timeout: int = 10) -> None:
    """Stop a container if it still exists; `timeout` seconds for it to end by itself."""
    with translated(f"stop {container_id[:12]}"):
        try:
            daemon.client.containers.get(container_id).stop(timeout=timeout)
        except docker.errors.NotFound:
            return
