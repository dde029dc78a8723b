"""Text of somebody else on its way to a terminal or a log: it shows, and commands nothing.

Names, labels, versions and messages out of an artifact, a registry or a container engine are anybody's.
Everything that tells of them to people passes here. So do numbers of bytes, and times.
"""

from __future__ import annotations

from prefect.patterns import pattern

_COLOURS = pattern(r"(\x1b\[[0-9;:]*m)")


def printable(text: str) -> str:
    """Return text as one line in which nothing commands a terminal; newlines are escaped, too."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable_lines(text: str) -> str:
    """Return text in which only its newlines command a terminal; tabs become spaces."""
    return "\n".join(map(printable, text.expandtabs().split("\n")))


def printable_log(text: str) -> str:
    """Return what somebody's code logs: newlines, tabs and colours are left, and nothing else commands a terminal."""
    if text.isprintable():
        return text
    parts = _COLOURS.split(text)
    if len(parts) > 1:
        parts.append("\x1b[0m")  # they end with the text
    return "".join(
        part
        if _COLOURS.fullmatch(part)
        else "\n".join("\t".join(map(printable, line.split("\t"))) for line in part.split("\n"))
        for part in parts
    )


def error_text(error: BaseException | str) -> str:
    """Return an error as it is shown: only its first line begins at the margin.

    Its message may quote an artifact, whose newline could forge a line of ours.
    """
    first, *more = printable_lines(f"Error: {error}".rstrip()).split("\n")
    return "\n".join([first, *(f"  {line}".rstrip() for line in more)])


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    if count < 1024:  # noqa: PLR2004
        return "1 byte" if count == 1 else f"{count} bytes"
    if count < 1024**2:
        return f"{count / 1024:.1f} KiB"
    if count < 1024**3:
        return f"{count / 1024**2:.1f} MiB"
    return f"{count / 1024**3:.1f} GiB"


def duration(seconds: float) -> str:  # noqa: PLR0911  # a form for each magnitude
    """Return a time as people read it: "0.3 ms", "42 ms", "1.50 s", "42.0 s", "2 min 05 s", "1 h 02 min".

    The page of a run has the same, in `report/page/model.js`.
    """
    if seconds < 0.00005:  # noqa: PLR2004
        return "0 s"
    if seconds < 0.00095:  # noqa: PLR2004
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:  # noqa: PLR2004
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.995:  # noqa: PLR2004
        return f"{seconds:.2f} s"
    if seconds < 59.95:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:  # noqa: PLR2004
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"
