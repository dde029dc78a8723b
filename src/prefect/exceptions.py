"""Classic Prefect's names of the base classes of errors and signals; this package's own are in `prefect.errors`."""

from __future__ import annotations

from prefect.core.signals import Signal as PrefectSignal
from prefect.errors import PrefectError as PrefectException
from prefect.errors import TaskTimeoutError as TaskTimeoutSignal
from prefect.unsupported import refusing

__all__ = ["PrefectException", "PrefectSignal", "TaskTimeoutSignal"]

__getattr__ = refusing(__name__)
