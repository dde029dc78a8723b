"""Classic Prefect's name of what helps to write tasks and flows."""

from prefect.core.composing import apply_map, as_task, defaults_from_attrs, pause_task, tags
from prefect.core.function_task import task

__all__ = ["apply_map", "as_task", "defaults_from_attrs", "pause_task", "tags", "task"]
