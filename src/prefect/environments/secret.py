"""Secrets: references by name, whose values exist only in the process that runs the flow."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DEFAULT_DIRECTORY = "/run/secrets"
DIRECTORY_VARIABLE = "PREFECT_SECRETS_DIR"
# Shorter values occur in any artifact by chance.
_SHORTEST_SEARCHED = 4
_SEARCHED_AT_ONCE = 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A reference to a secret value by the name of its environment variable.

    `value` is looked up whenever it is read: the value that was set on this object, then the
    environment variable, then the file of that name in the secrets directory (/run/secrets, or
    `PREFECT_SECRETS_DIR`), where container platforms put theirs. A secret is pickled, printed
    and serialized without its value.

    Raises:
        TypeError: the name is not a str.
        ValueError: the name cannot be an environment variable's.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"A secret's name is a str, not {type(name).__name__}")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be a secret's name: use letters, digits and underscores, as "
                "for an environment variable"
            )
        self.name = name
        self._value: str | None = None

    @property
    def value(self) -> str:
        """The secret's value.

        Raises:
            SecretError: it has none here.
        """
        value = self.find()
        if value is None:
            raise SecretError(_missing([self.name]))
        return value

    @value.setter
    def value(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"A secret's value is a str, not {type(value).__name__}")
        if value is not None and "\0" in value:
            raise SecretError(f"The value of {self.name} holds a NUL: no environment can carry it")
        self._value = value

    def find(self) -> str | None:
        """Return the value, or None where there is none."""
        if self._value is not None:
            return self._value
        if (value := os.environ.get(self.name)) is not None:
            return value
        try:
            # One final newline is the editor's, not the secret's.
            return (secrets_directory() / self.name).read_text().removesuffix("\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"The secret {self.name} cannot be read: {error}") from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self.name, self._value) == (other.name, other._value)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self.name,)


def secrets_directory() -> Path:
    """Return the directory whose files are secrets by their names."""
    return Path(os.environ.get(DIRECTORY_VARIABLE, DEFAULT_DIRECTORY))


def parse_secrets(secrets: Iterable[str | Secret] | None) -> tuple[Secret, ...]:
    """Return secrets from names and `Secret` objects.

    Raises:
        TypeError: it is a single str, or holds something else.
        ValueError: a name occurs twice or is not valid.
    """
    if isinstance(secrets, str | Secret):
        raise TypeError(f"secrets is a list: write secrets=[{secrets!r}]")
    parsed = tuple(item if isinstance(item, Secret) else Secret(item) for item in secrets or ())
    names = [secret.name for secret in parsed]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"These secrets are named twice: {', '.join(doubled)}")
    return parsed


def resolve(secrets: Iterable[Secret]) -> dict[str, str]:
    """Return every secret's value by its name.

    Raises:
        SecretError: some have none; the message names all of them.
    """
    found = {secret.name: secret.find() for secret in secrets}
    if missing := [name for name, value in found.items() if value is None]:
        raise SecretError(_missing(missing))
    return {name: value for name, value in found.items() if value is not None}


@contextmanager
def exported(values: Mapping[str, str]) -> Iterator[None]:
    """Have the values in this process's environment for as long as the context lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def refuse_at_rest(secrets: Iterable[Secret], **parts: bytes) -> None:
    """Refuse to package bytes in which a secret's value occurs.

    cloudpickle copies a module's globals: a token in one of them would come to rest in the
    artifact.

    Raises:
        SecretError: names the secret and the part, never the value.
    """
    for name, value in _searched(secrets):
        for part, content in parts.items():
            if value in content:
                raise SecretError(_at_rest(name, part))


class PayloadSearch:
    """A file before another that refuses a payload in which a secret's value occurs.

    It does for a stream what `refuse_at_rest` does for bytes, and raises the same error: what
    was written until then is to be thrown away.
    """

    def __init__(self, file: Any, secrets: Iterable[Secret]) -> None:
        self._file = file
        self._values = _searched(secrets)
        self._overlap = max((len(value) for _, value in self._values), default=1) - 1
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
        for name, value in self._values:
            if value in text:
                raise SecretError(_at_rest(name, "payload"))
        self._tail = text[-self._overlap :]


def secrets_of(serialized: Mapping[str, Any]) -> tuple[Secret, ...]:
    """Return the secrets that a serialized flow's environment names."""
    environment = serialized.get("environment") or {}
    return parse_secrets(environment.get("secrets"))


def _searched(secrets: Iterable[Secret]) -> list[tuple[str, bytes]]:
    # Two of one name may have different values: one that was set, one of the environment.
    values = [(secret.name, (secret.find() or "").encode()) for secret in secrets]
    return [(name, value) for name, value in values if len(value) >= _SHORTEST_SEARCHED]


def _at_rest(name: str, part: str) -> str:
    return (
        f"The value of the secret {name} occurs in the flow's {part} and would come to rest in "
        f"the artifact. Read it within the task instead, with os.environ[{name!r}] or "
        f"Secret({name!r}).value"
    )


def _missing(names: list[str]) -> str:
    which = f"secret {names[0]} has" if len(names) == 1 else f"secrets {', '.join(names)} have"
    return (
        f"The {which} no value here. Set the environment variable {names[0]}, put a file of that "
        f"name into {secrets_directory()}, or set Secret({names[0]!r}).value before the run"
    )
