"""A container engine, over its API: the one module that imports docker."""

from __future__ import annotations

import io
import tarfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import docker
import docker.errors
import requests
import urllib3
from docker.models.containers import Container
from docker.models.images import Image

from prefect.errors import EngineError, EngineUnavailableError, ImageBuildError, ImageError

__all__ = ["Container", "Engine", "Image", "LogEntry"]

LogEntry = dict[str, Any]
Progress = Callable[[str], None]

_LOG_TAIL_LINES = 30
_EXIT_SECONDS = 10
# How a connection that breaks in the middle of an answer shows itself.
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Engine:
    """A Docker Engine (or one that speaks its API) with errors that say what to do.

    Connects where `DOCKER_HOST` and its kin point, else to the default socket.

    Raises:
        EngineUnavailableError: no engine answers.
    """

    def __init__(self) -> None:
        try:
            self._client = docker.from_env()
            # The images and containers that are handed out share the connections: these are
            # closed once the last of them is gone.
            weakref.finalize(self._client, self._client.api.close)
            self._client.ping()
        except (docker.errors.DockerException, *_BROKEN) as error:
            raise EngineUnavailableError(
                f"No container engine answers ({_first_line(error)}). Start Docker, or point "
                "DOCKER_HOST at an engine, such as unix:///run/user/1000/docker.sock"
            ) from error

    def find(self, reference: str) -> Image | None:
        """Return an image that the engine holds, or None."""
        with _translated(f"look up the image {reference}"):
            try:
                return self._client.images.get(reference)
            except docker.errors.ImageNotFound:
                return None

    def pull(self, reference: str, progress: Progress | None = None) -> Image:
        """Pull an image from its registry.

        Raises:
            ImageError: the registry does not have it, refuses it, or cannot be reached.
        """
        try:
            for entry in self._client.api.pull(reference, stream=True, decode=True):
                if "error" in entry:
                    raise ImageError(_not_pulled(reference, entry["error"]))
                if progress and "progressDetail" not in entry:
                    progress(str(entry.get("status", "")))
            return self._client.images.get(reference)
        except (docker.errors.DockerException, *_BROKEN) as error:
            raise ImageError(_not_pulled(reference, _first_line(error))) from error

    def build(
        self,
        context: Mapping[str, bytes],
        tag: str,
        *,
        network: str | None = None,
        progress: Progress | None = None,
    ) -> tuple[Image, list[LogEntry]]:
        """Build an image from the files of a context, the Dockerfile among them.

        network: for the build's steps, such as "host"; None means the engine's default.

        Raises:
            ImageBuildError: a step failed; the message carries the end of its output.
        """
        log: list[LogEntry] = []
        image_id = None
        with _translated(f"build {tag}"):
            for entry in self._client.api.build(
                fileobj=_tar(context), custom_context=True, tag=tag, rm=True, forcerm=True,
                decode=True, network_mode=network,
            ):  # fmt: skip
                log.append(entry)
                if "error" in entry:
                    raise ImageBuildError(_failed_build(tag, log))
                if "aux" in entry:
                    image_id = entry["aux"].get("ID", image_id)
                if progress and (line := entry.get("stream", "").strip()):
                    progress(line)
            if image_id is None:
                raise ImageBuildError(_failed_build(tag, log))
            return self._client.images.get(image_id), log

    def run_to_end(
        self, image: str, entrypoint: Sequence[str], command: Sequence[str]
    ) -> tuple[int, str, str]:
        """Run a program in a throw-away container without network; return status, out and err.

        Raises:
            FileNotFoundError: the image does not have the program.
        """
        with _translated(f"run {entrypoint[0]} in {image}"):
            container = self._client.containers.create(
                image, list(command), entrypoint=list(entrypoint), network_mode="none"
            )
            try:
                container.start()
                status = int(container.wait()["StatusCode"])
                out = container.logs(stdout=True, stderr=False).decode(errors="replace")
                err = container.logs(stdout=False, stderr=True).decode(errors="replace")
            except docker.errors.APIError as error:
                # Engines report a missing program as a failed start, in varying words.
                if any(words in str(error) for words in ("executable file", "no such file")):
                    raise FileNotFoundError(entrypoint[0]) from error
                raise
            finally:
                container.remove(force=True, v=True)
        return status, out, err

    def start(
        self,
        image: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        tmpfs: Mapping[str, str] | None = None,
        network: str | None = None,
    ) -> Container:
        """Start a container in the background and return it."""
        with _translated(f"start {image}"):
            container = self._client.containers.create(
                image, list(command), tty=tty, tmpfs=dict(tmpfs or {}), network=network
            )
            try:
                container.start()
            except BaseException:
                container.remove(force=True, v=True)
                raise
            return container

    def send(self, container: Container, command: Sequence[str], data: bytes) -> None:
        """Run a program inside a running container and write to its standard input.

        Nothing of the data reaches the engine's disk: it goes through a stream.

        Raises:
            EngineError: the program did not end well; the message carries its output.
        """
        api = self._client.api
        with _translated(f"reach into {container.short_id}"):
            exec_id = api.exec_create(container.id, list(command), stdin=True)["Id"]
            stream: Any = api.exec_start(exec_id, socket=True)
            connection = getattr(stream, "_sock", stream)  # a bare socket over TLS
            try:
                connection.sendall(data)
                output = b"".join(iter(lambda: connection.recv(65536), b""))
            finally:
                connection.close()
                stream._response.close()  # noqa: SLF001 - docker keeps the connection's owner there
            # The stream ends a moment before the engine knows how the program did.
            deadline = time.monotonic() + _EXIT_SECONDS
            while (status := api.exec_inspect(exec_id)["ExitCode"]) is None:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            if status != 0:
                reason = output[8:].decode(errors="replace").strip()
                raise EngineError(f"{command[0]} failed in {container.short_id}: {reason}")

    def last_lines(self, container: Container) -> str:
        """Return the end of a container's logs, or nothing where they cannot be had."""
        try:
            return container.logs(tail=20).decode(errors="replace").strip()
        except (docker.errors.DockerException, *_BROKEN):
            return ""

    def stop(self, container_id: str, *, timeout: int = 10) -> None:
        """Stop a container if it still exists; `timeout` seconds for it to end by itself."""
        with _translated(f"stop {container_id[:12]}"):
            try:
                self._client.containers.get(container_id).stop(timeout=timeout)
            except docker.errors.NotFound:
                return

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image. Nothing of the image is executed.

        Raises:
            FileNotFoundError: the image does not have it.
        """
        with _translated(f"read {path} from {image}"):
            # A container that is created and never started gives access to the files.
            container = self._client.containers.create(image, ["-"], network_mode="none")
            try:
                chunks, _ = container.get_archive(path)
                archive = io.BytesIO(b"".join(chunks))
            except docker.errors.NotFound as error:
                raise FileNotFoundError(path) from error
            finally:
                container.remove(force=True, v=True)
        with tarfile.open(fileobj=archive) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member else None
            if content is None:
                raise FileNotFoundError(path)
            return content.read()


def _tar(files: Mapping[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            # Fixed, so that neither umask nor clock reaches the image or defeats its cache.
            info.mode, info.mtime, info.size = 0o644, 0, len(content)
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageError(f"The engine cannot {doing}: {_first_line(error)}") from error
    except docker.errors.APIError as error:
        raise EngineError(f"The engine cannot {doing}: {_first_line(error)}") from error
    except FileNotFoundError:
        raise  # ours: a program or a file that an image does not have
    except (docker.errors.DockerException, *_BROKEN) as error:
        raise EngineUnavailableError(
            f"The connection to the engine broke while it should {doing}: {_first_line(error)}"
        ) from error


def _not_pulled(reference: str, reason: str) -> str:
    return (
        f"The image {reference} cannot be pulled: {reason}. Check its name, log in with "
        "`docker login` if the registry wants it, or set PREFECT_REGISTRY to the registry that "
        "has it"
    )


def _failed_build(tag: str, log: Iterable[LogEntry]) -> str:
    lines: list[str] = []
    error, step = "the engine did not say why", ""
    for entry in log:
        if entry.get("stream", "").startswith("Step "):
            step = entry["stream"].strip()
            lines.clear()
        else:
            lines += entry.get("stream", "").splitlines()
        error = entry.get("error", error)
    tail = "\n".join(f"    {line}" for line in lines[-_LOG_TAIL_LINES:] if line.strip())
    return f"Building {tag} failed at {step or 'its start'}: {error.strip()}\n{tail}"


def _first_line(error: BaseException) -> str:
    text = getattr(error, "explanation", None) or str(error)
    return str(text).strip().splitlines()[0] if str(text).strip() else type(error).__name__
