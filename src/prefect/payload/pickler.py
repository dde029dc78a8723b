"""The pickler of flows: the one module that knows cloudpickle.

cloudpickle carries the code of what is not installed. This one also keeps local modules whole,
notes what it leaves to import, and leaves out whatever says where, when and after what a flow was
packaged. What only the bytes of a pickle show, such as the order of sets, `canonical` removes.
"""

from __future__ import annotations

import pickle
import sys
import threading
from contextlib import contextmanager, suppress
from enum import Enum
from functools import lru_cache
from pathlib import PosixPath
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import cloudpickle

from prefect.errors import PicklingError
from prefect.payload.code_reducing import CodeReducer
from prefect.payload.code_within import imports_in, names_in
from prefect.payload.enumerations import attributes, with_aliases
from prefect.payload.global_values import GlobalValues
from prefect.payload.local_modules import is_compiled, loaded_local_modules
from prefect.payload.located import located, located_path, with_roots
from prefect.payload.packaged_module import NOT_OF_THE_SOURCE, PackagedModule
from prefect.payload.rebuilding import cached_function, class_state, same_module
from prefect.payload.references import References
from prefect.payload.registered import Registered, SourceGlobals, with_registered_classes
from prefect.payload.source_lines import SourceLines
from prefect.payload.standard_types import REDUCERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.payload.global_values import Globals
    from prefect.payload.including import Included
    from prefect.payload.own_modules import OwnModules
    from prefect.payload.sources import Sources

# One protocol on every Python that this package supports, so that payloads do not vary by it.
_PROTOCOL = 5
# Where CodeType takes the name of a file; some cloudpickles put "<dynamic-code>" there.
_FILENAME = 10
_registering = threading.Lock()
_CACHED_FUNCTION = type(lru_cache(len))
# Where cloudpickle's makers of classes take the random id that it gives to each class.
_TRACKERS = {"_make_skeleton_class": -2, "_make_skeleton_enum": -2, "_make_typevar": -1}


class Sink(Protocol):
    """Where a payload goes, piece by piece."""

    def write(self, data: bytes | memoryview, /) -> Any:
        """Take the next piece."""


class Seen:
    """Modules that a payload refers to by name, and what else its functions name."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.imported_in_functions: set[str] = set()
        self.names_in_functions: set[str] = set()
        self.references = References()


class _Flat:
    """Hands on what a pickler writes; arrays come as buffers, of any shape, and are not copied."""

    def __init__(self, file: Sink) -> None:
        self._file = file

    def write(self, data: Any, /) -> int:
        view = data if isinstance(data, bytes) else pickle.PickleBuffer(data).raw()
        self._file.write(view)
        return len(view)


class Nowhere:
    """Takes a payload that is only tried."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take the next piece."""
        return len(data)


class FlowPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A cloudpickle pickler of flows.

    cloudpickle by itself rebuilds a module apart from the globals of its functions: a function
    that changes a global would not be seen to by `module.name`. Here both are one dict.

    Args:
        included: the files that travel beside: paths to them become those of the place where the flow
            runs.
        track_classes: whether what is loaded in the process that packages it has that process's own
            classes, as cloudpickle would have it by giving each a random id. Without, every load
            has classes of its own.
        executed: whether local modules with classes that cannot travel by themselves are executed anew
            where the flow is loaded.
    """

    def __init__(
        self,
        file: Sink,
        local: dict[str, ModuleType],
        *,
        included: Included | None = None,
        track_classes: bool = True,
        executed: bool = True,
    ) -> None:
        super().__init__(_Flat(file), protocol=_PROTOCOL)
        self.seen = Seen()
        self._track_classes = track_classes
        self._source = SourceLines()
        self._code = CodeReducer(self._source)
        self._values = GlobalValues()
        self._included = included
        self._local = local
        self._compiled = {name for name, module in local.items() if is_compiled(module)}
        self._shells = {id(module): _Shell(module, self._placeless) for module in local.values()}
        for module in local.values():
            self.globals_ref[id(vars(module))] = _Globals(self._shells[id(module)])
        self._registered: Registered | None = None
        if executed and (names := with_registered_classes(local, self._can_travel)):
            self._registered = Registered(names, local, self._source)
            for name in self._registered.sources:
                around = SourceGlobals(self._registered.modules, name)
                self.globals_ref[id(vars(local[name]))] = around

    def _can_travel(self, kind: type) -> bool:
        """Try a class by itself."""
        try:
            FlowPickler(Nowhere(), self._local, executed=False).dump(kind)
        except PicklingError:
            return True  # as a refusal of ours, it is told when it comes to it
        except Exception:  # noqa: BLE001 - whatever a library's objects raise
            return False
        return True

    @property
    def sources(self) -> Sources:
        """The lines of the functions that were pickled."""
        return self._source.taken()

    @property
    def globals(self) -> Globals:
        """The values of the globals that the functions read, as texts."""
        return self._values.taken()

    @property
    def fixed(self) -> list[str]:
        """What no other series of Python can run, each with the reason."""
        return self._code.fixed

    def dump_flow(self, flow: Any) -> None:
        """Pickle a flow, so that it finds the files of its packages."""
        roots = self._included.roots(self._local.values()) if self._included else []
        self.dump(WithRoots(flow, roots) if roots else flow)

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle an object, for those that need something special."""
        # Both, for some functions of compiled modules are instances: numpy's, or cached ones.
        for module in (getattr(obj, "__module__", None), type(obj).__module__):
            if isinstance(module, str):
                self._see(module)
        if self._registered and (reduced := self._registered.reduce(obj)):
            self.seen.imported_in_functions.update(self._registered.imported)
            return reduced
        return self._reduced(obj)

    def _reduced(self, obj: Any) -> Any:  # noqa: PLR0911 - one for each kind
        if isinstance(obj, FunctionType):
            return self._function(obj)
        if isinstance(obj, type):
            return self._class(obj)
        if isinstance(obj, CodeType):
            self.seen.imported_in_functions.update(imports_in(obj))
            self.seen.names_in_functions.update(names_in(obj))
            return self._code.reduce(obj) or self._odd_code(obj)
        if isinstance(obj, ModuleType):
            self._see(obj.__name__)
            if shell := self._shells.get(id(obj)):
                return same_module, (shell,), self._placeless(_module_state(vars(obj)))
        elif reducer := _REDUCERS.get(type(obj)):
            return reducer(self, obj)
        elif isinstance(obj, (set, frozenset)):
            return _set_like(obj)
        return super().reducer_override(obj)

    def _odd_code(self, code: CodeType) -> Any:
        make, args = self.dispatch_table[CodeType](code)
        name = self._source.own_name(code.co_filename)
        return make, (*args[:_FILENAME], name, *args[_FILENAME + 1 :])

    def _function(self, function: FunctionType) -> Any:
        around = function.__globals__
        if id(around) not in self.globals_ref:
            names = ("__package__", "__name__", "__path__", "__file__")
            self.globals_ref[id(around)] = self._placeless(
                {name: around[name] for name in names if name in around}
            )
        reduced = super().reducer_override(function)
        if isinstance(reduced, tuple):
            self.seen.references.note_function(function, self._local)
            file = self._source.name(function.__code__.co_filename)
            self._values.note(function, file, self._travels)
            _, slots = reduced[2]
            slots["__globals__"] = self._placeless(slots["__globals__"])
            # In the order in which they happened to be imported.
            slots["_cloudpickle_submodules"].sort(key=lambda m: getattr(m, "__name__", ""))
        return reduced

    def _class(self, kind: type) -> Any:
        reduced = super().reducer_override(kind)
        if isinstance(reduced, tuple) and reduced[0].__name__ in _TRACKERS:
            state, _ = reduced[2]
            if state.get("__annotations__") == {}:  # made when somebody looks for them
                del state["__annotations__"]
            if "_abc_impl" in state:  # in the order of their addresses
                state["_abc_impl"] = {kind for kind in state["_abc_impl"] if kind is not None}
            if hasattr(kind, "_is_protocol"):  # typing puts its own there, when a class is made
                for name in ("__init__", "__subclasshook__"):
                    function = getattr(state.get(name), "__func__", state.get(name))
                    if getattr(function, "__module__", None) == "typing":
                        del state[name]
            if "__dataclass_fields__" in state:
                state["__doc__"] = _stable_doc(kind, state.get("__doc__"))
            maker, args, (_, slots), *rest, _ = self._untracked(reduced)
            written = self._code.dataclass(kind, state)
            members: dict[str, dict[str, Any]] = {}
            if issubclass(kind, Enum):
                args, members = with_aliases(kind, args, state), attributes(kind)
            return maker, args, (state, slots, written, members), *rest, class_state
        return reduced

    def _type_variable(self, variable: Any) -> Any:
        return self._untracked(self.dispatch_table[type(variable)](variable))

    def _untracked(self, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        maker, args, *rest = reduced
        if self._track_classes or maker.__name__ not in _TRACKERS:
            return reduced
        changed = list(args)
        changed[_TRACKERS[maker.__name__]] = None
        return maker, tuple(changed), *rest

    def _cached_function(self, function: Any) -> Any:
        """Have a cached function of local code travel, too: without what it has cached."""
        if function.__module__ != "__main__" and function.__module__ not in self._local:
            found: Any = sys.modules.get(function.__module__)
            for name in function.__qualname__.split("."):
                found = getattr(found, name, None)
            if found is function:
                return NotImplemented
        parameters = function.cache_parameters()
        return (
            cached_function,
            (function.__wrapped__, parameters["maxsize"], parameters["typed"]),
        )

    def _placeless(self, names: dict[str, Any]) -> dict[str, Any]:
        """Return globals that do not tell in which directory a module lies."""
        included = self._included
        if isinstance(file := names.get("__file__"), str):
            # A module that stands elsewhere than what travels has but its name.
            place = included and included.place_of(file)
            names["__file__"] = Located(place) if place else self._source.name(file)
        if "__path__" in names:  # says that it is a package, of which files may travel
            directories = (
                [included.place_of(path) for path in names["__path__"]] if included else []
            )
            names["__path__"] = [Located(one) for one in directories if one]
        if included:
            for name, value in names.items():
                if type(value) is str and value.startswith("/") and (place := self._travels(value)):
                    names[name] = Located(place)
        return names

    def _path(self, path: Any) -> Any:
        if path.is_absolute():
            if place := self._travels(str(path)):
                return located_path, (place,)
            self.seen.references.note_path(path)
        return NotImplemented

    def _travels(self, path: str) -> str | None:
        place = self._included and self._included.place_of(path)
        return place if place and self._included and self._included.has(place) else None

    def _see(self, module: str) -> None:
        self.seen.modules.add(module)
        if module in self._compiled:
            raise PicklingError(
                f"The flow uses {module}: a compiled module that is not installed cannot travel. "
                "Install it as a package, here and where the flow runs"
            )


def _alone(reducer: Callable[[Any], Any]) -> Callable[[FlowPickler, Any], Any]:
    return lambda _, obj: reducer(obj)


_REDUCERS: dict[type, Callable[[FlowPickler, Any], Any]] = {
    _CACHED_FUNCTION: FlowPickler._cached_function,  # noqa: SLF001 - of this module
    TypeVar: FlowPickler._type_variable,  # noqa: SLF001 - of this module
    PosixPath: FlowPickler._path,  # noqa: SLF001 - of this module
    **{kind: _alone(reducer) for kind, reducer in REDUCERS.items()},
}


def _set_like(obj: Any) -> Any:
    """Reduce an instance of a subclass of set with a set, where Python would take a list."""
    kind: Any = type(obj)
    base: Any = set if isinstance(obj, set) else frozenset
    if kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not base.__reduce__:
        return NotImplemented
    made, _, *rest = obj.__reduce_ex__(_PROTOCOL)
    return made, (set(obj),), *rest


class WithRoots:
    """Pickles as a call that hands on the flow, and says below which places its packages are."""

    def __init__(self, flow: Any, roots: list[str]) -> None:
        self._parts = (flow, roots)

    def __reduce__(self) -> tuple[Any, ...]:
        return with_roots, self._parts


class Located:
    """Pickles as a path in the directory that a run has unpacked the package's files in."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return located, (self._place,)


class _Shell:
    """Pickles as a new module without content, which module and globals are then put into."""

    def __init__(
        self, module: ModuleType, placeless: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        self._module = module
        self._placeless = placeless

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("__file__", "__package__", "__path__")
        state = {n: vars(self._module)[n] for n in names if n in vars(self._module)}
        return PackagedModule, (self._module.__name__,), self._placeless(state)


class _Globals:
    """Pickles as the dict of a module, for the functions of that module."""

    def __init__(self, shell: _Shell) -> None:
        self._shell = shell

    def __reduce__(self) -> tuple[Any, ...]:
        return vars, (self._shell,)


def _stable_doc(kind: type, doc: str | None) -> str | None:
    """Return a dataclass's doc, but not one that Python made of the reprs of its defaults.

    Those of sets and functions differ from process to process.
    """
    made = doc is not None and doc.startswith(f"{kind.__name__}(")
    return f"{kind.__name__}(...)" if doc and made and ("{" in doc or " at 0x" in doc) else doc


def _module_state(content: dict[str, Any]) -> dict[str, Any]:
    """Return a module's content in an order that its history does not show in."""
    state = {key: content[key] for key in sorted(content) if key not in NOT_OF_THE_SOURCE}
    if state.get("__annotations__") == {}:  # made when somebody looks for them
        del state["__annotations__"]
    return state


@contextmanager
def local_modules_by_value(own: OwnModules | None = None) -> Iterator[dict[str, ModuleType]]:
    """Have cloudpickle carry modules that are not installed; yield them by name.

    Args:
        own: those that travel in wheels, and are not among them.
    """
    # The registry is cloudpickle's global: one packaging at a time, and nothing left behind.
    with _registering:
        local = loaded_local_modules(own)
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
