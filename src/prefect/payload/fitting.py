"""What a packaged flow needs, compared with this interpreter: told all at once, before anything is loaded."""

from __future__ import annotations

import platform
import sys
from importlib import util
from typing import TYPE_CHECKING

from prefect.frozen import frozen
from prefect.installed import cloudpickle_here, normal_name

if TYPE_CHECKING:
    from prefect.payload.manifest import Manifest

_SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"


@frozen
class Finding:
    """Something that a flow needs, and whether it is here.

    Args:
        about: what is compared, such as "Python" or "secret DB".
        fits: True where it is here, False where the flow cannot run, None for what is worth knowing.
        told: what is needed and what is here, as the beginning of a sentence.
        fix: what to do, as a sentence without its full stop; "" where nothing has to be done.
    """

    about: str
    fits: bool | None
    told: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.told}. {self.fix}" if self.fix else self.told


def compared(manifest: Manifest, *, notes: bool = True) -> list[Finding]:
    """Compare what a payload needs with this interpreter; nothing of it is loaded or imported.

    Args:
        notes: tell also what does not keep it from running, which takes longer to find out.
    """
    found = [_python(manifest), _cloudpickle(manifest), *_requirements(manifest, notes=notes)]
    return [*found, *_lock(manifest)] if notes else found


def _python(manifest: Manifest) -> Finding:
    here = f"{sys.implementation.name} {platform.python_version()}"
    packaged = f"This flow was packaged by {manifest.implementation} {manifest.python}"
    foreign = manifest.implementation != sys.implementation.name
    if foreign or (manifest.is_fixed and not manifest.is_of_this_series):
        why = "only that can run it" if foreign else manifest.why_fixed
        return Finding(
            "Python", False, f"{packaged}, and {why}. Here is {here}",
            f"Run it with Python {manifest.python_minor}, or package it again with Python {_SERIES}",
        )  # fmt: skip
    return Finding("Python", True, f"{packaged}; here is {here}")


def _cloudpickle(manifest: Manifest) -> Finding:
    here = cloudpickle_here()
    if _release(here) < _release(manifest.cloudpickle)[:2]:
        return Finding(
            "cloudpickle", False,
            f"This flow was pickled by cloudpickle {manifest.cloudpickle}; here is the older {here}",
            f"Install cloudpickle=={manifest.cloudpickle}",
        )  # fmt: skip
    return Finding(
        "cloudpickle",
        True,
        f"This flow was pickled by cloudpickle {manifest.cloudpickle}; here is {here}",
    )


def _requirements(manifest: Manifest, *, notes: bool) -> list[Finding]:
    brought = {normal_name(name.partition("-")[0]) for name in manifest.wheels}
    missing = sorted(
        {
            line
            for module, line in manifest.requirements.items()
            if normal_name(line.partition("==")[0]) not in brought and not _importable(module)
        }
    )
    found = []
    if missing:
        locked = {one.name: one.version for one in manifest.locked()}
        missing = [
            f"{name}=={locked.get(normal_name(name), version)}"
            for name, _, version in (line.partition("==") for line in missing)
        ]
        found.append(
            Finding(
                "requirements", False,
                f"This flow needs packages that are not installed here: {', '.join(missing)}",
                f"Install them with: pip install {' '.join(missing)}{_by_hash(manifest)}",
            )
        )  # fmt: skip
    found += [
        Finding(
            "requirements", None, f"Packaged with {line}, and here is {here}",
            f"Install it with: pip install {line}",
        )
        for line, here in (manifest.differing_requirements() if notes else ())
    ]  # fmt: skip
    names = ", ".join(sorted(set(manifest.requirements.values()))) or "nothing"
    return found or [
        Finding("requirements", True, f"What it imports is here, or travels with it: {names}")
    ]


def _by_hash(manifest: Manifest) -> str:
    if not manifest.locked():
        return ""
    return (
        "; or all that is locked, by hash, with what `prefect info ARTIFACT --requirements` prints; or "
        "have an environment made of it: prefect run ARTIFACT --in venv"
    )


def _lock(manifest: Manifest) -> list[Finding]:
    if not manifest.lock or manifest.locked():
        return []
    from prefect.pylock import read, shown  # noqa: PLC0415 - for what is locked

    targets = shown(read(manifest.lock).targets)
    return [
        Finding(
            "lock", None, f"Requirements are locked for {targets}, and nothing for what is here",
            f"Package it with --python {_SERIES} here, or with --for and --python of this place",
        )
    ]  # fmt: skip


def _release(version: str) -> tuple[int, ...]:
    digits = []
    for part in version.split("."):
        if not (part.isascii() and part.isdecimal()):
            break
        digits.append(int(part))
    return tuple(digits)


def _importable(module: str) -> bool:
    # For a top-level name this asks the finders only; for another, its parents are imported.
    try:
        return module in sys.modules or util.find_spec(module) is not None
    except ImportError:
        return False
    except ValueError:
        return True
