"""How an environment looks into sealed flows, and has other keys open them: nothing of them is unpickled."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.environments.environment import Environment
from prefect.errors import ArtifactError

# Imported within the functions that need them: a flow that was packaged with this environment is
# also loaded where cryptography is not installed, such as inside an image.
if TYPE_CHECKING:
    import os

    from prefect.payload.manifest import Manifest
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.source import SealedSource


class PickleOpening(Environment):
    """The part of an environment that opens sealed flows with its keys, and runs none."""

    _keys: Keyring | None

    @property
    def keyring(self) -> Keyring:
        """The keys that this environment seals with, opens with and trusts.

        Raises:
            ArtifactError: it came out of an artifact, where keys never are, or was copied.
        """
        if self._keys is None:
            raise ArtifactError(
                "This environment has no key: it was copied or unpickled, and keys never are. Make "
                "one with PickleEnvironment(encryption_key=…)"
            )
        return self._keys

    def info(self, pickle: SealedSource) -> dict[str, Any]:
        """Return the serialized flow that an encrypted pickle holds, without unpickling it.

        Args:
            pickle: the bytes, or the path of a file, of which only the manifest is read.

        Raises:
            TypeError: `pickle` is neither bytes nor a path, or does not hold a Flow
                (NotAFlowError).
            FormatError, AuthenticationError: it cannot be opened.
            SignaturePolicyError: an identity has to open it, and no trusted signers are named.
            OSError: the file cannot be read.
        """
        return self.manifest(pickle).flow

    def manifest(self, pickle: SealedSource) -> Manifest:
        """Return all that an encrypted pickle says of itself, without unpickling it.

        Args:
            pickle: the bytes, or the path of a file, of which only the manifest is read.

        Raises:
            TypeError: `pickle` is neither bytes nor a path, or does not hold a Flow
                (NotAFlowError).
            FormatError, AuthenticationError: it cannot be opened.
            SignaturePolicyError: an identity has to open it, and no trusted signers are named.
            OSError: the file cannot be read.
        """
        from prefect.opening import read_manifest  # noqa: PLC0415

        return read_manifest(pickle, self.keyring)

    def open(self, pickle: SealedSource) -> tuple[Manifest, bytes | bytearray]:
        """Authenticate every byte; return the manifest and the pickled flow, not yet unpickled.

        For who wants to look at the manifest before running just what it belongs to.

        Args:
            pickle: the bytes, or the path of a file.

        Raises:
            TypeError: `pickle` is neither bytes nor a path, or does not hold a Flow
                (NotAFlowError).
            FormatError, AuthenticationError: it cannot be opened.
            SignaturePolicyError: an identity has to open it, and no trusted signers are named.
            OSError: the file cannot be read.
        """
        from prefect.opening import open_flow  # noqa: PLC0415

        return open_flow(pickle, self.keyring)

    def rewrap(self, pickle: SealedSource) -> bytes:
        """Return an encrypted pickle that this environment's keys open, from one that any opens.

        For rotation: `PickleEnvironment([new, old]).rewrap(sealed)` opens with the old key and
        seals for the new one alone, and for `recipients`. Nothing is decrypted but the file's
        data key, and signatures stay valid.

        Args:
            pickle: the bytes, or the path of a file.

        Raises:
            TypeError: `pickle` is neither bytes nor a path.
            FormatError, AuthenticationError: it cannot be opened.
            SignaturePolicyError: there are recipients and the pickle is unsigned, or an identity
                has to open it and no trusted signers are named.
            OSError: the file cannot be read.
        """
        from prefect.opening import rewrap_flow  # noqa: PLC0415

        file = io.BytesIO()
        rewrap_flow(pickle, file, self.keyring)
        return file.getvalue()

    def rewrap_to(self, path: str | os.PathLike[str], pickle: SealedSource) -> None:
        """Write an encrypted pickle that this environment's keys open, from one that any opens.

        For rotation, into a file that may be the same: any of this environment's keys opens the
        former one, the first and `recipients` the new one. Nothing is decrypted but the file's data
        key, and signatures stay valid.

        Until it is complete the file has another name; a former file at `path` is lost only to a
        complete one.

        Args:
            path: the file to write.
            pickle: the bytes, or the path of a file.

        Raises:
            TypeError: `pickle` is neither bytes nor a path.
            FormatError, AuthenticationError: it cannot be opened.
            SignaturePolicyError: there are recipients and the pickle is unsigned, or an identity
                has to open it and no trusted signers are named.
            OSError: a file cannot be read or written.
        """
        from prefect.files import replacing  # noqa: PLC0415
        from prefect.opening import rewrap_flow  # noqa: PLC0415

        with replacing(check.path("path", path)) as file:
            rewrap_flow(pickle, file, self.keyring)
