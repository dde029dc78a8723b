"""Where the results of a task are stored, as classic Prefect's flows say it.

A directory or a URL says the same: `@task(result="s3://bucket/prefix")`.
"""

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
__path__: list[str] = []  # modules of it: see `prefect.lazy`


class Result:
    """A place for the results of a task, which has results by their digests. Without one, the run decides.

    Args:
        *args: as classic Prefect's take them.
        **kwargs: likewise; they are attributes. What is not said to be used below has no meaning here.
    """

    _by_position: tuple[str, ...] = ("value", "location", "serializer")
    _used: tuple[str, ...] = ()
    stores: bool = True
    """Whether results are stored at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        given = {**dict(zip(self._by_position, args, strict=False)), **kwargs}
        self.__dict__.update(given)
        unused = [n for n, value in given.items() if n not in self._used and value is not None]
        self.unused = (*unused, *map(str, args[len(self._by_position) :]))

    @property
    def where(self) -> str | None:
        """A directory or a URL; None leaves that to the run."""
        return None


class _Bucket(Result):
    _used = ("bucket",)
    _by_position = ("bucket",)
    _protocol = ""
    bucket = ""

    @property
    def where(self) -> str | None:
        """The URL of the bucket."""
        return f"{self._protocol}://{self.bucket}" if self.bucket else None


class AzureResult(Result):
    """In Azure's Blob Storage, in `container`, whose credentials adlfs finds."""

    _used = _by_position = ("container",)
    container = ""

    @property
    def where(self) -> str | None:
        """The URL of the container."""
        return f"az://{self.container}" if self.container else None


class ConstantResult(Result):
    """In the flow itself: it is not stored."""

    stores = False


class GCSResult(_Bucket):
    """In Google Cloud Storage, in `bucket`, whose credentials gcsfs finds."""

    _protocol = "gs"


class LocalResult(Result):
    """In a directory, `dir`."""

    _used = ("dir", "validate_dir")
    _by_position = ("dir", "validate_dir")
    dir: str | None = None

    @property
    def where(self) -> str | None:
        """The directory."""
        return None if self.dir is None else str(self.dir)


class PrefectResult(Result):
    """In a server's database, which there is none of: the run decides."""


class S3Result(_Bucket):
    """In S3, in `bucket`, whose credentials s3fs finds."""

    _protocol = "s3"


class SecretResult(Result):
    """Nowhere, as of a secret."""

    _used = _by_position = ("secret_task",)
    stores = False
