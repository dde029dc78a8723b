"""Branches: tasks that run only if the result of another one is so, and what joins them again.

A run passes through those that a flow has. May import core.
"""

from prefect.tasks.control_flow.case import case
from prefect.tasks.control_flow.conditional import ifelse, merge, switch
from prefect.tasks.control_flow.filter import FilterTask

__all__ = ["FilterTask", "case", "ifelse", "merge", "switch"]
