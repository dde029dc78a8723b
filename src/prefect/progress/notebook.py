"""A run's progress in the cell of a notebook, by updates of one output: without widgets."""

from __future__ import annotations

from importlib import import_module

from prefect.core.notebooks import counts_html
from prefect.core.picture import escaped
from prefect.printable import duration, printable
from prefect.progress.lines import Ticker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.progress.showing import Progress

_SECONDS = 0.25
_MOST = 6
_CELL = 'style="text-align:left"'


class InNotebook:
    """Shows in one output of the cell; the last of it is what the run came to.

    Args:
        progress: of the run.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._outcome = "Running"
        self._shown: Any = None
        self._last: dict[str, str] = {}
        self._ticker = Ticker(self._update, _SECONDS)

    def __enter__(self) -> None:
        display = import_module("IPython.display").display

        self._last = self._drawn()
        self._shown = display(self._last, raw=True, display_id=True)
        self._ticker.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._ticker.__exit__(*exc)
        self._update()

    def end(self, outcome: str) -> None:
        """Take what the run came to, to be shown last."""
        self._outcome = outcome

    def _update(self) -> None:
        drawn = self._drawn()
        if drawn != self._last:
            self._last = drawn
            self._shown.update(drawn, raw=True)

    def _drawn(self) -> dict[str, str]:
        progress = self._progress
        with progress.lock:
            counts = progress.counts
            rows = [_row(counts.finished, counts.total, progress.flow, counts.head())]
            rows += [
                _row(mapped.ended, mapped.children, name, text)
                for name, mapped, text in counts.parts()[:_MOST]
            ]
            running = counts.first_running(_MOST)[0] if self._outcome == "Running" else []
            told = [
                ", ".join(f"{name} {duration(seconds)}" for name, seconds in running),
                counts.slow(),
                progress.used(),
            ]
            states = counts_html(counts.states)
            text = progress.summary(self._outcome)
        more = "".join(f"<div><small>{_text(each)}</small></div>" for each in told if each)
        html = (
            f"<div><b>{_text(self._outcome)}</b> {states}</div><table>{''.join(rows)}</table>{more}"
        )
        return {"text/html": html, "text/plain": printable(text)}


def _row(ended: int, total: int, name: str, text: str) -> str:
    meter = f'<progress value="{ended}" max="{max(total, 1)}"></progress>'
    return f"<tr><td {_CELL}>{_text(name)}</td><td>{meter}</td><td {_CELL}>{_text(text)}</td></tr>"


def _text(text: str) -> str:
    return escaped(printable(text))
