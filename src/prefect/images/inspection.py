"""An image that holds a flow, wherever it is: looking into it executes nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from prefect.errors import ImageError
from prefect.images.plan import LABEL_FLOW, LABEL_MANIFEST, LABEL_SEALED, LABEL_VERSION
from prefect.oci.layers.files import read_from_layer
from prefect.payload.manifest import Manifest
from prefect.running.flow_directory import KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect.oci.images import Image
    from prefect.sealed.keys.keyring import Keyring

# What a look from outside reads: manifests are far smaller, and nobody's memory is filled.
_LARGEST_MANIFEST = 1 << 26
_LARGEST_LAYER = 1 << 26


class FlowImage:
    """An image that `ContainerEnvironment` built, or its dependencies alone, wherever it is.

    Args:
        reference: how it is named in messages.
        labels: of its config.
        read: gives the content of one of its files by path, or raises FileNotFoundError.

    Raises:
        ImageError: it was not made by this package.
    """

    def __init__(
        self, reference: str, labels: Mapping[str, str], read: Callable[[str], bytes]
    ) -> None:
        if LABEL_VERSION not in labels:
            raise ImageError(
                f"The image {reference} was not built by prefect: it holds no flow. Make one with "
                "`prefect build FILE.py --image BASE --tag TAG`"
            )
        self.reference = reference
        self._labels = labels
        self._read = read

    @property
    def sealed(self) -> bool:
        """Whether the flow is encrypted within the image."""
        return LABEL_SEALED in self._labels

    @cached_property
    def _sealed_flow(self) -> bytes:
        return self._file(self._labels[LABEL_SEALED])

    @property
    def holds_flow(self) -> bool:
        """Whether there is a flow, and not dependencies alone."""
        return self.sealed or LABEL_FLOW in self._labels

    def require_sealed(self) -> None:
        """Refuse an image whose flow no key and no signer could vouch for.

        Raises:
            ImageError: it holds a flow that is not sealed.
        """
        if self.holds_flow and not self.sealed:
            raise ImageError(
                f"The flow in the image {self.reference} is not sealed: the key or the signer that "
                "was given could check nothing, and anybody may have made it. Leave them out if you "
                "trust the image, or build it with a key"
            )

    def manifest(self, keyring: Keyring | None = None) -> Manifest:
        """Read what the image says of its flow; nothing of it is executed.

        Args:
            keyring: has the key of a sealed flow, and whose signature it must have.

        Raises:
            ImageError: it holds no flow, a sealed one and no key is given, or one that is not
                sealed although a key is given.
            AuthenticationError: the key does not open it.
            FormatError: its manifest is malformed.
        """
        if not self.holds_flow:
            raise ImageError(f"The image {self.reference} holds dependencies alone, and no flow")
        if keyring is not None:
            self.require_sealed()
        if not self.sealed:
            return Manifest.from_json(self._file(self._labels.get(LABEL_MANIFEST, "")))
        if keyring is None:
            raise ImageError(
                f"The flow in the image {self.reference} is sealed: give its key with --key-file, "
                f"{KEY_VARIABLE}, or ContainerEnvironment(..., encryption_key=...)"
            )
        from prefect.sealing import read_manifest  # noqa: PLC0415 - loads cryptography

        return read_manifest(self._sealed_flow, keyring)

    def _file(self, path: str) -> bytes:
        try:
            return self._read(path)
        except FileNotFoundError as error:
            raise ImageError(f"The image {self.reference} lacks its flow's {path}") from error


def look_into_layers(image: Image, reference: str) -> FlowImage:
    """Return an image from a registry or from disk: of its layers, only the flow's is read.

    Raises:
        ImageError: it was not made by this package.
    """
    return FlowImage(reference, image.labels, lambda path: _from_top(image, path))


def _from_top(image: Image, path: str) -> bytes:
    for layer in reversed(image.layers):
        if layer.blob is not None and layer.blob.size > _LARGEST_LAYER:
            raise ImageError(
                f"{path} is in or below a layer of {layer.blob.size} bytes, of which at most "
                f"{_LARGEST_LAYER} are read to look into an image. Load it into a container engine"
            )
        content = read_from_layer(layer, path.lstrip("/"), _LARGEST_MANIFEST)
        if content is not None:
            return content
    raise FileNotFoundError(path)
