"""What every environment has: secrets by reference, and a description without their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.secrets.secret import Secret, parse_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.core.flow import Flow


class Environment:
    """Base class of what a flow can be packaged into.

    Args:
        secrets: names, or `Secret` objects, of what the flow needs at run time. Tasks read them as
            environment variables; their values are never stored in an artifact.
    """

    def __init__(self, secrets: Iterable[str | Secret] | None = None) -> None:
        self.secrets = parse_secrets(secrets)

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

    def serialize(self) -> dict[str, Any]:
        """Return what defines this environment, as plain JSON values without any secret."""
        return {
            "type": type(self).__name__,
            "secrets": [secret.name for secret in self.secrets],
        }

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.serialize().items() if k != "type" and v)
        return f"{type(self).__name__}({settings})"


def allowed_names(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of what looks like a secret and is none.

    Raises:
        TypeError: it is a single str.
        ValueError: something cannot be such a name.
    """
    if not names:
        return ()
    from prefect.secrets.tokens import parse_names  # noqa: PLC0415 - for builds alone

    return parse_names(names)
