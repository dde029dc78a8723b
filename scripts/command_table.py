"""Write src/prefect/cli/table.py, from which the command answers without click, out of click's commands.

    python scripts/command_table.py [--check]

With --check nothing is written: the exit status is 1 where the table is not what click says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from prefect.cli.main import main as group

TABLE = Path(__file__).parents[1] / "src/prefect/cli/table.py"
WIDTHS = (80, 100)  # what no terminal and small ones have; what all from 100 on get
HEAD = '''"""What the command answers without click. Written by `make table`; not to be edited."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Option: TypeAlias = tuple[str, tuple[str, ...] | None, tuple[str, ...]]
    Command: TypeAlias = tuple[str, dict[str, Option], tuple[str, ...]]

'''
HELP_DOC = '"""The first page by the width of the terminal."""\n\n'
COMMANDS_DOC = '''"""Each subcommand, and "" for `prefect` itself: description, options, choices of its argument.

An option is a description, its choices (None: it takes no value), and the names of which one alone
can be given.
"""
'''


def first_words(text: str | None) -> str:
    """Return what fits beside a word."""
    return re.split(r"[.;:] ", " ".join((text or "").split()))[0].rstrip(".")


def choices(parameter: click.Parameter) -> tuple[str, ...]:
    """Return the words that are possible, or proposed; none where any is as good."""
    return tuple(map(str, getattr(parameter.type, "choices", ())))


def described(command: click.Command, context: click.Context) -> tuple[str, dict[str, Any], Any]:
    """Return a command's row of the table."""
    options: dict[str, Any] = {}
    arguments: tuple[str, ...] = ()
    first: click.Parameter | None = None  # of a second argument, the choices come after the first
    for one in command.get_params(context):
        if not isinstance(one, click.Option):
            first = one if first is None else first
            arguments = choices(first)
            continue
        names = (*one.opts, *one.secondary_opts)
        takes = None if one.is_flag or one.count else choices(one)
        for name in names:
            options[name] = (first_words(one.help), takes, () if one.multiple else names)
    return first_words(command.get_short_help_str(1000)), options, arguments


def table() -> dict[str, Any]:
    """Return the names of the table with what click's commands say now."""
    context = click.Context(group, info_name="prefect", **group.context_settings)
    commands = {"": described(group, context)}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            commands[name] = described(command, click.Context(command, context, name))
    pages = {}
    for width in WIDTHS:
        os.environ["COLUMNS"] = str(width)
        page = click.Context(group, info_name="prefect", **group.context_settings)
        pages[width] = group.get_help(page) + "\n"
    return {"HELP": pages, "COMMANDS": commands}


def main() -> int:
    """Write the table, or compare it."""
    found = table()
    if "--check" in sys.argv[1:]:
        from prefect.cli import table as kept  # noqa: PLC0415 - it may not be there when it is written

        same = found["HELP"] == kept.HELP and found["COMMANDS"] == kept.COMMANDS
        if not same:
            print(f"{TABLE} is not what click says: write it again with `make table`")
        return int(not same)
    pages = ", ".join(f'{width}: """\\\n{page}"""' for width, page in found["HELP"].items())
    text = f"{HEAD}HELP: dict[int, str] = {{{pages}}}\n{HELP_DOC}"
    text += f"COMMANDS: dict[str, Command] = {found['COMMANDS']!r}\n{COMMANDS_DOC}"
    TABLE.write_text(text)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(TABLE)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
