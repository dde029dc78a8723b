"""Classic Prefect's name of the module that has edges."""

from prefect.core.graph import Edge
from prefect.unsupported import refusing

__all__ = ["Edge"]

__getattr__ = refusing(__name__)
