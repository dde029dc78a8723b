"""An image that a container engine holds: looked into without running anything of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Self

from prefect.errors import ImageError
from prefect.images.inspection import FlowImage
from prefect.images.labels import LABEL_MANIFEST
from prefect.images.remembered import remember_manifest, remembered_manifest
from prefect.oci.cache.of_user import open_cache
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.files import daemon_files

if TYPE_CHECKING:
    from prefect.oci.daemon.image import DaemonImage
    from prefect.oci.platforms import Platform

_REMEMBERED = 1 << 20  # bytes: manifests are far smaller


class HeldImage(FlowImage):
    """A flow's image in a container engine.

    Args:
        daemon: the container engine.
        reference: the image's name.
        image: it, as the container engine told of it; None asks.

    Raises:
        ImageError: the container engine does not have it, or it was not made by this package.
    """

    def __init__(self, daemon: Daemon, reference: str, image: DaemonImage | None = None) -> None:
        image = image or daemon.find(reference)
        if image is None:
            raise ImageError(
                f"There is no image {reference} in the container engine. Check its name, build it, or pull it"
            )
        super().__init__(reference, image.labels, self._copy_from_daemon)
        self.daemon = daemon
        self.id = image.id
        self.found = image

    @classmethod
    def named(cls, reference: str) -> Self:
        """Return the image of that name in the container engine of this machine's settings.

        Raises:
            ContainerEngineUnavailableError: no container engine answers.
            ImageError: the container engine does not have it, or it was not made by this package.
        """
        return cls(Daemon(), reference)

    @property
    def user(self) -> str:
        """As which containers of it run: a name or a number, with ":GROUP" or without; "" is root.

        Raises:
            ImageError: the container engine has it in part.
        """
        from prefect.oci.daemon.image import described  # noqa: PLC0415 - for some runs alone

        return str(described(self.found).settings.get("User") or "")

    def ids(self, user: str) -> tuple[int, int] | None:
        """Return the numbers of a user of the image and its group; None where it has no such user.

        Raises:
            ContainerEngineError: the image cannot be looked into.
        """
        name, _, group = user.partition(":")
        if name.isdecimal():
            return int(name), int(group) if group.isdecimal() else 0
        with daemon_files(self.daemon, self.id) as files, suppress(FileNotFoundError):
            for line in (
                files.read("/etc/passwd", _REMEMBERED).decode(errors="replace").splitlines()
            ):
                entry, *rest = line.split(":")
                if entry == name and len(rest) > 2 and rest[1].isdecimal() and rest[2].isdecimal():  # noqa: PLR2004
                    return int(rest[1]), int(rest[2])
        return None

    def platforms(self) -> tuple[Platform, Platform]:
        """Return the platform of the image, and that of the container engine.

        Raises:
            ContainerEngineError: the container engine does not tell.
        """
        from prefect.oci.daemon.image import described  # noqa: PLC0415 - for a check alone

        return described(self.found).platform, self.daemon.platform()

    def _copy_from_daemon(self, path: str, file: BinaryIO, limit: int) -> None:
        if path != self._labels.get(LABEL_MANIFEST):
            with daemon_files(self.daemon, self.id) as files:
                files.copy(path, file, limit)
            return
        # To look into an image takes a container each time; its id names its content.
        with open_cache() as store:
            known = remembered_manifest(store, self.id)
            if known is not None:
                file.write(known)
                return
            with daemon_files(self.daemon, self.id) as files:
                found = files.read(path, limit)
            file.write(found)
            remember_manifest(store, self.id, found)
