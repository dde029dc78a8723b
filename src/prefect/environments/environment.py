"""What every environment has: secrets by reference, and a description without their values."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.errors import IncludeError
from prefect.secrets.secret import Secret, parse_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from prefect.core.flow import Flow
    from prefect.payload.including import Included


class Environment:
    """Base class of what a flow can be packaged into.

    Args:
        secrets: names, or `Secret` objects, of what the flow needs at run time. Tasks read them as
            environment variables; their values are never stored in an artifact.
        include: files that travel with the flow: paths of files and directories, or patterns such as
            "sql/*.sql", in which `**` stands for any directories. They are relative to the directory
            of the file that makes the environment. Where the flow runs, its modules find them where
            they find them here: beside their `__file__`, or by `importlib.resources`.
        include_from: the directory that relative paths of `include` are relative to; by default that
            of the file that makes the environment.

    Raises:
        TypeError: an argument has the wrong type.
    """

    def __init__(
        self,
        secrets: Iterable[str | Secret] | None = None,
        *,
        include: Iterable[str | os.PathLike[str]] | None = None,
        include_from: str | os.PathLike[str] | None = None,
    ) -> None:
        self.secrets = parse_secrets(secrets)
        self.include = _paths(include)
        if include_from is not None and include_from != "":
            check.path("include_from", include_from)
        self.include_from = ""
        if self.include:
            place = _directory_of_caller() if include_from is None else include_from
            self.include_from = os.path.abspath(place)  # noqa: PTH100 - kept as text
        self._lost_include = False

    def build(self, flow: Flow | None = None) -> Any:
        """Package a flow; every kind of environment does it in its own way.

        Args:
            flow: the flow to package.

        Raises:
            NotImplementedError: in this base class.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no build(): use PickleEnvironment or ContainerEnvironment"
        )

    def _included(self) -> Included | None:
        """Find the files that are to travel; None where there are none.

        Raises:
            IncludeError: something that is to travel is not there, or is no file.
            OSError: a file cannot be read.
        """
        if self._lost_include:
            raise IncludeError(
                "This environment includes files and does not know where they are: it was copied or "
                "unpickled. Make it with include=[...] where they are"
            )
        if not self.include:
            return None
        from prefect.payload.including import include  # noqa: PLC0415 - for builds alone

        return include(self.include, Path(self.include_from))

    def serialize(self) -> dict[str, Any]:
        """Return what defines this environment, as plain JSON values without any secret."""
        return {
            "type": type(self).__name__,
            "secrets": [secret.name for secret in self.secrets],
        }

    def __getstate__(self) -> dict[str, Any]:
        # Paths of this machine mean nothing elsewhere, and say something of it.
        lost = self._lost_include or bool(self.include)
        return self.__dict__ | {"include": (), "include_from": "", "_lost_include": lost}

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.serialize().items() if k != "type" and v)
        return f"{type(self).__name__}({settings})"


def _paths(include: Any) -> tuple[str, ...]:
    if isinstance(include, str | os.PathLike):
        raise TypeError(f"include is a list: write include=[{os.fspath(include)!r}]")
    if include is None:
        return ()
    return tuple(
        os.fspath(check.path("Each path of include", path))
        for path in check.listed("include", "paths", include)
    )


def _directory_of_caller() -> str:
    """Return the directory of the file that makes an environment; the current one in a notebook."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as warnings find who to warn
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == "prefect":
        frame = frame.f_back
    file = frame.f_globals.get("__file__") if frame else None
    return os.path.dirname(os.path.abspath(file)) if isinstance(file, str) else os.getcwd()  # noqa: PTH100,PTH109,PTH120


def allowed_names(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of what looks like a secret and is none.

    Raises:
        TypeError: it is a single str.
        ValueError: something cannot be such a name.
    """
    if names is None:
        return ()
    if not isinstance(names, str):
        names = list(check.listed("allow_secret_like", "names", names))
    if not names:
        return ()
    from prefect.secrets.tokens import parse_names  # noqa: PLC0415 - for builds alone

    return parse_names(names)


def lines(name: str, example: str, given: Sequence[str] | None) -> list[str] | None:
    """Return what an argument lists, which has to be lines of text.

    Raises:
        TypeError: it is a single str, or has something else.
    """
    if isinstance(given, str):
        raise TypeError(f"{name} is a list: write {name}=[{given!r}]")
    if given is None:
        return None
    found = list(check.listed(name, f"lines of text such as {example!r}", given))
    for line in found:
        if not isinstance(line, str):
            raise check.wrong(f"Each of {name}", f"a line of text such as {example!r}", line)
    return found
