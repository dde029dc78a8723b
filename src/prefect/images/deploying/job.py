"""A run of a flow image somewhere else, as plain data: what every kind is made from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from prefect.frozen import field, frozen
from prefect.oci.references import image_name
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from prefect.images.deploying.quantities import User, Volume
    from prefect.images.deploying.schedule import Calendar, Schedule

GRACE_SECONDS = 60  # that a run has to unwind in when it is stopped
TMP = "/tmp"  # noqa: S108 - of a container of its own
_LONGEST_SUBDOMAIN = 253
_LABEL = pattern(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@frozen
class Job:
    """A run of a flow image.

    Args:
        name: a DNS label, which is a valid name on every platform.
        image: reference by digest, with its registry.
        architecture: of the image's processors, as the OCI names them; None where it is for several.
        flow: the flow's own name; anybody's text.
        version: of the image: its tag, or the beginning of its digest; a valid label's value.
        arguments: of the image's program.
        user: as whom the container runs.
        variables: values by names.
        secrets: names of what the flow needs.
        secret_name: where the platform has their values; None means the kind's own default.
        memory: in bytes.
        cpus: how many processors.
        gpus: how many.
        retries: how often a failed run is tried again.
        time_limit: of the whole, retries included, in seconds.
        volumes: what is mounted.
        writable: whether more may be written than volumes and /tmp.
        schedule: when it runs; None means now.
        namespace, service_account, pull_secrets: Kubernetes'.
        engine: the program of a container engine.
    """

    name: str
    image: str
    flow: str
    version: str
    arguments: tuple[str, ...]
    user: User
    architecture: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    secret_name: str | None = None
    memory: int | None = None
    cpus: Decimal | None = None
    gpus: int | None = None
    retries: int = 0
    time_limit: int | None = None
    volumes: tuple[Volume, ...] = ()
    writable: bool = False
    schedule: Schedule | Calendar | None = None
    namespace: str | None = None
    service_account: str | None = None
    pull_secrets: tuple[str, ...] = ()
    engine: str = "podman"

    @property
    def needs_tmp(self) -> bool:
        """Whether there is nowhere to write temporary files, unless a place is added."""
        return not self.writable and all(one.target.rstrip("/") != TMP for one in self.volumes)


@frozen
class Part:
    """A file of what is applied.

    Args:
        ending: of its name, such as ".timer".
    """

    ending: str
    text: str


def name_for(flow: str, longest: int) -> str:
    """Return a DNS label for any text: what cannot stand in one is told apart by a hash."""
    name = image_name(flow)
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(flow.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{name[: longest - 1 - len(digest)].rstrip('-')}-{digest}"


def require_subdomain(text: str, what: str) -> str:
    """Return a text that is a DNS subdomain, as names of most things in Kubernetes are.

    Raises:
        ValueError: it is none.
    """
    if len(text) > _LONGEST_SUBDOMAIN or not all(map(_LABEL.fullmatch, text.split("."))):
        raise ValueError(
            f"{text!r} is no {what}: lower-case letters, digits, hyphens and dots, such as "
            f"{name_for(text, 63)}"
        )
    return text


def require_label(text: str, what: str, longest: int = 63) -> str:
    """Return a text that is a DNS label.

    Raises:
        ValueError: it is none.
    """
    if not _LABEL.fullmatch(text) or len(text) > longest:
        raise ValueError(
            f"{text!r} is no {what}: at most {longest} lower-case letters, digits and hyphens, such as "
            f"{name_for(text, longest)}"
        )
    return text
