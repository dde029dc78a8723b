"""A flow image by the digest that its registry has it under: what a platform can pull, for good."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.errors import ArtifactError, ImageError, PrefectError, RegistryNotFoundError
from prefect.frozen import frozen, replace
from prefect.images.base.names import names_docker_hub
from prefect.images.inspection import FlowImage, look_into_layers
from prefect.oci.references import DEFAULT_REGISTRY, Reference
from prefect.oci.registry import client as registry
from prefect.patterns import pattern

if TYPE_CHECKING:
    from prefect.oci.daemon.image import DaemonImage

_VERSION = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # a label's value
_DIGITS = 12  # of a digest, where it is told as a version


@frozen
class Pinned:
    """A flow image in a registry.

    Args:
        reference: by digest alone.
        architecture: of its processors, such as "amd64"; None where it is for several.
        version: its tag, or the beginning of its digest.
        user: as its config names it; "" is root.
        image: to look into.
    """

    reference: Reference
    architecture: str | None
    version: str
    user: str
    image: FlowImage

    @property
    def name(self) -> str:
        """The reference with its registry, which podman and some clusters leave to nobody's guess."""
        one = self.reference
        return f"{one.registry}/{one.repository}@{one.digest}"


def pin(name: str) -> Pinned:
    """Return the flow image that a registry has under a name; nothing of it is executed.

    Of an image for several platforms it is the digest of them all.

    Raises:
        ArtifactError: it cannot be an image's name.
        ImageError: it names no registry, or holds no flow.
        RegistryNotFoundError: the registry does not have it.
        RegistryError: the registry cannot be reached, or fails.
    """
    try:
        reference = Reference.parse(name)
    except ValueError as error:
        raise ArtifactError(str(error)) from None
    nameless = reference.registry == DEFAULT_REGISTRY and not names_docker_hub(name)
    if nameless or reference.registry == "localhost":  # as podman calls what it has built
        raise ImageError(_unnamed(name))
    digest = reference.digest or registry.resolve(reference)
    if digest is None:
        raise RegistryNotFoundError(_not_pushed(name, reference))
    pinned = replace(reference, tag=None, digest=digest)
    found = registry.fetch(pinned)
    image = look_into_layers(found, name)
    if not image.holds_flow:
        raise ImageError(f"The image {name} holds dependencies alone, and no flow to run")
    tag = reference.tag or ""
    version = tag if _VERSION.fullmatch(tag) else digest.partition(":")[2][:_DIGITS]
    architecture = found.platform.architecture if found.digest == digest else None
    user = str(found.settings.get("User") or "")
    return Pinned(pinned, architecture, version, user, image)


def _unnamed(name: str) -> str:
    local = _in_engine(name)
    where = "is in the container engine here" if local else "names no registry"
    known = ""
    if local and local.repo_digests:
        known = f". Its registry's name may be {local.repo_digests[0]}"
    return (
        f"The image {name} {where}, and platforms pull by a registry's digest: push it (`docker tag "
        f"{name} ghcr.io/team/etl:1` and `docker push`, or `prefect build --push ghcr.io/team/etl:1`), "
        f"and give that name, with its registry{known}"
    )


def _not_pushed(name: str, reference: Reference) -> str:
    text = f"The registry {reference.registry} has no image {name}. "
    if _in_engine(name):
        return f"{text}The container engine here has it: `docker push {name}` first"
    return f"{text}Check its name, or push it: prefect build FILE.py --image BASE --push {name}"


def _in_engine(name: str) -> DaemonImage | None:
    """Return an image of the container engine, if there is one: for what an error says alone."""
    from prefect.oci.daemon.client import Daemon  # noqa: PLC0415 - for these errors alone

    with suppress(PrefectError):
        return Daemon().find(name)
    return None
