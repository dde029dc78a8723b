"""What the worker is to do in a place: checked against the flow, with the values that it needs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect.core.value_types import json_form
from prefect.errors import ImageError, ParameterError, PlaceError
from prefect.places.protocol import Work
from prefect.places.surroundings import NOTHING, Surroundings
from prefect.running.flow_directory import RESULT_KEY
from prefect.running.key_variable import KEY_VARIABLE
from prefect.running.parameters import check_described
from prefect.secrets.secret import DEFAULT_DIRECTORY, Secret, resolve, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect.core.kept import Kept
    from prefect.images.inspection import FlowImage
    from prefect.sealed.keys.keyring import Keyring

_FOR_FLOWS = (
    "strict compares what a flow needs, executor says where its tasks run, and a store keeps their results: "
    "leave them out where no flow runs"
)


def work_in_image(
    image: FlowImage,
    command: str | Sequence[str] | None = None,
    *,
    tty: bool = False,
    parameters: Mapping[str, Any] | None = None,
    secrets: Iterable[Secret] = (),
    keyring: Keyring | None = None,
    json_lines: bool = False,
    strict: bool = False,
    executor: str | None = None,
    surroundings: Surroundings = NOTHING,
    result: bool = False,
    kept: Kept | None = None,
) -> Work:
    """Return what a worker is to do with an image: run its flow, or a command in the flow's place.

    Secrets are resolved here; nothing is started yet.

    Args:
        executor: where tasks run, in its text form; None leaves that to the flow.
        surroundings: what it gets of the machine.
        result: whether the run's result is to come back.
        kept: what of the run is to be kept.

    Raises:
        SecretError: a secret has no value here.
        ImageError: there is nothing to run in the image.
        ParameterError: parameters were given for a command, have no JSON form, or are not
            those of the flow.
        PlaceError: a volume would hide the secrets.
        ValueError: the command is empty or cannot be split.
    """
    if command is None and not tty and not image.holds_flow:
        raise ImageError(
            f"The image {image.reference} holds dependencies alone: give a command to run, or "
            "build it with a flow"
        )
    flow = image.manifest(keyring).flow if image.holds_flow else None
    own = () if flow is None else secrets_of(flow)
    known = {secret.name: secret for secret in (*own, *secrets)}
    if image.sealed and keyring is not None and command is None:  # commands need no key
        known[KEY_VARIABLE] = key = Secret(KEY_VARIABLE)
        key.value = image.key(keyring)
    if known and any(one.target.rstrip("/") == DEFAULT_DIRECTORY for one in surroundings.volumes):
        raise PlaceError(
            f"A volume at {DEFAULT_DIRECTORY} would not be seen: the run's secrets are handed over there, in "
            "memory. Mount it elsewhere, or leave the secrets to it"
        )
    if command is None and flow is not None:
        return work_with_flow(
            flow, tty=tty, parameters=parameters, secrets=known.values(), json_lines=json_lines,
            strict=strict, executor=executor, surroundings=surroundings, result=result, kept=kept,
        )  # fmt: skip
    if strict or executor or kept is not None:
        raise ValueError(_FOR_FLOWS)
    arguments = ["exec", *_holding(tty=tty)]
    if command is None:
        if _named(parameters):
            raise ParameterError("Parameters are a flow's, and the image holds no flow")
    elif parameters:
        raise ParameterError("Parameters are the flow's: give either parameters or a command")
    else:
        words = shlex.split(command) if isinstance(command, str) else list(command)
        if not words:
            raise ValueError("The command is empty")
        arguments += ["--", *words]
    return Work(arguments, resolve(known.values()), tty, surroundings)


def work_with_flow(
    flow: Mapping[str, Any],
    *,
    tty: bool = False,
    parameters: Mapping[str, Any] | None = None,
    secrets: Iterable[Secret] = (),
    json_lines: bool = False,
    strict: bool = False,
    executor: str | None = None,
    surroundings: Surroundings = NOTHING,
    result: bool = False,
    kept: Kept | None = None,
) -> Work:
    """Return what a worker is to do with a flow: with one that is handed to it, or an image's own.

    Args:
        flow: as it is serialized.
        tty: whether the worker gets a terminal, and stays up.
        secrets: that it needs, its own among them.
        executor: where tasks run, in its text form; None leaves that to the flow.
        surroundings: what it gets of the machine.
        result: whether the run's result is to come back.
        kept: what of the run is to be kept.

    Raises:
        SecretError: a secret has no value here.
        ParameterError: parameters have no JSON form, or are not those of the flow.
    """
    given = _named(parameters)
    check_described(flow, given, kept)
    values = resolve(secrets)
    arguments = ["run", *_holding(tty=tty)]
    if json_lines:
        arguments.append("--json")
    if strict:
        arguments.append("--strict")
    if executor is not None:
        arguments.append(f"--executor={executor}")
    if given:
        try:
            text = json.dumps(json_form(dict(given)), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"Parameters travel to another place as JSON, and these cannot: {error}"
            ) from error
        arguments.append(f"--parameters={text}")
    key = os.urandom(32).hex() if result else None
    if key is not None:
        values |= {RESULT_KEY: key}
    return Work(arguments, values, tty, surroundings, key, kept)


def _holding(*, tty: bool) -> list[str]:
    return ["--hold"] if tty else []


def _named(parameters: Any) -> Mapping[str, Any]:
    if not isinstance(parameters or {}, Mapping):
        raise ParameterError(f"Parameters are a dict of names and values, not {parameters!r}")
    named: Mapping[str, Any] = parameters or {}
    return named
