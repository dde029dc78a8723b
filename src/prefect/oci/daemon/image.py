"""An image as a container engine tells of it."""

from __future__ import annotations

from typing import Any, Self

from prefect.errors import ImageError
from prefect.frozen import field, frozen
from prefect.oci import documents, images


@frozen
class DaemonImage:
    """An image as a container engine tells of it.

    Attributes:
        id: by which the container engine knows it.
        config: the OCI config as far as it is told: what a container takes from it, and its layers;
            None of an image that the container engine has in part.
        diff_ids: of its layers, from the base up.
        tags: its names.
        repo_digests: its names by digest, where it came from a registry or went to one.
        overlay2: whether the classic store keeps it, with its driver of that name.
    """

    id: str
    config: bytes | None = field(repr=False)
    diff_ids: tuple[str, ...] = field(repr=False)
    labels: dict[str, str] = field(repr=False)
    tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    overlay2: bool = False

    def has_digest(self, digest: str) -> bool:
        """Tell whether it is the image, or one of the images, of a digest in a registry."""
        return digest == self.id or any(one.endswith(f"@{digest}") for one in self.repo_digests)

    @classmethod
    def parse(cls, told: dict[str, Any]) -> Self:
        """Take what the container engine tells apart.

        Raises:
            ImageContentError: it is not what one tells.
        """
        driver = documents.expect(told.get("GraphDriver") or {}, dict, "GraphDriver")
        layers = documents.expect(told.get("RootFS") or {}, dict, "RootFS")
        config: dict[str, Any] = {
            "architecture": told.get("Architecture"),
            "config": told.get("Config") or {},
            "os": told.get("Os"),
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.get("Layers") or [],
            },
        }
        if told.get("Variant"):
            config["variant"] = told["Variant"]
        written = images.canonical_json(config)
        # containerd's store tells no platform of an image that it has in part: to be removed by its
        # id it is known all the same.
        partial = not config["architecture"] and not config["os"]
        known = {"architecture": "unknown", "os": "unknown"} if partial else {}
        documents.check_config(images.canonical_json(config | known), "Its config")
        return cls(
            identifier(told),
            None if partial else written,
            tuple(config["rootfs"]["diff_ids"]),
            dict(config["config"].get("Labels") or {}),
            tags(told),
            _texts(told.get("RepoDigests"), "A digest"),
            overlay2=driver.get("Name") == "overlay2" and bool(driver.get("Data")),
        )


def described(image: DaemonImage) -> images.Image:
    """Return an image of the container engine with its config and the digests of its layers.

    No layer is read. The config says what a container takes from it, and nothing of its making.

    Raises:
        ImageError: the container engine has it in part.
    """
    if image.config is None:
        raise ImageError(
            f"The container engine has the image {image.id} in part: remove it there, and pull or "
            "build it again"
        )
    return images.Image(image.config, tuple(map(images.Layer, image.diff_ids)))


def identifier(told: Any) -> str:
    """Return the id of what the container engine tells of.

    Raises:
        ImageContentError: it has none.
    """
    return documents.expect(documents.expect(told, dict, "It").get("Id"), str, "Its id")


def tags(told: Any) -> tuple[str, ...]:
    """Return the names, with tags, of what the container engine tells of.

    Raises:
        ImageContentError: it has none that could be.
    """
    return _texts(documents.expect(told, dict, "It").get("RepoTags"), "A tag")


def _texts(value: Any, what: str) -> tuple[str, ...]:
    listed = documents.expect(value or [], list, what)
    return tuple(documents.expect(each, str, what) for each in listed)
