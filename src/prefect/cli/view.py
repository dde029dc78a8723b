"""`prefect view`: the page of a run, served on this machine while the run goes on."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import click

from prefect.cli.options import Command
from prefect.cli.output import say
from prefect.cli.runs import store_option

if TYPE_CHECKING:
    from typing import BinaryIO


@click.command(cls=Command, short_help="Follow a run in a browser while it goes on.")
@click.argument("run", metavar="RUN|FILE.jsonl|last")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Its port; else any.")
@click.option("--open", "opens", is_flag=True, help="Open it in the browser of this machine.")
@store_option
def view(run: str, port: int, opens: bool, store: str | None) -> None:
    """Serve the page of RUN on 127.0.0.1, and keep it true while the run goes on. Ctrl-C ends it.

    RUN is as for `prefect report`. The page's address has a secret in it: who has it sees the run, and
    nobody else, on this machine or from elsewhere. From another machine, forward the port:

    \b
      prefect view last --port 8750
      ssh -L 8750:127.0.0.1:8750 THAT-MACHINE         (then open the address here)
    """  # noqa: D301 - click reads the \b
    from prefect.report.server import Followed, PageServer  # noqa: PLC0415 - not for --help

    try:
        followed = Followed(_record(run, store), run, store)
    except OSError as error:
        raise click.FileError(run, error.strerror or str(error)) from error
    with followed:
        try:
            server = PageServer(followed, port)
        except OSError as error:
            raise click.UsageError(
                f"Port {port} cannot be used: {error.strerror}. Without --port, a free one is"
            ) from error
        with server:
            say(f"Showing the run at {server.url} until Ctrl-C.")
            if opens:
                import webbrowser  # noqa: PLC0415 - for this alone

                webbrowser.open(server.url)
            server.serve_forever(poll_interval=0.2)


def _record(meant: str, where: str | None) -> BinaryIO:
    """Open the record of a run; of a store elsewhere, as it is now."""
    from pathlib import Path  # noqa: PLC0415 - not for --help

    from prefect.records.finding import find_run, path_of  # noqa: PLC0415 - likewise
    from prefect.store.files import LocalFiles  # noqa: PLC0415 - likewise
    from prefect.store.store import open_store  # noqa: PLC0415 - likewise

    if meant.endswith(".jsonl") and Path(meant).exists():
        return Path(meant).open("rb")
    store = open_store(where)
    name = path_of(find_run(store, meant))
    if isinstance(store.files, LocalFiles):
        return Path(store.where, name).open("rb")
    return BytesIO(store.files.read(name) or b"")
