"""`prefect completion`: what a shell needs to complete the command's words."""

from __future__ import annotations

import click

from prefect.cli.completing import SCRIPTS


@click.command(short_help="Print what makes a shell complete these commands.")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
def completion(shell: str) -> None:
    """Print a script that has SHELL complete subcommands, options, files, images and flows.

    \b
    In ~/.bashrc:                   eval "$(prefect completion bash)"
    In ~/.zshrc, after compinit:    eval "$(prefect completion zsh)"
    In ~/.config/fish/config.fish:  prefect completion fish | source
    """  # noqa: D301 - click reads the \b
    click.echo(SCRIPTS[shell], nl=False)
