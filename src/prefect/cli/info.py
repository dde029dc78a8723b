"""`prefect info`: what an artifact says of itself. Nothing of it is executed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import find_image, is_flow_file, read_sealed
from prefect.cli.keys import key_file_option, read_key
from prefect.environments import PickleEnvironment

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.packaging.manifest import Manifest


@click.command(short_help="Look into a sealed flow or an image without running it.")
@click.argument("artifact")
@key_file_option
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def info(artifact: str, key_file: Path | None, as_json: bool) -> None:
    """Show what ARTIFACT holds: a .flow file, or the name of an image in the engine.

    Only the manifest is read and authenticated; the flow itself is neither unpickled nor run,
    so looking is safe whatever the artifact does when it runs.
    """
    manifest = read_manifest(artifact, key_file)
    if as_json:
        click.echo(json.dumps(manifest.to_dict(), indent=2))
    else:
        _show(manifest)


def read_manifest(artifact: str, key_file: Path | None) -> Manifest:
    """Return an artifact's manifest, of a sealed flow's file or of an image in the engine."""
    if is_flow_file(artifact):
        raise click.UsageError(
            f"{artifact} is no artifact: to look into it, it would have to be run. "
            f"Package it with `prefect build {artifact}`, or draw it with `prefect graph`"
        )
    sealed = read_sealed(artifact)
    if sealed is None:
        return find_image(artifact).manifest()
    return PickleEnvironment(read_key(key_file)).manifest(sealed)


def _show(manifest: Manifest) -> None:
    from rich.console import Console  # noqa: PLC0415 - --json does without
    from rich.table import Table  # noqa: PLC0415 - --json does without
    from rich.text import Text  # noqa: PLC0415 - --json does without

    console = Console(highlight=False, soft_wrap=True)
    flow = manifest.flow
    console.print(Text(flow["name"], style="bold"))
    facts = {
        "Python": f"{manifest.implementation} {manifest.python}",
        "cloudpickle": manifest.cloudpickle,
        "packaged by": f"prefect {manifest.prefect}",
        "requires": ", ".join(sorted(set(manifest.requirements.values()))) or "nothing else",
        "environment": _environment(flow.get("environment")),
        "secrets": ", ".join((flow.get("environment") or {}).get("secrets", ())) or "none",
    }
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(Text(f"  {name}", style="dim"), Text(value))
    console.print(grid)
    if flow["parameters"]:
        table = Table("Parameter", "Default", box=None, header_style="bold", padding=(0, 2))
        for parameter in flow["parameters"]:
            table.add_row(Text(parameter["name"]), Text(_default(parameter)))
        console.print(table)
    table = Table("Task", "After", "Settings", box=None, header_style="bold", padding=(0, 2))
    upstream: dict[str, list[str]] = {}
    mapped = set()
    for edge in flow["edges"]:
        names = upstream.setdefault(edge["downstream"], [])
        if edge["upstream"] not in names:
            names.append(edge["upstream"])
        if edge["mapped"]:
            mapped.add(edge["downstream"])
    parameters = {parameter["name"] for parameter in flow["parameters"]}
    for task in flow["tasks"]:
        if task["id"] in parameters:
            continue
        settings = _settings(task) + (["mapped"] if task["id"] in mapped else [])
        table.add_row(
            Text(task["id"]), Text(", ".join(upstream.get(task["id"], ()))), ", ".join(settings)
        )
    console.print(table)


def _environment(environment: dict[str, Any] | None) -> str:
    if environment is None:
        return "none"
    image = environment.get("image")
    return f"{environment['type']} on {image}" if image else str(environment["type"])


def _default(parameter: dict[str, Any]) -> str:
    if parameter["required"]:
        return "(required)"
    return str(parameter.get("default_repr") or json.dumps(parameter["default"]))


def _settings(task: dict[str, Any]) -> list[str]:
    settings = []
    if task["max_retries"]:
        delay = f" after {task['retry_delay']:g} s" if task["retry_delay"] else ""
        settings.append(f"{task['max_retries']} retries{delay}")
    if task["timeout"]:
        settings.append(f"timeout {task['timeout']:g} s")
    if task["trigger"] != "all_successful":
        settings.append(task["trigger"])
    return settings
