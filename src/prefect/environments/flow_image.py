"""An image that holds a flow, wherever it was built: looking into it, and running it."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from prefect.environments.secret import DEFAULT_DIRECTORY, Secret, resolve, secrets_of
from prefect.errors import EngineError, ImageError
from prefect.packaging.manifest import Manifest
from prefect.packaging.plan import LABEL_FLOW, LABEL_MANIFEST, LABEL_VERSION, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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

    def run(
        self,
        command: str | Sequence[str] | None = None,
        *,
        tty: bool = False,
        parameters: Mapping[str, Any] | None = None,
        secrets: Iterable[Secret] = (),
        network: str | None = None,
        json_lines: bool = False,
    ) -> Container:
        """Start a container that runs the flow, or `command` in the same environment.

        Secrets are resolved here, and handed to the container over a stream once it runs.

        Raises:
            SecretError: a secret has no value here; no container is started then.
            ValueError: parameters were given for a command, or are no JSON values.
            EngineError: the container does not start.
        """
        if command is None and not tty and self.flow_name is None:
            raise ImageError(
                f"The image {self.reference} holds dependencies alone: give a command to run, or "
                "build it with a flow"
            )
        known = {secret.name: secret for secret in (*self._own_secrets(), *secrets)}
        values = resolve(known.values())
        arguments = [*_what_to_run(command, parameters, self.flow_name, json_lines=json_lines)]
        arguments[1:1] = [f"--secret={name}" for name in values] + (["--hold"] if tty else [])
        container = self.engine.start(
            str(self.image.id),
            arguments,
            tty=tty,
            tmpfs=_SECRETS_TMPFS if values else None,
            network=network,
        )
        if values:
            self._deliver(container, values)
        return container

    def _own_secrets(self) -> tuple[Secret, ...]:
        return secrets_of(self.manifest().flow) if self.flow_name is not None else ()

    def _deliver(self, container: Container, values: Mapping[str, str]) -> None:
        # One line, so that the reader knows the end without the stream being half-closed,
        # which not every connection to an engine can do.
        data = json.dumps(dict(values)).encode() + b"\n"
        try:
            self.engine.send(container, [*_WORKER, "receive-secrets"], data)
        except EngineError as error:
            logs = container.logs(tail=20).decode(errors="replace").strip()
            container.remove(force=True)
            raise EngineError(
                f"The secrets could not be handed to the container: {error}\n{logs}"
            ) from error


def _what_to_run(
    command: str | Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
    flow_name: str | None,
    *,
    json_lines: bool,
) -> list[str]:
    if command is not None:
        if parameters:
            raise ValueError("Parameters are the flow's: give either parameters or a command")
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
        try:
            arguments.append(f"--parameters={json.dumps(dict(parameters), allow_nan=False)}")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Parameters travel into a container as JSON, and these cannot: {error}"
            ) from error
    return arguments
