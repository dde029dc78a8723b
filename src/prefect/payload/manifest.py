"""The manifest: what a packaged flow is and needs, in plain JSON, readable without running it."""

from __future__ import annotations

import json
import platform
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from prefect.errors import CompatibilityError, FlowError, FormatError
from prefect.frozen import field, field_names, frozen, replace
from prefect.installed import cloudpickle_here, distributions, normal_name
from prefect.patterns import pattern
from prefect.payload.attachments import attachments
from prefect.payload.description import check_description
from prefect.payload.global_values import are_globals
from prefect.payload.image_facts import ImageFacts
from prefect.payload.sources import are_sources
from prefect.printable import printable
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.payload.global_values import Globals
    from prefect.payload.image_facts import Pin
    from prefect.payload.sources import Sources
    from prefect.pylock import Package

FORMAT = 4
# What each format was the first to have.
_NEW_IN = {
    "installed": 2,
    "files": 3,
    "wheels": 3,
    "lock": 3,
    "sources": 3,
    "fixed": 3,
    "image": 4,
    "runtime": 4,
    "globals": 4,
}
_READABLE = (1, 2, 3, FORMAT)
# Names and versions as they are: what is quoted of them cannot be taken for anything else.
_WORD = pattern(r"[\w.!+-]{1,100}", re.ASCII)
_VERSION = pattern(r"\d{1,9}(\.\d{1,9})+[\w.!+-]{0,60}", re.ASCII)
_DIGEST = pattern(r"[0-9a-f]{64}")
_REQUIREMENT = pattern(r"[\w.-]{1,200}==[\w.!+-]{1,100}", re.ASCII)


# Of bytes and of values in them, each of which takes some hundred bytes of memory when it is read.
# A flow of 100,000 tasks, each with an edge, has 30 MB and 1.8 million.
LARGEST_MANIFEST = 48 << 20
_MOST_VALUES = 2_500_000
_MOST_REQUIREMENTS = 5_000  # each of which is looked for where it is to run
_MOST_TOLD = 5
_LONGEST_TEXT = 1000
_SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@frozen
class Manifest:
    """The plain description of a packaged flow.

    Args:
        flow: the serialized flow, as `Flow.serialize()` gives it.
        python: version of the Python that pickled it, such as "3.11.7".
        implementation: of that Python, such as "cpython".
        cloudpickle: version of cloudpickle that pickled it.
        prefect: version of this package that packaged it.
        requirements: what the payload imports from elsewhere: top-level module to the distribution
            that provided it, as "name==version". In an image, it is the version that the image has.
        installed: what these need in turn, and they themselves, as they were installed: versions by
            normalised names. Empty in a manifest of format 1. In an image, those that the image has.
        files: the files that travel, by their paths in the package: "size" in bytes, "sha256" in
            hexadecimal digits, and whether each is "executable".
        wheels: the wheels that travel, in the same way, by their files' names.
        lock: the requirements with what they need in turn, each with its hashes, as the text of a
            pylock.toml (PEP 751); "" where nothing is locked, and in an image.
        sources: the lines of the functions that travel: of each file, runs of consecutive lines as
            [number of the first, text]. Empty before format 3.
        fixed: what no other series of Python can run, each with the reason. Empty before format 3,
            in which no series but one can run anything.
        globals: the values of the globals that these functions read, as texts: as Python writes them,
            as digests, or as types, of what is not compared. Empty before format 4.
        image: the image that it is in, with what is locked for that; None for a sealed flow that is in
            none, and before format 4.
        runtime: SHA-256 of the index of what stands beside it in the clear, in hexadecimal digits,
            where it is sealed in a file that runs by itself; else "".
    """

    flow: dict[str, Any]
    python: str
    implementation: str
    cloudpickle: str
    prefect: str
    requirements: dict[str, str]
    installed: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    wheels: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: str = ""
    sources: Sources = field(default_factory=dict)
    fixed: list[str] = field(default_factory=list)
    globals: Globals = field(default_factory=dict)
    image: ImageFacts | None = None
    runtime: str = ""
    format: int = FORMAT

    @classmethod
    def describe(
        cls,
        flow: dict[str, Any],
        requirements: dict[str, str],
        installed: dict[str, str] | None = None,
        *,
        sources: Sources | None = None,
        fixed: list[str] | None = None,
        values: Globals | None = None,
    ) -> Manifest:
        """Describe a serialized flow that is packaged by this interpreter."""
        return cls(
            flow=flow,
            python=platform.python_version(),
            implementation=sys.implementation.name,
            cloudpickle=cloudpickle_here(),
            prefect=__version__,
            requirements=requirements,
            installed=installed or {},
            sources=sources or {},
            fixed=fixed or [],
            globals=values or {},
        )

    def source_text(self) -> bytes:
        """Return the lines of functions that it has, as they stand in their files."""
        runs = (text for file in self.sources.values() for _, text in file)
        return "\0".join(runs).encode("utf-8", "surrogatepass")

    def global_text(self) -> bytes:
        """Return the values of globals that it has, which the payload has as well."""
        return "\0".join(self.globals.values()).encode()

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as plain JSON values."""
        values = {name: getattr(self, name) for name in sorted(_fields(self.format))}
        return values if self.image is None else values | {"image": self.image.to_dict()}

    def to_json(self) -> bytes:
        """Return canonical JSON: equal manifests give equal bytes.

        Raises:
            FlowError: it is larger than `from_json` reads.
        """
        data = json.dumps(
            self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False
        ).encode()
        if _is_too_large(data) or not are_sources(self.sources):
            raise FlowError(
                f"The flow {self.flow.get('name')!r} is too large to be described: some 150,000 tasks "
                "are the most. Map one task over many values, which counts as one"
            )
        return data

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            FormatError: the bytes are no manifest, one of a newer format, or far too many.
        """
        if _is_too_large(data):
            raise FormatError(
                f"The manifest is larger than any flow's: at most {LARGEST_MANIFEST} bytes and "
                f"{_MOST_VALUES} values are read"
            )
        try:
            values = json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise FormatError("The manifest is not JSON") from error
        if not isinstance(values, dict):
            raise FormatError("The manifest is not a JSON object")
        if type(values.get("format")) is not int or values["format"] not in _READABLE:
            raise FormatError(
                f"The manifest has format {values.get('format')!r:.40}; this release of prefect reads "
                f"formats up to {FORMAT}. Upgrade prefect here, or package the flow again"
            )
        expected = _fields(values["format"])
        if values.keys() != expected:
            odd = sorted(map(repr, expected ^ values.keys()))[:10]
            raise FormatError(f"The manifest lacks fields or has unknown ones: {', '.join(odd)}")
        texts = ("python", "implementation", "cloudpickle", "prefect")
        if (
            not all(
                isinstance(values[name], str) and _WORD.fullmatch(values[name]) for name in texts
            )
            or not all(_VERSION.fullmatch(values[name]) for name in ("python", "cloudpickle"))
            or not isinstance(values["requirements"], dict)
            or len(values["requirements"]) > _MOST_REQUIREMENTS
            or not all(
                isinstance(line, str) and _REQUIREMENT.fullmatch(line)
                for line in values["requirements"].values()
            )
            or not _is_installed(values.get("installed", {}))
            or not are_sources(values.get("sources", {}))
            or not _is_fixed(values.get("fixed", []))
            or not _is_digest_or_none(values.get("runtime", ""))
            or not are_globals(values.get("globals", {}))
            or not all(part.isidentifier() for m in values["requirements"] for part in m.split("."))
        ):
            raise FormatError("The manifest's fields do not have the types they need")
        _check_lock(values.get("lock", ""))
        check_description(values["flow"])
        for name in ("files", "wheels"):
            attachments(values.get(name, {}))
        return cls(**{**values, "image": ImageFacts.read(values.get("image"))})

    def of_image(self, image: ImageFacts) -> Manifest:
        """Return it as of a flow in an image: versions are those that the image has.

        What only the base can have, and the image's lock does not tell of, keeps its name, and the
        version with which the flow was pickled.
        """
        pins = {pin.name: pin.version for pin in image.pins()}

        def line(text: str) -> str:
            name, _, version = text.partition("==")
            return f"{name}=={pins.get(normal_name(name), version)}"

        return replace(
            self,
            requirements={module: line(text) for module, text in self.requirements.items()},
            installed={name: pins[name] for name in self.installed if name in pins},
            lock="",
            image=image,
        )

    @property
    def base(self) -> str:
        """The base of the image that it is in, by name and digest as far as they are known."""
        if self.image is None:
            return ""
        name = self.image.base or str((self.flow["environment"] or {}).get("image") or "")
        if not self.image.digest:
            return name
        return "@".join(filter(None, (name.partition("@")[0], self.image.digest)))

    @property
    def python_minor(self) -> str:
        """The Python series whose bytecode the payload has, such as "3.11"."""
        return ".".join(self.python.split(".")[:2])

    @property
    def is_of_this_series(self) -> bool:
        """Whether the bytecode in the payload is this interpreter's."""
        return (self.implementation, self.python_minor) == (sys.implementation.name, _SERIES)

    @property
    def has_globals(self) -> bool:
        """Whether it tells the values of globals, if there are any."""
        return self.format >= _NEW_IN["globals"]

    @property
    def is_fixed(self) -> bool:
        """Whether no other series of Python can run it."""
        return bool(self.fixed) or self.format < _NEW_IN["fixed"]

    @property
    def why_fixed(self) -> str:
        """Why no other series of Python can run it, as a part of a sentence."""
        if self.format < _NEW_IN["fixed"]:
            return "an earlier prefect packed bytecode alone, which does not move between versions"
        more = len(self.fixed) - _MOST_TOLD
        told = "; ".join(printable(each) for each in self.fixed[:_MOST_TOLD])
        return (
            "bytecode does not move between Python versions where the source is missing: "
            f"{told}{f'; and {more} more' if more > 0 else ''}"
        )

    def check_compatible(self) -> None:
        """Compare what the payload needs with this interpreter, before anything is loaded.

        Raises:
            CompatibilityError: another series of Python, and not all has a source; an older
                cloudpickle; or a distribution is missing. The message says what the payload needs,
                what is here and what to do.
        """
        from prefect.payload.fitting import compared  # noqa: PLC0415 - where it is to run alone

        found = compared(self, notes=False)
        if problems := [str(one) for one in found if one.fits is False]:
            raise CompatibilityError("\n".join(problems))

    def locked(self) -> Sequence[Package | Pin]:
        """Return what is locked for the Python and platform here; nothing where nothing is.

        Of a flow in an image, it is what is locked for that.
        """
        if self.image is not None:
            return self.image.pins()
        return _locked_here(self.lock) if self.lock else ()

    def differing_requirements(self) -> list[tuple[str, str]]:
        """Return ("name==packaged version", version here) wherever the two differ.

        What is not installed here is not among them: another platform may do without.
        """
        # What is locked for this Python and platform, or this image, is what is wanted here.
        locked = {one.name: one.version for one in self.locked()}
        packaged = (
            locked
            or self.installed
            or {
                normal_name(line.partition("==")[0]): line.partition("==")[2]
                for line in self.requirements.values()
            }
        )
        if not packaged:
            return []
        named = _installed_here()
        # By its directory's name it is not here, and need not be looked for: thousands may not be.
        suspects = [
            name for name in sorted(packaged) if named.get(name, packaged[name]) != packaged[name]
        ]
        if not suspects:
            return []
        from importlib import metadata  # noqa: PLC0415 - slow to import, and the names mostly suffice

        differing = []
        for name in suspects:
            try:
                here = metadata.version(name)
            except metadata.PackageNotFoundError:  # the module comes from another distribution
                continue
            if here != packaged[name]:
                differing.append((f"{name}=={packaged[name]}", here))
        return differing


@lru_cache(maxsize=2)  # a run asks several times, and a lock may have hundreds of packages
def _locked_here(lock: str) -> tuple[Package, ...]:
    from prefect.pylock import Target, read  # noqa: PLC0415 - for what is locked

    return tuple(read(lock).for_target(Target(_SERIES, sys.platform, platform.machine())))


def _fields(number: int) -> set[str]:
    return {name for name in field_names(Manifest) if _NEW_IN.get(name, 1) <= number}


def _is_fixed(values: Any) -> bool:
    return (
        isinstance(values, list)
        and all(isinstance(each, str) and 0 < len(each) <= _LONGEST_TEXT for each in values)
        and values == sorted(set(values))
    )


def _is_digest_or_none(value: Any) -> bool:
    return isinstance(value, str) and (not value or bool(_DIGEST.fullmatch(value)))


def _is_installed(values: Any) -> bool:
    return (
        isinstance(values, dict)
        and len(values) <= _MOST_REQUIREMENTS
        and all(
            isinstance(version, str) and _REQUIREMENT.fullmatch(f"{name}=={version}")
            for name, version in values.items()
        )
    )


def _check_lock(text: Any) -> None:
    if not isinstance(text, str):
        raise FormatError("The manifest's lock is no text")
    if text:
        from prefect.pylock import read  # noqa: PLC0415 - for what is locked

        read(text)


def _installed_here() -> dict[str, str]:
    """Return the versions of what is installed here, by normalised names."""
    found: dict[str, str] = {}
    for name, version in distributions():
        found.setdefault(name, version)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_too_large(data: bytes) -> bool:
    """Tell whether reading JSON would take more memory than that of any flow."""
    return len(data) > LARGEST_MANIFEST or sum(map(data.count, (b",", b"[", b"{"))) > _MOST_VALUES
