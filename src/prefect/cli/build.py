"""`prefect build`: a flow into a sealed file, an image, or a directory with a Dockerfile."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import flow_file, load_flow_file, writing
from prefect.cli.build_image import (
    Destinations,
    build_image,
    requirement_lines,
)
from prefect.cli.build_lines import build_lines
from prefect.cli.options import Command, recipient_option, sealing_key_option, signing_key_option
from prefect.cli.output import (
    is_replaceable,
    refuse_inputs,
    require_directory,
    say,
    write_plainly,
)
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.environments.environment import Environment, allowed_names
from prefect.printable import printable, size
from prefect.pyz.reading import ENDING
from prefect.secrets.secret import merge_secrets, parse_secrets

if TYPE_CHECKING:
    from prefect.core.flow import Flow
    from prefect.sealed.keys.encryption import EncryptionKey


_FOR_IMAGES = (
    "--tag, --network, --platform and --setup go with --image BASE, or with a flow that has a "
    "ContainerEnvironment, and not with -o"
)
_FOR_SEALED = (
    "--for and --python say where a sealed flow may run, and --vendor takes along what it needs there. An "
    "image is for the Python of its base and for --platform, and has what it needs"
)
_NOT_PYZ = (".pyzw", ".pyc", ".py", ".zip", ".whl", ".pex", ".egg")
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
        _require_ending(output)
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
    files = _included(include, flow, flow_file(file))
    try:
        asked = merge_secrets(own, parse_secrets(secrets))
        names = allowed_names(allowed)
        is_image = image is not None or (
            output is None and isinstance(flow.environment, ContainerEnvironment)
        )
        _require_meaning(options, is_image=is_image)
        _mention_project(flow_file(file).parent, options)
        options |= {"secrets": asked, "allow_secret_like": names, **files}
        if is_image:
            flow.environment = _image_environment(flow, image, options)
        else:
            options = _sealed_options(flow, options)
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
    _require_sealable(flow, destinations, recipients, signing_key, verbose=verbose)
    source = flow_file(file)
    target = output or Path(f"{source.stem}.flow")
    refuse_inputs(target, (source, key_file, signing_key))
    environment = _sealing(key_file, recipients, signing_key, options)
    flow.environment = environment
    _build_sealed(flow, target, environment)


def environment_of_file(
    flow: Flow,
    file: str,
    image: str | None,
    requirements: tuple[str, ...],
    include: tuple[str, ...],
    *,
    is_image: bool,
) -> ContainerEnvironment | PickleEnvironment:
    """Return the environment that packages a file's flow for a run of its: its own, or the like.

    Args:
        file: FILE.py or FILE.py:FLOW.
        image: the base, if one is named.
        requirements: dependency lines beside what the flow imports.
        include: paths and patterns of files that travel.
        is_image: whether it is to become an image, and not a sealed flow.

    Raises:
        click.UsageError: something is not as it is written, or there is no base.
    """
    options: dict[str, Any] = {"python_dependencies": requirements} if requirements else {}
    own = flow.environment
    options |= {
        "secrets": getattr(own, "secrets", ()),
        "allow_secret_like": (),
        **_included(include, flow, flow_file(file)),
    }
    try:
        if not is_image:
            return PickleEnvironment(**_sealed_options(flow, options))
        if image is None and not isinstance(own, ContainerEnvironment):
            raise click.UsageError(
                "There is no image to run it in: name a base with --image, such as python:3.11-slim"
            )
        return _image_environment(flow, image, options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _require_ending(output: Path) -> None:
    """Refuse the name of something else that Python runs: a sealed flow of that name would not."""
    ending = output.suffix.lower()
    if ending in _NOT_PYZ or (ending == ENDING and output.suffix != ENDING):
        raise click.UsageError(
            f"{output} would be a sealed flow, which Python does not run: name it FILE.flow, or FILE.pyz for "
            "one that runs by itself"
        )
    if ending == ENDING and not is_replaceable(output):
        raise click.UsageError(f"{output} is no ordinary file, and one that runs by itself is such")


def _included(patterns: tuple[str, ...], flow: Flow, file: Path) -> dict[str, Any]:
    """Return what of an environment's arguments says which files travel: its own, and what is asked.

    Paths on the command line are relative to the current directory, those of an environment to where
    it says.
    """
    own = flow.environment
    paths = (
        [Path(own.include_from, path) for path in own.include]
        if isinstance(own, Environment)
        else []
    )
    home = file.absolute().parent
    # As text relative to the flow's file: paths of this machine are nobody's business.
    listed = [os.path.relpath(path, home) for path in (*paths, *map(Path, patterns))]
    return {"include": listed, "include_from": home} if listed else {}


def _image_environment(
    flow: Flow, image: str | None, options: dict[str, Any]
) -> ContainerEnvironment:
    """Return the flow's own ContainerEnvironment with what the options say, or a new one.

    Lists are added to those that it has: nothing that the flow's file asks for is dropped.
    """
    own = flow.environment
    options["python_dependencies"] = requirement_lines(options.get("python_dependencies", ()))
    if isinstance(own, ContainerEnvironment):
        if options["python_dependencies"] is None:
            del options["python_dependencies"]
        elif own.python_dependencies:
            options["python_dependencies"][:0] = own.python_dependencies
        options["setup"] = (*own.setup, *options.get("setup", ()))
        options["allow_source"] = (*own.allow_source, *options.get("allow_source", ()))
        options["allow_secret_like"] = (*own.allow_secret_like, *options["allow_secret_like"])
        environment = own.but(**options, **({} if image is None else {"image": image}))
    else:
        environment = ContainerEnvironment(image or "", **options)
    if options.get("network") and not environment.setup:
        raise click.UsageError("--network is for the commands of --setup, and there are none")
    return environment


def _require_meaning(options: dict[str, Any], *, is_image: bool) -> None:
    if is_image and options.keys() & {"platforms", "pythons", "vendor"}:
        raise click.UsageError(_FOR_SEALED)
    if not is_image and options.keys() & {"tag", "network", "platform", "setup"}:
        raise click.UsageError(_FOR_IMAGES)


def _mention_project(directory: Path, options: dict[str, Any]) -> None:
    """Say that a project's lock lies beside the flow, or above it up to here, and is not what is taken."""
    if options.get("project") or options.get("lock"):
        return
    here = Path.cwd()
    above = [one for one in directory.resolve().parents if one.is_relative_to(here)]
    names = ("pylock.toml",), ("pyproject.toml", "uv.lock")
    for place in (directory, *(Path(os.path.relpath(one)) for one in above)):
        for lock in names:
            if all((place / name).is_file() for name in lock):
                click.echo(
                    f"{place / lock[-1]} is not used: versions are those installed here. "
                    f"With --project {place} they are the project's.",
                    err=True,
                )
                return


def _sealed_options(flow: Flow, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say of a sealed flow, with what its own environment says of its lock."""
    given = dict(options)
    lines = requirement_lines(options.get("python_dependencies", ())) or []
    own = flow.environment
    if isinstance(own, PickleEnvironment):
        lines[:0] = own.python_dependencies or ()
        given["allow_source"] = (*own.allow_source, *options.get("allow_source", ()))
        for name in ("lock", "relock", "project", "platforms", "pythons", "vendor", "infer"):
            given.setdefault(name, getattr(own, name))
        if given.get("lock") and given.get("project"):  # one of them is the flow's own
            given["lock" if "project" in options else "project"] = None
    given["python_dependencies"] = lines
    PickleEnvironment(**given)  # which checks it, before a key is read
    return given


def _items(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _require_sealable(
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


def _for_image(image: str, key_file: Path | None) -> list[EncryptionKey] | None:
    """Check a base's name; return the keys that seal the flow in its image."""
    from prefect.images.base.names import names_a_path  # noqa: PLC0415 - sealed flows need none

    if image.endswith(_ARCHIVES) and not names_a_path(image) and Path(image).is_file():
        raise click.UsageError(f"As a path, a base begins with a dot or a slash: ./{image}")
    if key_file is None:
        return None
    from prefect.cli.keys import read_encryption_keys  # noqa: PLC0415 - loads cryptography

    return read_encryption_keys((key_file,))


def _sealing(
    key_file: Path | None,
    recipients: tuple[str, ...],
    signing_key: Path | None,
    options: dict[str, Any],
) -> PickleEnvironment:
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


def _build_sealed(flow: Flow, output: Path, environment: PickleEnvironment) -> None:
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
    say(f"Sealed {name!r} into {output}: {size(count)} in {seconds:.2f} s.", err=True)
