"""What a payload calls while it is loaded, to rebuild what pickle alone cannot.

The series of Python that wrote the payload gets its own bytecode. Another one compiles the source.
"""

from __future__ import annotations

import marshal
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prefect.errors import CompatibilityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, ModuleType

    from prefect.payload.recompiling import Position

# The lines of each file, where they have to be compiled; None where the bytecode can be taken.
_lines: ContextVar[dict[str, list[str]] | None] = ContextVar("prefect.lines", default=None)


@contextmanager
def compiling(lines: dict[str, list[str]]) -> Iterator[None]:
    """Have payloads of another series of Python be loaded within.

    Args:
        lines: of each file, of which code objects are compiled.
    """
    token = _lines.set(lines)
    try:
        yield
    finally:
        _lines.reset(token)


def code_object(
    bytecode: bytes,
    file: str,
    name: str,
    qualname: str,
    source: Position | str | None,
    class_name: str | None,
    freevars: Sequence[str],
    flags: int,
) -> CodeType:
    """Return a code object. Payloads call this.

    Args:
        bytecode: as the series of Python that wrote the payload marshals it.
        file: what its file is called.
        name: of the function.
        qualname: its qualified name.
        source: where it stands in the file; or its text; or None where something else makes it
            anew.
        class_name: of the innermost class around it.
        freevars: names of its free variables.
        flags: of the code.

    Raises:
        CompatibilityError: this series of Python cannot compile the source.
    """
    files = _lines.get()
    if files is None:
        code: CodeType = marshal.loads(bytecode)  # noqa: S302 - authenticated, as the pickle is
        return code
    from prefect.payload.recompiling import placeholder, recompiled  # noqa: PLC0415 - rarely needed

    if source is None:
        return placeholder(name, freevars)
    lines = files.get(file, [])
    try:
        return recompiled(lines, file, name, qualname, source, class_name, freevars, flags)
    except (SyntaxError, LookupError, ValueError) as error:
        here = "{}.{}".format(*sys.version_info)
        line = getattr(error, "lineno", None) or source[0]
        raise CompatibilityError(
            f"{qualname} cannot be compiled by Python {here}: {getattr(error, 'msg', error)} "
            f"({file}, line {line}). Run the flow with the Python that packaged it, or newer"
        ) from error


def class_state(kind: Any, state: tuple[Any, ...]) -> Any:
    """Fill a class that was made without content. Payloads call this.

    Args:
        kind: the class.
        state: its content, as cloudpickle takes it; which methods of a dataclass were written; and
            the attributes of an enumeration's members, by their names.
    """
    from cloudpickle.cloudpickle import _class_setstate  # noqa: PLC0415 - known once it is called

    content, slots, written, members = state
    another = _lines.get() is not None
    if another:
        content = _adapted(kind, content)
    if another and written is not None:
        from prefect.payload.dataclass_methods import complete  # noqa: PLC0415 - rarely needed

        complete(kind, content, written)
    _class_setstate(kind, (content, slots))
    if another:
        _note_members(kind)
    for name, attributes in members.items():
        vars(kind[name]).update(attributes)
    return kind


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return a function with a cache, which is empty. Payloads call this."""
    return lru_cache(maxsize, typed)(function)


def same_module(module: ModuleType) -> ModuleType:
    """Return a module, whose content is put into it next. Payloads call this."""
    return module


def forward_reference(text: str, is_argument: bool, module: Any, is_class: bool) -> Any:
    """Return an annotation that is still text. Payloads call this."""
    from typing import ForwardRef  # noqa: PLC0415 - rarely needed

    return ForwardRef(text, is_argument, module, is_class=is_class)


# What Python itself notes in a class: another series notes other things, in its own way.
_NOTED = ("__static_attributes__", "__firstlineno__")
_OF_PROTOCOLS = (
    "__protocol_attrs__", "__callable_proto_members_only__", "__non_callable_proto_members__",
)  # fmt: skip


def _adapted(kind: Any, content: dict[str, Any]) -> dict[str, Any]:
    """Return a class's content without what only the series that wrote it understands."""
    if sys.version_info < (3, 13):
        content = {name: value for name, value in content.items() if name not in _NOTED}
    if hasattr(kind, "_is_protocol"):
        content = {name: value for name, value in content.items() if name not in _OF_PROTOCOLS}
    return content


def _note_members(kind: Any) -> None:
    """Note what instances of a protocol have, as Python does when it makes the class."""
    if "__protocol_attrs__" in vars(kind):
        type(kind).__init__(kind, kind.__name__, kind.__bases__, {})
        if getattr(kind, "_is_runtime_protocol", False):
            from typing import runtime_checkable  # noqa: PLC0415 - of protocols alone

            runtime_checkable(kind)
