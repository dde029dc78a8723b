"""The command itself: its subcommands, loaded when they are called, and its exit status."""

from __future__ import annotations

import errno
import gc
import importlib
import io
from typing import Any

import click

from prefect.cli.collecting import collect_seldom
from prefect.cli.output import ending_without_output
from prefect.errors import PrefectError
from prefect.printable import error_text, printable_lines
from prefect.running.stopping import (
    BAD_INPUT,
    exit_status,
    provide_streams,
    unwind_on_signals,
)
from prefect.version import __version__

COMMANDS = (
    "build",
    "info",
    "check",
    "run",
    "runs",
    "why",
    "report",
    "view",
    "graph",
    "diff",
    "manifest",
    "verify",
    "sign",
    "rewrap",
    "keygen",
    "cache",
    "completion",
    "help",
)
"""The subcommands, each in the module of its name, in the order in which help lists them."""


class _LazyGroup(click.Group):
    """Imports a subcommand's module only when it is asked for: `--version` is quick."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"prefect.cli.{cmd_name}")
        collect_seldom()
        gc.enable()  # see `start.main`
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from prefect.core.call_signature import closest  # noqa: PLC0415 - for this error alone

            if close := closest(args[0], COMMANDS):
                raise click.UsageError(f"{error.message} Did you mean {close!r}?", ctx) from None
            raise

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        provide_streams()
        with ending_without_output():  # of help, for example
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with ending_without_output():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        unwind_on_signals()
        try:
            try:
                return super().invoke(ctx)
            finally:
                provide_streams()  # which a task may have closed
        except click.ClickException as error:
            shown = io.StringIO()
            error.show(shown)
            click.echo(printable_lines(shown.getvalue()), err=True, nl=False)
            ctx.exit(BAD_INPUT)  # click's own would often be 1, which is a failed flow's
        except PrefectError as error:
            click.echo(error_text(error), err=True)
            ctx.exit(BAD_INPUT)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            # Whatever asks first whether there is such a file; others are named where they are read.
            click.echo(error_text(f"This name is too long for a file: {error.filename}"), err=True)
            ctx.exit(BAD_INPUT)
        except KeyboardInterrupt as stop:
            click.echo("Stopped.", err=True)
            ctx.exit(exit_status(stop))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="prefect", message="%(prog)s %(version)s")
def main() -> None:
    """Package a workflow, and run exactly that elsewhere.

    \b
    As one encrypted file:
      prefect keygen flow.key
      prefect build etl.py -o etl.flow --key-file flow.key
      prefect info etl.flow --key-file flow.key       (executes nothing)
      prefect run etl.flow --key-file flow.key -p year=2013
      prefect build etl.py -o etl.pyz --key-file flow.key --vendor
      python etl.pyz --key-file flow.key -p year=2013 (needs nothing but Python)

    \b
    For somebody else, by their public key, and signed with yours:
      prefect keygen --signing me.key                 (others get me.key.pub)
      prefect keygen --recipient them.key             (they do this, and send them.key.pub)
      prefect build etl.py -o etl.flow --recipient them.key.pub --signing-key me.key
      prefect run etl.flow --key-file them.key --trusted-signer me.key.pub

    \b
    As a container image, in a container engine, a registry or a file:
      prefect build etl.py --image python:3.11-slim --tag etl -r pandas
      prefect build etl.py --image python:3.11-slim --push ghcr.io/team/etl:1
      prefect build etl.py --image python:3.11-slim --export etl.tar
      prefect info etl.tar
      prefect run etl.tar                             (in a sandbox: no container engine)
      prefect run image:etl -p year=2013

    \b
    What an argument names is told by how it is written, whatever is there:
      etl.py etl.py:FLOW             a file whose flow is loaded from its source
      etl  etl.flow  etl.pyz  ./etl  a file, as is all else with a leading / ./ ../ or ~/
      etl:1  ghcr.io/team/etl        an image: with a tag, a digest or a registry's host
      file:etl:1  image:etl          the one and the other outright
      -                              a sealed flow, or a key, from standard input

    A key comes from a file or from the variable PREFECT_ENCRYPTION_KEY, never from an argument. The
    exit status is 0 for success, 1 when the flow failed, 2 for wrong usage, bad input or output that
    cannot be written, and 130 or 143 when Ctrl-C or SIGTERM stopped it.
    """  # noqa: D301 - click reads the \b
