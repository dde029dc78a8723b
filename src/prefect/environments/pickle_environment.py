"""A flow as one encrypted file."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from prefect.environments.at_rest import PayloadSearch, forbidden, refuse_at_rest
from prefect.environments.environment import Environment
from prefect.environments.running import run_packaged
from prefect.environments.secret import Secret, merge_secrets, resolve, secrets_of
from prefect.errors import ArtifactError, AuthenticationError, NotAFlowError, PicklingError
from prefect.packaging.manifest import Manifest
from prefect.packaging.pickling import pickle_flow_into

# Imported within the functions that need them: a flow that was packaged with this environment is
# also loaded where cryptography is not installed, such as inside an image.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.environments.pickle_keys import PickleKeys
    from prefect.packaging.keys import EncryptionKey
    from prefect.packaging.recipients import Identity, Recipient
    from prefect.packaging.sealed_source import SealedSource
    from prefect.packaging.sealing import SealedFlow
    from prefect.packaging.signatures import Signer, SigningKey

# Payloads up to this size are pickled once; larger ones twice, so that memory stays bounded.
_PICKLED_ONCE_BYTES = 4 * 1024 * 1024


class PickleEnvironment(Environment):
    """Packages a flow as an encrypted pickle and runs it in this process.

    Whoever holds the encryption key can read the flow and make files that it opens: give a key
    only to those whom you would let run code here, or ask for signatures. The environment itself
    is pickled, serialized and printed without its keys.

    encryption_key: 32 random bytes, raw or as URL-safe base64. Several in a list are a keyring:
        the first seals, any opens. None makes a new one, unless recipients or an identity are
        given.
    secrets: names of what the flow needs at run time as environment variables.
    recipients: public keys of those who may open the flow too; this needs a signing key.
    identity: the private key that opens what was sealed for its recipient, or several of them;
        reading with it needs trusted signers.
    signing_key: signs what is built.
    trusted_signers: public keys, one of which must have signed what is read, whatever the file
        says. None asks for no signature.

    Keys but the encryption key are the lines of text that `prefect keygen` writes.

    Raises:
        TypeError: a key is neither bytes nor str.
        InvalidKeyError: a key has not the shape of one.
        SignaturePolicyError: there are recipients, and no signing key.
    """

    def __init__(
        self,
        encryption_key: bytes
        | str
        | EncryptionKey
        | Sequence[bytes | str | EncryptionKey]
        | None = None,
        *,
        secrets: Iterable[str | Secret] | None = None,
        recipients: Sequence[str | bytes | Recipient] | None = None,
        identity: str | bytes | Identity | Sequence[str | bytes | Identity] | None = None,
        signing_key: str | bytes | SigningKey | None = None,
        trusted_signers: Sequence[str | bytes | Signer] | None = None,
    ) -> None:
        from prefect.environments.pickle_keys import PickleKeys  # noqa: PLC0415

        super().__init__(secrets)
        self._keys: PickleKeys | None = PickleKeys.parse(
            encryption_key, recipients, identity, signing_key, trusted_signers
        )
        self._built: bytes | Path | None = None

    @property
    def encryption_key(self) -> bytes:
        """The key that seals, as 44 bytes of URL-safe base64; keep it apart from what it opens.

        Raises:
            ArtifactError: there is none, or this environment came out of an artifact, where keys
                never are.
        """
        return self._required_keys().first().encode()

    def build(self, flow: Flow) -> bytes:  # type: ignore[override]
        """Return the flow as an encrypted pickle, for `info` and `run` here or elsewhere.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            FlowError: the flow is wrong as it is written.
            PicklingError: something in it cannot be pickled.
            SecretError: a secret's value, or a key, occurs in it.
            ArtifactError: there is no key to seal with, or the flow is too large.
        """
        from prefect.packaging.sealing import seal  # noqa: PLC0415

        keys = self._required_keys()
        holders = keys.to_seal()
        # Not made canonical: what is sealed is random all the same.
        pickled = io.BytesIO()
        described = pickle_flow_into(flow, pickled)
        manifest, payload = described.to_json(), pickled.getvalue()
        refuse_at_rest(self._forbidden(described), manifest=manifest, payload=payload)
        self._built = seal(manifest, payload, holders, signing_key=keys.signing_key)
        return self._built

    def build_to(self, path: os.PathLike[str], flow: Flow) -> None:
        """Write the flow as an encrypted pickle into a file, however large it is.

        The pickle goes through the encryption piece by piece: no plaintext is put on disk, and
        none of it is held in memory beyond a few MiB. Until it is complete the file has another
        name; a former file at `path` is lost only to a complete one.

        Raises:
            TypeError: `path` is not an os.PathLike, such as pathlib.Path.
            OSError: the file cannot be written.
            As `build`.
        """
        from prefect.oci.replacing import replacing  # noqa: PLC0415
        from prefect.packaging.sealed_writer import SealedWriter  # noqa: PLC0415

        _require_path(path)
        keys = self._required_keys()
        holders = keys.to_seal()
        # The manifest stands before the payload, and only pickling finds out what it requires.
        beginning = _Beginning()
        manifest = pickle_flow_into(flow, beginning)
        described = manifest.to_json()
        values = self._forbidden(manifest)
        refuse_at_rest(values, manifest=described)
        with replacing(path) as file:
            writer = SealedWriter(file, described, holders, signing_key=keys.signing_key)
            payload = PayloadSearch(writer, values)
            if beginning.is_all:
                payload.write(bytes(beginning.content))
            elif pickle_flow_into(flow, payload) != manifest:
                raise PicklingError(
                    f"The flow {flow.name!r} is pickled twice, and differed: something changes it "
                    "while it is packaged. Build it when nothing does"
                )
            writer.finish()
        self._built = Path(path)

    def info(self, pickle: SealedSource) -> dict[str, Any]:
        """Return the serialized flow that an encrypted pickle holds, without unpickling it.

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
        """Return all that an encrypted pickle says of itself; as `info`, it executes nothing."""
        from prefect.packaging.sealing import open_manifest  # noqa: PLC0415

        keys = self._required_keys()
        sealed = open_manifest(pickle, keys.to_open(), trusted_signers=keys.trusted_signers)
        _require_flow(sealed)
        return Manifest.from_json(sealed.manifest)

    def key_of(self, pickle: SealedSource) -> bytes:
        """Return that of the encryption keys which opens an encrypted pickle, as text.

        Raises:
            AuthenticationError: none of them does; identities are not asked.
            FormatError, OSError: as `info`.
        """
        from prefect.packaging.sealing import open_manifest  # noqa: PLC0415

        keys = self._required_keys().encryption_keys
        for key in keys[:-1]:
            with suppress(AuthenticationError):
                open_manifest(pickle, [key])
                return key.encode()
        self._required_keys().first()
        open_manifest(pickle, keys[-1:])
        return keys[-1].encode()

    def open(self, pickle: SealedSource) -> tuple[Manifest, bytes | bytearray]:
        """Authenticate every byte; return the manifest and the pickled flow, not yet unpickled.

        For who wants to look at the manifest before running just what it belongs to.

        Raises:
            As `info`.
        """
        from prefect.packaging.sealing import open_sealed  # noqa: PLC0415

        keys = self._required_keys()
        sealed = open_sealed(pickle, keys.to_open(), trusted_signers=keys.trusted_signers)
        _require_flow(sealed)
        return Manifest.from_json(sealed.manifest), sealed.payload

    def run(
        self,
        bytes: SealedSource | None = None,  # noqa: A002 - the promised name
        *,
        parameters: Mapping[str, Any] | None = None,
        executor: Any = None,
        on_state: Callable[[Any], None] | None = None,
    ) -> State:
        """Run an encrypted pickle in this process, by default the one that was built last.

        bytes: the encrypted pickle itself, or the path of its file.
        parameters: values by the names of the flow's parameters.
        executor: where tasks run; by default here, one after the other.
        on_state: called with each change of a task's state.

        Returns the flow's final state; a failed flow is a `Failed` state, not an exception.

        Raises:
            TypeError: `bytes` is neither bytes nor a path, or does not hold a Flow
                (NotAFlowError).
            ArtifactError: nothing was built yet, or the pickle cannot be opened or loaded here.
            SignaturePolicyError: an identity has to open it, and no trusted signers are named.
            SecretError: a secret has no value.
            ParameterError: a parameter is missing or unknown.
            OSError: the file cannot be read.
        """
        if bytes is None:
            bytes = self._built  # noqa: A001
        if bytes is None:
            raise ArtifactError("There is nothing to run: build a flow first, or pass the bytes")
        manifest, payload = self.open(bytes)
        manifest.check_compatible()
        # A value set on this environment's own secret counts; names alone come from the flow.
        secrets = merge_secrets(secrets_of(manifest.flow), self.secrets)
        return run_packaged(
            manifest,
            payload,
            resolve(secrets),
            parameters=parameters,
            executor=executor,
            on_state=on_state,
        )

    def rewrap(self, pickle: SealedSource) -> bytes:
        """Return an encrypted pickle that this environment's keys open, from one that any opens.

        For rotation: `PickleEnvironment([new, old]).rewrap(sealed)` opens with the old key and
        seals for the new one alone, and for `recipients`. Nothing is decrypted but the file's
        data key, and signatures stay valid.

        Raises:
            As `info`; and SignaturePolicyError: there are recipients, and the pickle is unsigned.
        """
        file = io.BytesIO()
        self._rewrap(pickle, file)
        return file.getvalue()

    def rewrap_to(self, path: os.PathLike[str], pickle: SealedSource) -> None:
        """Do what `rewrap` does into a file, which may be the same; see `build_to`."""
        from prefect.oci.replacing import replacing  # noqa: PLC0415

        _require_path(path)
        with replacing(path) as file:
            self._rewrap(pickle, file)

    def _rewrap(self, pickle: SealedSource, file: BinaryIO) -> None:
        from prefect.packaging.resealing import rewrap  # noqa: PLC0415

        keys = self._required_keys()
        rewrap(pickle, file, keys.to_open(), keys.to_seal(), trusted_signers=keys.trusted_signers)

    def _forbidden(self, manifest: Manifest) -> dict[bytes, str]:
        # Two of one name may have different values: one that was set, one of the environment.
        secrets = (*secrets_of(manifest.flow), *self.secrets)
        return forbidden(secrets, self._required_keys().private_texts())

    def _required_keys(self) -> PickleKeys:
        if self._keys is None:
            raise ArtifactError(
                "This environment has no key: it was copied or unpickled, and keys never are. Make "
                "one with PickleEnvironment(encryption_key=…)"
            )
        return self._keys

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_keys": None, "_built": None}


class _Beginning:
    """Keeps a payload as long as it is small, and forgets it when it becomes large."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.is_all = True

    def write(self, data: bytes | memoryview) -> int:
        self.is_all = self.is_all and len(self.content) + len(data) <= _PICKLED_ONCE_BYTES
        if self.is_all:
            self.content += data
        else:
            self.content.clear()
        return len(data)


def _require_path(path: os.PathLike[str]) -> None:
    if not isinstance(path, os.PathLike):
        raise TypeError(f"A file's path is a pathlib.Path, not {type(path).__name__}")


def _require_flow(sealed: SealedFlow) -> None:
    from prefect.packaging.sealing import FLOW_PAYLOAD  # noqa: PLC0415

    if sealed.payload_type != FLOW_PAYLOAD:
        raise NotAFlowError(f"This file holds no Flow but {sealed.payload_type!r}")
