"""Classic Prefect's name of what says how an argument is taken."""

from prefect.core.inputs import flatten, mapped, unmapped
from prefect.unsupported import refusing

__all__ = ["flatten", "mapped", "unmapped"]

__getattr__ = refusing(__name__)
