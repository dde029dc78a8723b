"""What a run gets of the machine that it runs on, in the words that docker's users know."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.errors import PlaceError
from prefect.frozen import field_names, frozen
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = pattern(r"(\d+(?:\.\d+)?)([bkmgt]?)b?", re.IGNORECASE)
_KILLED = 128 + 9  # the status of what the kernel kills
_LEAST_MEMORY = 6 << 20  # bytes, as docker has it
_GPUS = pattern(r"all|[1-9]\d{0,3}|device=[\w:.-]+(?:,[\w:.-]+)*", re.ASCII)
_USER = pattern(r"[\w.-]+\$?(?::[\w.-]+\$?)?", re.ASCII)


@frozen
class Volume:
    """A file or a directory of this machine, or an engine's named volume, and where it is seen.

    Args:
        source: an absolute path, or the name of a volume.
        target: an absolute path in the place.
        writable: whether the run may change it.
        label: "z" has a container engine label it for all containers, "Z" for this one alone, where
            SELinux would else keep it from them; "" leaves it as it is.
    """

    source: str
    target: str
    writable: bool = True
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read SOURCE:TARGET or SOURCE:TARGET:ro, as `docker run --volume` has it, z and Z included.

        A path that begins with ./, ../ or ~/ is made absolute.

        Args:
            text: such as "./data:/data:ro", or "cache:/cache" for a volume of that name.

        Raises:
            ValueError: it is not of that form.
        """
        source, _, rest = text.partition(":")
        target, _, mode = rest.partition(":")
        modes = mode.split(",")
        label = "".join(each for each in modes if each in {"z", "Z"})
        writing = [each for each in modes if each not in {"z", "Z"}]
        odd = len(label) > 1 or len(writing) > 1 or not {"", "ro", "rw"}.issuperset(writing)
        if not source or not target.startswith("/") or odd:
            raise ValueError(
                f"{text!r} is no volume: write SOURCE:TARGET or SOURCE:TARGET:ro, such as ./data:/data:ro"
            )
        if source.startswith((".", "~")):
            source = os.path.abspath(Path(source).expanduser())  # noqa: PTH100 - links stay
        elif "/" in source and not source.startswith("/"):
            raise ValueError(f"{source!r} is neither a path nor a volume's name: write ./{source}")
        return cls(source, target, "ro" not in modes, label)

    def __str__(self) -> str:
        return f"{self.source}:{self.target}"

    @property
    def is_path(self) -> bool:
        """Whether the source is a path of this machine, and not the name of a volume."""
        return self.source.startswith("/")


@frozen
class Surroundings:
    """What a run gets of its machine. A place that cannot give something refuses it, by its name.

    Args:
        volumes: directories and files, by where they are seen.
        env: variables by name. Secrets are not given this way.
        memory: bytes at most.
        cpus: processors at most, such as 1.5.
        gpus: as docker has it: "all", a number, or "device=0,1".
        user: as docker has it: a name or a number, with ":GROUP" or without.
        network: the name of an engine's network, "host" or "none"; None is the place's default.
        workdir: an absolute path in the place.
        output: a directory of this machine for the files that a run makes, which the place gives it
            under the name `prefect.context.output_dir`.

    Raises:
        ValueError: a number is out of range, a path is not absolute, two volumes have one target, or
            another one is not of its form.
    """

    volumes: tuple[Volume, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    memory: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    user: str | None = None
    network: str | None = None
    workdir: str | None = None
    output: Path | None = None

    def __post_init__(self) -> None:
        if self.cpus is not None and not 0 < self.cpus < float("inf"):
            raise ValueError(f"cpus is a number above 0, such as 1.5, and not {self.cpus}")
        if self.memory is not None and self.memory < _LEAST_MEMORY:
            raise ValueError(f"memory is at least the 6m that a process needs, not {self.memory}")
        if self.workdir is not None and not self.workdir.startswith("/"):
            raise ValueError(f"workdir is an absolute path in the place, and not {self.workdir!r}")
        if self.gpus is not None and not _GPUS.fullmatch(self.gpus.strip("\"'")):
            raise ValueError(f"{self.gpus!r} names no gpus: write all, a number, or device=0,1")
        if self.user is not None and not _USER.fullmatch(self.user):
            raise ValueError(
                f"{self.user!r} is no user: write a name or a number, or both as USER:GROUP"
            )
        self._refuse_hidden()

    def _refuse_hidden(self) -> None:
        seen: dict[str, Volume] = {}
        for each in self.volumes:
            target = os.path.normpath(f"/{each.target.lstrip('/')}")
            if (other := seen.setdefault(target, each)) is not each:
                raise ValueError(
                    f"Two volumes have one target, where one alone would be seen: {other} and {each}. Give each "
                    "a target of its own"
                )

    def may_have_killed(self, status: int) -> bool:
        """Tell whether a run that ended with a status may have taken more than it gets of memory."""
        return self.memory is not None and status == _KILLED

    def asked(self) -> list[str]:
        """Return the names of what is asked for."""
        return [name for name in field_names(self) if getattr(self, name) not in (None, ())]

    def require(self, *given: str, place: str) -> None:
        """Refuse what a place does not give.

        Args:
            given: names of what it does give.
            place: how it is called in the message.

        Raises:
            PlaceError: something else is asked for.
        """
        refused = [name for name in self.asked() if name not in given]
        if refused:
            words = ", ".join(f"--{name.replace('volumes', 'volume')}" for name in refused)
            raise PlaceError(
                f"{words} cannot be had {place}: leave it out, or choose another place"
            )

    @classmethod
    def given(
        cls,
        *,
        volumes: Iterable[str | Volume] | None = None,
        env: Mapping[str, str] | Iterable[str] | None = None,
        memory: str | int | None = None,
        cpus: float | None = None,
        gpus: str | int | None = None,
        user: str | int | None = None,
        network: str | None = None,
        workdir: str | None = None,
        output: str | os.PathLike[str] | None = None,
    ) -> Surroundings:
        """Check what somebody gives, in Python or on a command line.

        Args:
            volumes: "SOURCE:TARGET" or "SOURCE:TARGET:ro".
            env: values by name; or "NAME=VALUE", and "NAME", whose value is taken from this process.
            memory: bytes, or a size such as "512m" or "2g".
            cpus: such as 1.5.
            gpus: "all", a number, or "device=0,1".
            user: a name or a number; with ":GROUP" or without.
            network: see `Surroundings`.
            workdir: an absolute path in the place.
            output: a directory of this machine; a relative path is made absolute.

        Raises:
            TypeError: one is of the wrong type.
            ValueError: one makes no sense.
        """
        if isinstance(env, Mapping):
            pairs: Iterable[str] = [
                f"{_name(name)}={_text(f'The variable {name}', value)}"
                for name, value in env.items()
            ]
        else:
            pairs = check.listed("env", "variables", env or ())
        if isinstance(memory, str):
            memory = parse_size(memory)
        return cls(
            volumes=tuple(map(_volume, check.listed("volumes", "volumes", volumes or ()))),
            env=parse_env(check.text("Each of env", pair) for pair in pairs),
            memory=None if memory is None else check.count("memory", memory),
            cpus=None if cpus is None else _cpus(cpus),
            gpus=None if gpus is None else _word("gpus", gpus),
            user=None if user is None else _word("user", user),
            network=None if network is None else check.text("network", network),
            workdir=None if workdir is None else check.text("workdir", workdir),
            output=None if output is None else Path(check.path("output", output)).absolute(),
        )


NOTHING = Surroundings()
"""Nothing but what the place has itself."""


def _volume(given: Any) -> Volume:
    return given if isinstance(given, Volume) else Volume.parse(check.text("Each volume", given))


def _name(name: Any) -> str:
    if "=" in check.text("The name of a variable", name):
        raise ValueError(f"{name!r} is no variable's name")
    return str(name)


def _text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise check.wrong(what, "a string", value)
    return value


def _cpus(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise check.wrong("cpus", "a number, such as 1.5", given)
    return float(given)


def _word(what: str, given: Any) -> str:
    return str(check.count(what, given)) if isinstance(given, int) else check.text(what, given)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "512m" or "2g", whose units are powers of 1024.

    Raises:
        ValueError: it is no size, or less than a process needs.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is no size: write a number and k, m, g or t, such as 512m or 2g"
        )
    size = int(float(match[1]) * _UNITS[match[2].lower()])
    if size < _LEAST_MEMORY:
        raise ValueError(f"{text!r} is less than the 6m that a process needs at least")
    return size


def parse_env(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Read NAME=VALUE, and NAME, whose value is taken from this process.

    Raises:
        ValueError: a name is none, or has no value here.
    """
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not name or "\0" in line:
            raise ValueError(f"{line!r} is no variable: write NAME=VALUE, or NAME to pass yours on")
        if not equals:
            if name not in os.environ:
                raise ValueError(f"The variable {name} has no value here to pass on: {name}=VALUE")
            value = os.environ[name]
        found[name] = value
    return tuple(found.items())
