"""When flows run: clocks, filters and adjustments, as classic Prefect had them.

Plain objects that travel with a flow, and stand in its manifest as JSON. They keep no time:
`prefect.engine.scheduling` waits, and `prefect manifest` has a platform do so. Imports core and errors; cronsim when
the times of a cron clock are asked for.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.schedules import adjustments, clocks, filters, schedules
    from prefect.schedules.schedules import (
        CronSchedule,
        IntervalSchedule,
        RRuleSchedule,
        Schedule,
    )

__all__ = [
    "CronSchedule",
    "IntervalSchedule",
    "RRuleSchedule",
    "Schedule",
    "adjustments",
    "clocks",
    "filters",
    "schedules",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "CronSchedule": "prefect.schedules.schedules",
        "IntervalSchedule": "prefect.schedules.schedules",
        "RRuleSchedule": "prefect.schedules.schedules",
        "Schedule": "prefect.schedules.schedules",
        "adjustments": "prefect.schedules.adjustments",
        "clocks": "prefect.schedules.clocks",
        "filters": "prefect.schedules.filters",
        "schedules": "prefect.schedules.schedules",
    },
)
