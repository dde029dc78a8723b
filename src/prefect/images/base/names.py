"""What the name of a base image means, and what an image on it is called."""

from __future__ import annotations

import os
from pathlib import Path

from prefect.oci.references import DEFAULT_REGISTRY, Reference, image_name

REGISTRY_VARIABLE = "PREFECT_REGISTRY"
ON_DISK = "./base"  # what a manifest calls every base on disk: its path is the builder's own affair


def names_a_path(image: str) -> bool:
    """Tell whether a base is a layout or an archive on disk: it then starts with / or a dot."""
    return str(image).startswith(("/", "./", "../", "~/"))


def names_docker_hub(image: str) -> bool:
    """Tell whether a reference says Docker Hub itself, and does not leave the registry open."""
    return image.startswith((f"{DEFAULT_REGISTRY}/", f"index.{DEFAULT_REGISTRY}/"))


def base_reference(image: str) -> Reference:
    """Return a base's reference, `PREFECT_REGISTRY` standing in for Docker Hub where it is set.

    Docker Hub stays where it is named.
    """
    reference = Reference.parse(image)
    registry = os.environ.get(REGISTRY_VARIABLE)
    if registry and reference.registry == DEFAULT_REGISTRY and not names_docker_hub(image):
        return reference.on(registry)
    return reference


def implied_registry(image: str) -> str:
    """Return, as the end of an error's message, that a base's name implies Docker Hub; "" if it does not."""
    if base_reference(image).registry != DEFAULT_REGISTRY or names_docker_hub(image):
        return ""
    return (
        f". {image} names no registry, which implies Docker Hub: name the one that has it, as in "
        f"registry.example.com/{image}, or set {REGISTRY_VARIABLE} to what stands in for Docker Hub"
    )


def derived_name(image: str, flow_name: str | None) -> str:
    """Return the name of an image that nobody has named: of its flow, or else of its base."""
    if flow_name is not None:
        return image_name(flow_name)
    if names_a_path(image):
        return f"{image_name(Path(image).stem)}-environment"
    base = Reference.parse(image)
    return f"{base.repository.rpartition('/')[2]}-environment:{base.tag or 'latest'}"
