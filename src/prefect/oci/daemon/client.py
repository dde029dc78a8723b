"""A container engine, over its API: the one module that imports docker."""

from __future__ import annotations

import io
import tarfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import docker
import docker.constants
import docker.errors
import requests
import urllib3
from docker.models.images import Image

from prefect.errors import (
    ContainerEngineError,
    ContainerEngineUnavailableError,
    ImageBuildError,
    ImageError,
)
from prefect.oci import images
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.oci.platforms import Platform

__all__ = ["Daemon", "Image", "LogEntry", "Storage", "described"]

LogEntry = dict[str, Any]
Progress = Callable[[str], None]

_LOG_TAIL_LINES = 30
# How a connection that breaks in the middle of an answer shows itself.
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Storage(Enum):
    """How a container engine keeps its images, which decides how an archive may leave layers out.

    CLASSIC: as directories; images are named by the digests of their configs.
    CONTAINERD: the layers also as they came, packed; images are named by those of their manifests.
    PODMAN: as CLASSIC does, for this purpose; but what it loads are OCI archives.
    """

    CLASSIC = "classic"
    CONTAINERD = "containerd"
    PODMAN = "podman"


class Daemon:
    """A Docker Engine (or one that speaks its API) with errors that say what to do.

    Connects where `DOCKER_HOST` and its kin point, else to the default socket.

    Raises:
        ContainerEngineUnavailableError: no container engine answers.
    """

    def __init__(self) -> None:
        self._overlay2 = False  # whether an image that was found is kept by that driver
        try:
            # Without asking for the version, which a ping tells in a hundredth of podman's time.
            self.client = docker.from_env(version=docker.constants.DEFAULT_DOCKER_API_VERSION)
            # The images and containers that are handed out share the connections: these are
            # closed once the last of them is gone.
            weakref.finalize(self.client, self.client.api.close)
            api: Any = self.client.api
            answer = api.get(f"{api.base_url}/_ping", timeout=api.timeout)
            answer.raise_for_status()
            # Its own ping hides the headers; and its "auto" sets just this.
            api._version = answer.headers.get("Api-Version") or api._retrieve_server_version()  # noqa: SLF001
            self._podman = "Libpod-API-Version" in answer.headers
        except (docker.errors.DockerException, *BROKEN) as error:
            raise ContainerEngineUnavailableError(
                f"No container engine answers ({_first_line(error)}). Start Docker, or point "
                "DOCKER_HOST at a container engine, such as unix:///run/user/1000/docker.sock"
            ) from error

    def find(self, reference: str) -> Image | None:
        """Return an image that the container engine holds, or None."""
        with translated(f"look up the image {reference}"):
            try:
                found = self.client.images.get(reference)
            except docker.errors.ImageNotFound:
                return None
        driver = found.attrs.get("GraphDriver") or {}
        self._overlay2 |= driver.get("Name") == "overlay2" and bool(driver.get("Data"))
        return found

    def pull(
        self, reference: str, *, platform: Platform | None = None, progress: Progress | None = None
    ) -> Image:
        """Pull an image from its registry.

        platform: of an image for several; None takes the container engine's own.

        Raises:
            ImageError: the registry does not have it, refuses it, or cannot be reached.
        """
        wanted = str(platform) if platform else None
        try:
            for entry in self.client.api.pull(reference, stream=True, decode=True, platform=wanted):
                if "error" in entry:
                    raise ImageError(_not_pulled(reference, entry["error"]))
                if progress and "progressDetail" not in entry:
                    progress(str(entry.get("status", "")))
            return self.client.images.get(reference)
        except (docker.errors.DockerException, *BROKEN) as error:
            raise ImageError(_not_pulled(reference, _first_line(error))) from error

    @cached_property
    def storage(self) -> Storage:
        """How the container engine keeps its images."""
        if self._podman:
            return Storage.PODMAN
        if (
            self._overlay2
        ):  # of the classic store alone, and asking has container engines start programs
            return Storage.CLASSIC
        with translated("tell how it keeps images"):
            info = self.client.info()
        status = dict(pair for pair in info.get("DriverStatus") or () if len(pair) == 2)  # noqa: PLR2004
        snapshotter = str(status.get("driver-type", "")).startswith("io.containerd.snapshotter")
        return Storage.CONTAINERD if snapshotter else Storage.CLASSIC

    def load(self, archive: Iterable[bytes], progress: Progress | None = None) -> None:
        """Load images from the chunks of an archive, as `docker load` does.

        Raises:
            ContainerEngineError: the container engine refuses it, or says that a part of it failed.
            Exception: whatever making the archive raises.
        """
        chunks = _Chunks(archive)
        with chunks.own_errors(), translated("load an image"):
            # Sent as it is made: what is not yet compressed need not wait in memory.
            api: Any = self.client.api  # its own method wants bytes or a file
            answer = api._post(  # noqa: SLF001
                api._url("/images/load"), data=chunks, stream=True,  # noqa: SLF001
                headers={"Content-Type": "application/x-tar"}, params={"quiet": "1"}, timeout=None,
            )  # fmt: skip
            for entry in api._stream_helper(answer, decode=True):  # noqa: SLF001
                text = str(entry.get("error") or entry.get("stream", "")).strip()
                if "error" in entry or "failed to unpack" in text.lower():
                    raise ImageError(f"The container engine cannot load an image: {text}")
                if progress and text:
                    progress(text)

    def save(self, image: str, path: Path) -> None:
        """Write an image with all its layers into an archive, as `docker save` does."""
        with translated(f"save {image}"), path.open("wb") as file:
            for chunk in self.client.api.get_image(image):
                file.write(chunk)

    def tag(self, image: str, name: str) -> None:
        """Give an image a name, which another then loses."""
        reference = Reference.parse(name)
        with translated(f"tag {image} as {name}"):
            self.client.api.tag(image, reference.name, reference.tag, force=True)

    def can_start(self, image: str) -> bool:
        """Tell whether the files of an image can be had: a container is made and never started."""
        with translated(f"try {image}"):
            try:
                container = self.client.api.create_container(image, ["-"], network_disabled=True)
            except docker.errors.APIError:
                return False
            self.client.api.remove_container(container["Id"], force=True, v=True)
            return True

    def remove(self, image: str) -> None:
        """Remove an image with all its names, if it is there."""
        with translated(f"remove {image}"), suppress(docker.errors.ImageNotFound):
            self.client.api.remove_image(image, force=True)

    def prune(self, label: str, age: str) -> None:
        """Remove the images without a name that have a label and such an age, as "1h"."""
        filters = {"label": [label], "until": [age], "dangling": ["true"]}
        with translated("remove images"):
            api: Any = self.client.api
            api.prune_images(filters)

    def labelled(self, label: str) -> list[str]:
        """Return the ids of the images that have a label, newest first."""
        with translated("list its images"):
            return [str(i["Id"]) for i in self.client.api.images(filters={"label": label})]

    def build(
        self,
        context: Mapping[str, bytes],
        tag: str | None = None,
        *,
        network: str | None = None,
        progress: Progress | None = None,
    ) -> tuple[Image, list[LogEntry]]:
        """Build an image from the files of a context, the Dockerfile among them.

        network: for the build's steps, such as "host"; None means the container engine's default.

        Raises:
            ImageBuildError: a step failed; the message carries the end of its output.
        """
        log: list[LogEntry] = []
        image_id = None
        name = tag or "the image"
        with translated(f"build {name}"):
            for entry in self.client.api.build(
                fileobj=_tar(context), custom_context=True, tag=tag, rm=True, forcerm=True,
                decode=True, network_mode=network,
            ):  # fmt: skip
                log.append(entry)
                if "error" in entry:
                    raise ImageBuildError(_failed_build(name, log))
                if "aux" in entry:
                    image_id = entry["aux"].get("ID", image_id)
                if progress and (line := entry.get("stream", "").strip()):
                    progress(line)
            if image_id is None:
                raise ImageBuildError(_failed_build(name, log))
            return self.client.images.get(image_id), log


class _Chunks:
    """The chunks of an archive on their way: what goes wrong in making them is told apart.

    Whoever sends them takes an OSError of ours, such as one of the disk, for one of the connection.
    """

    def __init__(self, archive: Iterable[bytes]) -> None:
        self._chunks = iter(archive)
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception as error:
            self._error = error
            raise

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            if self._error is not None:
                raise self._error from None
            raise


def described(image: Image) -> images.Image:
    """Return an image of the container engine with its config and the digests of its layers.

    No layer is read. The config says what a container takes from it, and nothing of its making.
    """
    attrs = image.attrs
    config = {
        "architecture": attrs["Architecture"],
        "config": attrs.get("Config") or {},
        "os": attrs["Os"],
        "rootfs": {"type": "layers", "diff_ids": attrs["RootFS"].get("Layers") or []},
    }
    if attrs.get("Variant"):
        config["variant"] = attrs["Variant"]
    layers = tuple(images.Layer(diff_id) for diff_id in config["rootfs"]["diff_ids"])
    return images.Image(images.canonical_json(config), layers)


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
def translated(doing: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageError(f"The container engine cannot {doing}: {_first_line(error)}") from error
    except docker.errors.APIError as error:
        raise ContainerEngineError(
            f"The container engine cannot {doing}: {_first_line(error)}"
        ) from error
    except FileNotFoundError:
        raise  # ours: a program or a file that an image does not have
    except (docker.errors.DockerException, *BROKEN) as error:
        raise ContainerEngineUnavailableError(
            f"The connection to the container engine broke while it should {doing}: "
            f"{_first_line(error)}. See whether it still runs, and try again"
        ) from error


def _not_pulled(reference: str, reason: str) -> str:
    return (
        f"The image {reference} cannot be pulled: {reason}. Check its name, log in with "
        "`docker login` if the registry wants it, or set PREFECT_REGISTRY to the registry that "
        "has it"
    )


def _failed_build(tag: str, log: Iterable[LogEntry]) -> str:
    lines: list[str] = []
    error, step = "the container engine did not say why", ""
    for entry in log:
        if entry.get("stream", "").startswith(("Step ", "STEP ")):  # the latter is podman's
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
