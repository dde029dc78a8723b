"""What runs are called, and where their records are."""

from __future__ import annotations

import os
import time

from prefect.patterns import pattern

_UNFIT = pattern(r"[^A-Za-z0-9]+")


def new_run(flow: str) -> str:
    """Return a name for a run that begins now: names sort by time.

    Args:
        flow: the flow's name.
    """
    named = _UNFIT.sub("-", flow).strip("-")[:40].strip("-") or "flow"
    now = time.time_ns() // 1_000_000
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 1000))
    return f"{moment}.{now % 1000:03}-{named}-{os.urandom(4).hex()}"
