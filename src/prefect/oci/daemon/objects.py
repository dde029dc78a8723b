"""docker-py's objects, for whoever asks for them through the API: the one module that imports it."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import docker
import docker.errors
import docker.tls
import requests
from docker.models.containers import Container
from docker.models.images import Image

from prefect.errors import ContainerEngineError
from prefect.oci.daemon.transport import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.oci.daemon.client import Daemon
    from prefect.oci.daemon.endpoints import TLS

__all__ = ["Container", "Image", "container", "image"]


def image(daemon: Daemon, image_id: str) -> Image:
    """Return an image of the container engine as docker-py's object.

    Raises:
        ContainerEngineError: the container engine does not have it any more, or does not answer.
    """
    with _translated(f"find {image_id}"):
        return _client(daemon).images.get(image_id)


def container(daemon: Daemon, container_id: str) -> Container:
    """Return a container of the container engine as docker-py's object.

    Raises:
        ContainerEngineError: the container engine does not have it any more, or does not answer.
    """
    with _translated(f"find the container {container_id[:12]}"):
        return _client(daemon).containers.get(container_id)


def _client(daemon: Daemon) -> docker.DockerClient:
    endpoint = daemon.http.endpoint
    tls = _tls(endpoint.tls) if endpoint.tls else False
    ssh = endpoint.url.startswith("ssh:")
    if (
        ssh and find_spec("paramiko") is None
    ):  # which it imports also where it uses the system's ssh
        raise ContainerEngineError(
            f"docker-py's objects of a container engine at {endpoint.url} need its own parts for ssh: "
            "install docker[ssh]. The command `prefect` and ContainerEnvironment.load do without"
        )
    client = docker.DockerClient(
        endpoint.url, version=daemon.http.version, tls=tls, use_ssh_client=ssh
    )
    # Else requests would take its variables for authorities and proxies before what we found.
    client.api.trust_env = False
    # What is handed out shares the connections: they are closed once the last of it is gone.
    weakref.finalize(client, client.api.close)
    return client


def _tls(tls: TLS) -> docker.tls.TLSConfig:
    pair = (str(tls.certificate), str(tls.key)) if tls.certificate and tls.key else None
    return docker.tls.TLSConfig(
        client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify
    )


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        reason = first_line(str(getattr(error, "explanation", None) or error))
        raise ContainerEngineError(f"The container engine cannot {doing}: {reason}") from error
