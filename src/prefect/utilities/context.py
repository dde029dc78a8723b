"""Classic Prefect's name of the context's class."""

from prefect.core.context import Context, context

__all__ = ["Context", "context"]
