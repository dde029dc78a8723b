"""Loggers, under the names of classic Prefect."""

from __future__ import annotations

import logging

from prefect.core.shown import show
from prefect.unsupported import refusing

__all__ = ["get_logger"]


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger below that of this package.

    Args:
        name: below `prefect`; without one, `prefect` itself.
    """
    if name is None or name == "prefect":
        return logging.getLogger("prefect")
    show(f"prefect.{name}")
    return logging.getLogger(f"prefect.{name}")


__getattr__ = refusing(__name__)
