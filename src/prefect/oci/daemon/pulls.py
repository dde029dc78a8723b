"""What a container engine is told to pull an image with, and what is told where it does not."""

from __future__ import annotations

import base64
import json

from prefect.errors import ImageError
from prefect.oci.daemon.transport import first_line
from prefect.oci.references import DEFAULT_REGISTRY, Reference


def login_header(target: Reference) -> dict[str, str]:
    """Return the header by which a container engine can log in to a registry."""
    from prefect.oci.registry.credentials import find_credentials  # noqa: PLC0415 - for pulls alone

    found = find_credentials(target.registry, target.repository)
    if found is None:
        return {}
    login = {"username": found.username, "password": found.password}
    if found.identity_token:
        login = {"identitytoken": found.identity_token}
    login["serveraddress"] = target.registry
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(login).encode()).decode()}


def not_pulled(reference: str, reason: str) -> ImageError:
    """Return the error for an image that a container engine does not pull."""
    fix = "Check its name, or log in with `docker login` if the registry wants it"
    if Reference.parse(reference).registry == DEFAULT_REGISTRY:
        fix += ". A base is pulled from the registry that PREFECT_REGISTRY names, if it is set"
    return ImageError(f"The image {reference} cannot be pulled: {first_line(reason)}. {fix}")
