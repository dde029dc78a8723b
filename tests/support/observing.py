"""Observers of runs: tests that end, kill or cut something do so once it is known what runs."""

import logging
import time
from contextlib import contextmanager


def when_running(flow, task, then):
    """Return an observer, for `on_state`, that does something once it is known that a task runs."""
    over = []

    def observe(event):
        if event.task_slug == flow.slugs[task] and event.state.is_running() and not over:
            over.append(event)
            then()

    return observe


def until(condition, seconds=60.0):
    """Wait until something is so, and return whether it is."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


@contextmanager
def when_told(text, then):
    """Do something once a line with a text is logged by this package, from level INFO on."""
    logger = logging.getLogger("prefect")
    over = []

    class Waits(logging.Handler):
        def emit(self, record):
            if text in record.getMessage() and not over:
                over.append(record)
                then()

    handler, level = Waits(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
