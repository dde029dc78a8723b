"""Sends what a task prints to its logger, and nothing that other threads print."""

from __future__ import annotations

from contextlib import contextmanager

from prefect.streams import printed, stand_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator


class _Lines:
    """Logs whole lines."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._rest = ""

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        # A handler may itself write to sys.stdout, and must not be logged for that.
        token = printed.set(None)
        try:
            for line in lines:
                self._logger.info("%s", line)
        finally:
            printed.reset(token)

    def close(self) -> None:
        if self._rest:
            self.write("\n")


@contextmanager
def stdout_logged(logger: logging.Logger) -> Iterator[None]:
    """Log each line printed within the block, and in what it calls, at level INFO."""
    lines = _Lines(logger)
    with stand_in("stdout"):
        token = printed.set(lines.write)
        try:
            yield
        finally:
            printed.reset(token)
            lines.close()
