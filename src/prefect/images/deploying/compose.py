"""Compose files, as docker compose reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.images.deploying.job import GRACE_SECONDS, TMP, Job, Part
from prefect.images.deploying.quantities import memory_text
from prefect.images.deploying.telling import described
from prefect.images.deploying.yaml import document
from prefect.printable import printable

if TYPE_CHECKING:
    from prefect.images.deploying.quantities import Volume

_SERVICE = "flow"


def compose(job: Job) -> tuple[Part, ...]:
    """Return a compose file with one service."""
    file: dict[str, Any] = {"name": job.name, "services": {_SERVICE: _service(job)}}
    if job.secrets:
        file["secrets"] = {name: _secret(job, name) for name in job.secrets}
    named = [one.source for one in job.volumes if not one.is_path]
    if named:
        file["volumes"] = {name: {} for name in named}
    return (Part(".yaml", document(file, _comments(job))),)


def _comments(job: Job) -> list[str]:
    lines = described(job)
    if job.secrets and job.secret_name is None:
        lines.append(f"values of secrets, in variables: {' '.join(job.secrets)}")
    elif job.secrets:
        place = printable(job.secret_name or "")
        lines.append(
            f"values of secrets, in files that the container's user may read, of {place!r}"
        )
    if not job.retries:
        up = f"docker compose --file=FILE up --exit-code-from={_SERVICE}"
        return [*lines, f"run it; the exit status is the flow's: {up}"]
    # With --exit-code-from it would end with the first failure.
    return [
        *lines,
        "run it: docker compose --file=FILE up",
        "its exit status: docker compose --file=FILE ps --all --format='{{.ExitCode}}'",
        "it is tried again whatever the failure is, bad input (2) included: compose knows no more",
    ]


def literal(text: str) -> str:
    """Return a text in which compose finds no variable to put in, and reads as this one."""
    return text.replace("$", "$$")


def _service(job: Job) -> dict[str, Any]:
    service: dict[str, Any] = {
        "image": job.image,
        "command": [literal(word) for word in job.arguments],
        "restart": f"on-failure:{job.retries}" if job.retries else "no",
        "stop_grace_period": f"{GRACE_SECONDS}s",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    if job.user.uid:
        service["user"] = str(job.user)
    if not job.writable and _is_read_only(job):
        service["read_only"] = True
        if job.needs_tmp:
            service["tmpfs"] = [TMP]
    if job.variables:
        service["environment"] = {name: literal(text) for name, text in job.variables.items()}
    if job.secrets:
        service["secrets"] = list(job.secrets)
    if job.volumes:
        service["volumes"] = [_volume(one) for one in job.volumes]
    if resources := _resources(job):
        service["deploy"] = {"resources": resources}
    return service


def _is_read_only(job: Job) -> bool:
    # Values out of variables are copied into the container, which compose cannot where it is
    # read-only; files are mounted.
    return not job.secrets or job.secret_name is not None


def _secret(job: Job, name: str) -> dict[str, Any]:
    if job.secret_name is None:
        return {"environment": name}
    return {"file": literal(f"{job.secret_name.rstrip('/')}/{name}")}


def _volume(volume: Volume) -> dict[str, Any]:
    mounted: dict[str, Any] = {
        "type": "bind" if volume.is_path else "volume",
        "source": literal(volume.source),
        "target": literal(volume.target),
    }
    return mounted | ({"read_only": True} if volume.read_only else {})


def _resources(job: Job) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if job.cpus is not None:
        limits["cpus"] = str(job.cpus)
    if job.memory is not None:
        limits["memory"] = memory_text(job.memory, "kmg")
    resources: dict[str, Any] = {"limits": limits} if limits else {}
    if job.gpus:
        device = {"driver": "nvidia", "count": job.gpus, "capabilities": ["gpu"]}
        resources["reservations"] = {"devices": [device]}
    return resources
