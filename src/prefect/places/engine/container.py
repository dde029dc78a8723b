"""A flow's image in a container engine: running it, and handing it its secrets."""

from __future__ import annotations

import io
import json
import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.errors import ContainerEngineError, PlaceError
from prefect.images.held import HeldImage
from prefect.images.plan import ENTRYPOINT, PYTHON
from prefect.oci.daemon import containers
from prefect.places.engine.settings import settings_for
from prefect.places.protocol import Work
from prefect.places.stores import STORE_DIRECTORY
from prefect.places.surroundings import Surroundings
from prefect.running.output_directory import OUTPUT_DIRECTORY
from prefect.secrets.handover import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from docker.models.containers import Container as DockerContainer

    from prefect.oci.daemon.containers import Container

_LARGEST_REPORT = 1 << 32


class ContainerRun:
    """A worker that runs in a container; meets `protocol.Started`."""

    def __init__(self, container: Container, report: str, output: Path | None = None) -> None:
        self.container = container
        self._report = report
        self._output = output
        self.logs = container.logs
        self.stop = container.kill
        self._taken: tuple[float, float] | None = None

    def wait(self) -> int:
        """Wait until it ends, and fetch its output directory from a machine elsewhere.

        Returns:
            Its exit status.

        Raises:
            ContainerEngineError: the directory cannot be had.
            OSError: it cannot be written here.
        """
        status = self.container.wait()
        self._fetch()
        return status

    def usage(self) -> tuple[float, int] | None:
        """Return the share of one CPU since the last call, and the bytes of memory; None where nobody tells."""
        try:
            taken, memory = self.container.usage()
        except ContainerEngineError:
            return None
        now, before = time.monotonic(), self._taken
        self._taken = (now, taken)
        if before is None or now <= before[0]:
            return None
        return (taken - before[1]) / (now - before[0]), memory

    def remove(self) -> None:
        """Remove the container, running or not; what it made of its output directory is fetched first."""
        try:
            with suppress(ContainerEngineError, OSError):  # it has to go, whatever can be had of it
                self._fetch()
        finally:
            self.container.remove()

    def _fetch(self) -> None:
        if self._output is None:
            return
        output, self._output = self._output, None
        if behind := self.container.copy_directory(OUTPUT_DIRECTORY, output):
            logging.getLogger("prefect").warning(
                "What is neither a file nor a directory stays behind: %s", ", ".join(behind)
            )

    def report(self) -> bytes | None:
        """Return its report as it wrote it, or None where it wrote none."""
        found = io.BytesIO()
        try:
            self.container.copy(self._report, found, _LARGEST_REPORT)
        except FileNotFoundError:
            return None
        return found.getvalue()


class RunnableImage(HeldImage):
    """A flow's image in a container engine, where it can run.

    Raises:
        ImageError: the container engine does not have it, or it was not made by this package.
    """

    def require_seeing(self, surroundings: Surroundings) -> None:
        """Refuse an output directory that its containers would have only a copy of, for who does not wait for them.

        Raises:
            PlaceError: the container engine runs elsewhere.
        """
        if surroundings.output is not None and not self.daemon.is_local:
            raise PlaceError(
                f"The container engine at {self.daemon.http.endpoint.url} does not see {surroundings.output}, "
                "and nobody waits here for what could be fetched at the end: take a volume of its machine, "
                "or `prefect run --output`, which waits"
            )

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
            output = b"".join(data for _, data in container.logs()).decode(errors="replace")
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

    def start(self, work: Work) -> ContainerRun:
        """Start a container, and hand it its secrets over a stream once it runs.

        An output directory is made if it is not there. That of a container engine elsewhere is a copy,
        which is fetched once the worker has ended, by `wait`.

        Raises:
            PlaceError: a volume's path is not there, or an output directory cannot be had.
            SecretError: a variable has a secret's value.
            ContainerEngineError: the container does not start, not with what it is to get of the
                machine, or cannot be reached.
        """
        report = _report_file(work.surroundings)
        arguments = work.awaiting(report)
        if work.surroundings.output is not None and arguments[0] == "run":
            arguments.append(f"--output={OUTPUT_DIRECTORY}")
        arguments += work.keeping(STORE_DIRECTORY, "engine")
        container = containers.start(self.daemon, self.id, arguments, settings_for(self, work))
        if work.secrets:
            try:
                self._deliver(container, work.secrets)
            except BaseException:  # also Ctrl-C: it would wait for its secrets in vain
                container.remove()
                raise
        output = None if self.daemon.is_local else work.surroundings.output
        return ContainerRun(container, report, output)

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


def _report_file(surroundings: Surroundings) -> str:
    """Return a file of the container alone, which goes with it: a volume would keep it."""
    targets = [one.target.rstrip("/") for one in surroundings.volumes]
    place = "/var/tmp" if "/tmp" in targets else "/tmp"  # noqa: S108
    return f"{place}/prefect-report-{os.urandom(8).hex()}"


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
