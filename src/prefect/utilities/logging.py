"""Loggers, under the names of classic Prefect."""

from __future__ import annotations

import logging

__all__ = ["get_logger"]


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger below that of this package.

    Args:
        name: below `prefect`; without one, `prefect` itself.
    """
    return logging.getLogger("prefect" if name is None or name == "prefect" else f"prefect.{name}")
