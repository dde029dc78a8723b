"""From a flow to its payload and back: the one module that knows cloudpickle."""

from __future__ import annotations

import dis
import io
import pickle
import site
import sys
import sysconfig
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, util
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import cloudpickle

from prefect.core.flow import Flow
from prefect.errors import (
    ArtifactError,
    CompatibilityError,
    NotAFlowError,
    PicklingError,
    PrefectError,
)
from prefect.packaging.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

# One protocol on every Python that this package supports, so that payloads do not vary by it.
_PROTOCOL = 5
_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class PickledFlow:
    """A flow's payload and the description of it."""

    manifest: Manifest
    payload: bytes


class Sink(Protocol):
    """Where a payload goes, piece by piece."""

    def write(self, data: bytes | memoryview, /) -> Any:
        """Take the next piece."""


def pickle_flow(flow: Flow) -> PickledFlow:
    """Pickle a flow with all code of its own, and describe it.

    Modules that are not installed (the script itself, the helper beside it) travel inside the
    payload; what comes from installed distributions is recorded as a requirement.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError: a task holds something that cannot be pickled, or imports a local module
            within a function, where it cannot be found from outside.
    """
    buffer = io.BytesIO()
    manifest = pickle_flow_into(flow, buffer)
    return PickledFlow(manifest, buffer.getvalue())


def pickle_flow_into(flow: Flow, file: Sink) -> Manifest:
    """Pickle a flow into a file, piece by piece, and describe it.

    Raises:
        As `pickle_flow`; the file then holds a part of the payload.
    """
    if not isinstance(flow, Flow):
        raise NotAFlowError(f"Only a Flow can be packaged, not {type(flow).__name__}: {flow!r:.80}")
    serialized = flow.serialize()
    with _local_modules_by_value() as local:
        seen = _dump(flow, local, file)
    return Manifest.describe(serialized, _requirements(seen, local))


def load_flow(manifest: Manifest, payload: bytes | bytearray) -> Flow:
    """Unpickle an authenticated payload. This runs code: call it last.

    Raises:
        CompatibilityError: this interpreter cannot load it; raised before anything is loaded.
        NotAFlowError: it holds something other than a flow.
        ArtifactError: it cannot be loaded, or is another flow than the manifest describes.
    """
    manifest.check_compatible()
    try:
        flow = pickle.loads(payload)  # noqa: S301 - authenticated by the caller
    except ModuleNotFoundError as error:
        raise CompatibilityError(
            f"This flow needs the module {error.name!r}, which is not installed here"
        ) from error
    except Exception as error:
        raise ArtifactError(
            f"The flow cannot be loaded here: {type(error).__name__}: {error}. Packages of other "
            f"versions than it was packaged with are the usual cause{_differences(manifest)}"
        ) from error
    if not isinstance(flow, Flow):
        raise NotAFlowError(f"The payload holds no Flow but an object of type {type(flow)!r}")
    if flow.serialize() != manifest.flow:
        raise ArtifactError("The payload holds another flow than the manifest describes")
    return flow


def _differences(manifest: Manifest) -> str:
    differing = [f"{line} (here {here})" for line, here in manifest.differing_requirements()]
    return f": {', '.join(differing)}" if differing else ""


@dataclass(slots=True)
class _Seen:
    """Modules that a payload refers to by name."""

    modules: set[str] = field(default_factory=set)
    imported_in_functions: set[str] = field(default_factory=set)


class _Nowhere:
    def write(self, data: bytes | memoryview, /) -> int:
        return len(data)


class _Flat:
    """Hands on what a pickler writes; arrays come as buffers, of any shape, and are not copied."""

    def __init__(self, file: Sink) -> None:
        self._file = file

    def write(self, data: Any, /) -> int:
        view = data if isinstance(data, bytes) else pickle.PickleBuffer(data).raw()
        self._file.write(view)
        return len(view)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A cloudpickle pickler that notes what it leaves to be imported on the other side."""

    def __init__(self, file: Sink, local: frozenset[str]) -> None:
        super().__init__(_Flat(file), protocol=_PROTOCOL)
        self.seen = _Seen()
        self._local = local

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType | BuiltinFunctionType):
            self.seen.modules.add(getattr(obj, "__module__", None) or "builtins")
        elif isinstance(obj, ModuleType):
            self.seen.modules.add(obj.__name__)
        elif isinstance(obj, CodeType):
            self.seen.imported_in_functions.update(_imports(obj))
        return super().reducer_override(obj)


def _imports(code: CodeType) -> Iterator[str]:
    """Yield what `import` statements within a function name; relative ones with their dots."""
    level: Any = 0
    fromlist: Any = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":  # its operands: the two constants before it
            yield "." * level + instruction.argval
        elif instruction.opname != "EXTENDED_ARG":
            level, fromlist = fromlist, instruction.argval


def _dump(flow: Flow, local: frozenset[str], file: Sink) -> _Seen:
    pickler = _Pickler(file, local)
    try:
        pickler.dump(flow)
    except PrefectError:  # of the file, which refuses what it is given
        raise
    except Exception as error:
        raise PicklingError(_explain(flow, local, error)) from error
    hidden = sorted(
        name
        for name in pickler.seen.imported_in_functions
        if name.startswith(".") or name.partition(".")[0] in local or _is_local_file(name)
    )
    if hidden:
        raise PicklingError(
            f"A task of the flow {flow.name!r} imports {', '.join(hidden)} within a function. That "
            "module is not installed, so it would be missing elsewhere: import it at the top of "
            "the file, and it travels with the flow"
        )
    return pickler.seen


def _explain(flow: Flow, local: frozenset[str], error: Exception) -> str:
    cause = f"{type(error).__name__}: {error}"
    fix = "create such objects within the task's run, where they are needed"
    for part in (*flow.tasks, flow.environment):
        try:
            _Pickler(_Nowhere(), local).dump(part)
        except Exception as inner:  # noqa: BLE001 - any failure names the culprit
            name = getattr(part, "name", type(part).__name__)
            return f"Task {name!r} of the flow {flow.name!r} cannot be pickled: {inner}; {fix}"
    if isinstance(error, OSError):  # of the file, such as a full disk: no part fails by itself
        raise error
    return f"The flow {flow.name!r} cannot be pickled: {cause}; {fix}"


@contextmanager
def _local_modules_by_value() -> Iterator[frozenset[str]]:
    """Have cloudpickle carry modules that are not installed; yield their top-level names."""
    # The registry is cloudpickle's global: one packaging at a time, and nothing left behind.
    with _registering:
        registered = []
        local = set()
        for name, module in list(sys.modules.items()):
            if name != "__main__" and _is_local(name, module):
                local.add(name.partition(".")[0])
                if name not in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.register_pickle_by_value(module)
                    registered.append(module)
        try:
            yield frozenset(local)
        finally:
            for module in registered:
                cloudpickle.unregister_pickle_by_value(module)


def _is_local(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    own = __name__.partition(".")[0]
    return (
        getattr(module, "__name__", None) == name
        and isinstance(file, str)
        and name.partition(".")[0] != own
        and not file.startswith(_installed_prefixes())
    )


def _is_local_file(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    try:
        spec = util.find_spec(top)
    except (ValueError, ImportError):
        return False
    origin = spec.origin if spec else None
    return bool(
        origin
        and origin not in {"built-in", "frozen"}
        and top != __name__.partition(".")[0]
        and not origin.startswith(_installed_prefixes())
    )


@cache
def _installed_prefixes() -> tuple[str, ...]:
    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    found += [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    prefixes = {path.rstrip("/") + "/" for path in found if path}
    prefixes |= {str(Path(path).resolve()) + "/" for path in prefixes}
    return tuple(sorted(prefixes))


def _requirements(seen: _Seen, local: frozenset[str]) -> dict[str, str]:
    tops = {name.partition(".")[0] for name in seen.modules | seen.imported_in_functions}
    own = {"__main__", "cloudpickle", __name__.partition(".")[0]}
    foreign = sorted(tops - sys.stdlib_module_names - local - own)
    if not foreign:
        return {}
    providers = _providers()
    return {
        top: f"{providers[top]}=={metadata.version(providers[top])}"
        for top in foreign
        if top in providers
    }


@cache
def _providers() -> dict[str, str]:
    """Map each importable top-level name to the installed distribution that provides it."""
    return {name: min(dists) for name, dists in metadata.packages_distributions().items()}
