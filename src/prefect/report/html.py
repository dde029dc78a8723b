"""A run as one page: a file that needs no network, and in which nothing of a record can run.

Names, messages and values are data of the page's one script, which shows them as text alone. Its
Content-Security-Policy lets that script and that style in by their digests, and nothing else at all.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from prefect.printable import printable
from prefect.report.data import page_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.records.run import Run

_SCRIPTS = ("model.js", "graph.js", "timeline.js", "lists.js", "detail.js", "main.js")


def html(run: Run, reasons: Mapping[tuple[str, int | None], str] | None = None) -> bytes:
    """Return the page of a run, in UTF-8.

    Args:
        run: as `prefect.records.reading.read_record` gives it.
        reasons: why tasks ran again or did not, as `prefect.records.reasons.changes` gives it.
    """
    return page(run, reasons=reasons)


def page(
    run: Run,
    *,
    data_path: str = "",
    reasons: Mapping[tuple[str, int | None], str] | None = None,
) -> bytes:
    """Return the page of a run.

    Args:
        run: as its record tells of it.
        data_path: where the page gets newer data from, below where it is served itself; "" for a file.
        reasons: as `html` takes them.
    """
    style, script = _part("page.css"), script_text()
    text = Template(_part("page.html")).substitute(
        live=f' data-live="{escape(data_path)}"' if data_path else "",
        policy=policy(live=bool(data_path)),
        title=escape(printable(run.flow["name"])),
        style=style,
        script=script,
        data=as_json(page_data(run, live=bool(data_path), reasons=reasons)),
    )
    return text.encode()


def policy(*, live: bool) -> str:
    """Return the Content-Security-Policy of the page.

    Args:
        live: whether it may ask its own server for newer data.
    """
    allowed = [
        "default-src 'none'",
        f"script-src {_source(script_text())}",
        f"style-src {_source(_part('page.css'))}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if live:
        allowed.append("connect-src 'self'")
    return "; ".join(allowed)


def as_json(value: Any) -> str:
    """Return JSON in which nothing ends the element that it stands in, nor begins another."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def script_text() -> str:
    """Return the page's script."""
    parts = "".join(_part(name) for name in _SCRIPTS)
    return f'"use strict";{{\n{parts}}}\n'


@cache
def _part(name: str) -> str:
    return Path(__file__).with_name("page").joinpath(name).read_text("utf-8")


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
