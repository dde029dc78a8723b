"""What a run in a sandbox is, whichever program makes that: from the image's config and what is asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import ImageContentError, ImageError, PlaceError
from prefect.frozen import field, frozen
from prefect.images.base.python import DEFAULT_PATH
from prefect.oci.platforms import Platform
from prefect.places.sandbox.users import User, find_user
from prefect.places.stores import STORE_DIRECTORY, store_of
from prefect.running.flow_directory import PREFIX
from prefect.running.output_directory import OUTPUT_DIRECTORY, make_output_directory
from prefect.secrets.secret import DEFAULT_DIRECTORY, DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.oci.images import Image
    from prefect.places.protocol import Work
    from prefect.places.sandbox.stack import Stack
    from prefect.places.surroundings import Volume

_GIVEN = ("volumes", "env", "memory", "cpus", "user", "network", "workdir", "output")
REPORT = "/run/prefect"  # a directory for the worker's report
REPORT_FILE = f"{REPORT}/result"
_RESOLVING = ("/etc/resolv.conf", "/etc/hosts")
_KERNELS = ("/proc", "/dev")
# Mounted on in every run. A link of the image's there would lead the mount elsewhere.
COVERED = (*_KERNELS, "/tmp", "/run")  # noqa: S108


@frozen
class Mount:
    """A file or directory of this machine, and where a run sees it: a path without links."""

    source: str
    target: str
    writable: bool = False


@frozen
class Spec:
    """A run.

    Args:
        command: the image's entry point, and the worker's arguments.
        secrets: contents of files in the directory of secrets, by name.
        network: whether it has the machine's network.
        workdir, home: paths without links.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    user: User
    workdir: str
    home: str
    mounts: tuple[Mount, ...]
    secrets: Mapping[str, str] = field(repr=False)
    network: bool


def require(image: Image, work: Work) -> None:
    """Refuse, before anything is unpacked, what a sandbox cannot do.

    Raises:
        PlaceError: it is asked for something that it does not have.
        ImageError: the image has nothing to run, or is for another processor.
    """
    work.surroundings.require(*_GIVEN, place="in a sandbox")
    require_surroundings(work)
    here = Platform.of_host()
    if image.platform.preference(here) is None:
        raise ImageError(f"The image is for {image.platform}, and this machine is {here}")
    if not _entry_point(image):
        raise ImageError("The image has no entry point: it was not built by prefect")


def require_surroundings(work: Work) -> None:
    """Refuse what no sandbox has, and volumes that are none.

    Raises:
        PlaceError: it is asked for.
    """
    asked = work.surroundings
    if work.tty:
        raise PlaceError("A sandbox gives a run no terminal: use a container engine for that")
    if asked.network not in {None, "none", "host"}:
        raise PlaceError(
            f"--network {asked.network} is a container engine's network: a sandbox has none, or with "
            "--network host this machine's"
        )
    for volume in asked.volumes:
        _check(volume, reports=work.has_report)


def make_spec(image: Image, work: Work, stack: Stack, result: Path | None) -> Spec:
    """Return what a run of an image is. An output directory is there afterwards.

    Args:
        stack: the image's files.
        result: the directory for the worker's report, if there is to be one.

    Raises:
        PlaceError: the image knows no such user, has a link where something is to be mounted, or two
            volumes have one target by its links.
        ImageContentError: its config is malformed.
    """
    asked, settings = work.surroundings, image.settings
    lines = [str(line) for line in settings.get("Env") or ()]
    texts = [
        *lines,
        *_entry_point(image),
        str(settings.get("WorkingDir")),
        str(settings.get("User")),
    ]
    if any("\0" in text for text in texts):  # it would end one of bubblewrap's options
        raise ImageContentError("The image's config has a NUL in what its containers get")
    for path in COVERED:
        if stack.resolve(path) != path:
            raise PlaceError(
                f"The image's {path} is a link: there is nowhere to mount what it needs"
            )
    user = find_user(stack, asked.user or str(settings.get("User") or ""))
    env = {"PATH": DEFAULT_PATH, "HOME": user.home}
    env |= dict(line.split("=", 1) for line in lines if "=" in line)
    env |= dict(asked.env)
    if work.secrets:
        env[DIRECTORY_VARIABLE] = DEFAULT_DIRECTORY
    network = asked.network == "host"
    mounts = [Mount(path, stack.resolve(path)) for path in resolving(network=network)]
    by_target: dict[str, Volume] = {}
    for each in asked.volumes:
        target = stack.resolve(each.target)
        if (other := by_target.setdefault(target, each)) is not each:  # through the image's links
            raise PlaceError(
                f"Two volumes have one target in this image, {target}, where one alone would be seen: {other} and "
                f"{each}. Give each a target of its own"
            )
        mounts.append(Mount(each.source, target, each.writable))
    command = [*_entry_point(image), *work.awaiting(None if result is None else REPORT_FILE)]
    if result is not None:
        mounts.append(Mount(str(result), REPORT, writable=True))
    if asked.output is not None:
        target = stack.resolve(OUTPUT_DIRECTORY)
        mounts.append(Mount(str(make_output_directory(asked.output)), target, writable=True))
        command += [f"--output={target}"] if work.arguments[0] == "run" else []
    if work.kept is not None:
        target = stack.resolve(STORE_DIRECTORY)
        mounts += [Mount(each, target, writable=True) for each in store_of(work)]
        command += work.keeping(target, "sandbox")
    workdir = stack.resolve(asked.workdir or str(settings.get("WorkingDir") or "/"))
    return Spec(
        command=tuple(command),
        env=env,
        user=user,
        workdir=workdir,
        home=stack.resolve(user.home),
        mounts=tuple(mounts),
        secrets=work.secrets,
        network=network,
    )


def resolving(*, network: bool) -> list[str]:
    """Return the files of this machine by which a run with its network knows names."""
    return [path for path in _RESOLVING if network and _is_there(path)]


def _entry_point(image: Image) -> list[str]:
    return [str(word) for word in image.settings.get("Entrypoint") or ()]


def _check(volume: Volume, *, reports: bool) -> None:
    if not volume.is_path:
        raise PlaceError(
            f"{volume.source} is a container engine's volume, which a sandbox cannot have: name a "
            "directory, such as ./data"
        )
    if not _is_there(volume.source):
        raise PlaceError(f"There is no {volume.source} on this machine to be seen in the sandbox")
    target = os.path.normpath(volume.target)
    own = (*_KERNELS, PREFIX, REPORT) if reports else (*_KERNELS, PREFIX)
    if target == "/" or any(Path(target).is_relative_to(each) for each in own):
        raise PlaceError(f"{volume.target} is no place for a volume: name a directory of its own")


def _is_there(path: str) -> bool:
    return Path(path).exists()
