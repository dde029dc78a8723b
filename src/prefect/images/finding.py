"""An image that holds a flow, by its name: on disk, in a container engine, or in a registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from prefect.errors import (
    ArtifactError,
    ContainerEngineUnavailableError,
    ImageError,
    RegistryError,
)
from prefect.images.base.names import names_a_path, names_docker_hub
from prefect.images.inspection import FlowImage, look_into_layers
from prefect.images.labels import LABEL_VERSION
from prefect.oci.references import DEFAULT_REGISTRY, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.images.held import HeldImage
    from prefect.oci.platforms import Platform

_H = TypeVar("_H", bound="HeldImage")


def find(name: str | os.PathLike[str], platform: Platform | None = None) -> FlowImage:
    """Return the flow image of a name; nothing of it is executed.

    Args:
        name: the path of an archive or of an OCI layout, a str with a leading "/", "./", "../" or
            "~/"; or an image reference, which the container engine is asked for first, and then the
            registry that it names.
        platform: which image of several; None means the only one, else that for this machine.

    Raises:
        TypeError: it is neither a str nor a path.
        ArtifactError: it cannot be an image's name.
        ImageError: neither the container engine nor a file has it, or it is not of this package.
        ImageContentError: its bytes are not what their digests say.
        ContainerEngineUnavailableError: no container engine answers, and no registry is named.
        RegistryError: the registry that it names does not have it either.
    """
    text = os.fspath(name)
    if isinstance(name, os.PathLike) or names_a_path(text):
        from prefect.oci.archives import archive  # noqa: PLC0415 - for images on disk alone

        return look_into_layers(archive.read(Path(text).expanduser(), platform), text)
    reference = parsed(text)
    try:
        from prefect.images.held import HeldImage  # noqa: PLC0415 - for container engines alone

        return found_in_daemon(
            text, "or name the registry that has it, such as ghcr.io/team/etl:1", HeldImage
        )
    except (ContainerEngineUnavailableError, ImageError) as error:
        if not names_a_registry(text):
            raise
        from prefect.oci.registry import client as registry  # noqa: PLC0415 - for these alone

        try:
            return look_into_layers(registry.fetch(reference, platform), text)
        except RegistryError as refused:
            raise RegistryError(
                f"{error}\nNor can it be had from its registry: {refused}"
            ) from None


def find_in_daemon(
    name: str,
    kind: type[_H],
    *,
    pull: bool = False,
    progress: Callable[[str], None] | None = None,
) -> _H:
    """Return the flow image of a name in the container engine.

    Args:
        name: an image reference.
        kind: what to make of it, such as what can run it.
        pull: have the container engine pull what it does not have, for its own platform and with the
            credentials that are here, if the name has a registry or a digest. It stays there.
        progress: gets a line now and then of a pull.

    Raises:
        ArtifactError: it cannot be an image's name.
        ContainerEngineUnavailableError: no container engine answers.
        ImageError: the container engine does not have it, and does not get it, or it is not of this
            package.
    """
    fix = f"or, if a registry has it, fetch it: docker pull {name}"
    if not pull:
        return found_in_daemon(name, fix, kind)
    if names_a_registry(name):
        return found_in_daemon(name, "", kind, progress or _untold)
    return found_in_daemon(
        name, "or name the registry that has it, such as ghcr.io/team/etl:1", kind
    )


def _untold(_line: str) -> None:
    pass


def names_a_registry(name: str) -> bool:
    """Tell whether a registry is named, or an image by its digest: a bare name may be a slip."""
    reference = parsed(name)
    return bool(
        reference.registry != DEFAULT_REGISTRY or reference.digest or names_docker_hub(name)
    )


def found_in_daemon(
    name: str, fix: str, kind: type[_H], pulling: Callable[[str], None] | None = None
) -> _H:
    """Return the flow image of a name in the container engine.

    Args:
        fix: ends the sentence that says what can be done where it is not there.
        pulling: gets a line now and then of a pull; None pulls nothing.

    Raises:
        Exception: as `find_in_daemon` does.
    """
    reference = parsed(name)
    if reference.digest:  # which says it all, and beside which podman takes no tag
        name = f"{reference.name}@{reference.digest}"
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - for these alone

    try:
        daemon = Daemon()
    except ContainerEngineUnavailableError as error:
        raise ContainerEngineUnavailableError(
            f"There is no container engine to look for the image {name} in: {error}"
        ) from error
    image = daemon.find(name)
    if image is None:
        if pulling is not None:
            pulling(f"Pulling {name}")
            return kind(daemon, name, daemon.pull(name, progress=pulling))
        raise ImageError(
            f"There is no image {name} in the container engine. Check its name, build it with "
            f"`prefect build`, {fix}"
        )
    return kind(daemon, name, image)


def names_nearby() -> list[str]:
    """Return the names of the flow images in this machine's container engine, newest first.

    One that is reached over a network is not asked: this is for those who wait at a keyboard.

    Raises:
        ContainerEngineError: it does not answer.
    """
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - for container engines alone
    from prefect.oci.daemon.endpoints import find_endpoint  # noqa: PLC0415 - as above

    if not find_endpoint().url.startswith("unix:"):
        return []
    names = (name.removesuffix(":latest") for name in Daemon().names(LABEL_VERSION))
    return [name for name in names if name.isprintable() and "<none>" not in name]


def parsed(name: str) -> Reference:
    """Return an image's name as a reference.

    Raises:
        ArtifactError: it cannot be one.
    """
    try:
        return Reference.parse(name)
    except ValueError as error:
        hint = f". If it is a path, write ./{name}" if Path(name).exists() else ""
        raise ArtifactError(f"{error}{hint}") from None
