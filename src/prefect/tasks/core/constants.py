"""A plain value as a task."""

from prefect.core.inputs import Constant

__all__ = ["Constant"]
