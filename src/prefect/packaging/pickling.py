"""From a flow to its payload and back: the one module that knows cloudpickle."""

from __future__ import annotations

import dis
import io
import pickle
import site
import sys
import sysconfig
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata, util
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import CodeType, ModuleType
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
_OWN = __name__.partition(".")[0]
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
    """A cloudpickle pickler that keeps local modules whole and notes what it leaves to import.

    cloudpickle by itself rebuilds a module apart from the globals of its functions: a function
    that changes a global would not be seen to by `module.name`. Here both are one dict.
    """

    def __init__(self, file: Sink, local: dict[str, ModuleType]) -> None:
        super().__init__(_Flat(file), protocol=_PROTOCOL)
        self.seen = _Seen()
        self._compiled = {name for name, module in local.items() if _is_compiled(module)}
        self._shells = {id(module): _Shell(module) for module in local.values()}
        for module in local.values():
            self.globals_ref[id(vars(module))] = _Globals(self._shells[id(module)])

    def reducer_override(self, obj: Any) -> Any:
        # Both, for some functions of compiled modules are instances: numpy's, or cached ones.
        for module in (getattr(obj, "__module__", None), type(obj).__module__):
            if isinstance(module, str):
                self._see(module)
        if isinstance(obj, CodeType):
            self.seen.imported_in_functions.update(_imports(obj))
        elif isinstance(obj, ModuleType):
            self._see(obj.__name__)
            if shell := self._shells.get(id(obj)):
                state = {k: v for k, v in vars(obj).items() if k not in _OF_THE_IMPORT_SYSTEM}
                return _same, (shell,), state
        return super().reducer_override(obj)

    def _see(self, module: str) -> None:
        self.seen.modules.add(module)
        if module in self._compiled:
            raise PicklingError(
                f"The flow uses {module}: a compiled module that is not installed cannot travel. "
                "Install it as a package, here and where the flow runs"
            )


_OF_THE_IMPORT_SYSTEM = {"__builtins__", "__cached__", "__loader__", "__spec__"}


class _Shell:
    """Pickles as a new module without content, which module and globals are then put into."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("__file__", "__package__", "__path__")
        state = {n: vars(self._module)[n] for n in names if n in vars(self._module)}
        if "__path__" in state:
            state["__path__"] = list(state["__path__"])
        return ModuleType, (self._module.__name__,), state


class _Globals:
    """Pickles as the dict of a module, for the functions of that module."""

    def __init__(self, shell: _Shell) -> None:
        self._shell = shell

    def __reduce__(self) -> tuple[Any, ...]:
        return vars, (self._shell,)


def _same(module: ModuleType) -> ModuleType:
    return module


def _imports(code: CodeType) -> Iterator[str]:
    """Yield what `import` statements within a function name; relative ones with their dots."""
    level: Any = 0
    fromlist: Any = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":  # its operands: the two constants before it
            yield "." * level + instruction.argval
        elif instruction.opname != "EXTENDED_ARG":
            level, fromlist = fromlist, instruction.argval


def _dump(flow: Flow, local: dict[str, ModuleType], file: Sink) -> _Seen:
    pickler = _Pickler(file, local)
    try:
        pickler.dump(flow)
    except PrefectError:  # of the pickler, or of the file, which refuse what they are given
        raise
    except Exception as error:
        raise PicklingError(_explain(flow, local, error)) from error
    tops = {name.partition(".")[0] for name in local}
    hidden = sorted(
        name
        for name in pickler.seen.imported_in_functions
        if name.startswith(".") or name.partition(".")[0] in tops or _is_local_file(name)
    )
    if hidden:
        raise PicklingError(
            f"A task of the flow {flow.name!r} imports {', '.join(hidden)} within a function. That "
            "module is not installed, so it would be missing elsewhere: import it at the top of "
            "the file, and it travels with the flow"
        )
    return pickler.seen


def _explain(flow: Flow, local: dict[str, ModuleType], error: Exception) -> str:
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
def _local_modules_by_value() -> Iterator[dict[str, ModuleType]]:
    """Have cloudpickle carry modules that are not installed; yield them by name."""
    # The registry is cloudpickle's global: one packaging at a time, and nothing left behind.
    with _registering:
        local = {
            name: module
            for name, module in list(sys.modules.items())
            if name != "__main__" and _is_local(name, module)
        }
        known = cloudpickle.list_registry_pickle_by_value()
        registered = [module for name, module in local.items() if name not in known]
        try:
            for module in registered:
                cloudpickle.register_pickle_by_value(module)
            yield local
        finally:
            for module in registered:
                with suppress(ValueError):  # not reached, or taken out by somebody else
                    cloudpickle.unregister_pickle_by_value(module)


def _is_local(name: str, module: object) -> bool:
    if not isinstance(module, ModuleType) or getattr(module, "__name__", None) != name:
        return False
    if name.partition(".")[0] in {_OWN, *sys.stdlib_module_names}:
        return False
    return _are_local([getattr(module, "__file__", None), *getattr(module, "__path__", ())])


def _is_local_file(name: str) -> bool:
    top = name.partition(".")[0]
    if top in {_OWN, *sys.stdlib_module_names}:
        return False
    try:
        spec = util.find_spec(top)
    except (ValueError, ImportError):
        return False
    return spec is not None and _are_local([spec.origin, *(spec.submodule_search_locations or ())])


def _are_local(places: list[str | None]) -> bool:
    # A namespace package has no file of its own, but directories.
    paths = [place for place in places if place not in {None, "built-in", "frozen"}]
    return bool(paths) and not any(str(p).startswith(_installed_prefixes()) for p in paths)


def _is_compiled(module: ModuleType) -> bool:
    return (getattr(module, "__file__", None) or "").endswith(tuple(EXTENSION_SUFFIXES))


@cache
def _installed_prefixes() -> tuple[str, ...]:
    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    found += [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    prefixes = {path.rstrip("/") + "/" for path in found if path}
    prefixes |= {str(Path(path).resolve()) + "/" for path in prefixes}
    return tuple(sorted(prefixes))


def _requirements(seen: _Seen, local: dict[str, ModuleType]) -> dict[str, str]:
    """Map what a payload imports from elsewhere to the distributions that provide it here."""
    found = {}
    for name in sorted(seen.modules | seen.imported_in_functions):
        top = name.partition(".")[0]
        if name in local or not top or top in {_OWN, "__main__", "cloudpickle"}:
            continue
        if top in sys.stdlib_module_names or top not in _providers():
            continue
        module, distribution = _provider(name, top)
        found[module] = f"{distribution}=={metadata.version(distribution)}"
    return found


def _provider(name: str, top: str) -> tuple[str, str]:
    """Return the module to ask for and the distribution that provides it."""
    candidates = _providers()[top]
    if len(candidates) > 1:  # a namespace that several share: the module's own file decides
        file = getattr(sys.modules.get(name), "__file__", None)
        for candidate in candidates:
            if file and _provides(candidate, file):
                return name, candidate
    return top, candidates[0]


@cache
def _provides(distribution: str, file: str) -> bool:
    listed = metadata.files(distribution) or ()
    return any(file.endswith(f"/{path}") and str(path.locate()) == file for path in listed)


@cache
def _providers() -> dict[str, list[str]]:
    """Map each importable top-level name to the installed distributions that provide it."""
    found = metadata.packages_distributions().items()
    return {name: sorted(set(distributions)) for name, distributions in found}
