"""A flow as one encrypted file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.environments.environment import Environment
from prefect.environments.running import run_packaged
from prefect.environments.secret import Secret, merge_secrets, refuse_at_rest, resolve, secrets_of
from prefect.errors import ArtifactError, NotAFlowError, SecretError
from prefect.packaging.manifest import Manifest
from prefect.packaging.pickling import pickle_flow

# Imported within the functions that need them: a flow that was packaged with this environment is
# also loaded where cryptography is not installed, such as inside an image.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.packaging.keys import EncryptionKey
    from prefect.packaging.sealing import SealedFlow


class PickleEnvironment(Environment):
    """Packages a flow as an encrypted pickle and runs it in this process.

    Whoever holds the key can read the flow and make files that it opens: give a key only to
    those whom you would let run code here. The environment itself is pickled, serialized and
    printed without its key.

    encryption_key: 32 random bytes, raw or as URL-safe base64; None makes a new one.
    secrets: names of what the flow needs at run time as environment variables.

    Raises:
        TypeError: the key is neither bytes nor str.
        InvalidKeyError: the key has not the shape of one.
    """

    def __init__(
        self,
        encryption_key: bytes | str | None = None,
        *,
        secrets: Iterable[str | Secret] | None = None,
    ) -> None:
        from prefect.packaging.keys import EncryptionKey  # noqa: PLC0415

        super().__init__(secrets)
        self._key: EncryptionKey | None = (
            EncryptionKey.generate() if encryption_key is None else EncryptionKey(encryption_key)
        )
        self._built: bytes | None = None

    @property
    def encryption_key(self) -> bytes:
        """The key as 44 bytes of URL-safe base64; keep it apart from what it opens.

        Raises:
            ArtifactError: this environment came out of an artifact, where its key never is.
        """
        return self._required_key().encode()

    def build(self, flow: Flow) -> bytes:  # type: ignore[override]
        """Return the flow as an encrypted pickle, for `info` and `run` here or elsewhere.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            FlowError: the flow is wrong as it is written.
            PicklingError: something in it cannot be pickled.
            SecretError: a secret's value, or the key, occurs in it.
        """
        from prefect.packaging.sealing import seal  # noqa: PLC0415

        pickled = pickle_flow(flow)
        manifest = pickled.manifest.to_json()
        secrets = merge_secrets(secrets_of(pickled.manifest.flow), self.secrets)
        refuse_at_rest(secrets, manifest=manifest, payload=pickled.payload)
        key = self._required_key()
        if key.occurs_in(pickled.payload):
            raise SecretError(
                "The encryption key occurs in the flow's payload: a task or a global of its module "
                "holds it. Keep it apart from what it opens"
            )
        self._built = seal(manifest, pickled.payload, key)
        return self._built

    def info(self, pickle: bytes) -> dict[str, Any]:
        """Return the serialized flow that an encrypted pickle holds, without unpickling it.

        Raises:
            TypeError: `pickle` is not bytes, or does not hold a Flow (NotAFlowError).
            FormatError, AuthenticationError: it cannot be opened.
        """
        return self.manifest(pickle).flow

    def manifest(self, pickle: bytes) -> Manifest:
        """Return all that an encrypted pickle says of itself; as `info`, it executes nothing."""
        from prefect.packaging.sealing import open_manifest  # noqa: PLC0415

        sealed = open_manifest(pickle, self._required_key())
        _require_flow(sealed)
        return Manifest.from_json(sealed.manifest)

    def run(
        self,
        bytes: bytes | None = None,  # noqa: A002 - the promised name
        *,
        parameters: Mapping[str, Any] | None = None,
        executor: Any = None,
        on_state: Callable[[Any], None] | None = None,
    ) -> State:
        """Run an encrypted pickle in this process, by default the one that was built last.

        parameters: values by the names of the flow's parameters.
        executor: where tasks run; by default here, one after the other.
        on_state: called with each change of a task's state.

        Returns the flow's final state; a failed flow is a `Failed` state, not an exception.

        Raises:
            TypeError: `bytes` is not bytes, or does not hold a Flow (NotAFlowError).
            ArtifactError: nothing was built yet, or the pickle cannot be opened or loaded here.
            SecretError: a secret has no value.
            ParameterError: a parameter is missing or unknown.
        """
        from prefect.packaging.sealing import open_sealed  # noqa: PLC0415

        if bytes is None:
            bytes = self._built  # noqa: A001
        if bytes is None:
            raise ArtifactError("There is nothing to run: build a flow first, or pass the bytes")
        sealed = open_sealed(bytes, self._required_key())
        _require_flow(sealed)
        manifest = Manifest.from_json(sealed.manifest)
        manifest.check_compatible()
        # A value set on this environment's own secret counts; names alone come from the flow.
        secrets = merge_secrets(secrets_of(manifest.flow), self.secrets)
        return run_packaged(
            manifest,
            sealed.payload,
            resolve(secrets),
            parameters=parameters,
            executor=executor,
            on_state=on_state,
        )

    def _required_key(self) -> EncryptionKey:
        if self._key is None:
            raise ArtifactError(
                "This environment has no key: it was copied or unpickled, and keys never are. Make "
                "one with PickleEnvironment(encryption_key=…)"
            )
        return self._key

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_key": None, "_built": None}


def _require_flow(sealed: SealedFlow) -> None:
    from prefect.packaging.sealing import FLOW_PAYLOAD  # noqa: PLC0415

    if sealed.payload_type != FLOW_PAYLOAD:
        raise NotAFlowError(f"This file holds no Flow but {sealed.payload_type!r}")
