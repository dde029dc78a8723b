"""What runs are called, and where their records are."""

from __future__ import annotations

import os
import re
import time

_UNFIT = re.compile(r"[^A-Za-z0-9]+")
_RUN = re.compile(r"\d{8}-\d{6}-[A-Za-z0-9-]{1,40}-[0-9a-f]{8}")


def new_run(flow: str) -> str:
    """Return a name for a run that begins now: names sort by time.

    Args:
        flow: the flow's name.
    """
    named = _UNFIT.sub("-", flow).strip("-")[:40].strip("-") or "flow"
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{moment}-{named}-{os.urandom(4).hex()}"


def is_run(name: str) -> bool:
    """Tell whether a text is the name of a run."""
    return _RUN.fullmatch(name) is not None
