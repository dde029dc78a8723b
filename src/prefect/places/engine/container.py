"""A flow's image in a container engine: running it, and handing it its secrets."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefect.core.value_types import json_form
from prefect.errors import ContainerEngineError, ImageError, ParameterError
from prefect.images.held import HeldImage
from prefect.images.plan import ENTRYPOINT, PYTHON
from prefect.oci.daemon import containers
from prefect.places.protocol import Work
from prefect.places.surroundings import NOTHING, Surroundings
from prefect.running.flow_directory import KEY_VARIABLE
from prefect.running.parameters import check_described
from prefect.secrets.handover import one_line
from prefect.secrets.secret import DEFAULT_DIRECTORY, Secret, resolve, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docker.models.containers import Container as DockerContainer

    from prefect.oci.daemon.containers import Container
    from prefect.sealed.keys.keyring import Keyring

# Memory only: what is written here is in no layer, no commit and no file of the engine.
_SECRETS_TMPFS = {DEFAULT_DIRECTORY: "mode=1777,size=4m,noexec,nosuid,nodev"}


class RunnableImage(HeldImage):
    """A flow's image in a container engine, where it can run.

    Raises:
        ImageError: the container engine does not have it, or it was not made by this package.
    """

    def stop(self, container: str) -> None:
        """Stop a container of the image's container engine, if it still exists."""
        containers.stop(self.daemon, container)

    def docker_container(self, container: Container) -> DockerContainer:
        """Return a container as docker-py's object, and remove it if that cannot be had.

        Raises:
            ContainerEngineError: the container engine does not have it, or does not answer.
        """
        try:
            from prefect.oci.daemon import objects  # noqa: PLC0415 - loads docker-py

            return objects.container(self.daemon, container.id)
        except BaseException:  # nobody else knows of it
            container.remove()
            raise

    def request(
        self,
        command: str | Sequence[str] | None = None,
        *,
        tty: bool = False,
        parameters: Mapping[str, Any] | None = None,
        secrets: Iterable[Secret] = (),
        keyring: Keyring | None = None,
        json_lines: bool = False,
        strict: bool = False,
        surroundings: Surroundings = NOTHING,
    ) -> Work:
        """Check what a container is to do, and resolve its secrets here; nothing is started yet.

        Args:
            surroundings: what it gets of the container engine's machine.

        Raises:
            SecretError: a secret has no value here.
            ImageError: there is nothing to run in the image.
            ParameterError: parameters were given for a command, have no JSON form, or are not
                those of the flow.
            ValueError: the command is empty or cannot be split.
        """
        if command is None and not tty and not self.holds_flow:
            raise ImageError(
                f"The image {self.reference} holds dependencies alone: give a command to run, or "
                "build it with a flow"
            )
        flow = self.manifest(keyring).flow if self.holds_flow else None
        if command is None:
            _check(flow, parameters)
        own = () if flow is None else secrets_of(flow)
        known = {secret.name: secret for secret in (*own, *secrets)}
        if self.sealed and keyring is not None and command is None:  # commands need no key
            known[KEY_VARIABLE] = key = Secret(KEY_VARIABLE)
            from prefect.sealing import key_of  # noqa: PLC0415 - loads cryptography

            key.value = key_of(self._sealed_flow, keyring)
        values = resolve(known.values())
        action, *rest = _what_to_run(
            command, parameters, holds_flow=self.holds_flow, json_lines=json_lines, strict=strict
        )
        awaited = [f"--secret={name}" for name in values]
        hold = ["--hold"] if tty else []
        return Work([action, *awaited, *hold, *rest], values, tty, surroundings)

    def failing_imports(
        self, modules: Iterable[str], *, network: str | None = None
    ) -> dict[str, str]:
        """Import modules in a container of this image; return the error of each that fails.

        This runs what the image holds, with no secrets and no flow.

        Raises:
            ContainerEngineError: the container does not start, or says something else.
        """
        names = sorted(modules)
        if not names:
            return {}
        command = ["exec", "--", PYTHON, "-c", _IMPORTS, *names]
        container = self.start(Work(command, surroundings=Surroundings(network=network)))
        try:
            output = b"".join(container.logs()).decode(errors="replace")
            container.wait()
        finally:
            container.remove()
        _, found, told = output.rpartition(_TOLD)
        try:
            failing = (
                json.loads(told) if found else {names[0]: output.strip()[-500:] or "no output"}
            )
        except ValueError:
            failing = {names[0]: output.strip()[-500:]}
        return {str(name): str(error) for name, error in failing.items()}

    def start(self, work: Work) -> Container:
        """Start a container, and hand it its secrets over a stream once it runs.

        Raises:
            ContainerEngineError: the container does not start, or cannot be reached.
        """
        container = containers.start(
            self.daemon,
            self.id,
            work.arguments,
            tty=work.tty,
            tmpfs=_SECRETS_TMPFS if work.secrets else None,
            network=work.surroundings.network,
        )
        if work.secrets:
            try:
                self._deliver(container, work.secrets)
            except BaseException:  # also Ctrl-C: it would wait for its secrets in vain
                container.remove()
                raise
        return container

    def _deliver(self, container: Container, values: Mapping[str, str]) -> None:
        # One line, so that the reader knows the end without the stream being half-closed,
        # which not every connection to a container engine can do.
        command = [*ENTRYPOINT, "receive-secrets"]
        try:
            containers.send(container, command, one_line(values))
        except ContainerEngineError as error:
            logs = container.last_lines()
            raise ContainerEngineError(
                f"The secrets could not be handed to the container: {error}\n{logs}"
            ) from error


_TOLD = "prefect-imports:"
# One after the other, each by itself: an extension module may end the process.
_IMPORTS = f"""
import json, subprocess, sys
failing = {{}}
for name in sys.argv[1:]:
    done = subprocess.run([sys.executable, "-c", f"import {{name}}"], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        failing[name] = lines[-1] if lines else f"ended with status {{done.returncode}}"
print("{_TOLD}" + json.dumps(failing))
"""


def _what_to_run(
    command: str | Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
    *,
    holds_flow: bool,
    json_lines: bool,
    strict: bool,
) -> list[str]:
    if strict and (command is not None or not holds_flow):
        raise ValueError("strict compares what a flow needs: leave it out where no flow runs")
    if command is not None:
        if parameters:
            raise ParameterError("Parameters are the flow's: give either parameters or a command")
        words = shlex.split(command) if isinstance(command, str) else list(command)
        if not words:
            raise ValueError("The command is empty")
        return ["exec", "--", *words]
    if not holds_flow:
        return ["exec"]
    arguments = ["run"]
    if json_lines:
        arguments.append("--json")
    if strict:
        arguments.append("--strict")
    if parameters:
        try:
            text = json.dumps(json_form(dict(parameters)), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"Parameters travel into a container as JSON, and these cannot: {error}"
            ) from error
        arguments.append(f"--parameters={text}")
    return arguments


def _check(flow: Mapping[str, Any] | None, parameters: Any) -> None:
    if not isinstance(parameters or {}, Mapping):
        raise ParameterError(f"Parameters are a dict of names and values, not {parameters!r}")
    if flow is not None:
        check_described(flow, parameters or {})
    elif parameters:
        raise ParameterError("Parameters are a flow's, and the image holds no flow")
