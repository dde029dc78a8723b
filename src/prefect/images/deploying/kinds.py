"""The kinds of what is applied: what each takes of what was asked for, and what it is made from."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from prefect.errors import SecretError
from prefect.frozen import field, frozen
from prefect.images.deploying import compose, kubernetes, quantities, slurm, systemd
from prefect.images.deploying.job import Job, Part, name_for, require_label, require_subdomain
from prefect.images.deploying.schedule import parse_schedule
from prefect.running.key_variable import KEY_VARIABLE
from prefect.running.parameters import read_parameters
from prefect.secrets.search import forbidden, refuse_at_rest
from prefect.secrets.secret import DIRECTORY_VARIABLE, Secret, merge_secrets, secrets_of
from prefect.secrets.tokens import TokenSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prefect.images.deploying.pinning import Pinned
    from prefect.images.deploying.schedule import Calendar, Schedule
    from prefect.payload.manifest import Manifest

_KUBERNETES = "Kubernetes': choose a kind of it"
_OF_CLUSTERS = {"namespace": _KUBERNETES, "service-account": _KUBERNETES}
_ENGINE = {"engine": "systemd's, whose service needs one: leave it out"}
_LOGIN = "Kubernetes': elsewhere whoever pulls logs in, by `docker login` for example"
_NOT_HERE = "of what runs by itself: choose --kind kubernetes-cronjob or systemd, or leave it out"
_NO_SCHEDULE = {"schedule": _NOT_HERE, "timezone": _NOT_HERE}


@frozen
class Kind:
    """A kind of what is applied.

    Args:
        write: gives its files.
        refuses: options that mean nothing to it, each with whose it is and what to do.
        longest_name: in characters.
        needs_schedule: whether it is nothing without one.
        has_user: whether a platform's user runs it as somebody of his choice.
    """

    write: Callable[[Job], tuple[Part, ...]]
    refuses: Mapping[str, str] = field(default_factory=dict)
    longest_name: int = 63
    needs_schedule: bool = False
    has_user: bool = True

    @property
    def takes_schedule(self) -> bool:
        """Whether it runs by a schedule, if there is one."""
        return "schedule" not in self.refuses


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "kubernetes-job": Kind(
            kubernetes.job,
            _ENGINE | _NO_SCHEDULE,
            longest_name=kubernetes.LONGEST_JOB_NAME,
        ),
        "kubernetes-cronjob": Kind(
            kubernetes.cron_job,
            _ENGINE,
            longest_name=kubernetes.LONGEST_CRON_JOB_NAME,
            needs_schedule=True,
        ),
        "compose": Kind(
            compose.compose,
            _ENGINE
            | _NO_SCHEDULE
            | _OF_CLUSTERS
            | {
                "pull-secret": _LOGIN,
                "time-limit": "not known to compose: run `timeout 1h docker compose up`",
            },
        ),
        "slurm": Kind(
            slurm.slurm,
            _ENGINE
            | _OF_CLUSTERS
            | _NO_SCHEDULE
            | {"pull-secret": _LOGIN, "user": "not for Slurm: a job runs as who submits it"},
            has_user=False,
        ),
        "systemd": Kind(systemd.systemd, _OF_CLUSTERS | {"pull-secret": _LOGIN}),
    }
)


def settings_for(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a `Job` from options as they were written.

    Args:
        given: by the options' names without dashes; None, () and False were not given.

    Raises:
        ValueError: one is wrong, means nothing to the kind, or is missing.
    """
    chosen = KINDS[kind]
    given = {name: value for name, value in given.items() if value not in {None, (), False}}
    for name in given:
        if name in chosen.refuses:
            raise ValueError(f"--{name} is {chosen.refuses[name]}")
    if "timezone" in given and "schedule" not in given:
        raise ValueError("--timezone is of a schedule: give --schedule, too")
    parsed = {
        _FIELDS[name]: _PARSERS[name](value) for name, value in given.items() if name in _PARSERS
    }
    if "name" in given:
        parsed["name"] = require_label(given["name"], "name", chosen.longest_name)
    if "schedule" in given:
        parsed["schedule"] = parse_schedule(given["schedule"], given.get("timezone"))
    if "secret-name" in given:
        parsed["secret_name"] = given["secret-name"]
        if kind.startswith("kubernetes"):
            require_subdomain(given["secret-name"], "name of a Secret")
    return parsed


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(require_subdomain(name, "name of a Secret") for name in names)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "cpus": quantities.parse_cpus,
    "engine": str,
    "env": quantities.parse_variables,
    "gpus": int,
    "memory": quantities.parse_memory,
    "namespace": lambda text: require_label(text, "namespace"),
    "pull-secret": _names,
    "retries": int,
    "service-account": lambda text: require_subdomain(text, "name of a service account"),
    "time-limit": quantities.parse_duration,
    "user": quantities.parse_user,
    "volume": lambda texts: tuple(map(quantities.parse_volume, texts)),
    "writable": bool,
}
_FIELDS = {name: name.replace("-", "_") for name in _PARSERS} | {
    "env": "variables",
    "pull-secret": "pull_secrets",
    "volume": "volumes",
}


def make_job(
    kind: str,
    pinned: Pinned,
    manifest: Manifest,
    settings: Mapping[str, Any],
    *,
    pairs: Mapping[str, str],
    secrets: Iterable[Secret] = (),
) -> Job:
    """Put together what a platform is to run.

    Args:
        settings: as `settings_for` gives them.
        pairs: parameters of the flow, as they were written.
        secrets: that it needs beside those that it names itself.

    Raises:
        ParameterError: parameters are not those of the flow.
        SecretError: a secret's value would be in what is applied.
        ValueError: the image's user is no number, or a text cannot be written.
    """
    fields = dict(settings)
    flow = manifest.flow
    if flow.get("schedule") and "schedule" not in fields and KINDS[kind].takes_schedule:
        fields["schedule"], pairs = _own_schedule(flow["schedule"], kind, pairs)
    if KINDS[kind].needs_schedule and "schedule" not in fields:
        raise ValueError(
            f"--kind {kind} runs by a schedule, and the flow has none: give one, such as --schedule '0 6 * * *' "
            "for six in the morning, or choose --kind kubernetes-job"
        )
    read_parameters(flow, pairs)
    needed = merge_secrets(secrets, secrets_of(flow))
    variables = fields.get("variables", {})
    names = [one.name for one in needed]
    if pinned.image.sealed and KEY_VARIABLE not in names:
        names.append(KEY_VARIABLE)
    for name in (*names, KEY_VARIABLE, DIRECTORY_VARIABLE):
        if name in variables:
            raise ValueError(
                f"{name} is no variable to be set by --env: values of secrets come by reference, and "
                "the file says from where"
            )
    arguments = ("run", *(f"--parameter={name}={value}" for name, value in pairs.items()))
    _refuse_secrets(needed, "the parameters", arguments)
    _refuse_secrets(needed, "the variables", [f"{k}={v}" for k, v in variables.items()])
    if "user" not in fields:
        fields["user"] = _user(pinned.user) if KINDS[kind].has_user else quantities.User(0)
    fields.setdefault("name", name_for(flow["name"], KINDS[kind].longest_name))
    job = Job(
        image=pinned.name,
        architecture=pinned.architecture,
        flow=flow["name"],
        version=pinned.version,
        arguments=arguments,
        secrets=tuple(names),
        **fields,
    )
    texts = [*arguments, *variables.values(), *map(str, job.volumes), job.secret_name or ""]
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{text!r} is no text that a file of UTF-8 can hold") from None
    return job


def _own_schedule(
    described: Mapping[str, Any], kind: str, pairs: Mapping[str, str]
) -> tuple[Schedule | Calendar, dict[str, str]]:
    """Return a flow's own schedule, and the parameters with those that its clock has."""
    from prefect.images.deploying.of_flow import schedule_of  # noqa: PLC0415 - for flows with one

    schedule, defaults = schedule_of(described, one=KINDS[kind].needs_schedule)
    if twice := sorted(defaults.keys() & pairs.keys()):
        raise ValueError(
            f"The flow's own schedule has a value of its own for -p {twice[0]}: leave it out, or give --schedule"
        )
    own = {name: json.dumps(value, ensure_ascii=False) for name, value in defaults.items()}
    return schedule, {**pairs, **own}


def _user(named: str) -> quantities.User:
    """Return the user of an image's config."""
    if named in {"", "root", "root:root"}:
        return quantities.User(0)
    try:
        return quantities.parse_user(named)
    except ValueError:
        raise ValueError(
            f"The image runs as {named!r}, and platforms need a number: give it with --user UID:GID, "
            "as `id` says it in a container of the image"
        ) from None


def _refuse_secrets(secrets: Iterable[Secret], part: str, texts: Iterable[str]) -> None:
    data = "\n".join(texts).encode(errors="surrogateescape")
    refuse_at_rest(forbidden(secrets), {part: data})
    search = TokenSearch()
    search.feed(data)
    for one in search.finish():
        raise SecretError(
            f"What looks like {one.what} is in {part}, and would be in what is applied, for everybody "
            "to read. Have the flow read it as a secret, named with --secret"
        )
