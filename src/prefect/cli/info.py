"""`prefect info`: what an artifact says of itself. Nothing of it is executed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from prefect.cli import mistakes
from prefect.cli.artifacts import find_image, find_sealed, flow_file, is_flow_file, name_of
from prefect.cli.info_settings import settings_of_flow, settings_of_task, some
from prefect.cli.options import Command, key_file_option, names_a_key, trusted_signer_option
from prefect.core.serialization import default_text
from prefect.errors import FlowError
from prefect.frozen import as_dict
from prefect.installed import normal_name
from prefect.payload.attachments import total
from prefect.printable import printable, size
from prefect.running.key_variable import KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prefect.images.inspection import FlowImage
    from prefect.payload.manifest import Manifest
    from prefect.pyz.index import Index
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.keys.signers import Signer
    from prefect.sealed.reading import Outline
    from prefect.sealed.source import SealedSource

_MOST_FILES = 20
_NEXT_TIMES = 3


@click.command(cls=Command, short_help="Look into a sealed flow or an image without running it.")
@click.argument("artifact")
@key_file_option
@trusted_signer_option
@click.option(
    "--requirements", is_flag=True,
    help="Print what is locked for this Python and platform, or for an image, as lines with hashes, "
    "for `uv pip install --require-hashes -r -` or a file of pip's.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def info(
    artifact: str,
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    requirements: bool,
    as_json: bool,
) -> None:
    """Show what ARTIFACT holds: a .flow file, or an image.

    An image is one of the container engine; an archive or an OCI layout on disk; or, where the
    container engine does not have it and its name begins with a registry, one of that registry. What
    names a file and what an image is said by `prefect --help`.

    Only the manifest is read and authenticated, of an image in the one small layer that has it.
    The flow is neither unpickled nor run, so that looking is safe whatever it does when it runs.
    Of a sealed flow without its key, the sizes and the ids of its keys and signers are shown,
    which nobody has vouched for.
    """
    if requirements and as_json:
        raise click.UsageError("--requirements and --json print one thing each: choose one")
    source = find_artifact(artifact)
    if source is not None and not (names_a_key(key_file) or trusted_signers or requirements):
        _show_outline(source, as_json=as_json)
        return
    around: dict[str, str] = {}
    if source is None:
        manifest = read_manifest(artifact, None, key_file, trusted_signers)
    else:
        manifest, keyring = _opened(artifact, source, key_file, trusted_signers)
        around = _around(source, keyring)
    if requirements:
        locked = manifest.locked()
        if not locked:
            raise click.UsageError(
                f"{artifact} has nothing that is locked for this Python and platform: `prefect info` "
                "says for which it is"
            )
        for package in locked:
            click.echo(package.line())
    elif as_json:
        click.echo(json.dumps(manifest.to_dict(), indent=2))
    else:
        _show(manifest, around)


def _around(source: SealedSource, keyring: Keyring) -> dict[str, str]:
    """Return what stands around a manifest that was opened: who may open it, and who has signed."""
    from prefect.opening import index_of  # noqa: PLC0415 - the same
    from prefect.sealed.reading import outline, signers_of  # noqa: PLC0415 - for what is sealed alone

    index = index_of(source)
    by_itself = {} if index is None else {"runs by itself": _by_itself(index)}
    return _holders(outline(source), signers_of(source, keyring.trusted_signers or ())) | by_itself


def find_artifact(artifact: str) -> SealedSource | None:
    """Return the sealed flow that an argument names, or None where it names an image.

    Raises:
        click.ClickException: it is a flow's source; or a file that is not there or cannot be read.
    """
    if is_flow_file(artifact):
        path = flow_file(artifact)
        if not path.is_file() or mistakes.is_no_source(path):
            raise mistakes.not_source(path)
        raise click.UsageError(
            f"{artifact} is no artifact: to look into it, it would have to be run. "
            f"Package it with `prefect build {artifact}`, or draw it with `prefect graph`"
        )
    return find_sealed(artifact)


def read_manifest(
    artifact: str,
    source: SealedSource | None,
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
) -> Manifest:
    """Return the manifest of a sealed flow, or of the image that an argument names."""
    if source is None:
        return manifest_of_image(find_image(artifact), key_files, trusted_signers)
    return _opened(artifact, source, key_files, trusted_signers)[0]


def _opened(
    artifact: str,
    source: SealedSource,
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
) -> tuple[Manifest, Keyring]:
    """Return a sealed flow's manifest, and the keys that opened it: a pipe gives them once."""
    from prefect.cli import keys  # noqa: PLC0415 - for what is sealed alone
    from prefect.opening import read_manifest as read  # noqa: PLC0415 - the same

    keyring = keys.keyring_to_open(source, name_of(artifact), key_files, trusted_signers)
    return read(source, keyring), keyring


def manifest_of_image(
    image: FlowImage, key_files: tuple[Path, ...], trusted_signers: tuple[str, ...] = ()
) -> Manifest:
    """Return the manifest of an image, opened with the keys that are named if it is sealed."""
    if key_files or trusted_signers:
        image.require_sealed()
    if not image.sealed:
        return image.manifest(None)
    from prefect.cli import keys  # noqa: PLC0415 - for what is sealed alone

    return image.manifest(keys.find_keyring(key_files, trusted_signers))


def show_holders(outline: Outline, trusted: Iterable[Signer] | None = None) -> None:
    """Print whose keys open a sealed flow and whose signatures it has.

    Args:
        trusted: those whose signatures were checked; None where nothing was.
    """
    _columns([list(fact) for fact in _holders(outline, trusted).items()])


def _holders(outline: Outline, trusted: Iterable[Signer] | None = None) -> dict[str, str]:
    signers = outline.signer_ids
    if trusted is not None:
        ids = {signer.id for signer in trusted}
        signers = [f"{one} ({'trusted' if one in ids else 'not checked'})" for one in signers]
    return {
        "opens for": ", ".join(f"{kid} ({alg})" for alg, kid in outline.key_ids),
        "signed by": ", ".join(signers) or "nobody",
    }


def _show_outline(sealed: SealedSource, *, as_json: bool) -> None:
    from prefect.opening import index_of  # noqa: PLC0415 - the same
    from prefect.sealed.reading import outline  # noqa: PLC0415 - for sealed flows alone

    found = outline(sealed)
    index = index_of(sealed)
    if as_json:
        more = {} if index is None else {"pyz": {"prefect": index.release, "wheels": index.wheels}}
        click.echo(json.dumps(as_dict(found) | more, indent=2))
    else:
        click.secho(f"A sealed flow ({found.payload_type})", bold=True)
        _columns(
            [
                ["manifest", f"{found.manifest_bytes} bytes"],
                ["payload", f"{found.payload_bytes} bytes"],
                *([name, f"{count} bytes"] for name, count in found.further_bytes.items()),
            ]
        )
        show_holders(found)
        if index is not None:
            _columns([["runs by itself", _by_itself(index)]])
    click.echo(
        f"Nothing of this is authenticated: to see more, give --key-file FILE or set {KEY_VARIABLE}.",
        err=True,
    )


def _by_itself(index: Index) -> str:
    return f"by prefect {index.release}, for {index.runs_on}"


def _show(manifest: Manifest, around: dict[str, str]) -> None:
    flow = manifest.flow
    environment = flow.get("environment") or {}
    click.secho(printable(flow["name"]), bold=True)
    facts = {
        **_place(manifest),
        "cloudpickle": manifest.cloudpickle,
        "packaged by": f"prefect {manifest.prefect}",
        "code": _code(manifest),
        "requires": ", ".join(sorted(set(manifest.requirements.values()))) or "nothing else",
        **_with(manifest),
        **_locked(manifest),
        "environment": _environment(environment),
        "secrets": ", ".join(environment.get("secrets", ())) or "none",
        **({"executor": flow["executor"]} if flow.get("executor") else {}),
        **settings_of_flow(flow),
        **_schedule(flow),
        **around,
    }
    _columns([list(fact) for fact in facts.items()])
    if flow["parameters"]:
        click.echo()
        parameters = [[each["name"], _default(each), _type(each)] for each in flow["parameters"]]
        _columns([["Parameter", "Default", "Type"], *parameters], heading=True)
    click.echo()
    _columns([["Task", "After", "Settings"], *_tasks(flow)], heading=True)
    for kind, listed in (("File", manifest.files), ("Wheel", manifest.wheels)):
        if listed:
            click.echo()
            _columns([[kind, "Size"], *_files(listed)], heading=True)


def _place(manifest: Manifest) -> dict[str, str]:
    """Return which Python it runs on; of an image also its base and platform."""
    packaged = f"{manifest.implementation} {manifest.python}"
    image = manifest.image
    if image is None:
        return {"Python": f"{packaged}{_fixed(manifest)}"}
    unknown = "" if image.digest else ", whose source tells no digest"
    setup = f", after {'; '.join(image.setup)}" if image.setup else ""
    return {
        "Python": f"cpython {image.python}; packaged by {packaged}",
        "base": f"{manifest.base}{unknown}{setup}",
        "platform": image.platform,
    }


def _code(manifest: Manifest) -> str:
    """Return the files whose functions travel by value, as their lines tell of them."""
    count = sum(len(text) for runs in manifest.sources.values() for _, text in runs)
    return (
        f"{some(list(manifest.sources))}: {size(count)} of source" if count else "no source lines"
    )


def _files(files: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """Yield a row for each file that travels, or for all of them where they are many."""
    for path, entry in list(files.items())[:_MOST_FILES]:
        yield [path, size(entry["size"])]
    if (more := len(files) - _MOST_FILES) > 0:
        yield [f"and {more} more", f"{size(total(files))} in all"]


def _fixed(manifest: Manifest) -> str:
    return (
        f", no other series: {manifest.why_fixed}" if manifest.is_fixed else ", or another series"
    )


def _with(manifest: Manifest) -> dict[str, str]:
    """Return what the requirements were installed with, if there is anything else.

    Of an image, that is all else that is installed in it.
    """
    direct = {normal_name(line.partition("==")[0]) for line in manifest.requirements.values()}
    there = manifest.installed
    if manifest.image is not None:
        there = {pin.name: pin.version for pin in manifest.image.pins()}
    more = [f"{name} {version}" for name, version in there.items() if name not in direct]
    return {"with": some(more)} if more else {}


def _locked(manifest: Manifest) -> dict[str, str]:
    """Return what the requirements are locked for, where there are any."""
    if manifest.image is not None:
        return {"locked": f"{_packages(len(manifest.image.pins()))} with hashes, for this image"}
    if not manifest.lock:
        return (
            {"locked": "no: versions as installed, without hashes"} if manifest.requirements else {}
        )
    from prefect.pylock import read, shown  # noqa: PLC0415 - for what is locked

    lock = read(manifest.lock)
    count = len({one.name for one in lock.packages})
    return {"locked": f"{_packages(count)} for {shown(lock.targets)}"}


def _schedule(flow: dict[str, Any]) -> dict[str, str]:
    """Return when a flow is to run next, if it has a schedule."""
    if not flow.get("schedule"):
        return {}
    from prefect.engine.scheduling import shown as moment  # noqa: PLC0415 - for these alone
    from prefect.schedules.described import restored, told  # noqa: PLC0415 - the same

    facts = {"schedule": told(flow["schedule"])}
    try:
        times = restored(flow["schedule"]).next(_NEXT_TIMES)
    except FlowError as error:
        return facts | {"next runs": f"not known here. {error}"}
    return facts | {"next runs": ", ".join(map(moment, times)) or "none any more"}


def _packages(count: int) -> str:
    return f"{count} package{'s' if count != 1 else ''}"


def _tasks(flow: dict[str, Any]) -> Iterator[list[str]]:
    """Yield a row for each task that is no parameter: its id, what it waits for, its settings."""
    upstream: dict[str, dict[str, None]] = {}
    mapped = set()
    for edge in flow["edges"]:
        upstream.setdefault(edge["downstream"], {})[edge["upstream"]] = None
        if edge["mapped"]:
            mapped.add(edge["downstream"])
    parameters = {parameter["name"] for parameter in flow["parameters"]}
    for task in flow["tasks"]:
        if task["id"] not in parameters:
            settings = [*settings_of_task(task), *(["mapped"] if task["id"] in mapped else [])]
            yield [task["id"], some(list(upstream.get(task["id"], ()))), ", ".join(settings)]


def _columns(rows: list[list[str]], *, heading: bool = False) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.secho("  " + printable("  ".join(cells).rstrip()), bold=heading and not number)


def _environment(environment: dict[str, Any]) -> str:
    if not environment:
        return "none"
    image = environment.get("image")
    if not image:
        return str(environment["type"])
    from prefect.images.base.names import names_a_path  # noqa: PLC0415 - sealed flows need none

    return f"{environment['type']} on {'a base on disk' if names_a_path(image) else image}"


def _type(parameter: dict[str, Any]) -> str:
    name = " | ".join(parameter.get("choices", ())) or parameter.get("type", "any")
    return f"{name} or null" if parameter.get("nullable") else name


def _default(parameter: dict[str, Any]) -> str:
    return "(required)" if parameter["required"] else default_text(parameter)
