"""A function as a task."""

from prefect.core.function_task import FunctionTask

__all__ = ["FunctionTask"]
