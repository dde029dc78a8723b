"""A container engine, over its API: its images, and what it tells of itself."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.errors import (
    ContainerEngineError,
    ContainerEngineUnavailableError,
    ImageBuildError,
    ImageError,
    RegistryError,
)
from prefect.oci import documents
from prefect.oci.daemon.builds import build_context, failed_build
from prefect.oci.daemon.endpoints import find_endpoint
from prefect.oci.daemon.image import DaemonImage, identifier, tags
from prefect.oci.daemon.makers import LABEL_MAKER, is_dead, this_process
from prefect.oci.daemon.pulls import login_header, not_pulled
from prefect.oci.daemon.transport import NOT_FOUND, Transport, first_line, in_path
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference
from prefect.steps import Step, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


ABSENT = frozenset({NOT_FOUND})

_T = TypeVar("_T")


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

    Connects where the variables and files of docker point, else to the default socket.

    Raises:
        ContainerEngineUnavailableError: no container engine answers.
    """

    def __init__(self) -> None:
        self._overlay2 = False  # whether an image that was found is kept by that driver
        self.http = Transport(find_endpoint())

    def find(self, reference: str) -> DaemonImage | None:
        """Return an image that the container engine holds, or None."""
        with self.http.request(
            "GET", f"/images/{in_path(reference)}/json", f"look up the image {reference}",
            also=ABSENT,
        ) as answer:  # fmt: skip
            if answer.status == NOT_FOUND:
                return None
            found = answer.made(DaemonImage.parse, answer.document())
        self._overlay2 |= found.overlay2
        return found

    def pull(
        self,
        reference: str,
        *,
        platform: Platform | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> DaemonImage:
        """Pull an image from its registry, with the credentials that docker and podman keep here.

        Args:
            platform: of an image for several; None takes the container engine's own.

        Raises:
            ImageError: the registry does not have it, refuses it, or cannot be reached; or what is
                there afterwards has not the digest by which it was asked for.
            ContainerEngineUnavailableError: the connection to the container engine broke.
        """
        target = Reference.parse(reference)
        query = {"fromImage": target.name, "tag": target.digest or target.tag or ""}
        if platform:
            query["platform"] = str(platform)
        try:
            headers = login_header(target)
            with ExitStack() as entered, self.http.request(
                "POST", "/images/create", f"pull {reference}",
                query=query, headers=headers, timeout=None,
            ) as answer:  # fmt: skip
                told = entered.enter_context(step(f"Pulling {reference}"))
                layers: dict[str, tuple[int, int]] = {}
                for entry in answer.entries():
                    if "error" in entry:
                        raise not_pulled(reference, str(entry["error"]))
                    _count_pulled(told, layers, entry)
                    if progress and "progressDetail" not in entry:
                        progress(str(entry.get("status", "")))
        except ContainerEngineUnavailableError:
            raise
        except (ContainerEngineError, RegistryError) as error:
            raise not_pulled(reference, str(error)) from error
        found = self.find(reference)
        if found is None:
            raise not_pulled(reference, "the container engine does not have it afterwards")
        if target.digest and not found.has_digest(target.digest):
            raise not_pulled(reference, "the container engine has something else by that digest")
        return found

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, as far as its address tells, and so sees its paths."""
        return self.http.endpoint.url.startswith("unix:")

    @cached_property
    def rootless(self) -> bool:
        """Whether its root is a user of its machine, and its other users are none."""
        with self.http.request("GET", "/info", "tell how it is run") as answer:
            options = answer.document().get("SecurityOptions")
        return any("rootless" in str(option) for option in options or ())

    @cached_property
    def storage(self) -> Storage:
        """How the container engine keeps its images."""
        if self.http.podman:
            return Storage.PODMAN
        if self._overlay2:
            # Of the classic store alone, and asking has container engines start programs.
            return Storage.CLASSIC
        with self.http.request("GET", "/info", "tell how it keeps images") as answer:
            status = answer.made(_pairs, answer.document().get("DriverStatus"))
        kind = status.get("driver-type", "")
        containerd = kind.startswith("io.containerd.snapshotter")
        return Storage.CONTAINERD if containerd else Storage.CLASSIC

    def platform(self) -> Platform:
        """Return the platform of the machine that the container engine runs on.

        Raises:
            ContainerEngineError: the container engine does not tell.
        """
        with self.http.request("GET", "/version", "tell its platform") as answer:
            told = answer.document()
        try:
            return Platform.parse(f"{told.get('Os')}/{told.get('Arch')}")
        except ValueError as error:
            raise ContainerEngineError(
                f"The container engine tells no platform: {error}"
            ) from error

    def load(self, archive: Iterable[bytes], progress: Callable[[str], None] | None = None) -> None:
        """Load images from the chunks of an archive, as `docker load` does.

        Sent as it is made: what is not yet compressed need not wait in memory.

        Raises:
            ContainerEngineError: the container engine refuses it, or says that a part of it failed.
            Exception: whatever making the archive raises.
        """
        with self.http.request(
            "POST", "/images/load", "load an image",
            query={"quiet": "1"}, body=archive, headers={"Content-Type": "application/x-tar"},
            timeout=None,
        ) as answer:  # fmt: skip
            for entry in answer.entries():
                text = str(entry.get("error") or entry.get("stream", "")).strip()
                if "error" in entry or "failed to unpack" in text.lower():
                    raise ContainerEngineError(
                        f"The container engine cannot load an image: {first_line(text)}"
                    )
                if progress and text:
                    progress(text)

    def save(self, image: str, path: Path) -> None:
        """Write an image with all its layers into an archive, as `docker save` does.

        Raises:
            ImageError: the container engine does not have it.
        """
        with self.http.request(
            "GET", f"/images/{in_path(image)}/get", f"save {image}", also=ABSENT, timeout=None
        ) as answer:
            if answer.status == NOT_FOUND:
                raise absent(image)
            with (
                step("Taking the image out of the container engine") as told,
                path.open("wb") as file,
            ):
                for data in told.counting(iter(lambda: answer.read(1 << 20), b"")):
                    file.write(data)

    def tag(self, image: str, name: str) -> None:
        """Give an image a name, which another then loses.

        Raises:
            ImageError: the container engine does not have it.
        """
        reference = Reference.parse(name)
        with self.http.request(
            "POST", f"/images/{in_path(image)}/tag", f"tag {image} as {name}",
            query={"repo": reference.name, "tag": reference.tag or ""}, also=ABSENT,
        ) as answer:  # fmt: skip
            if answer.status == NOT_FOUND:
                raise absent(image)

    def create(self, image: str, settings: Mapping[str, Any]) -> str:
        """Create a container that is not started; return its id.

        Those that a process of this machine made, and was killed before they were started or removed,
        are removed first.

        Args:
            settings: as in the body of the API's request, but for labels.

        Raises:
            ImageError: the container engine does not have the image.
            ContainerEngineError: it does not make the container, or would leave a limit out.
        """
        self._remove_abandoned()
        settings = {**settings, "Labels": {LABEL_MAKER: this_process()}}
        with self.http.request(
            "POST", "/containers/create", f"make a container of {image}",
            document={"Image": image, **settings}, also=ABSENT, timeout=None,
        ) as answer:  # fmt: skip
            if answer.status == NOT_FOUND:
                if self.find(image) is None:
                    raise absent(image)
                answer.require(frozenset())  # something else that was asked for is not there
            made = answer.document()
            container = answer.made(identifier, made)
        for warning in map(str, made.get("Warnings") or ()):
            if "discarded" in warning.lower():  # a limit that is given is kept, or refused
                self.remove_container(container)
                raise ContainerEngineError(
                    f"The container engine cannot limit a container so: {first_line(warning)}. Leave "
                    "the limit out, or take another engine"
                )
        return container

    def _remove_abandoned(self) -> None:
        query = {
            "all": "1",
            "filters": json.dumps({"label": [LABEL_MAKER], "status": ["created"]}),
        }
        with self.http.request(
            "GET", "/containers/json", "list its containers", query=query
        ) as answer:
            found = answer.listed()
        for each in found:
            labels = each.get("Labels")
            if isinstance(labels, dict) and is_dead(str(labels.get(LABEL_MAKER, ""))):
                with suppress(ContainerEngineError):  # another one removes it, too
                    self.remove_container(str(each.get("Id")))

    def remove_container(self, container: str) -> None:
        """Remove a container, running or not, if it is there."""
        with self.http.request(
            "DELETE", f"/containers/{in_path(container)}",
            f"remove the container {container[:12]}",
            query={"force": "1", "v": "1"}, also=ABSENT, timeout=None,
        ):  # fmt: skip
            pass

    def can_start(self, image: str) -> bool:
        """Tell whether the files of an image can be had: a container is made and never started."""
        try:
            container = self.create(image, {"Cmd": ["-"], "NetworkDisabled": True})
        except ContainerEngineUnavailableError:
            raise
        except (ContainerEngineError, ImageError):
            return False
        self.remove_container(container)
        return True

    def remove(self, image: str) -> None:
        """Remove an image with all its names, if it is there."""
        with self.http.request(
            "DELETE", f"/images/{in_path(image)}", f"remove {image}",
            query={"force": "1"}, also=ABSENT, timeout=None,
        ):  # fmt: skip
            pass

    def prune(self, label: str, age: str) -> None:
        """Remove the images without a name that have a label and such an age, as "1h"."""
        filters = json.dumps({"label": [label], "until": [age], "dangling": ["true"]})
        with self.http.request(
            "POST", "/images/prune", "remove images", query={"filters": filters}, timeout=None
        ):
            pass

    def labelled(self, label: str) -> list[str]:
        """Return the ids of the images that have a label, newest first."""
        return self._listed(label, identifier)

    def names(self, label: str) -> list[str]:
        """Return the names, with tags, of the images that have a label, newest first."""
        return [name for names in self._listed(label, tags) for name in names]

    def _listed(self, label: str, parse: Callable[[Any], _T]) -> list[_T]:
        query = {"filters": json.dumps({"label": [label]})}
        with self.http.request("GET", "/images/json", "list its images", query=query) as answer:
            return [answer.made(parse, each) for each in answer.listed()]

    def build(
        self,
        context: Mapping[str, bytes],
        *,
        network: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> DaemonImage:
        """Build an image from the files of a context, the Dockerfile among them.

        Args:
            network: for the build's steps, such as "host"; None means the container engine's default.

        Raises:
            ImageBuildError: a step failed; the message carries the end of its output.
        """
        log: list[dict[str, Any]] = []
        image_id = None
        query = {"rm": "1", "forcerm": "1"}
        if network is not None:
            query["networkmode"] = network
        if self.http.endpoint.proxies:
            query["buildargs"] = json.dumps(self.http.endpoint.proxies)
        with step("Building in the container engine"), self.http.request(
            "POST", "/build", "build the image", query=query, body=[build_context(context)],
            headers={"Content-Type": "application/x-tar"}, timeout=None,
        ) as answer:  # fmt: skip
            for entry in answer.entries():
                log.append(entry)
                if "error" in entry:
                    raise ImageBuildError(failed_build(log))
                if isinstance(aux := entry.get("aux"), dict):
                    image_id = aux.get("ID", image_id)
                if progress and (line := str(entry.get("stream", "")).strip()):
                    progress(line)
        found = None if image_id is None else self.find(str(image_id))
        if found is None:
            raise ImageBuildError(failed_build(log))
        return found


def _count_pulled(told: Step, layers: dict[str, tuple[int, int]], entry: Mapping[str, Any]) -> None:
    """Count what an entry of a pull says of the bytes of a layer.

    Args:
        layers: of each one how many bytes have come, and of how many.
    """
    layer, detail = str(entry.get("id", "")), entry.get("progressDetail")
    done, total = layers.get(layer, (0, 0))
    if entry.get("status") == "Downloading" and isinstance(detail, dict):
        numbers = [detail.get(name) for name in ("current", "total")]
        if not all(isinstance(each, int) and each >= 0 for each in numbers):
            return
        now = (int(numbers[0] or 0), int(numbers[1] or 0))
    elif entry.get("status") in {"Download complete", "Pull complete"}:
        now = (total, total)
    else:
        return
    layers[layer] = now
    told.add(now[0] - done)
    told.expect(now[1] - total)


def absent(image: str) -> ImageError:
    """Return the error for an image that the container engine does not have."""
    return ImageError(f"There is no image {image} in the container engine: build it, or pull it")


def _pairs(told: Any) -> dict[str, str]:
    listed = documents.expect(told or [], list, "Its status")
    pairs = [documents.expect(pair, list, "A status") for pair in listed]
    return {str(pair[0]): str(pair[1]) for pair in pairs if len(pair) == 2}  # noqa: PLR2004
