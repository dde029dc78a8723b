"""Options that several subcommands have, those for keys among them; reading them imports no cryptography."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.standard_input import NAME
from prefect.running.key_variable import KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable


def _file_option(name: str, text: str, *, multiple: bool = False) -> Callable[..., Any]:
    path = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)
    return click.option(name, type=path, multiple=multiple, metavar="FILE", help=text)


key_file_option = _file_option(
    "--key-file",
    "File with a key that opens it: an encryption key or an identity. May be repeated. "
    f"Without any, the variable {KEY_VARIABLE} is read.",
    multiple=True,
)
sealing_key_option = _file_option(
    "--key-file",
    "File with the encryption key that seals. Without one, a sealed flow takes the key in the "
    f"variable {KEY_VARIABLE}.",
)
signing_key_option = _file_option("--signing-key", "File with your signing key.")
recipient_option = click.option(
    "--recipient", "recipients", multiple=True, metavar="TEXT|FILE.pub",
    help="A recipient, who may open the file too; it must be signed. May be repeated.",
)  # fmt: skip
trusted_signer_option = click.option(
    "--trusted-signer", "trusted_signers", multiple=True, metavar="TEXT|FILE.pub",
    help="Refuse what none of these signers has signed. May be repeated.",
)  # fmt: skip
parameter_option = click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE",
    help="A parameter. The value is JSON where it can be read as such (10, true, [1, 2]), else "
    "text; always text where the parameter's type is written so (a date, a name). May be repeated.",
)  # fmt: skip


class Suggested(click.types.StringParamType):
    """Any text, of which shells propose some."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices


_READ = {
    "artifact", "file", "key_file", "to_key_files", "signing_key", "recipients", "trusted_signers",
}  # fmt: skip
"""The parameters that name what is read, by a path or by "-"."""


ARGUMENTS = "prefect.arguments"
"""Where a command's context has what it was called with."""


class Command(click.Command):
    """A command that refuses empty values, standard input twice, and an option that counts but once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as click does.

        Raises:
            click.UsageError: an option is given twice, or "-" for two things that are read; or a value
                is empty, as a shell's unset variable is.
        """
        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in self.get_params(ctx):
            if any(
                isinstance(v, str) and not v.strip() for v in _listed(values.get(parameter.name))
            ):
                if isinstance(parameter, click.Option):
                    what = f"{parameter.opts[-1]} is empty: give it a value, or leave it out"
                else:
                    what = f"{parameter.make_metavar(ctx)} is empty: name one"
                raise click.UsageError(what, ctx)
        read = [value for name in _READ & {*values} for value in _listed(values[name])]
        if read.count(NAME) > 1:
            raise click.UsageError(
                '"-" is standard input, which can be read but once: name a file for all but one',
                ctx,
            )
        for option in given:
            once = isinstance(option, click.Option) and not option.multiple and not option.is_flag
            if once and given.count(option) > 1:
                raise click.UsageError(f"{option.opts[-1]} is given twice, and can be but one", ctx)
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


def _listed(value: Any) -> list[Any]:
    return [*value] if isinstance(value, list | tuple) else [value]


def refuse_keys(what: str, key_files: tuple[Path, ...], trusted_signers: tuple[str, ...]) -> None:
    """Refuse keys and signers for what has neither.

    Raises:
        click.UsageError: some are given.
    """
    if key_files or trusted_signers:
        option = "--key-file" if key_files else "--trusted-signer"
        raise click.UsageError(
            f"{option} is for sealed flows, and {what}: nothing of it could be checked. "
            "Leave the option out if you trust it"
        )


def names_a_key(key_files: tuple[Path, ...]) -> bool:
    """Tell whether a key is named anywhere, without reading it: a pipe can be read but once."""
    return bool(key_files or os.environ.get(KEY_VARIABLE, "").strip())
