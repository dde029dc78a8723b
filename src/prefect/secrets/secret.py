"""Secrets: references by name, whose values exist only in the process that runs the flow."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.core.secret_values import RunSecrets, in_task, of_run
from prefect.errors import FormatError, SecretError
from prefect.patterns import pattern
from prefect.secrets.spellings import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DEFAULT_DIRECTORY = "/run/secrets"
DIRECTORY_VARIABLE = "PREFECT_SECRETS_DIR"
_LARGEST_VALUE = 1024 * 1024  # as Kubernetes'; an environment carries less on Linux
_SHORTEST_TOKEN = 20
_CLASSIC = "PREFECT__CONTEXT__SECRETS__"
_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A reference to a secret value by the name of its environment variable.

    `value` is looked up whenever it is read: the value that was set on this object, then what a Dask
    worker was given for the run whose task reads it, then the environment variable, then the file of that name in the secrets directory (/run/secrets, or
    `PREFECT_SECRETS_DIR`), where container platforms put theirs. Of a file, one newline at its end
    is left out, and every other byte counts. Bytes that are no text are in the value as in those of
    `os.environ`: `os.fsencode` gives them back. A value of one to three characters cannot be kept secret:
    it is a `SecretError`. A secret is pickled, printed and serialized without
    its value.

    Args:
        name: letters, digits and underscores, as of an environment variable.

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
            raise SecretError(". ".join(missing_value([self.name])))
        return value

    @value.setter
    def value(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"A secret's value is a str, not {type(value).__name__}")
        self._value = value if value is None else _carried(self.name, value)

    def find(self) -> str | None:
        """Return the value, or None where there is none."""
        value = self._find(os.environ.get(self.name))
        if value:
            from prefect.secrets.masking import remember  # noqa: PLC0415 - for those who read one

            remember(value)
        return value

    def _find(self, variable: str | None) -> str | None:
        if self._value is not None:
            return self._value
        if (given := in_task.get()) is not None and self.name in given:
            return given[self.name]
        if variable is not None:
            return _carried(self.name, variable)
        try:
            value = read_value(secrets_directory() / self.name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SecretError(f"The secret {self.name} cannot be read: {error}") from None
        return _carried(self.name, value)

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
    return Path(os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)  # empty is not "here"


def read_value(path: Path) -> str:
    """Return the value that a file holds, whatever its bytes are.

    Raises:
        InputTooLargeError: it is larger than any platform's secrets (an OSError).
        OSError: it cannot be read.
    """
    from prefect.files import read_to_end  # noqa: PLC0415 - variables need none

    # A pipe without a writer would be waited for without an end.
    with open(path, "rb", opener=_opened) as file:
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is a pipe; put the value into a file of that name")
        data = read_to_end(file, _LARGEST_VALUE, str(path))
    # One final newline is the editor's, not the secret's.
    return os.fsdecode(data.removesuffix(b"\r\n" if data.endswith(b"\r\n") else b"\n"))


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _carried(name: str, value: str) -> str:
    """Return a value that an environment can carry, and that can be kept secret.

    Raises:
        SecretError: it cannot. An empty one has nothing to keep, and passes.
    """
    if "\0" in value:
        raise SecretError(f"The value of {name} holds a NUL: no environment can carry it")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:  # whose text would quote the value
        raise SecretError(
            f"The value of {name} holds a character that the environment here cannot carry, as its "
            f"text is encoded as {sys.getfilesystemencoding()}"
        ) from None
    if 0 < len(value) < SHORTEST:
        raise SecretError(
            f"The value of {name} has fewer than {SHORTEST} characters. It would stand in any text "
            "by chance, and can be neither masked nor kept out of what is built. Use a longer one; "
            "or, if it need not be secret, hand it over as a parameter"
        )
    return value


def parse_secrets(secrets: Iterable[str | Secret] | None) -> tuple[Secret, ...]:
    """Return secrets from names and `Secret` objects.

    Raises:
        TypeError: it is a single str, or holds something else.
        ValueError: a name occurs twice, is not valid, or looks like a token.
    """
    parsed = _parsed(secrets)
    if long := [secret.name for secret in parsed if len(secret.name) >= _SHORTEST_TOKEN]:
        from prefect.secrets.tokens import refuse_as_names  # noqa: PLC0415 - for these alone

        refuse_as_names(long)
    return parsed


def _parsed(secrets: Iterable[str | Secret] | None) -> tuple[Secret, ...]:
    if isinstance(secrets, str | Secret):
        raise TypeError(f"secrets is a list: write secrets=[{secrets!r}]")
    given = () if secrets is None else check.listed("secrets", "names", secrets)
    parsed = tuple(item if isinstance(item, Secret) else Secret(item) for item in given)
    names = [secret.name for secret in parsed]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"These secrets are named twice: {', '.join(doubled)}")
    return parsed


def resolve(secrets: Iterable[Secret]) -> dict[str, str]:
    """Return every secret's value by its name, for a run that is about to begin.

    What another run has put into the environment does not count.

    Raises:
        SecretError: some have none; the message names all of them.
    """
    found = {
        secret.name: secret._find(_variable(secret.name))  # noqa: SLF001 - of this module
        for secret in secrets
    }
    if missing := [name for name, value in found.items() if value is None]:
        raise SecretError(". ".join(missing_value(missing)))
    return {name: value for name, value in found.items() if value is not None}


def _variable(name: str) -> str | None:
    with _exports_lock:
        outer, export = _innermost.get(), _exports.get(name)
        if export is None or (outer is not None and name in outer.values):
            return os.environ.get(name)
        return export.before


@contextmanager
def exported(values: Mapping[str, str]) -> Iterator[None]:
    """Have the values in this process's environment for as long as the context lasts.

    The environment is the whole process's. So runs that overlap in threads have the same secrets
    with the same values, or none: of others, one would see what was meant for the other. A run
    within a run, which its task starts, may have more.

    Raises:
        SecretError: a run that is going on in this process has other secrets, or other values.
    """
    outer = _innermost.get()
    run = _Run({**(outer.values if outer else {}), **values}, outer)
    with _exports_lock:
        run.check_against(_runs)
        _runs.append(run)
        for name, value in values.items():
            export = _exports.setdefault(name, _Export(os.environ.get(name)))
            export.users += 1
            os.environ[name] = value
    token = _innermost.set(run)
    told = of_run.set(_for_workers(run.values))
    try:
        yield
    finally:
        of_run.reset(told)
        _innermost.reset(token)
        with _exports_lock:
            _runs.remove(run)
            for name in values:
                _exports[name].users -= 1
                if not _exports[name].users:
                    before = _exports.pop(name).before
                    if before is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = before


def _for_workers(values: Mapping[str, str]) -> RunSecrets | None:
    if not values:
        return None
    from prefect.secrets.masking import masked  # noqa: PLC0415 - for these alone

    return RunSecrets(values, lacking, masked)


def lacking(names: Iterable[str]) -> list[str]:
    """Return which of these secrets have no value in this process, of its own."""
    return [name for name in names if Secret(name)._find(os.environ.get(name)) is None]  # noqa: SLF001 - of this module


class _Run:
    """A run that is going on in this process, and all secrets that its tasks can see."""

    def __init__(self, values: dict[str, str], outer: _Run | None) -> None:
        self.values = values
        self.outer = outer

    def check_against(self, others: Iterable[_Run]) -> None:
        """Raise SecretError for a run that would see, or show, other secrets."""
        around = self.outer
        while around is not None:
            for name, value in around.values.items():
                if self.values[name] != value:
                    raise SecretError(
                        f"The run that this run is part of has another value for the secret {name}"
                        ": run it in a process of its own"
                    )
            others = [other for other in others if other is not around]
            around = around.outer
        for other in others:
            if other.values == self.values:
                continue
            names = self.values.keys() | other.values.keys()
            differing = sorted(
                name for name in names if self.values.get(name) != other.values.get(name)
            )
            raise SecretError(
                f"Another run in this process has other secrets: {', '.join(differing)}. Their "
                "values are in the environment, which all threads share: run them one after the "
                "other, or in processes of their own"
            )


class _Export:
    """A secret that is in this process's environment for some runs."""

    def __init__(self, before: str | None) -> None:
        self.before = before
        self.users = 0


_innermost: ContextVar[_Run | None] = ContextVar("prefect.secrets.run", default=None)
_runs: list[_Run] = []
_exports: dict[str, _Export] = {}
_exports_lock = threading.Lock()


def merge_secrets(*groups: Iterable[Secret]) -> tuple[Secret, ...]:
    """Return the secrets of all groups, each name once; a later object outranks an earlier."""
    return tuple({secret.name: secret for group in groups for secret in group}.values())


def secrets_of(serialized: Mapping[str, Any]) -> tuple[Secret, ...]:
    """Return the secrets that a serialized flow's environment names."""
    environment = serialized.get("environment") or {}
    try:
        return _parsed(environment.get("secrets"))
    except (TypeError, ValueError) as error:  # a manifest is anybody's
        raise FormatError(f"The flow's description names odd secrets: {error}") from error


def without_value(secrets: Iterable[Secret]) -> list[str]:
    """Return the names of those that have no value for a run that would begin now."""
    return [
        secret.name
        for secret in secrets
        if secret._find(_variable(secret.name)) is None  # noqa: SLF001 - of this module
    ]


def missing_value(names: list[str]) -> tuple[str, str]:
    """Return that secrets have no value, and what to do, as two sentences without full stops."""
    which = f"secret {names[0]} has" if len(names) == 1 else f"secrets {', '.join(names)} have"
    classic = [each for each in names if f"{_CLASSIC}{each.upper()}" in map(str.upper, os.environ)]
    if classic:
        return f"The {which} no value here", (
            f"Set the environment variable {classic[0]}: here a secret's is its name alone, without classic "
            f"Prefect's {_CLASSIC}"
        )
    return f"The {which} no value here", (
        f"Set the environment variable {names[0]}, put a file of that name into "
        f"{secrets_directory()}, or set Secret({names[0]!r}).value before the run"
    )
