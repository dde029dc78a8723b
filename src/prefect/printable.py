"""Text of somebody else on its way to a terminal or a log: it shows, and commands nothing.

Names, labels, versions and messages out of an artifact, a registry or a container engine are anybody's.
Everything that tells of them to people passes here. So do numbers of bytes.
"""

from __future__ import annotations


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


def error_text(error: BaseException | str) -> str:
    """Return an error as it is shown: only its first line begins at the margin.

    Its message may quote an artifact, whose newline could forge a line of ours.
    """
    first, *more = printable_lines(f"Error: {error}".rstrip()).split("\n")
    return "\n".join([first, *(f"  {line}".rstrip() for line in more)])


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    if count < 1024:  # noqa: PLR2004
        return f"{count} bytes"
    if count < 1024**2:
        return f"{count / 1024:.1f} KiB"
    if count < 1024**3:
        return f"{count / 1024**2:.1f} MiB"
    return f"{count / 1024**3:.1f} GiB"
