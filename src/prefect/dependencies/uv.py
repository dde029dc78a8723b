"""uv, which resolves and installs: where it is, and what it is told."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import without_passwords
from prefect.errors import RequirementsError, SettingError
from prefect.oci.cache.full import TEMPORARY, no_space
from prefect.patterns import pattern
from prefect.steps import Step, step
from prefect.user_cache import cache_home, make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

# The newest glibc for which uv knows a platform of its own; wheels for older ones fit as well.
_NEWEST_GLIBC = 40
_OLDEST_GLIBC = 31
_PLAIN = pattern(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TMP|TEMP|TZ|LANG|LANGUAGE|LC_[A-Z]+|LD_LIBRARY_PATH"
    r"|XDG_RUNTIME_DIR|XDG_(?:CACHE|CONFIG|DATA|STATE|BIN)_(?:HOME|DIRS)"
)
# Of uv's own, all but what is for publishing; and how the network is reached.
_FOR_UV = pattern(
    rf"{_PLAIN.pattern}|UV_(?!PUBLISH_)\w+|NETRC|SSL_CERT_FILE|SSL_CERT_DIR|SSL_CLIENT_CERT"
    r"|(?i:https?_proxy|all_proxy|no_proxy)|DBUS_SESSION_BUS_ADDRESS"
)
# As Linux numbers a full disk, and a full quota.
_FULL = pattern(r"^(.*)\(os error (?:28|122)\)", re.MULTILINE)
_UNUSABLE = pattern(r"Failed to initialize cache at `([^`]+)`\s+(?:cause: )?([^\n]+)")
# Variables for the resolver: they had their say when a lock was made.
_RESOLVING = frozenset({"UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_EXCLUDE_NEWER"})
_REPORTED = ("Downloading ", "Downloaded ", "Preparing ", "Prepared ")
_DOWNLOADING = pattern(r"Downloading (?P<name>\S+) \((?P<size>[0-9.]+) ?(?P<unit>B|KiB|MiB|GiB)\)")
_FACTORS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_UNREACHABLE = ("Failed to fetch", "error sending request", "network was disabled")
UNREACHABLE = (
    "The package index does not answer, or refuses. Build again where it answers, or name one with UV_DEFAULT_INDEX, "
    "or a directory of wheels with UV_FIND_LINKS."
)
"""The cause and the fix of what `is_unreachable` tells."""
_USER_IN_URL = pattern(r"://[^/@\s]+@")


def uv_program() -> str:
    """Return the path of uv.

    Raises:
        RequirementsError: it is not installed.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - images do without
    except ImportError as error:
        raise RequirementsError(
            "uv resolves the dependencies and is not installed: pip install uv"
        ) from error
    return str(find_uv_bin())


def child_environment() -> dict[str, str]:
    """Return what every child process gets of this process's environment variables.

    That is what programs need to run at all. A build's own process may hold secrets in any other.
    """
    return {name: value for name, value in os.environ.items() if _PLAIN.fullmatch(name)}


def uv_environment(*, builds: bool = False) -> dict[str, str]:
    """Return the environment variables for uv.

    Args:
        builds: whether uv may run build scripts, which get all that uv has.

    Raises:
        RequirementsError: build scripts would get an index's credentials.
    """
    own = {name: value for name, value in os.environ.items() if _FOR_UV.fullmatch(name)}
    # keyring is a program of the user's, which may need variables that nobody can foresee.
    if os.environ.get("UV_KEYRING_PROVIDER") == "subprocess" and not builds:
        own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    if builds and (held := sorted(name for name in own if _is_credential(name, own[name]))):
        raise RequirementsError(
            f"{', '.join(held)} holds credentials, which a build script would get with all the "
            "variables that uv has. Build the wheel where there are none, and name its directory "
            "in UV_FIND_LINKS; or leave out --allow-source (allow_source=)"
        )
    # uv fails where its cache cannot be, which to a build is a matter of speed.
    if "UV_CACHE_DIR" not in own and _cache() is None:
        own["UV_NO_CACHE"] = "1"
    # A project's own uv settings are about that project, not about this image; nor is what may be
    # built from source for a matter of variables.
    for name in ("UV_NO_BUILD", "UV_NO_BUILD_PACKAGE", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE"):
        own.pop(name, None)
    return own | {"UV_NO_CONFIG": "1", "NO_COLOR": "1"}


def installing_environment(*, builds: bool = False) -> dict[str, str]:
    """Return `uv_environment` for an installation of what is locked: nothing is resolved any more.

    Raises:
        RequirementsError: as `uv_environment`.
    """
    own = {k: v for k, v in uv_environment(builds=builds).items() if k not in _RESOLVING}
    return own | {"UV_NO_INSTALLER_METADATA": "1"}


def call(
    command: Sequence[str],
    environment: Mapping[str, str],
    progress: Callable[[str], None] | None = None,
) -> str:
    """Run uv; return why it failed, without passwords, or "".

    Args:
        environment: of `uv_environment`.
        progress: gets lines of uv's while it downloads.
    """
    told: list[str] = []
    with (
        subprocess.Popen(  # noqa: S603 - a fixed program; requirements stand in a file
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
        ExitStack() as entered,
    ):
        downloads = _Downloads(entered)
        for line in process.stderr or ():
            told.append(line)
            downloads.take(line.strip())
            if progress is not None and line.strip().startswith(_REPORTED):
                progress(line.strip())
    if not process.returncode:
        return ""
    reason = "".join(line for line in told if not line.startswith(("Using ", "hint:"))).strip()
    return without_passwords(reason) or f"uv ended with status {process.returncode}"


class _Downloads:
    """What uv says of the files that it downloads, as a step: of large ones alone it tells the size."""

    def __init__(self, entered: ExitStack) -> None:
        self._entered = entered
        self._step: Step | None = None
        self._sizes: dict[str, int] = {}

    def take(self, line: str) -> None:
        if begun := _DOWNLOADING.fullmatch(line):
            if self._step is None:
                self._step = self._entered.enter_context(step("Downloading"))
            size = round(float(begun["size"]) * _FACTORS[begun["unit"]])
            self._sizes[begun["name"]] = size
            self._step.expect(size)
        elif line.startswith("Downloaded ") and self._step is not None:
            self._step.add(self._sizes.pop(line.removeprefix("Downloaded "), 0))
        if self._step is not None:
            if self._sizes:
                self._step.text = f"Downloading {', '.join(self._sizes)}"
            else:
                self._entered.close()
                self._step = None


def project_environment() -> dict[str, str]:
    """Return the environment variables with which uv builds a project of the user's own.

    Unlike those of a lock, they leave the project its own settings for uv.
    """
    own = uv_environment()
    for name in ("UV_NO_CONFIG", "UV_NO_BUILD_ISOLATION", "UV_PROJECT", "UV_WORKING_DIRECTORY"):
        own.pop(name, None)
    return own


def credentials_in(environment: Mapping[str, str]) -> list[str]:
    """Return the names of variables for uv that hold credentials, or lead to them."""
    return sorted(
        name
        for name, value in environment.items()
        if _FOR_UV.fullmatch(name)
        and (_is_credential(name, value) or name in {"NETRC", "UV_KEYRING_PROVIDER"})
    )


def backend_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables for uv as a build backend may see them: without credentials."""
    held = set(credentials_in(environment))
    own = {
        name: _USER_IN_URL.sub("://", value)
        for name, value in environment.items()
        if (_FOR_UV.fullmatch(name) or name in {"SOURCE_DATE_EPOCH", "PYTHONHASHSEED", "NO_COLOR"})
        and not name.endswith(("_PASSWORD", "_TOKEN", "_USERNAME"))
        and name not in {"NETRC", "UV_KEYRING_PROVIDER"}
    }
    # An index by its name alone would be asked for what is to be found in uv's cache.
    return own | ({"UV_OFFLINE": "1"} if held else {})


def source_options(names: Iterable[str]) -> list[str]:
    """Return uv's options that take wheels alone, but for what is built from its source."""
    options = ["--only-binary", ":all:"]
    for name in sorted(names):
        options += ["--no-binary", name]
    return options


def _is_credential(name: str, value: str) -> bool:
    return name.endswith(("_PASSWORD", "_TOKEN")) or _USER_IN_URL.search(value) is not None


def is_unreachable(reason: str) -> bool:
    """Tell whether uv failed because an index did not answer, by what it says."""
    return any(text in reason for text in _UNREACHABLE)


def refuse_disk(reason: str, workspace: Path) -> None:
    """Raise where a failure of uv is no matter of the dependencies, but of its cache or a disk.

    Args:
        reason: what uv says, with whole paths.
        workspace: where it writes beside its cache.

    Raises:
        OSError: there is no space left in the workspace.
        DiskFullError: there is no space left for uv's cache, or for temporary files.
        SettingError: uv's cache cannot be used.
    """
    cache = os.environ.get("UV_CACHE_DIR") or str(_cache())
    if unusable := _UNUSABLE.search(reason):
        raise SettingError(
            f"uv's cache {unusable[1]} cannot be used: {unusable[2]}. Name another directory by "
            "UV_CACHE_DIR"
        )
    if full := _FULL.search(reason):
        # Of a copy, the file that is written stands last.
        written = {place: full[1].rfind(place) for place in (cache, str(workspace))}
        place = max(written, key=lambda place: written[place])
        if written[place] < 0:
            raise no_space(f"uv's temporary files ({full[1].strip()})", TEMPORARY)
        if place == cache:
            raise no_space(
                f"uv's cache {cache}",
                "free some, as with `uv cache clean`, or name another place by UV_CACHE_DIR",
            )
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)


def _cache() -> Path | None:
    """Return where uv has its cache unless a variable says so: None where that cannot be."""
    home = cache_home()
    if home is None:
        return None
    place = home / "uv"
    try:  # in /proc, for example, whoever may write may still make nothing
        make_private(place)
    except OSError:
        return None
    return place if place.is_dir() and os.access(place, os.W_OK | os.X_OK) else None


def platform_name(machine: str, glibc: tuple[int, int] | None) -> str:
    """Return uv's name for a Linux of this machine type and C library (None means musl)."""
    if glibc is None:
        return f"{machine}-unknown-linux-musl"
    major, minor = glibc
    if major != 2 or minor < _OLDEST_GLIBC:  # noqa: PLR2004 - glibc has been 2.x since 1997
        return f"{machine}-manylinux_2_{28 if minor >= 28 else 17}"  # noqa: PLR2004
    return f"{machine}-manylinux_2_{min(minor, _NEWEST_GLIBC)}"
