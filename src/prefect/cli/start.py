"""Where the command starts: what a table answers is answered at once, all else by click.

Click costs twice what a bare interpreter does, so nothing here or in what it imports knows it.
"""

from __future__ import annotations

import gc
import os
import sys

from prefect.version import __version__


def main() -> None:
    """Be the command `prefect`, with the arguments of the process."""
    words = sys.argv[1:]
    text = _answer(words)
    if text is not None:
        _write(text, "stdout" if words else "stderr")
        sys.exit(0 if words else 2)  # click's exit status for no arguments at all
    gc.disable()  # until the subcommand is imported: nothing of that is garbage
    if _is_run_in_venv(words):
        from prefect.places.venv.ahead import begin  # noqa: PLC0415 - for such runs alone

        begin()
    elif _is_run_of_file_in_image(words):
        from prefect.places.sandbox import ahead  # noqa: PLC0415 - for such runs alone

        ahead.begin(words)
    from prefect.cli.main import main as command  # noqa: PLC0415 - see above

    command(prog_name="prefect")


def _is_run_in_venv(words: list[str]) -> bool:
    """Tell whether a run in an environment is asked for, as far as can be told without click."""
    pairs = zip(words, words[1:], strict=False)  # noqa: RUF007 - itertools is slow to import
    asked = "--in=venv" in words or ("--in", "venv") in pairs
    return words[:1] == ["run"] and asked


def _is_run_of_file_in_image(words: list[str]) -> bool:
    """Tell whether a run of a file in a sandbox is asked for, as far as can be told without click."""
    return words[:1] == ["run"] and any(word.startswith("--image") for word in words)


def _answer(words: list[str]) -> str | None:
    """Return what is printed for these arguments, or None where click knows better."""
    if words == ["--version"]:
        return f"prefect {__version__}\n"
    if words in ([], ["--help"], ["-h"], ["help"]):
        from prefect.cli.table import HELP  # noqa: PLC0415 - for help alone

        return HELP.get(min(_columns(), max(HELP)))
    if words[0] == "completion" and len(words) > 1:
        from prefect.cli.completing import SCRIPTS, complete  # noqa: PLC0415 - for completion alone

        if words[1] in SCRIPTS and len(words) == 2:  # noqa: PLR2004
            return SCRIPTS[words[1]]
        if words[1] in SCRIPTS and words[2] == "--":
            return complete(words[1], words[3:])
    return None


def _columns() -> int:
    """Return the width of the terminal as shutil, which is slow to import, and so click find it."""
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
    except ValueError:
        columns = 0
    if columns <= 0:
        try:
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
        except (AttributeError, ValueError, OSError):
            columns = 0
    return columns or 80


def _write(text: str, name: str) -> None:
    """Write to a standard stream, and flush."""
    if getattr(sys, name) is None:
        from prefect.running.stopping import provide_streams  # noqa: PLC0415 - for this alone

        provide_streams()
    stream = getattr(sys, name)
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        from prefect.running.stopping import end_without_output  # noqa: PLC0415 - for this alone

        end_without_output(error)
