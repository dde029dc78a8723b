"""`prefect help`: what `--help` prints, for those who ask in this way."""

from __future__ import annotations

import click

from prefect.cli.main import COMMANDS, main
from prefect.cli.options import Command


@click.command("help", cls=Command, short_help="Show the help of prefect or of a command.")
@click.argument("command", type=click.Choice(COMMANDS), metavar="[COMMAND]", required=False)
@click.pass_context
def help(context: click.Context, command: str | None) -> None:  # noqa: A001 - the command's name
    """Show what `prefect --help` does, or `prefect COMMAND --help`."""
    root = context.find_root()
    one = None if command is None else main.get_command(root, command)
    click.echo((root if one is None else click.Context(one, root, command)).get_help())
