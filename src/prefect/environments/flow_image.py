"""An image that holds a flow, wherever it was built: looking into it, and running it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect.environments.secret import DEFAULT_DIRECTORY, Secret, resolve, secrets_of
from prefect.errors import EngineError, ImageError, ParameterError
from prefect.packaging.manifest import Manifest
from prefect.packaging.plan import LABEL_FLOW, LABEL_MANIFEST, LABEL_VERSION, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect.oci.daemon import Container, Engine, Image

_WORKER = [f"{PREFIX}/bin/python", "-m", "prefect.worker"]
# Memory only: what is written here is in no layer, no commit and no file of the engine.
_SECRETS_TMPFS = {DEFAULT_DIRECTORY: "mode=1777,size=4m,noexec,nosuid,nodev"}


class FlowImage:
    """An image that `ContainerEnvironment` built, or its dependencies alone.

    Raises:
        ImageError: the engine does not have it, or it was not made by this package.
    """

    def __init__(self, engine: Engine, reference: str) -> None:
        image = engine.find(reference)
        if image is None:
            raise ImageError(
                f"There is no image {reference} in the engine. Check its name, build it, or pull it"
            )
        if LABEL_VERSION not in image.labels:
            raise ImageError(
                f"The image {reference} was not built by prefect: it holds no flow. Make one with "
                "`prefect build FILE.py --image BASE --tag TAG`"
            )
        self.engine = engine
        self.reference = reference
        self.image: Image = image

    @property
    def flow_name(self) -> str | None:
        """The name of the image's flow; None for an image of dependencies alone."""
        return self.image.labels.get(LABEL_FLOW)

    def manifest(self) -> Manifest:
        """Read what the image says of its flow; nothing of it is executed.

        Raises:
            ImageError: it holds no flow.
            FormatError: its manifest is malformed.
        """
        path = self.image.labels.get(LABEL_MANIFEST)
        if path is None:
            raise ImageError(f"The image {self.reference} holds dependencies alone, and no flow")
        try:
            return Manifest.from_json(self.engine.read_file(str(self.image.id), path))
        except FileNotFoundError as error:
            raise ImageError(f"The image {self.reference} lacks its manifest, {path}") from error

    def request(
        self,
        command: str | Sequence[str] | None = None,
        *,
        tty: bool = False,
        parameters: Mapping[str, Any] | None = None,
        secrets: Iterable[Secret] = (),
        json_lines: bool = False,
    ) -> RunRequest:
        """Check what a container is to do, and resolve its secrets here; nothing is started yet.

        Raises:
            SecretError: a secret has no value here.
            ImageError: there is nothing to run in the image.
            ParameterError: parameters were given for a command, or are no JSON values.
            ValueError: the command is empty or cannot be split.
        """
        if command is None and not tty and self.flow_name is None:
            raise ImageError(
                f"The image {self.reference} holds dependencies alone: give a command to run, or "
                "build it with a flow"
            )
        own = secrets_of(self.manifest().flow) if self.flow_name is not None else ()
        known = {secret.name: secret for secret in (*own, *secrets)}
        values = resolve(known.values())
        action, *rest = _what_to_run(command, parameters, self.flow_name, json_lines=json_lines)
        awaited = [f"--secret={name}" for name in values]
        hold = ["--hold"] if tty else []
        return RunRequest([action, *awaited, *hold, *rest], values, tty=tty)

    def start(self, request: RunRequest, *, network: str | None = None) -> Container:
        """Start a container, and hand it its secrets over a stream once it runs.

        Raises:
            EngineError: the container does not start, or cannot be reached.
        """
        container = self.engine.start(
            str(self.image.id),
            request.arguments,
            tty=request.tty,
            tmpfs=_SECRETS_TMPFS if request.secrets else None,
            network=network,
        )
        if request.secrets:
            try:
                self._deliver(container, request.secrets)
            except BaseException:  # also Ctrl-C: it would wait for its secrets in vain
                container.remove(force=True, v=True)
                raise
        return container

    def _deliver(self, container: Container, values: Mapping[str, str]) -> None:
        # One line, so that the reader knows the end without the stream being half-closed,
        # which not every connection to an engine can do.
        data = json.dumps(dict(values)).encode() + b"\n"
        try:
            self.engine.send(container, [*_WORKER, "receive-secrets"], data)
        except EngineError as error:
            logs = self.engine.last_lines(container)
            raise EngineError(
                f"The secrets could not be handed to the container: {error}\n{logs}"
            ) from error


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a container is to do, checked, with the values that it needs."""

    arguments: list[str]
    secrets: Mapping[str, str] = field(repr=False)
    tty: bool = False


def _what_to_run(
    command: str | Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
    flow_name: str | None,
    *,
    json_lines: bool,
) -> list[str]:
    if command is not None:
        if parameters:
            raise ParameterError("Parameters are the flow's: give either parameters or a command")
        words = shlex.split(command) if isinstance(command, str) else list(command)
        if not words:
            raise ValueError("The command is empty")
        return ["exec", "--", *words]
    if flow_name is None:
        return ["exec"]
    arguments = ["run"]
    if json_lines:
        arguments.append("--json")
    if parameters:
        if not isinstance(parameters, Mapping):
            raise ParameterError(f"Parameters are a dict of names and values, not {parameters!r}")
        try:
            arguments.append(f"--parameters={json.dumps(dict(parameters), allow_nan=False)}")
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"Parameters travel into a container as JSON, and these cannot: {error}"
            ) from error
    return arguments
