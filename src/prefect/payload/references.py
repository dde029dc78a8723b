"""Files of this machine that a flow visibly refers to, and that do not travel: told at build.

Code is not executed for this: the texts in it are compared with what there is on disk. A path that is put
together at run time is not seen, and what is written, not read, is left alone where the call says so.
"""

from __future__ import annotations

import dis
import logging
import os
import sys
from pathlib import PurePath
from shlex import quote
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from prefect.frozen import ordered
from prefect.patterns import pattern
from prefect.printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from prefect.core.flow import Flow
    from prefect.payload.including import Included
    from prefect.payload.own_modules import OwnModules

_LONGEST = 255
_LOOKS_LIKE_A_PATH = pattern(r"[^\n]*(/|\.[A-Za-z0-9_]{1,10}$)[^\n]*")
_FINDS_FILES = {"__file__", "resources", "files", "as_file", "get_data"}
_MODE_OF_WRITING = pattern(r"[wxa][bt+]{0,2}")
_WRITES = pattern(
    r"(to|write|save|dump|print|export|sink)(_\w+|fig\w*|txt|z)?|mkdir|makedirs|touch|unlink|remove|rmtree"
)
# What is the same, or something else, on every machine.
_OF_THE_SYSTEM = (
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/opt",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
)

_MOST_TOLD = 5
_BESIDE = "as Path(__file__).parent / ..., which is right in every place"
_FROM_HERE = f"; and read what has a relative path {_BESIDE}"
_logger = logging.getLogger("prefect.environments")


@ordered
class Reference:
    """A file or directory that code names.

    Args:
        path: of this machine, absolute.
        spelling: as the code has it.
        where: what names it, such as "load in etl.py".
        from_here: whether it is relative to the directory that a program happens to run in.
    """

    path: str
    spelling: str
    where: str
    from_here: bool = False


class References:
    """Collects what is referred to while a flow is pickled."""

    def __init__(self) -> None:
        self._found: dict[str, Reference] = {}
        self._here = os.getcwd()

    def note_function(self, function: FunctionType, local: Collection[str]) -> None:
        """Look at a function's code, with the directories that its globals name.

        Args:
            local: names of the modules that travel by value; files of others are where these are.
        """
        code = function.__code__
        values = [function.__globals__.get(name) for name in code.co_names]
        bases = [str(value) for value in values if isinstance(value, PurePath)]
        if bases or not _FINDS_FILES.isdisjoint(code.co_names):
            named = [sys.modules.get(text) for text in _texts(code.co_consts)]
            for module in (*values, *named):
                if getattr(module, "__name__", None) in local:
                    bases += getattr(module, "__path__", ())
        self.note_code(code, bases)

    def note_code(self, code: CodeType, bases: list[str]) -> None:
        """Look at the texts in code, and in the functions within it."""
        file = code.co_filename
        beside = "" if file.startswith("<") else os.path.dirname(os.path.abspath(file))
        finds = bool(bases) or not _FINDS_FILES.isdisjoint(code.co_names)
        texts = {text for text in _texts(code.co_consts) if _may_be_a_path(text, finds=finds)}
        places = {
            text: place
            for text in texts
            if (place := self._place(text, [beside, *bases] if beside else bases, finds=finds))
        }
        if places:
            written = set(_written(code))
            for text, (path, from_here) in places.items():
                if text not in written:
                    where = f"{code.co_name} in {os.path.basename(file)}"
                    self._note(Reference(path, text, where, from_here))
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self.note_code(inner, bases)

    def note_path(self, path: PurePath) -> None:
        """Look at a path that travels as a value."""
        text = str(path)
        if os.path.isabs(text) and os.path.isfile(text) and _is_of_users(text):
            self._note(Reference(text, text, "a value of the flow"))

    def missing(self, included: Included | None, own: OwnModules | None = None) -> list[Reference]:
        """Return what was found and does not travel, sorted; of a directory, not what is in it."""
        found = [
            one
            for one in self._found.values()
            if not _travels(one, included) and not (own and own.has_file(one.path))
        ]
        paths = {f"{one.path}/" for one in found}
        return sorted(one for one in found if not any(one.path.startswith(path) for path in paths))

    def opened_from_here(self, included: Included) -> list[Reference]:
        """Return what travels, and is looked for in the directory that a program happens to run in."""
        return sorted(
            one for one in self._found.values() if one.from_here and _travels(one, included)
        )

    def _note(self, reference: Reference) -> None:
        self._found.setdefault(reference.path, reference)

    def _place(self, text: str, bases: list[str], *, finds: bool) -> tuple[str, bool] | None:
        """Return what a text names, and whether that depends on where a program runs."""
        if os.path.isabs(text):
            found = os.path.isfile(text) and _is_of_users(text)
            return (os.path.normpath(text), False) if found else None
        exists = os.path.exists if finds else os.path.isfile
        for base in bases if finds else ():
            path = os.path.normpath(os.path.join(base, text))
            if exists(path) and _is_of_users(path):
                return path, False
        path = os.path.normpath(os.path.join(self._here, text))
        return (path, True) if os.path.isfile(path) and _is_of_users(path) else None


def _travels(reference: Reference, included: Included | None) -> bool:
    place = included.place_of(reference.path) if included else None
    return included is not None and place is not None and included.has(place)


def _texts(values: tuple[Any, ...]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from _texts(value)


def _may_be_a_path(text: str, *, finds: bool) -> bool:
    return (
        0 < len(text) <= _LONGEST
        and text.strip("./") != ""
        and "\0" not in text
        and text not in sys.modules  # which `resources.files` is asked for
        and (finds or _LOOKS_LIKE_A_PATH.fullmatch(text) is not None)
    )


def _is_of_users(path: str) -> bool:
    return not any(path.startswith(f"{place}/") for place in _OF_THE_SYSTEM)


def _written(code: CodeType) -> Iterator[str]:
    """Yield the texts that calls write to: by the callee's name, or by a mode beside them."""
    callee, texts, former = "", list[str](), list[str]()
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_NAME"}:
            callee = str(instruction.argval)
        elif instruction.opname == "LOAD_CONST":
            if isinstance(instruction.argval, str):
                texts.append(instruction.argval)
        elif instruction.opname.startswith("CALL"):
            if _WRITES.fullmatch(callee):
                yield from (*former, *texts)  # the former call made the path, such as Path("x")
            elif any(map(_MODE_OF_WRITING.fullmatch, texts)):
                yield from texts
            former, texts = texts, []


def warn_of_references(
    found: References, included: Included | None, flow: Flow, own: OwnModules | None = None
) -> None:
    """Log a warning of what a flow refers to, and will not find where it runs."""
    if missing := found.missing(included, own):
        lines = "; ".join(
            f"{printable(one.spelling)} ({one.where})" for one in missing[:_MOST_TOLD]
        )
        more = f"; and {len(missing) - _MOST_TOLD} more" if len(missing) > _MOST_TOLD else ""
        options = " ".join(f"--include {quote(_shown(one.path))}" for one in missing[:_MOST_TOLD])
        _logger.warning(
            "Warning: the flow %r refers to files that do not travel with it: %s%s. To take them "
            "along: %s, or include=[...] of the environment%s",
            flow.name, lines, more, options, _FROM_HERE if any(one.from_here for one in missing) else "",
        )  # fmt: skip
    elif included and (astray := found.opened_from_here(included)):
        lines = "; ".join(f"{printable(one.spelling)} ({one.where})" for one in astray[:_MOST_TOLD])
        _logger.warning(
            "Warning: the flow %r looks for files that travel in the directory where it happens to run: "
            "%s. Read them %s", flow.name, lines, _BESIDE,
        )  # fmt: skip


def _shown(path: str) -> str:
    """Return a path as an option would name it: relative to the current directory where that is near."""
    relative = os.path.relpath(path)
    return path if relative.startswith("../..") else relative
