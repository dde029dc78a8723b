"""What uv is asked to resolve, for one Python and platform, and what it answers."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prefect.dependencies.requirements import (
    parse_requirement,
    requirement_name,
    without_passwords,
)
from prefect.dependencies.targets import c_library_told
from prefect.dependencies.uv import (
    UNREACHABLE,
    is_unreachable,
    refuse_disk,
    source_options,
    uv_environment,
    uv_program,
)
from prefect.errors import IndexUnreachableError, RequirementsError
from prefect.oci.cache.full import TEMPORARY, told_if_full
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from prefect.dependencies.wheels import Wheel

FRESH = 24 * 3600  # seconds for which an answer is remembered
_FORMAT = 6  # counts up when uv is asked in another way
_SEPARATORS = pattern(r"[\s,=]+|file://")
_WITHOUT_WHEEL = pattern(
    r"(?:[Bb]ecause|and) (?:all versions of |only )?([A-Za-z0-9._-]+?)(?:[<>=!~,\[][^\s]*)? "
    r"ha(?:s|ve) no (?:usable wheels|wheels with a matching)"
)
_OTHER_PYTHON = pattern(r"matching Python (?:version|ABI|implementation) tag")
_NEW_GLIBC = pattern(r"manylinux_2_(?:3[4-9]|4\d)$")  # than nearly all wheels need
_ABSENT = pattern(
    r"(?:[Bb]ecause|and) (?:there (?:is|are) no versions? of )?([A-Za-z0-9._-]+?)(?:==\S+)?"
    r"(?: was not found in the package registry| and you require)"
)
# What uv says of each that there is not; it names them one by one.
_UNKNOWN = pattern(
    r"([A-Za-z0-9][\w.-]*) was not found in the |there (?:is|are) no versions? of ([A-Za-z0-9][\w.-]*)"
)


class Question(NamedTuple):
    """What uv is asked.

    Args:
        wanted: requirement lines, sorted.
        installed: lines "name==version" of what is preferred where there is a choice.
        bounds: lines "name==version" for what has to have that version if it is needed.
        sources: normalised names of what may be built from source here.
        python: a series, such as "3.11".
        platform: uv's name of the platform.
        own: what is to be known of wheels that no index need have: of `facts`.
    """

    wanted: list[str]
    installed: list[str]
    bounds: list[str]
    sources: list[str]
    python: str
    platform: str
    own: tuple[tuple[str, str], ...] = ()

    def key(self, *more: object) -> str:
        """Return under which name the answer is remembered."""
        # Which index answers is a matter of variables, whose values may be passwords.
        variables = sorted(
            (name, value, [_stamp(part) for part in _paths(value)])
            for name, value in os.environ.items()
            if name.startswith(("UV_", "PIP_"))
        )
        program = Path(uv_program()).stat()
        uv = [program.st_size, program.st_mtime_ns]
        inputs = [_FORMAT, *self, more, uv, variables]
        return f"lock {hashlib.sha256(json.dumps(inputs).encode()).hexdigest()}"


class UnknownDistributionError(RequirementsError):
    """No index has a distribution, or not in the version that is asked for.

    Args:
        message: what uv says.
        names: of the distributions, normalised.
    """

    def __init__(self, message: str, names: frozenset[str]) -> None:
        super().__init__(message)
        self.names = names


def facts(wheels: Iterable[Wheel]) -> tuple[tuple[str, str], ...]:
    """Return what of wheels has a say in an answer: what else they hold has none."""
    return tuple(
        sorted((one.line, hashlib.sha256(one.metadata.encode()).hexdigest()) for one in wheels)
    )


def resolve(
    asked: Question,
    form: Sequence[str],
    *,
    patient: bool = True,
    target: str = "",
    wheels: Sequence[Wheel] = (),
    inferred: Collection[str] = (),
) -> str:
    """Return uv's answer.

    Args:
        asked: the question.
        form: the answer's format as uv calls it, and options that go with it.
        patient: whether an index that does not answer is asked again.
        target: how people know the Python and platform.
        wheels: the user's own, which the answer has by their paths; no index is asked for their names.
        inferred: those of the wanted lines that nobody asked for.

    Raises:
        UnknownDistributionError: no index has something, or not in that version.
        RequirementsError: a line is no requirement, they contradict each other, or something does not
            exist; the resolver's words are at the end.
        IndexUnreachableError: the index does not answer.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
    """
    text, reason = _compile(asked, (), form, wheels, patient=patient)
    if text is None and asked.sources and "wheel" in reason:
        text, reason = _compile(asked, asked.sources, form, wheels, patient=patient)
    if text is not None:
        return text
    for line in asked.wanted:  # not before: most answers are remembered
        parse_requirement(line)
    beside = " beside what the lock has" if asked.bounds else ""
    where = target or f"Python {asked.python} on {asked.platform}"
    unreachable = is_unreachable(reason)
    fixes = [UNREACHABLE] if unreachable else _fixes(asked, reason, target, inferred)
    message = " ".join(
        [
            f"The dependencies {', '.join(asked.wanted)} cannot be resolved for {where}{beside}.",
            *fixes,
            f"uv says:\n{reason}",
        ]
    )
    if unreachable:
        raise IndexUnreachableError(message)
    if names := {one for pair in _UNKNOWN.findall(reason) for one in pair if one}:
        raise UnknownDistributionError(message, frozenset(map(requirement_name, names)))
    raise RequirementsError(message)


def _fixes(asked: Question, reason: str, target: str, inferred: Collection[str]) -> Iterator[str]:
    """Yield sentences on what to do, as far as uv's reason tells it."""
    if inferred:
        yield (
            f"Of these, {', '.join(inferred)} is what the flow imports, as installed here. Ask for "
            "another version with -r (python_dependencies=), or leave what it imports to what you ask "
            "for, with --no-infer (infer=False)."
        )
    if lacking := sorted(set(_WITHOUT_WHEEL.findall(reason)) - set(asked.sources)):
        options = " ".join(f"--allow-source {name}" for name in lacking)
        names = ", ".join(lacking)
        where = target or f"Python {asked.python} on {asked.platform}"
        # Another Python may be what is missing: uv says so of versions alone that are not asked for.
        of_python = _OTHER_PYTHON.search(reason) or _NEW_GLIBC.search(asked.platform)
        told = "" if of_python else c_library_told(asked.platform, asked.python, target=target)
        yield (
            f"There is no wheel of {names} that fits {where}.{told} Building from source runs a "
            "stranger's code here. Ask for a version that has one, or allow it: "
            f"{options}, or allow_source={lacking}."
        )
        return
    pinned = {line.partition("==")[0] for line in asked.wanted if "==" in line}
    if absent := sorted({name for name in _ABSENT.findall(reason) if name in pinned}):
        name = absent[0]
        yield (
            f"The index does not have {name} in that version. Put its wheel where uv finds it "
            f"(UV_FIND_LINKS), ask for a version that the index has with -r '{name}==...' "
            "(python_dependencies=), or leave it out with --no-infer (infer=False)."
        )


def _compile(
    asked: Question,
    sources: Sequence[str],
    form: Sequence[str],
    wheels: Sequence[Wheel],
    *,
    patient: bool,
) -> tuple[str | None, str]:
    """Return the answer, or else uv's reason why there is none."""
    # Imported here: most builds find their lock remembered.
    import subprocess  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    name, *options = form
    with (
        tempfile.TemporaryDirectory(prefix="prefect-lock-") as directory,
        told_if_full(directory, TEMPORARY),
    ):
        source, output = Path(directory, "requirements.in"), Path(directory, name)
        own = [f"{one.name} @ {one.path.as_uri()}" for one in wheels]
        source.write_text("".join(f"{line}\n" for line in [*asked.wanted, *own]))
        # uv reads an output that is already there as a set of preferences.
        if asked.installed:
            output.write_text(_preferences(name, asked.installed))
        command = [uv_program(), "pip", "compile", str(source), "--output-file", str(output)]
        command += ["--no-header", "--quiet", *options]
        command += source_options(sources)
        if asked.bounds:
            limits = Path(directory, "constraints")
            limits.write_text("".join(f"{line}\n" for line in asked.bounds))
            command += ["--constraints", str(limits)]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        # Any interpreter will do: named, so that uv does not search the machine for that version.
        command += ["--python", sys.executable]
        command += ["--python-version", asked.python, "--python-platform", asked.platform]
        environment = uv_environment(builds=bool(sources))
        if not patient:
            environment.setdefault("UV_HTTP_RETRIES", "0")
        done = subprocess.run(  # noqa: S603 - a fixed program; lines stand in a file
            command, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode:
            refuse_disk(done.stderr, Path(directory))
            told = (
                line for line in done.stderr.splitlines() if not line.startswith("hint: Wheels")
            )
            reason = "\n".join(told).replace(f"{directory}/", "").strip()
            return None, without_passwords(reason)
        return output.read_text(), ""


def _preferences(name: str, installed: Sequence[str]) -> str:
    if not name.endswith(".toml"):
        return "".join(f"{line}\n" for line in installed)
    lines = ['lock-version = "1.0"\ncreated-by = "prefect"\n']
    for line in installed:
        name, _, version = line.partition("==")
        lines.append(f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\n')
    return "".join(lines)


def _paths(value: str) -> list[str]:
    """Return what may be a path in a variable: all of it, an item of a list, a file's URL."""
    return sorted({value, *_SEPARATORS.split(value)} - {""})


def _stamp(value: str) -> int | None:
    """Return when the file or directory that a variable names was changed, such as constraints."""
    try:
        return Path(value).stat().st_mtime_ns
    except (OSError, ValueError):
        return None
