"""Classic Prefect's name of the module that has edges."""

from prefect.core.graph import Edge

__all__ = ["Edge"]
