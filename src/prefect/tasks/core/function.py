"""A function as a task."""

from prefect.core.task import FunctionTask

__all__ = ["FunctionTask"]
