"""The user's own code as wheels: what requirement lines name by a path, and what is installed from one.

A resolver finds these wheels beside what its indexes have; an artifact brings them along.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from prefect.dependencies.requirements import (
    parse_requirement,
    requirement_name,
    split_hashes,
    without_passwords,
)
from prefect.dependencies.targets import environment, this_target
from prefect.direct_urls import DirectUrl, direct_urls
from prefect.errors import RequirementsError
from prefect.frozen import frozen
from prefect.installed import distributions
from prefect.oci.cache.of_user import open_cache
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prefect.dependencies.wheels import Wheel
    from prefect.oci.cache.store import Store
    from prefect.pylock import Target

_EDITABLE = pattern(r"(?:-e|--editable)(?:\s+|\s*=\s*)")
# Also without white space around it, where what follows can be nothing else.
_MARKER = pattern(
    r"\s+;|;\s|;(?=\(?(?:python_|platform_|implementation_|os_name|sys_platform|extra\b))"
)
_EXTRAS = pattern(r"\[([\w\s,.-]*)\]$")
_ADDRESS = pattern(r"\s*([A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?)\s*@\s*(\S+)")
_EGG = pattern(r"[#&]egg=([A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)")
_FILES = (".whl", ".tar.gz", ".zip")


@frozen
class OwnLine:
    """A requirement line that names a file, a directory or an address, and not a version.

    Args:
        text: all of it.
        name: of the distribution, normalised; "" where the line does not tell.
        path: the directory or file that it names; None for an address elsewhere.
        extras: as "[a,b]", or "".
        marker: what follows the semicolon, or "".
    """

    text: str
    name: str
    path: Path | None
    extras: str
    marker: str


def own_line(line: str) -> OwnLine | None:
    """Return what a requirement line names by a path or by an address; None for one by name."""
    text = line.strip()
    if text.startswith("-") and not _EDITABLE.match(text):
        return None
    bare = _EDITABLE.sub("", text, count=1) if _EDITABLE.match(text) else text
    place, _, marker = _parted(bare)
    named = _ADDRESS.fullmatch(place)
    if named and not ("/" in named[1] or named[2].startswith("=")):
        place, name = named[2], named[1]
        extras = f"[{name.partition('[')[2]}" if "[" in name else ""
        name = requirement_name(name)
    else:
        extras, name = "", ""
        if found := _EXTRAS.search(place):
            place, extras = place[: found.start()].rstrip(), f"[{found[1]}]"
    if "://" in place or place.startswith("file:"):
        if egg := _EGG.search(place):
            name, extras = (
                requirement_name(egg[1]),
                extras or "".join(re.findall(r"\[.*\]", egg[1])),
            )
        parts = urlsplit(place)
        path = Path(unquote(parts.path)) if parts.scheme == "file" else None
        return OwnLine(text, name, path, extras, marker)
    if named or bare is not text or _is_path(place):
        return OwnLine(text, name, Path(place).expanduser(), extras, marker)
    return None


def _parted(text: str) -> tuple[str, str, str]:
    found = _MARKER.search(text)
    if found is None:
        return text, "", ""
    return text[: found.start()].strip(), ";", text[found.end() :].strip()


def _is_path(text: str) -> bool:
    if any(sign in text for sign in "<>=!,~ ") and not text.startswith((".", "/", "~")):
        return False
    return text.startswith((".", "/", "~")) or "/" in text or text.endswith(_FILES)


def anchored(line: str, *directories: Path) -> str:
    """Return a requirement line with a path in it that does not depend on the working directory.

    Args:
        directories: what a relative path may be relative to; the first in which it is there counts.
    """
    own = own_line(line)
    if own is None or own.path is None or own.path.is_absolute():
        return line
    places = [Path(os.path.abspath(each / own.path)) for each in directories]  # noqa: PTH100 - and no links resolved
    place = next((each for each in places if each.exists()), places[0])
    name = f"{own.name}{own.extras} @ " if own.name else ""
    marker = f" ; {own.marker}" if own.marker else ""
    return f"{name}{place}{'' if own.name else own.extras}{marker}"


def require_here(own: OwnLine) -> None:
    """Refuse a line that names a path that is not there, or by an address what is not installed.

    Raises:
        RequirementsError: says which, and what to do.
    """
    if own.path is not None:
        if not own.path.exists():
            raise RequirementsError(f"There is no {own.path}{near(own.path)}")
    elif own.name not in direct_urls():
        shown = without_passwords(own.text)
        raise RequirementsError(
            f"{own.name or shown!r} is asked for by an address, and is not installed here from there. "
            "An artifact gets what indexes have, by name and version, and what is here: install it "
            "here, name a wheel or a directory, or publish it to an index"
        )


class OwnWheels:
    """The wheels of the user's own projects that an artifact brings along.

    Args:
        store: remembers what was built; the wheels are gone when it is closed.
        progress: gets a line of text where something is built.
        targets: where the artifact is to run; by default here.
    """

    def __init__(
        self,
        store: Store,
        progress: Callable[[str], None] | None = None,
        targets: Sequence[Target] = (),
    ) -> None:
        self._store = store
        self._progress = progress
        self._targets = targets or [this_target()]
        self._directory = store.scratch() / "own"
        self._found: dict[str, Wheel] = {}
        # As they were made, and the extras with which they are asked for.
        self._made: dict[str, Wheel] = {}
        self._extras: dict[str, set[str]] = {}

    @property
    def wheels(self) -> list[Wheel]:
        """The wheels, sorted by name."""
        return [self._found[name] for name in sorted(self._found)]

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> Wheel:
        return self._found[name]

    def take(self, lines: Iterable[str]) -> list[str]:
        """Make the wheels of what lines name by a path; return the lines, by name and version.

        What a line asks for by its name, and what is installed here from elsewhere than an index in
        a version that the line allows, is taken from here as well. What a marker leaves out wherever the
        artifact is to run is not there.

        Raises:
            RequirementsError: there is no such path, it cannot be built, or an address names what
                is not installed here; or a marker holds for some of the targets alone.
        """
        taken = []
        for line in lines:
            own = own_line(line)
            if own is None:
                self._take_named(line)
                taken.append(line)
                continue
            holding = [target for target in self._targets if _holds(own.marker, target)]
            if not holding:
                continue
            if len(holding) < len(self._targets):
                raise RequirementsError(
                    f"{without_passwords(own.text)!r} is for {', '.join(map(str, holding))} alone, and "
                    "its wheel would travel to all that this is built for: leave the marker out, or "
                    "build for each apart, with --for and --python (platforms=, pythons=)"
                )
            wheel = self._of_line(own)
            marker = f" ; {own.marker}" if own.marker else ""
            taken.append(f"{wheel.name}{own.extras}=={wheel.version}{marker}")
        return taken

    def take_installed(self, names: Iterable[str]) -> None:
        """Make the wheels of those distributions that are installed here, but from no index."""
        known = direct_urls()
        for name in sorted(set(names)):
            if name in known and name not in self._found:
                self._add(self._of_origin(known[name]))

    def provide(self, names: Iterable[str]) -> dict[str, Wheel]:
        """Return the wheels of distributions that are installed here, but from no index, by name."""
        wanted = list(names)
        self.take_installed(wanted)
        return {name: self._found[name] for name in wanted if name in self._found}

    def take_unknown(self, names: Iterable[str]) -> bool:
        """Put the wheels of what no index has together from what is installed here.

        Returns:
            Whether there is a wheel that was not there before.

        Raises:
            RequirementsError: what is installed is not what its RECORD says.
        """
        here = dict(distributions())
        unknown = [name for name in sorted(set(names)) if name in here and name not in self._found]
        for name in unknown:
            wheel = self._add(self._reassembled(name))
            if self._progress is not None:
                self._progress(
                    f"Taking {wheel} from what is installed here: no index that uv asks has it"
                )
        return bool(unknown)

    def _take_named(self, line: str) -> None:
        name = requirement_name(line)
        origin = direct_urls().get(name)
        if name in self._found:
            self._add(self._made[name], parse_requirement(line).extras)
        if origin is None or name in self._found or split_hashes(line)[1]:
            return
        asked = parse_requirement(line)
        if asked.specifier.contains(origin.version, prereleases=True):
            self._add(self._of_origin(origin), asked.extras)

    def _of_line(self, own: OwnLine) -> Wheel:
        require_here(own)
        if own.path is not None:
            wheel = self._of_path(own.path, own.text)
            if own.name not in {"", wheel.name}:
                raise RequirementsError(
                    f"{own.text!r} leads to {wheel.name}, and not to {own.name}"
                )
            return self._add(wheel, _names(own.extras))
        return self._add(self._of_origin(direct_urls()[own.name]), _names(own.extras))

    def _of_path(self, path: Path, line: str) -> Wheel:
        if path.is_dir():
            return self._built(path)
        if path.suffix == ".whl":
            from prefect.dependencies.wheels import read_wheel  # noqa: PLC0415 - as in _built

            return read_wheel(path, origin=str(path))
        if path.name.endswith(_FILES):
            return self._built(path)
        raise RequirementsError(
            f"{line!r} names a file that is no package: a project's directory, a wheel (.whl) or a source "
            "distribution (.tar.gz) is one"
        )

    def _of_origin(self, origin: DirectUrl) -> Wheel:
        if origin.editable:
            if origin.directory is None or not origin.directory.is_dir():
                raise RequirementsError(
                    f"{origin.name} is installed editably from {origin.directory}, which is not there "
                    "any more: install it again"
                )
            return self._built(origin.directory)
        file = origin.archive
        if file is not None and file.suffix == ".whl" and origin.sha256 and file.is_file():
            from prefect.dependencies.wheels import read_wheel  # noqa: PLC0415 - as in _built

            wheel = read_wheel(file, origin=str(file))
            if wheel.sha256 == origin.sha256:
                return wheel
        return self._reassembled(origin.name)

    def _reassembled(self, name: str) -> Wheel:
        from prefect.dependencies.reassembling import reassemble  # noqa: PLC0415 - as in _built

        return reassemble(name, self._made_directory())

    def _built(self, path: Path) -> Wheel:
        # Most builds bring no wheel of the user's own.
        from prefect.dependencies.building import build_wheel  # noqa: PLC0415

        return build_wheel(path, self._made_directory(), self._store, self._progress)

    def _made_directory(self) -> Path:
        self._directory.mkdir(exist_ok=True)
        return self._directory

    def _add(self, wheel: Wheel, extras: Iterable[str] = ()) -> Wheel:
        former = self._made.setdefault(wheel.name, wheel)
        if former.sha256 != wheel.sha256:
            raise RequirementsError(
                f"{wheel.name} is asked for twice, as {former} from {former.origin} and as {wheel} from "
                f"{wheel.origin}: name one of them"
            )
        asked = self._extras.setdefault(wheel.name, set())
        if wheel.name not in self._found or not asked.issuperset(extras):
            asked.update(extras)
            self._found[wheel.name] = former  # which may lead back to itself
            self._found[wheel.name] = self._without_addresses(former, asked)
        return self._found[wheel.name]

    def _without_addresses(self, wheel: Wheel, extras: set[str]) -> Wheel:
        """Return a wheel that needs by name and version what it needs by paths and addresses.

        These are the builder's own: no other machine has them, and some hold passwords. What they lead to
        is taken along; what an extra alone needs, with which nobody asks for the wheel, is left out.
        """
        instead: dict[str, str | None] = {}
        for line in wheel.requires:
            own = own_line(line)
            if own is None:
                continue
            instead[line] = None
            if not any(_holds(own.marker, target, extras) for target in self._targets):
                continue
            try:
                needed = self._of_line(own)
            except RequirementsError as error:
                raise RequirementsError(
                    f"{wheel} from {wheel.origin} needs {own.name} by an address or a path of this "
                    f"machine, which no artifact gets, and which cannot be taken from here: {error}"
                ) from error
            marker = f" ; {own.marker}" if own.marker else ""
            instead[line] = f"{needed.name}{own.extras}=={needed.version}{marker}"
        if not instead:
            return wheel
        directory = self._made_directory() / "by-name"
        directory.mkdir(exist_ok=True)
        from prefect.dependencies.wheels import with_requirements  # noqa: PLC0415 - as in _built

        return with_requirements(wheel, instead, directory)


def _names(extras: str) -> set[str]:
    return {requirement_name(one) for one in extras.strip("[]").split(",") if one.strip()}


def _holds(marker: str, target: Target, extras: Iterable[str] = ()) -> bool:
    parsed = parse_requirement(f"x ; {marker}").marker if marker else None
    variables = environment(target)
    return parsed is None or any(
        parsed.evaluate({**variables, "extra": extra}) for extra in ("", *extras)
    )


@contextmanager
def own_wheels(
    progress: Callable[[str], None] | None = None, targets: Sequence[Target] = ()
) -> Iterator[OwnWheels]:
    """Yield wheels that the user's cache remembers; their files are there until the end.

    The arguments are those of `OwnWheels`.

    Raises:
        SettingError: the cache cannot be used.
    """
    with open_cache() as store:
        yield OwnWheels(store, progress, targets)


def near(path: Path) -> str:
    """Return the end of a message on a path that is not there: what is there of such a name."""
    parent = path.parent
    try:
        names = [each.name for each in parent.iterdir()]
    except OSError:
        return f": neither is {parent}"
    import difflib  # noqa: PLC0415 - for errors alone

    close = difflib.get_close_matches(path.name, names, 3, 0.5)
    return f"; there is {', '.join(str(parent / each) for each in close)}" if close else ""
