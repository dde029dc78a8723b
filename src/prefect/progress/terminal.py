"""A run's progress on a terminal: what runs, and how far all of it is."""

from __future__ import annotations

from prefect.printable import duration
from prefect.progress.lines import Lines, bar, fitted, has_colour, spinner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from prefect.progress.showing import Progress

_MOST_RUNNING = 8
_MOST_MAPPED = 6
_BAR = 24


class OnTerminal:
    """Draws below what the run writes; leaves one line when it ends.

    Args:
        progress: of the run.
        stream: the terminal.
    """

    def __init__(self, progress: Progress, stream: TextIO) -> None:
        self._progress = progress
        self._colour = has_colour()
        self._lines = Lines(getattr(stream, "stream", stream), self._draw)

    def __enter__(self) -> None:
        self._lines.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._lines.__exit__(*exc)

    def end(self, outcome: str) -> None:
        """Write what the run came to."""
        from prefect.printable import printable  # noqa: PLC0415  # where it is the last line

        self._lines.write(printable(self._progress.summary(outcome)))

    def _draw(self, width: int) -> list[str]:
        progress = self._progress
        counts = progress.counts
        with progress.lock:
            running, more = counts.first_running(_MOST_RUNNING)
            lines = [fitted(f"{spinner()} {name}  {duration(s)}", width) for name, s in running]
            if more:
                lines.append(fitted(f"  … and {more:,} more", width))
            for name, mapped, text in counts.parts()[:_MOST_MAPPED]:
                lines.append(self._row(mapped.ended, mapped.children, f"{name}: {text}", width))
            lines.append(self._row(counts.finished, counts.total, counts.head(), width))
            last = [counts.slow(), progress.used()]
        if text := " · ".join(filter(None, last)):
            lines.append(fitted(f"  {text}", width))
        return lines

    def _row(self, ended: int, total: int, text: str, width: int) -> str:
        wide = min(_BAR, width // 3)
        share = ended / total if total else 1.0
        return f"  {bar(share, wide, colour=self._colour)} {fitted(text, width - wide - 3)}"
