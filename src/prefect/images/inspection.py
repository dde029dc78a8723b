"""An image that holds a flow, wherever it is: looking into it executes nothing."""

from __future__ import annotations

import io
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, cast

from prefect.errors import ImageError
from prefect.frozen import replace
from prefect.images.labels import LABEL_FLOW, LABEL_MANIFEST, LABEL_SEALED, LABEL_VERSION
from prefect.payload.manifest import LARGEST_MANIFEST, Manifest
from prefect.running.key_variable import KEY_VARIABLE
from prefect.secrets.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from prefect.oci.images import Image
    from prefect.sealed.keys.keyring import Keyring

# What a look from outside reads of a layer, packed and unpacked: nobody's memory is filled.
_LARGEST_LAYER = 1 << 26
_LARGEST_SEALED = 1 << 41  # more than the format allows: it goes to disk


class FlowImage:
    """An image that `ContainerEnvironment` built, or its dependencies alone, wherever it is.

    Args:
        reference: how it is named in messages.
        labels: of its config.
        copy: writes the content of one of its files, by path, into a file, but no more bytes than a
            number; or raises FileNotFoundError.

    Raises:
        ImageError: it was not made by this package.
    """

    def __init__(
        self, reference: str, labels: Mapping[str, str], copy: Callable[[str, BinaryIO, int], None]
    ) -> None:
        if LABEL_VERSION not in labels:
            raise ImageError(
                f"The image {reference} was not built by prefect: it holds no flow. Make one with "
                "`prefect build FILE.py --image BASE --tag TAG`"
            )
        self.reference = reference
        self._labels = labels
        self._copy = copy

    @property
    def sealed(self) -> bool:
        """Whether the flow is encrypted within the image."""
        return LABEL_SEALED in self._labels

    @cached_property
    def _sealed_flow(self) -> io.BufferedIOBase:
        import tempfile  # noqa: PLC0415 - slow to import, and for what is sealed alone

        # It may be larger than memory; on disk it has no name, and nobody reads it without its key.
        kept = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this object is there
        weakref.finalize(self, kept.close)
        self._write(self._labels[LABEL_SEALED], kept, _LARGEST_SEALED)
        return cast("io.BufferedIOBase", kept)

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

    def keys(self, given: Keyring | None, *, sealed: bool = False) -> Keyring | None:
        """Return what opens the image: the keys that were given, else that of the variable.

        Args:
            given: of whom it has to be, where there are any.
            sealed: whether its flow has to be sealed, whatever keys there are.

        Raises:
            ImageError: it holds a flow that is not sealed, and has to be.
            InvalidKeyError: the variable holds no key.
        """
        if given is not None or sealed:
            self.require_sealed()
        if given is None and self.sealed and (key := Secret(KEY_VARIABLE).find()):
            from prefect.sealed.keys.keyring import Keyring  # noqa: PLC0415 - loads cryptography

            return Keyring.of(key)
        return given

    def manifest(self, keyring: Keyring | None = None) -> Manifest:
        """Read what the image says of its flow; nothing of it is executed.

        Args:
            keyring: has the encryption key of a sealed flow, and whose signature it must have.

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
            found = io.BytesIO()
            self._write(self._labels.get(LABEL_MANIFEST, ""), found, LARGEST_MANIFEST)
            return Manifest.from_json(found.getvalue())
        from prefect.opening import read_manifest  # noqa: PLC0415 - the same
        from prefect.sealed.reading import outline  # noqa: PLC0415 - loads cryptography

        if keyring is None or not keyring.encryption_keys:
            also = "" if keyring is None else ". An identity opens the files of sealed flows alone"
            raise ImageError(
                f"The flow in the image {self.reference} is sealed: give its key, which is "
                f"{outline(self._sealed_flow).opens_for}, with --key-file, {KEY_VARIABLE}, or "
                f"ContainerEnvironment(..., encryption_key=...){also}"
            )
        # What an identity opens anybody may have made, and no signature covers an image.
        return read_manifest(self._sealed_flow, replace(keyring, identities=()))

    def key(self, keyring: Keyring) -> str:
        """Return that of a keyring's encryption keys which opens the sealed flow, as text.

        Raises:
            ArtifactError: the keyring has no encryption key.
            AuthenticationError: none of them opens it.
        """
        from prefect.opening import key_of  # noqa: PLC0415 - loads cryptography

        return key_of(self._sealed_flow, keyring)

    def _write(self, path: str, file: BinaryIO, limit: int) -> None:
        try:
            self._copy(path, file, limit)
        except FileNotFoundError as error:
            raise ImageError(f"The image {self.reference} lacks its flow's {path}") from error


def look_into_layers(image: Image, reference: str) -> FlowImage:
    """Return an image from a registry or from disk: of its layers, only the flow's is read.

    Raises:
        ImageError: it was not made by this package.
    """
    return FlowImage(reference, image.labels, copied_from_layers(image))


def copied_from_layers(image: Image) -> Callable[[str, BinaryIO, int], None]:
    """Return what copies a file of an image's topmost layers, as `FlowImage` wants it."""

    def copy(path: str, file: BinaryIO, limit: int) -> None:
        file.write(_from_top(image, path, min(limit, _LARGEST_LAYER)))

    return copy


def _from_top(image: Image, path: str, limit: int) -> bytes:
    from prefect.oci.layers.files import read_from_layer  # noqa: PLC0415 - loads isal

    for layer in reversed(image.layers):
        if layer.blob is not None and layer.blob.size > _LARGEST_LAYER:
            raise ImageError(
                f"{path} is in or below a layer of {layer.blob.size} bytes, of which at most "
                f"{_LARGEST_LAYER} are read to look into an image. Load it into a container engine"
            )
        content = read_from_layer(layer, path.lstrip("/"), limit)
        if content is not None:
            return content
    raise FileNotFoundError(path)
