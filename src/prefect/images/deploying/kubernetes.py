"""Jobs and CronJobs of Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.images.deploying.job import GRACE_SECONDS, TMP, Job, Part, require_subdomain
from prefect.images.deploying.quantities import memory_text
from prefect.images.deploying.schedule import Schedule
from prefect.images.deploying.telling import described
from prefect.images.deploying.yaml import document
from prefect.running.stopping import BAD_INPUT
from prefect.secrets.secret import DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from decimal import Decimal

    from prefect.images.deploying.quantities import Volume

LONGEST_JOB_NAME = 63
LONGEST_CRON_JOB_NAME = 52  # the names of its jobs have more
# Not /run/secrets: the cluster mounts tokens of service accounts below that, and could not within
# what is mounted read-only.
SECRETS = "/run/prefect/secrets"
_CONTAINER = "flow"
_KEPT_SECONDS = 86400  # after its end, for whoever looks at its logs
_KEPT_JOBS = 3
_START_SECONDS = 600


def job(job: Job) -> tuple[Part, ...]:
    """Return a Job, which runs once.

    Raises:
        ValueError: a volume's name cannot be that of a claim.
    """
    again = "again: kubectl replace --force --filename=FILE"
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(job),
        "spec": _spec(job),
    }
    return (Part(".yaml", document(manifest, _comments(job, again))),)


def cron_job(job: Job) -> tuple[Part, ...]:
    """Return a CronJob, which runs by a schedule.

    Raises:
        ValueError: a volume's name cannot be that of a claim.
    """
    assert isinstance(job.schedule, Schedule)  # noqa: S101 - its kind demands one
    spec = {
        "schedule": job.schedule.cron,
        "timeZone": job.schedule.zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _START_SECONDS,
        "successfulJobsHistoryLimit": _KEPT_JOBS,
        "failedJobsHistoryLimit": _KEPT_JOBS,
        "jobTemplate": {"metadata": {"labels": _labels(job)}, "spec": _spec(job)},
    }
    once = f"once, now: kubectl create job --from=cronjob/{job.name} {job.name[:48]}-now"
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(job),
        "spec": spec,
    }
    return (Part(".yaml", document(manifest, _comments(job, once))),)


def _comments(job: Job, last: str) -> list[str]:
    lines = described(job)
    space = f" --namespace={job.namespace}" if job.namespace else ""
    if job.secrets:
        files = " ".join(f"--from-file={name}" for name in job.secrets)
        lines += [
            "values of secrets, from files of their names, before the first run:",
            f"  kubectl create secret generic {_secret(job)}{space} {files}",
        ]
    return [*lines, "apply it: kubectl apply --filename=FILE", last]


def _secret(job: Job) -> str:
    return job.secret_name or job.name


def _labels(job: Job) -> dict[str, Any]:
    return {
        "app.kubernetes.io/name": job.name,
        "app.kubernetes.io/version": job.version,
        "app.kubernetes.io/component": "flow",
        "app.kubernetes.io/managed-by": "prefect",
    }


def _metadata(job: Job) -> dict[str, Any]:
    space = {"namespace": job.namespace} if job.namespace else {}
    return {"name": job.name, **space, "labels": _labels(job)}


def _spec(job: Job) -> dict[str, Any]:
    limit = {"activeDeadlineSeconds": job.time_limit} if job.time_limit else {}
    return {
        "backoffLimit": job.retries,
        **limit,
        "ttlSecondsAfterFinished": _KEPT_SECONDS,
        "podFailurePolicy": {
            "rules": [
                # What is wrong with its input stays wrong.
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": _CONTAINER,
                        "operator": "In",
                        "values": [BAD_INPUT],
                    },
                },
                # A node that is drained is no failure of the flow.
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {"metadata": {"labels": _labels(job)}, "spec": _pod(job)},
    }


def _pod(job: Job) -> dict[str, Any]:
    user = job.user
    security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if user.uid:
        security |= {"runAsNonRoot": True, "runAsUser": user.uid}
        if user.gid is not None:
            security["runAsGroup"] = user.gid
        # The files of secrets are root's, and are read by their group.
        security |= {"fsGroup": user.group, "fsGroupChangePolicy": "OnRootMismatch"}
    pod: dict[str, Any] = {"restartPolicy": "Never"}
    if job.service_account:
        pod["serviceAccountName"] = job.service_account
    # Nobody talks to the cluster who was not given an account for that.
    pod["automountServiceAccountToken"] = bool(job.service_account)
    if job.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in job.pull_secrets]
    if job.architecture:  # where nodes differ, others could not execute it
        pod["nodeSelector"] = {"kubernetes.io/arch": job.architecture}
    pod |= {
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "containers": [_container(job)],
    }
    if volumes := _volumes(job):
        pod["volumes"] = volumes
    return pod


def _container(job: Job) -> dict[str, Any]:
    variables = dict(job.variables)
    if job.secrets:
        variables[DIRECTORY_VARIABLE] = SECRETS
    container: dict[str, Any] = {
        "name": _CONTAINER,
        "image": job.image,
        "args": [literal(word) for word in job.arguments],
    }
    if variables:
        container["env"] = [
            {"name": name, "value": literal(value)} for name, value in variables.items()
        ]
    if resources := _resources(job):
        container["resources"] = resources
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": not job.writable,
    }
    mounts: list[dict[str, Any]] = []
    if job.secrets:
        mounts.append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
    if job.needs_tmp:
        mounts.append({"name": "tmp", "mountPath": TMP})
    for number, volume in enumerate(job.volumes):
        mount = {"name": f"volume-{number}", "mountPath": volume.target}
        mounts.append(mount | ({"readOnly": True} if volume.read_only else {}))
    if mounts:
        container["volumeMounts"] = mounts
    return container


def literal(text: str) -> str:
    """Return a text in which the cluster finds no variable to put in, and reads as this one."""
    return text.replace("$", "$$")


def _resources(job: Job) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if job.cpus is not None:
        asked["cpu"] = _cpu(job.cpus)
    if job.memory is not None:
        asked["memory"] = memory_text(job.memory, ("Ki", "Mi", "Gi"))
    gpus = {"nvidia.com/gpu": str(job.gpus)} if job.gpus else {}
    if not (asked or gpus):
        return {}
    return {"requests": asked | gpus, "limits": asked | gpus}


def _cpu(count: Decimal) -> str:
    return str(count) if count == count.to_integral() else f"{int(count * 1000)}m"


def _volumes(job: Job) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = []
    if job.secrets:
        mode = 0o440 if job.user.uid else 0o400
        source = {
            "secretName": _secret(job),
            "defaultMode": mode,
            "items": [{"key": name, "path": name} for name in job.secrets],
        }
        volumes.append({"name": "secrets", "secret": source})
    if job.needs_tmp:
        volumes.append({"name": "tmp", "emptyDir": {}})
    volumes += [_volume(f"volume-{n}", volume) for n, volume in enumerate(job.volumes)]
    return volumes


def _volume(name: str, volume: Volume) -> dict[str, Any]:
    if volume.is_path:
        return {"name": name, "hostPath": {"path": volume.source, "type": "Directory"}}
    claim = require_subdomain(volume.source, "name of a claim")
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}
