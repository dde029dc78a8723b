"""`prefect build`: a flow into a sealed file, an image, or a directory with a Dockerfile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import flow_file, load_flow_file
from prefect.cli.build_environment import (
    image_environment,
    included,
    mention_project,
    sealed_options,
)
from prefect.cli.build_image import Destinations, build_image
from prefect.cli.build_sealed import (
    build_sealed,
    require_ending,
    require_sealable,
    sealing_environment,
)
from prefect.cli.options import Command, recipient_option, sealing_key_option, signing_key_option
from prefect.cli.output import refuse_inputs, require_directory
from prefect.environments import ContainerEnvironment
from prefect.environments.environment import allowed_names
from prefect.secrets.secret import merge_secrets, parse_secrets

if TYPE_CHECKING:
    from prefect.sealed.keys.encryption import EncryptionKey


_FOR_IMAGES = (
    "--tag, --network, --platform and --setup go with --image BASE, or with a flow that has a "
    "ContainerEnvironment, and not with -o"
)
_FOR_SEALED = (
    "--for and --python say where a sealed flow may run, and --vendor takes along what it needs there. An "
    "image is for the Python of its base and for --platform, and has what it needs"
)
_ARCHIVES = (".tar", ".tar.gz", ".tgz")  # nobody calls an image so


@click.command(cls=Command, short_help="Package a flow into a sealed file or a container image.")
@click.argument("file", metavar="FILE.py[:FLOW]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.flow|FILE.pyz",
    help="Write a sealed flow to this file. FILE.pyz runs by itself, where nothing but Python is.",
)  # fmt: skip
@sealing_key_option
@recipient_option
@signing_key_option
@click.option(
    "--image", metavar="BASE",
    help="Build a container image on this base: a reference such as python:3.11-slim, or the path "
    "(with a leading ./ or /) of an OCI layout or of an image archive.",
)  # fmt: skip
@click.option("--tag", help="Name of the built image; else it follows from the flow's name.")
@click.option(
    "--push", metavar="REF",
    help="Push the image to a registry under this name, such as ghcr.io/team/etl:1, and not into "
    "the container engine.",
)  # fmt: skip
@click.option(
    "--export", type=click.Path(path_type=Path), metavar="PATH",
    help="Write the image to disk: with a suffix, such as etl.tar, an archive for docker, podman "
    "and skopeo; else the directory of an OCI layout.",
)  # fmt: skip
@click.option(
    "--check", metavar="DIGEST",
    help="Build the image, keep it nowhere, and compare its digest or id: the exit status is 0 if "
    "this very file, base, lock and the like make that very image, whatever its name, else 1.",
)  # fmt: skip
@click.option("--platform", help="Platform of the image, such as linux/arm64; needs no emulation.")
@click.option(
    "--setup", multiple=True, metavar="COMMAND",
    help="A shell command to run in the base as root first, such as 'apt-get update && apt-get "
    "install -y libpq5'. The container engine runs it. May be repeated.",
)  # fmt: skip
@click.option(
    "--lock", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Locked dependencies with hashes, as requirement lines or as a pylock.toml: taken from this "
    "file if it is there, else written to it. One that does not fit what is asked for is refused.",
)  # fmt: skip
@click.option(
    "--relock", is_flag=True, help="Resolve the dependencies anew, and replace the --lock FILE."
)
@click.option(
    "--project", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIRECTORY",
    help="Take the versions of a project's pylock.toml, or of the uv.lock beside its pyproject.toml.",
)  # fmt: skip
@click.option(
    "--for", "platforms", metavar="PLATFORM,...",
    help="Platforms for which the dependencies of a sealed flow are locked, such as "
    "linux/amd64,linux/arm64,macos/arm64. The default is this machine's.",
)  # fmt: skip
@click.option(
    "--python", "pythons", metavar="SERIES,...",
    help="Series of Python for which they are locked, such as 3.11,3.12. By default the one here.",
)  # fmt: skip
@click.option(
    "--vendor", is_flag=True,
    help="Take the wheels of all that is locked along in a sealed flow, for each --for and --python, so "
    "that it runs where no index can be reached.",
)  # fmt: skip
@click.option(
    "-r", "--requirement", "requirements", multiple=True, metavar="REQUIREMENT",
    help="A dependency, such as 'pandas>=2', a project's directory such as '.', a wheel, or a file of "
    "such lines, beside what the flow imports. May be repeated.",
)  # fmt: skip
@click.option(
    "--no-infer", is_flag=True,
    help="Do not add what the flow imports, in the versions installed here, to what -r asks for.",
)  # fmt: skip
@click.option(
    "--try", "try_", is_flag=True,
    help="Once the image is built, import in a container of it what the flow imports: the exit status "
    "is 2 if something fails.",
)  # fmt: skip
@click.option(
    "--allow-source", multiple=True, metavar="NAME",
    help="Build this dependency here from its source, where it has no wheel that fits: that runs its "
    "build script. May be repeated.",
)  # fmt: skip
@click.option(
    "--include", "include", multiple=True, metavar="PATH|PATTERN",
    help="A file or directory that travels with the flow, or a pattern such as 'sql/*.sql' or "
    "'data/**/*.csv'. The flow's modules find it beside their own files, as they do here. May be "
    "repeated.",
)  # fmt: skip
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs when it runs. May be repeated.",
)  # fmt: skip
@click.option(
    "--allow-secret-like", "allowed", multiple=True, metavar="NAME",
    help="The name of something that looks like a well-known token and is none, as a build has told "
    "it. An image is refused for it, a sealed flow warns of it. May be repeated.",
)  # fmt: skip
@click.option(
    "--network", help="The container engine's network for the set-up commands, such as host."
)
@click.option(
    "--dockerfile", type=click.Path(path_type=Path, file_okay=False), metavar="DIRECTORY",
    help="Write a Dockerfile and what it copies there instead of building.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show every line of an image's build.")
def build(
    file: str,
    output: Path | None,
    key_file: Path | None,
    recipients: tuple[str, ...],
    signing_key: Path | None,
    image: str | None,
    tag: str | None,
    push: str | None,
    export: Path | None,
    check: str | None,
    platform: str | None,
    setup: tuple[str, ...],
    lock: Path | None,
    relock: bool,
    project: Path | None,
    platforms: str | None,
    vendor: bool,
    pythons: str | None,
    requirements: tuple[str, ...],
    no_infer: bool,
    try_: bool,
    allow_source: tuple[str, ...],
    include: tuple[str, ...],
    secrets: tuple[str, ...],
    allowed: tuple[str, ...],
    network: str | None,
    dockerfile: Path | None,
    verbose: bool,
) -> None:
    """Package the flow of FILE.py.

    The file is run to get at its flow, without what stands below `if __name__ == "__main__"`.
    Modules beside it travel with the flow, and of other files those that --include names. FLOW is a variable's name or a flow's, needed where
    the file has several.

    A FILE.pyz holds the sealed flow, and in the clear what runs it: `python FILE.pyz` asks for the key as any
    run, and needs Python 3.11 or newer and, unless --vendor takes them along, the flow's own
    packages. It is for the platform here, or those of --for.

    With -o the flow becomes a sealed flow ("-" is standard output), encrypted for the holder of
    the key and for recipients, and signed where a signing key is given; with --image, a container
    image, in which --key-file seals it as well. An image goes into the container engine; --push,
    --export, --check and --dockerfile need none. With neither -o nor --image, a flow that has a
    ContainerEnvironment becomes its image, and any other is sealed into FILE.flow. What the flow's own
    ContainerEnvironment says holds for an image unless an option says otherwise; -r, --setup, --include
    and --secret are added to it. The secrets that any environment of its own names, and the files
    that it includes, are kept.
    """
    options: dict[str, Any] = {
        "tag": tag,
        "network": network,
        "platform": platform,
        "setup": setup,
        "lock": lock,
        "relock": relock,
        "allow_source": allow_source,
        "project": project,
        "platforms": _items(platforms),
        "vendor": vendor,
        "pythons": _items(pythons),
        "python_dependencies": requirements,
    }
    options = {name: value for name, value in options.items() if value}
    options |= {"infer": False} if no_infer else {}
    if output is not None or image is not None:  # else the flow's environment decides
        _require_meaning(options, is_image=image is not None)
    destinations = Destinations(push, export, check, dockerfile, try_imports=try_)
    if output is not None:
        require_ending(output)
    destinations.require_possible(sealed=bool(key_file), tag=tag)
    require_directory(output, export, lock)
    if image is not None and output is not None:
        raise click.UsageError("-o makes a sealed flow and --image an image: choose one")
    if image is not None and (recipients or signing_key):
        raise click.UsageError("--recipient and --signing-key are for sealed flows, not for images")
    if image is not None and (keys := _for_image(image, key_file)):
        options["encryption_key"] = keys
    flow = load_flow_file(file)
    own = getattr(flow.environment, "secrets", ())
    files = included(include, flow, flow_file(file))
    try:
        asked = merge_secrets(own, parse_secrets(secrets))
        names = allowed_names(allowed)
        is_image = image is not None or (
            output is None and isinstance(flow.environment, ContainerEnvironment)
        )
        _require_meaning(options, is_image=is_image)
        mention_project(flow_file(file).parent, options)
        options |= {"secrets": asked, "allow_secret_like": names, **files}
        if is_image:
            flow.environment = image_environment(flow, image, options)
        else:
            options = sealed_options(flow, options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if output is None and isinstance(flow.environment, ContainerEnvironment):
        if image is None and (key_file or recipients or signing_key):
            raise click.UsageError(
                "This flow has a ContainerEnvironment, whose image would not be sealed. With -o it "
                "becomes a sealed flow, with --image BASE and --key-file an image that seals it"
            )
        build_image(flow, flow.environment, destinations, verbose=verbose)
        return
    require_sealable(flow, destinations, recipients, signing_key, verbose=verbose)
    source = flow_file(file)
    target = output or Path(f"{source.stem}.flow")
    refuse_inputs(target, (source, key_file, signing_key))
    environment = sealing_environment(key_file, recipients, signing_key, options)
    flow.environment = environment
    build_sealed(flow, target, environment)


def _require_meaning(options: dict[str, Any], *, is_image: bool) -> None:
    if is_image and options.keys() & {"platforms", "pythons", "vendor"}:
        raise click.UsageError(_FOR_SEALED)
    if not is_image and options.keys() & {"tag", "network", "platform", "setup"}:
        raise click.UsageError(_FOR_IMAGES)


def _items(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _for_image(image: str, key_file: Path | None) -> list[EncryptionKey] | None:
    """Check a base's name; return the keys that seal the flow in its image."""
    from prefect.images.base.names import names_a_path  # noqa: PLC0415 - sealed flows need none

    if image.endswith(_ARCHIVES) and not names_a_path(image) and Path(image).is_file():
        raise click.UsageError(f"As a path, a base begins with a dot or a slash: ./{image}")
    if key_file is None:
        return None
    from prefect.cli.keys import read_encryption_keys  # noqa: PLC0415 - loads cryptography

    return read_encryption_keys((key_file,))
