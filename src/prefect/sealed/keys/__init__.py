"""Keys of sealed flows: encryption keys, recipients, signers, their texts, and keyrings of them.

Whoever seals or opens passes here.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.sealed.keys.encryption import EncryptionKey
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.keys.parsing import parse_key
    from prefect.sealed.keys.recipients import Identity, Recipient
    from prefect.sealed.keys.signers import Signer, SigningKey

__all__ = [
    "EncryptionKey",
    "Identity",
    "Keyring",
    "Recipient",
    "Signer",
    "SigningKey",
    "parse_key",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "EncryptionKey": "prefect.sealed.keys.encryption",
        "Identity": "prefect.sealed.keys.recipients",
        "Keyring": "prefect.sealed.keys.keyring",
        "Recipient": "prefect.sealed.keys.recipients",
        "Signer": "prefect.sealed.keys.signers",
        "SigningKey": "prefect.sealed.keys.signers",
        "parse_key": "prefect.sealed.keys.parsing",
    },
)
