"""Limits that the kernel keeps: a cgroup for one run, of version 2 or 1, where one can be made."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.patterns import pattern
from prefect.places.sandbox.entering import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect.places.surroundings import Surroundings

_PERIOD = 100_000  # microseconds, as docker has it
_LEAST_QUOTA = 1000  # microseconds, as the kernel has it
_REMOVAL_SECONDS = 5.0
# Namespace of the maker's number, that number, and when it began.
_NAME = pattern(r"prefect-(\d+)-(\d+)-(\d+)-[0-9a-f]{12}", re.ASCII)
# What joins the groups, and goes on: "0" is whoever writes it.
_JOIN = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit; n=$((n - 1)); shift; done; exec "$@"'


@contextmanager
def limited(asked: Surroundings) -> Iterator[list[str]]:
    """Yield the command that keeps to the limits and goes on with another; [] where none are asked for.

    Raises:
        PlaceError: the limits cannot be kept here. A run without them is not what was asked for.
    """
    wanted = _wanted(asked)
    if not wanted:
        yield []
        return
    groups: list[Path] = []
    try:
        try:
            groups += _make(wanted)
            command = ["sh", "-c", _JOIN, "sh", str(len(groups))]
            command += [str(group / "cgroup.procs") for group in groups]
            subprocess.run(  # noqa: S603 - whether a process of ours may join, is known by trying
                [*command, "true"], check=True, capture_output=True, env=ENVIRONMENT
            )
        except (OSError, subprocess.CalledProcessError) as error:
            words = " and ".join(f"--{name}" for name in wanted)
            reason = getattr(error, "stderr", b"").decode(errors="replace").strip() or str(error)
            raise PlaceError(
                f"{words} cannot be kept here, as no cgroup can be had for it: {reason}. Run it as root, or "
                "where systemd has given you cgroups of your own, or in a container engine"
            ) from error
        yield command
    finally:
        for group in groups:
            remove_group(group)


def _wanted(asked: Surroundings) -> dict[str, float]:
    found = {"memory": asked.memory, "cpus": asked.cpus}
    return {name: value for name, value in found.items() if value is not None}


def _make(wanted: Mapping[str, float]) -> list[Path]:
    """Make a group for each controller, or one for all of them; none is left where that fails."""
    mounts = _mounts()
    name = group_name()
    made: list[Path] = []
    try:
        for each, value in wanted.items():
            controller = each.removesuffix("s")
            if own := mounts.get(controller):
                (group := own / name).mkdir()
                made.append(group)
                _limit_1(group, each, value)
            else:
                group = next((one for one in made if one.parent not in mounts.values()), None) or (
                    _group_2(mounts.get(""), name, [one.removesuffix("s") for one in wanted])
                )
                made += [] if group in made else [group]
                _limit_2(group, each, value)
    except BaseException:
        for group in made:
            remove_group(group)
        raise
    return made


def _limit_1(group: Path, name: str, value: float) -> None:
    if name == "memory":
        (group / "memory.limit_in_bytes").write_text(str(int(value)))
        with suppress(OSError):  # kernels need not count it
            (group / "memory.memsw.limit_in_bytes").write_text(str(int(value)))
        return
    (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
    (group / "cpu.cfs_quota_us").write_text(str(_quota(value)))


def _limit_2(group: Path, name: str, value: float) -> None:
    if name == "memory":
        (group / "memory.max").write_text(str(int(value)))
        with suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        return
    (group / "cpu.max").write_text(f"{_quota(value)} {_PERIOD}")


def _quota(cpus: float) -> int:
    return max(int(cpus * _PERIOD), _LEAST_QUOTA)


def _group_2(own: Path | None, name: str, controllers: list[str]) -> Path:
    """Make a group of version 2 as near to this process as its controllers can be had.

    A group that has processes gives its own groups none, so it is mostly one beside this process's.
    """
    if own is None:
        raise OSError("this machine shows no cgroups")
    failure = OSError(f"no group above {own} has the controllers {', '.join(controllers)}")
    for above in _up_to_mount(own):
        group = above / name
        try:
            group.mkdir()
        except OSError as error:
            failure = error
        else:
            with suppress(OSError):
                (above / "cgroup.subtree_control").write_text(
                    " ".join(f"+{one}" for one in controllers)
                )
            if all((group / f"{one}.max").exists() for one in controllers):
                return group
            remove_group(group)
    raise failure


def _up_to_mount(own: Path) -> Iterator[Path]:
    for above in (own, *own.parents):
        yield above
        if above.is_mount():
            return


def _mounts() -> dict[str, Path]:
    """Return this process's groups by their controllers, and "" for that of version 2."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = {
        controller: path for _, names, path in (line.split(":", 2) for line in lines)
        for controller in names.split(",")
    }  # fmt: skip
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        kind, _, options = after.split()[:3]
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for controller in names:
            if controller in own:
                found[controller] = Path(place) / os.path.relpath(own[controller], root)
    return found


def group_name() -> str:
    """Return a new name for groups of this process's, which tells whether that lives."""
    return f"prefect-{_namespace()}-{os.getpid()}-{_began(os.getpid())}-{os.urandom(6).hex()}"


def remove_stale_groups() -> None:
    """Remove what killed processes of this user have left: groups without a process.

    A process that another namespace numbers cannot be seen from here, and may live.
    """
    with suppress(OSError):
        if os.readlink("/proc/self") != str(os.getpid()):  # noqa: PTH115 - of another namespace
            return
        here = _namespace()
        places = {above for own in _mounts().values() for above in _up_to_mount(own)}
        for place in places:
            for entry in os.scandir(place):
                match = _NAME.fullmatch(entry.name)
                if match is None or int(match[1]) != here:
                    continue
                if entry.stat().st_uid == os.geteuid() and _began(int(match[2])) != int(match[3]):
                    with suppress(OSError):  # its processes are on their way out
                        os.rmdir(entry.path)  # noqa: PTH106 - as it was listed


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - its number alone


def _began(process: int) -> int | None:
    """Return when a process began, in ticks since the machine did; None where there is none."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[19])


def remove_group(group: Path) -> None:
    """Remove a group whose processes have been killed; what is not one, or not there, is left alone."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            group.rmdir()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        except OSError:  # the last process of the run is still on its way out
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        else:
            return
