"""Secrets as tasks: their values exist in the process that runs the flow, and are never logged."""

from __future__ import annotations

import os

from prefect.core import check
from prefect.core.context import context
from prefect.core.task import Task
from prefect.secrets.masking import remember
from prefect.secrets.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

__all__ = ["EnvVarSecret", "PrefectSecret", "SecretBase"]
__path__: list[str] = []  # modules of it: see `prefect.lazy`


class SecretBase(Task):
    """Base class of tasks that have a secret's value for their result, which is never stored."""

    checkpoint = False
    restarts: ClassVar[bool] = True
    learns = staticmethod(remember)


class PrefectSecret(SecretBase):
    """Has the value of a secret, by its name: that of `prefect.Secret`.

    Args:
        name: the secret's.
        **kwargs: arguments of `Task`.
    """

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        self.secret_name = None if name is None else Secret(name).name  # checked now
        super().__init__(name=name, **kwargs)

    def run(self, name: str | None = None) -> Any:
        """Return the value.

        Args:
            name: another secret's.

        Raises:
            ValueError: it has no name.
            SecretError: the secret has no value here.
        """
        wanted = name or self.secret_name
        if wanted is None:
            raise ValueError("PrefectSecret needs the name of a secret")
        given = context.get("secrets") or {}
        value = given[wanted] if wanted in given else Secret(wanted).value
        remember(value)
        return value


class EnvVarSecret(SecretBase):
    """Has the value of a variable of the environment.

    Args:
        name: the variable's.
        cast: makes the value of the text.
        raise_if_missing: whether to fail where it is not set, instead of having None.
        **kwargs: arguments of `Task`.
    """

    def __init__(
        self,
        name: str | None = None,
        cast: Callable[[str], Any] | None = None,
        raise_if_missing: bool = False,
        **kwargs: Any,
    ) -> None:
        self.env_var = name
        self.cast = None if cast is None else check.function("cast", cast)
        self.raise_if_missing = check.flag("raise_if_missing", raise_if_missing)
        super().__init__(name=name, **kwargs)

    def run(self, name: str | None = None) -> Any:
        """Return the value.

        Args:
            name: another variable's.

        Raises:
            ValueError: it has no name, or the variable is not set.
        """
        wanted = name or self.env_var
        if wanted is None:
            raise ValueError("EnvVarSecret needs the name of a variable")
        value = os.environ.get(wanted)
        if value is None:
            if self.raise_if_missing:
                raise ValueError(f"The environment has no variable {wanted}")
            return None
        remember(value)
        return value if self.cast is None else self.cast(value)
