"""Whether a key and a signature prove what stands around the sections of a sealed flow."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from prefect.errors import AuthenticationError, SignaturePolicyError
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.writing import header_mac

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.sealed.format import Layout
    from prefect.sealed.keys.parsing import OpeningKey
    from prefect.sealed.keys.signers import Signer


def authenticate(
    layout: Layout,
    keys: OpeningKey | Iterable[OpeningKey],
    trusted_signers: Iterable[Signer] | None,
) -> bytes:
    """Check signatures and header, and return the data key that opens the sections.

    Raises:
        TypeError: something among the keys is no key to open with.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        AuthenticationError: no key opens it, no trusted signer signed it, or it was changed.
    """
    listed = [keys] if isinstance(keys, EncryptionKey | Identity) else list(keys)
    for key in listed:
        if not isinstance(key, EncryptionKey | Identity):
            raise TypeError(f"A flow is opened by keys and identities, not {type(key).__name__}")
    if trusted_signers is not None and not any(has_signed(s, layout) for s in trusted_signers):
        raise refused()
    # Encryption keys first: with one that fits, an identity in the same keyring is not used.
    for key in sorted(listed, key=lambda key: isinstance(key, Identity)):
        if isinstance(key, Identity) and trusted_signers is None:
            raise SignaturePolicyError(
                "An identity opens what anybody may have made: name the signers that you trust, "
                "with trusted_signers or --trusted-signer"
            )
        if data_key := _unwrap(layout, key):
            return data_key
    raise refused()


def refused() -> AuthenticationError:
    """Return the one error for everything that a key or a signature should have proven."""
    return AuthenticationError(
        "This sealed flow cannot be opened: no key here is one of its keys, no trusted signer "
        "signed it, or its bytes were changed. Check the key and the signers, then get the file "
        "again from who sealed it"
    )


def has_signed(signer: Signer, layout: Layout) -> bool:
    """Tell whether one of the signatures is a valid one of this signer."""
    return any(signer.has_signed(layout.core_json, item.sig) for item in layout.signatures)


def _unwrap(layout: Layout, key: OpeningKey) -> bytes | None:
    fitting = [wrap for wrap in layout.wraps if wrap.alg == key.algorithm]
    # The key id is a hint and unauthenticated: it sets the order of attempts, nothing else.
    for wrap in sorted(fitting, key=lambda wrap: wrap.kid != key.id):
        data_key = key.unwrap(wrap.key, layout.core_json)
        if data_key and hmac.compare_digest(header_mac(data_key, layout.authenticated), layout.mac):
            return data_key
    return None
