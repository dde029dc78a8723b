"""Keeping secret values out of artifacts: what is packaged is searched for them.

cloudpickle copies a module's globals: a token in one of them, or the very key that is to open the
file, would come to rest in the artifact.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from prefect.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.secrets.secret import Secret

# Shorter values occur in any artifact by chance.
_SHORTEST = 4
_SEARCHED_AT_ONCE = 1024 * 1024


def forbidden(secrets: Iterable[Secret], keys: Iterable[bytes] = ()) -> dict[bytes, str]:
    """Return what may not occur in an artifact, each with what it is called.

    Args:
        secrets: those that have a value here are searched for.
        keys: private keys, in the spelling in which a program would hold them.
    """
    values = dict.fromkeys(keys, "A key of the environment")
    for secret in secrets:
        values[os.fsencode(secret.find() or "")] = f"The value of the secret {secret.name}"
    return {value: name for value, name in values.items() if len(value) >= _SHORTEST}


def refuse_at_rest(values: Mapping[bytes, str], **parts: bytes) -> None:
    """Refuse to package bytes in which a forbidden value occurs.

    Raises:
        SecretError: names the secret and the part, never the value.
    """
    for value, name in values.items():
        for part, content in parts.items():
            if value in content:
                raise _at_rest(name, part)


class PayloadSearch:
    """A file before another that refuses a payload in which a forbidden value occurs.

    It does for a stream what `refuse_at_rest` does for bytes, and raises the same error: what
    was written until then is to be thrown away.
    """

    def __init__(self, file: Any, values: Mapping[bytes, str]) -> None:
        self._file = file
        self._values = values
        self._overlap = max(map(len, values), default=1) - 1
        self._tail = b""

    def write(self, data: bytes | memoryview) -> int:
        """Search the next piece, also across its seam with the former, and hand it on."""
        if self._values:
            view = memoryview(data)
            for start in range(0, len(view), _SEARCHED_AT_ONCE):
                self._search(bytes(view[start : start + _SEARCHED_AT_ONCE]))
        return int(self._file.write(data))

    def _search(self, piece: bytes) -> None:
        text = self._tail + piece
        for value, name in self._values.items():
            if value in text:
                raise _at_rest(name, "payload")
        self._tail = text[-self._overlap :]


def _at_rest(name: str, part: str) -> SecretError:
    return SecretError(
        f"{name} occurs in the flow's {part} and would come to rest in the artifact. Keep it out "
        "of tasks and of the globals of their modules; within a task read os.environ['NAME'] or "
        "Secret('NAME').value"
    )
