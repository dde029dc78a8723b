"""`prefect build -o`: a flow into a sealed file, or one that runs by itself."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import writing
from prefect.cli.build_lines import build_lines
from prefect.cli.output import is_replaceable, say, write_plainly
from prefect.environments import PickleEnvironment
from prefect.printable import duration, printable, size
from prefect.pyz.reading import ENDING

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.cli.build_image import Destinations
    from prefect.core.flow import Flow


_NOT_PYZ = (".pyzw", ".pyc", ".py", ".zip", ".whl", ".pex", ".egg")


def require_ending(output: Path) -> None:
    """Refuse the name of something else that Python runs: a sealed flow of that name would not."""
    ending = output.suffix.lower()
    if ending in _NOT_PYZ or (ending == ENDING and output.suffix != ENDING):
        raise click.UsageError(
            f"{output} would be a sealed flow, which Python does not run: name it FILE.flow, or FILE.pyz for "
            "one that runs by itself"
        )
    if ending == ENDING and not is_replaceable(output):
        raise click.UsageError(f"{output} is no ordinary file, and one that runs by itself is such")


def require_sealable(
    flow: Flow,
    destinations: Destinations,
    recipients: tuple[str, ...],
    signing_key: Path | None,
    *,
    verbose: bool,
) -> None:
    """Refuse what a sealed flow would leave out: what is for images, and what its flow asks for."""
    if destinations.any() or destinations.try_imports:
        raise click.UsageError(
            "--push, --export, --check, --dockerfile and --try are for images: give --image BASE"
        )
    if verbose:
        raise click.UsageError("--verbose shows the lines of an image's build, and this is none")
    own = flow.environment
    if isinstance(own, PickleEnvironment):  # its encryption key may be one that nobody asked for
        given = (own.keyring.signing_key, signing_key), (own.keyring.recipients, recipients)
        for (has, named), option in zip(given, ("signing-key", "recipient"), strict=True):
            if has and not named:
                raise click.UsageError(
                    f"This flow's PickleEnvironment has a {option.replace('-', ' ')}, and the "
                    f"command seals with what its options name: give --{option}, or have "
                    "flow.environment.build(flow) seal it"
                )


def sealing_environment(
    key_file: Path | None,
    recipients: tuple[str, ...],
    signing_key: Path | None,
    options: dict[str, Any],
) -> PickleEnvironment:
    """Return the environment that seals with what the options name, in place of the flow's own keys.

    Raises:
        InvalidKeyError: there is no key, or something is none.
        click.ClickException: a file cannot be read, or holds what does not seal.
    """
    from prefect.cli import keys  # noqa: PLC0415 - loads cryptography, which images may not need

    # For recipients alone no encryption key is needed.
    key_files = (key_file,) if key_file else ()
    keyring = keys.find_keyring(key_files) if recipients else keys.read_keyring(key_files)
    if key_file and keyring and keyring.identities:
        raise click.UsageError(
            f"{key_file} holds an identity, which opens and does not seal: to seal for it, give its "
            "recipient with --recipient"
        )
    return PickleEnvironment(
        (keyring and keyring.encryption_keys) or None,
        identity=(keyring and keyring.identities) or None,
        recipients=keys.read_recipients(recipients) or None,
        signing_key=keys.read_signing_key(signing_key),
        **options,
    )


def build_sealed(flow: Flow, output: Path, environment: PickleEnvironment) -> None:
    """Seal a flow into a file, or onto standard output, and say how large it is.

    Raises:
        click.ClickException: the file cannot be written.
        PrefectError: as `PickleEnvironment.build_to` says.
    """
    started = time.perf_counter()
    shown = nullcontext() if str(output) == "-" else writing(output)
    with shown, build_lines(verbose=False):
        if is_replaceable(output):
            environment.build_to(output, flow)
            count = output.stat().st_size
        else:
            count = write_plainly(output, environment.build(flow))
    seconds = time.perf_counter() - started
    name = printable(flow.name)
    say(f"Sealed {name!r} into {output}: {size(count)} in {duration(seconds)}.", err=True)
