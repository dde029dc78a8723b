"""`prefect graph`: a flow's tasks as text, Mermaid, Graphviz or a picture."""

from __future__ import annotations

from pathlib import Path

import click

from prefect.cli.artifacts import flow_file, is_flow_file, load_flow_file
from prefect.cli.info import find_artifact, read_manifest
from prefect.cli.options import (
    Command,
    key_file_option,
    refuse_keys,
    trusted_signer_option,
)
from prefect.cli.output import refuse_inputs, say
from prefect.core import drawing
from prefect.printable import printable

_FORMATS = {"text": drawing.to_text, "mermaid": drawing.to_mermaid, "dot": drawing.to_dot}


@click.command(cls=Command, short_help="Draw a flow's tasks.")
@click.argument("artifact", metavar="ARTIFACT|FILE.py[:FLOW]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, in the form of its ending: .svg .txt .md .mmd .dot, or by Graphviz "
    ".png .pdf.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(list(_FORMATS)),
    help="What to print where no file is named; text, if this is not given.",
)  # fmt: skip
@key_file_option
@trusted_signer_option
def graph(
    artifact: str,
    output: Path | None,
    form: str | None,
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
) -> None:
    """Draw the flow of a file, a sealed flow, or an image.

    Of an artifact only the manifest is read: nothing of it is executed.
    """
    if output is not None and form is not None:
        raise click.UsageError("The ending of --output says its form: leave --format out")
    if is_flow_file(artifact):
        refuse_keys("a file's own flow is none", key_file, trusted_signers)
        flow = load_flow_file(artifact).serialize()
    else:
        source = find_artifact(artifact)
        flow = read_manifest(artifact, source, key_file, trusted_signers).flow
    if output is None:
        click.echo(_FORMATS[form or "text"](flow))
        return
    refuse_inputs(output, [flow_file(artifact), *key_file])
    try:
        drawing.render(flow, output)
    except ValueError as error:  # an ending that means nothing
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from error
    say(f"Drew {printable(flow['name'])!r} into {output}.")
