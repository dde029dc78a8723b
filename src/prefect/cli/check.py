"""`prefect check`: whether an artifact can run in a place; nothing of it is executed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import find_image, find_in_daemon, image_named, name_of
from prefect.cli.info import find_artifact
from prefect.cli.keys import find_keyring
from prefect.cli.options import Command, key_file_option, parameter_option, trusted_signer_option
from prefect.cli.place_options import PLACES
from prefect.cli.run_image import suitable_for_image
from prefect.errors import AuthenticationError, ImageError, PrefectError
from prefect.frozen import as_dict
from prefect.installed import normal_name
from prefect.payload.fitting import Finding
from prefect.printable import printable
from prefect.running.parameters import parse_pairs
from prefect.running.stopping import BAD_INPUT
from prefect.running.verdict import parameters_found, secrets_found, verdict
from prefect.secrets.secret import merge_secrets, parse_secrets, secrets_of

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.images.inspection import FlowImage
    from prefect.payload.manifest import Manifest
    from prefect.places.engine.container import RunnableImage
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.reading import Outline
    from prefect.sealed.source import SealedSource
    from prefect.secrets.secret import Secret

_MARKS = {True: ("ok", "green"), None: ("note", "yellow"), False: ("no", "red")}


@click.command(cls=Command, short_help="Tell whether an artifact can run in a place.")
@click.argument("artifact")
@click.argument("place", type=click.Choice(PLACES), required=False)
@parameter_option
@key_file_option
@trusted_signer_option
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs beside those that it names itself. May be repeated.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all findings.")
def check(
    artifact: str,
    place: str | None,
    parameters: tuple[str, ...],
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    secrets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare what ARTIFACT needs with PLACE, and tell every mismatch at once, with its fix.

    PLACE is, for a sealed flow, "here", this Python, "venv", an environment made for it, or "sandbox", such
    an environment apart from the machine; for an image "sandbox", without a container engine, or "engine". By default it is where `prefect run` would run
    it. Compared are the Python series, requirements with their versions, files
    and the disk that they take, memory, parameters that are given, secrets' values (which are not shown), keys and signatures, the
    container engine and its platform. Every byte of a sealed flow is authenticated, and nothing of an
    artifact is executed. The exit status is 0 where it can run, else 2.
    """
    given = parse_pairs(parameters)
    try:
        named = parse_secrets(secrets)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    source = find_artifact(artifact)
    if place in (("engine",) if source is not None else ("here", "venv")):
        raise click.UsageError(
            "A sealed flow runs here, in a venv or in a sandbox, and an image in a sandbox or an engine: leave the "
            "place out, or build the flow for the other one"
        )
    if source is not None:
        where, findings = _of_sealed(
            artifact, source, place, key_file, trusted_signers, named, given
        )
    else:
        where = place or suitable_for_image(artifact)
        findings = _of_image(artifact, where, key_file, trusted_signers, named, given)
    fits = all(one.fits is not False for one in findings)
    if as_json:
        told = [as_dict(one) for one in findings]
        click.echo(json.dumps({"place": where, "fits": fits, "findings": told}))
    else:
        _show(artifact, where, findings, fits=fits)
    if not fits:
        sys.exit(BAD_INPUT)


def _of_sealed(
    artifact: str,
    source: SealedSource,
    place: str | None,
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    secrets: tuple[Secret, ...],
    given: dict[str, str],
) -> tuple[str, list[Finding]]:
    from prefect.cli.keys import keyring_to_open  # noqa: PLC0415 - for sealed flows alone
    from prefect.opening import open_flow  # noqa: PLC0415 - the same
    from prefect.sealed.reading import outline  # noqa: PLC0415 - the same

    found = outline(source)
    try:
        keyring = keyring_to_open(source, name_of(artifact), key_files, trusted_signers)
    except PrefectError as error:
        return place or "here", [Finding("key", False, str(error))]
    try:
        manifest, _ = open_flow(source, keyring)  # every byte, as a run would
    except AuthenticationError as error:
        wrong = _unlike(found, keyring) or [Finding("key", False, str(error))]
        return place or "here", wrong
    except PrefectError as error:
        return place or "here", [Finding("key", False, str(error))]
    from prefect.places.choosing import suits  # noqa: PLC0415 - once it is open

    where = place or suits(manifest)[0]
    elsewhere = None
    if where != "here":
        from prefect.places.checking import check_sandbox, check_venv  # noqa: PLC0415 - for these alone

        elsewhere = check_venv(manifest)
        elsewhere += check_sandbox(images=False) if where == "sandbox" else []
    signers = ", ".join(found.signer_ids) or "nobody"
    trusted = " (one of them trusted)" if trusted_signers else ""
    return where, [
        Finding("key", True, "A key that is here opens it"),
        Finding("signature", True, f"It is signed by {signers}{trusted}"),
        *verdict(
            manifest,
            merge_secrets(secrets, secrets_of(manifest.flow)),
            payload_bytes=found.payload_bytes,
            elsewhere=elsewhere,
        ),
        *parameters_found(manifest.flow, given),
    ]


def _unlike(found: Outline, keyring: Keyring) -> list[Finding]:
    """Tell which of the keys here a sealed flow does not name: none where it was changed.

    By the ids that anybody can read: what the keys prove is one answer for all of it.
    """
    findings = []
    if not {key.id for key in keyring.to_open()} & {kid for _, kid in found.key_ids}:
        told = f"None of the keys here opens it: it opens for {found.opens_for}"
        findings.append(Finding("key", False, told, "Give one of these with --key-file FILE"))
    trusted = keyring.trusted_signers
    if trusted is not None and not {one.id for one in trusted} & set(found.signer_ids):
        told = (
            f"It is signed by {', '.join(found.signer_ids) or 'nobody'}, whom you do not trust here"
        )
        fix = "Have it signed by somebody whom you trust, or name its signer with --trusted-signer"
        findings.append(Finding("signature", False, told, fix))
    return findings


def _of_image(
    artifact: str,
    place: str,
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    secrets: tuple[Secret, ...],
    given: dict[str, str],
) -> list[Finding]:
    findings: list[Finding] = []
    image: FlowImage | None = None
    if place == "sandbox":
        from prefect.places.checking import check_sandbox  # noqa: PLC0415 - for these alone

        findings += check_sandbox()
    else:
        try:
            image = find_in_daemon(artifact)
            findings += _engine(image)
        except ImageError as error:
            image = _pulled(artifact)
            told = "It does not have the image, and pulls it when that is run"
            findings.append(
                Finding("container engine", False, _text(error))
                if image is None
                else Finding("container engine", True, told)
            )
        except (PrefectError, click.ClickException) as error:
            findings.append(Finding("container engine", False, _text(error)))
    try:
        # Whatever the container engine lacks, the image may be told of by a registry or a file.
        image = image or find_image(artifact)
        if key_files or trusted_signers:
            image.require_sealed()
        keyring = find_keyring(key_files, trusted_signers) if image.sealed else None
        manifest: Manifest = image.manifest(keyring)
    except (PrefectError, click.ClickException) as error:
        if place == "sandbox" or findings[0].fits:
            findings.append(Finding("flow", False, _text(error)))
        return findings
    if keyring is not None:
        findings.append(Finding("key", True, "A key that is here opens its flow"))
    findings += _contents(manifest)
    if place == "sandbox":
        from prefect.places.checking import check_platform  # noqa: PLC0415 - for these alone

        findings += check_platform(manifest)
    findings += secrets_found(merge_secrets(secrets, secrets_of(manifest.flow)))
    return findings + parameters_found(manifest.flow, given)


def _pulled(artifact: str) -> FlowImage | None:
    """Return the image that a run would pull, if its registry has it."""
    from prefect.images.finding import names_a_registry  # noqa: PLC0415 - for images alone

    try:
        return find_image(artifact) if names_a_registry(image_named(artifact) or "") else None
    except PrefectError:
        return None


def _contents(manifest: Manifest) -> list[Finding]:
    """Tell what the image has of what the flow needs, as far as its manifest does."""
    image = manifest.image
    if image is None:
        return []
    pins = {pin.name for pin in image.pins()}
    names = sorted(set(manifest.requirements.values()))
    held = [line for line in names if normal_name(line.partition("==")[0]) in pins]
    found = [
        Finding("base", True, f"The image stands on {manifest.base}"),
        Finding(
            "Python", True,
            f"The image has Python {image.python}; the flow was packaged by "
            f"{manifest.implementation} {manifest.python}",
        ),
        Finding("requirements", True, f"The image has what it imports: {', '.join(held) or 'nothing'}"),
    ]  # fmt: skip
    if others := [line.partition("==")[0] for line in names if line not in held]:
        told = (
            f"The flow imports {', '.join(others)}, which the base has to have: nothing is locked"
        )
        fix = "Build it with --try, which imports them in the image, or without --no-infer"
        found.append(Finding("requirements", None, told, fix))
    return found


def _engine(image: RunnableImage) -> list[Finding]:
    """Compare an image with the machine that the container engine runs on."""
    found = [Finding("container engine", True, "It has the image")]
    own, there = image.platforms()
    if own == there:
        return [*found, Finding("platform", True, f"Image and container engine are for {there}")]
    told = f"The image is for {own}, and the container engine runs on {there}"
    return [*found, Finding("platform", False, told, f"Build it with --platform {there}")]


def _text(error: Exception) -> str:
    return error.message if isinstance(error, click.ClickException) else str(error)


def _show(artifact: str, place: str, findings: list[Finding], *, fits: bool) -> None:
    verb = "can" if fits else "cannot"
    click.secho(printable(f"{artifact} {verb} run {_PLACES[place]}"), bold=True)
    width = max(len(one.about) for one in findings)
    for one in findings:
        mark, colour = _MARKS[one.fits]
        click.echo("  " + click.style(mark.ljust(4), fg=colour), nl=False)
        click.echo("  " + printable(f"{one.about.ljust(width)}  {one.told}"))
        if one.fix:
            click.echo("  " + printable(f"{' ' * (width + 8)}{one.fix}"))


_PLACES = {
    "here": "here",
    "venv": "here, in an environment made for it (--in venv)",
    "sandbox": "here, in a sandbox (--in sandbox)",
    "engine": "in the container engine",
}
