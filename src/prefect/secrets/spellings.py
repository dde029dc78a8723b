"""How a secret's value looks where programs quote it: what is masked, and what builds search for."""

from __future__ import annotations

import json
import os

# Shorter values occur in any text by chance.
SHORTEST = 4


def quoted(value: str) -> set[str]:
    """Return a value as it is, and as Python, JSON and URLs write it."""
    from urllib.parse import quote, quote_plus  # noqa: PLC0415 - for secrets alone

    data = os.fsencode(value)
    found = {value, _python(value), ascii(value)[1:-1], _python(data)}
    found |= {_python(text, apart=True) for text in (value, data)}
    found |= {_json(text, plain) for text in tuple(found) for plain in (False, True)}
    found |= {_json(value, plain).replace("/", "\\/") for plain in (False, True)}
    # A log line of JSON may stand in a list of Python's in turn.
    found |= {_python(_json(value, plain)) for plain in (False, True)}
    urls = {quote(data), quote(data, safe=""), quote_plus(data)}
    return found | urls | {_lower_escapes(url) for url in urls}


def _python(value: str | bytes, *, apart: bool = False) -> str:
    """Return a value as `repr` writes it, without its quotes.

    Args:
        apart: as it is written where something beside it has the other kind of quotation mark.
    """
    text = repr(value).removeprefix("b")[1:-1]
    if not apart:
        return text
    return text if repr(value).endswith("'") else text.replace("'", "\\'")


def _json(text: str, plain: bool) -> str:
    return json.dumps(text, ensure_ascii=not plain)[1:-1]


def _lower_escapes(url: str) -> str:
    first, *rest = url.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])
