"""The text form of an executor: what a flow carries, an artifact says, and commands are given.

`prefect.engine.executors` makes executors of it; here it is text alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("local", "threads", "processes", "dask")
"""The forms that need nothing after them."""

_LONGEST = 300
_COUNTED = ("threads", "processes")
_MOST = 9999


def parse(text: str) -> tuple[str, str]:
    """Take the text form of an executor apart.

    Args:
        text: "local", "threads", "threads:8", "processes", "processes:4", "dask", or the address of a Dask scheduler, such as
            "tcp://10.0.0.5:8786", with "dask:" before it or without.

    Returns:
        One of `KINDS`, and what comes after it: a number of threads or processes, an address, or "".

    Raises:
        ValueError: it is none of these, or an address with credentials. They are not in the message.
    """
    if "://" in text:
        return "dask", _address(text.removeprefix("dask:"))
    kind, colon, rest = text.partition(":")
    if kind in KINDS and not colon:
        return kind, ""
    if kind in _COUNTED and rest.isascii() and rest.isdigit() and 1 <= int(rest[:5]) <= _MOST:
        return kind, str(int(rest))
    raise ValueError(
        f"There is no executor {text[:_LONGEST]!r}; choose local, threads, threads:8, processes, "
        "processes:4, dask, or a scheduler's address, such as tcp://10.0.0.5:8786"
    )


def normal(text: str) -> str:
    """Return the one spelling of an executor's text form.

    Raises:
        ValueError: as `parse`.
    """
    return ":".join(part for part in parse(text) if part)


def text_of(executor: Any) -> str | None:
    """Return the text form of an executor, which may be one itself; None where it has none."""
    if isinstance(executor, str):
        return executor
    text = executor.text() if hasattr(executor, "text") else None
    return text if isinstance(text, str) else None


def _address(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if "@" in rest or "?" in rest or "#" in rest:
        raise ValueError(
            "The address of a Dask scheduler has credentials in it, or what may be some: give host and "
            "port alone, such as tcp://10.0.0.5:8786. Where it wants TLS, Dask's own configuration "
            "(distributed.comm.tls) has the certificates"
        )
    plain = all(c.isprintable() and not c.isspace() for c in rest)
    if (
        not (scheme.isascii() and scheme.replace("+", "").isalnum() and rest and plain)
        or len(text) > _LONGEST
    ):
        raise ValueError(
            f"{text[:_LONGEST]!r} is no address of a Dask scheduler: write it as tcp://HOST:PORT"
        )
    return text
