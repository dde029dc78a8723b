"""Where classic Prefect's flows store results. They are accepted, and nothing is stored."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AzureResult",
    "ConstantResult",
    "GCSResult",
    "LocalResult",
    "PrefectResult",
    "Result",
    "S3Result",
    "SecretResult",
]


class Result:
    """A place for a result.

    Args:
        *args: as classic Prefect's take them.
        **kwargs: likewise; they are attributes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.__dict__.update(kwargs)


class AzureResult(Result):
    """In Azure's Blob Storage."""


class ConstantResult(Result):
    """In the flow itself."""


class GCSResult(Result):
    """In Google Cloud Storage."""


class LocalResult(Result):
    """In a directory."""


class PrefectResult(Result):
    """In a server's database."""


class S3Result(Result):
    """In S3."""


class SecretResult(Result):
    """Nowhere, as of a secret."""
