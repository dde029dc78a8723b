"""Classic Prefect's name of what says how an argument is taken."""

from prefect.core.inputs import flatten, mapped, unmapped

__all__ = ["flatten", "mapped", "unmapped"]
