"""How jobs are pickled for the workers of a Dask cluster: what several of them need is sent once."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from contextlib import nullcontext, suppress
from functools import partial
from threading import Thread

from prefect.core.refs import Ref, sending
from prefect.engine.executors.brought import is_whole, noting, sources_of
from prefect.engine.executors.dask import kept
from prefect.engine.executors.dask.kept import dumps
from prefect.engine.executors.dask.modules import BringsModules, forgetting
from prefect.engine.executors.dask.refs import ClusterRef, Promise
from prefect.engine.executors.travelling import are_names_known, for_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from prefect.core.task import Task
    from prefect.engine.executors.local_modules import LocalModules
    from prefect.engine.job import Job

SMALL = 1024
"""Bytes, pickled, up to which what several jobs need goes along with each of them."""
LARGE = 1 << 20
"""Bytes from which on an input is sent on its own, though only one job is known to need it."""
REMEMBERED = 64
"""How many inputs are remembered, to send once what several jobs get."""
ANSWERED = 10.0
"""Seconds for which workers that do not answer are waited for when they are sent modules."""
_PLAIN = frozenset({type(None), bool, int, float, complex})


class Parcel:
    """A job as it is sent: bytes, or futures of what stands for them there."""

    __slots__ = ("context", "payload", "references", "step")

    def __init__(self, step: Any, context: Any, payload: bytes, references: list[Any]) -> None:
        self.step = step
        self.context = context
        self.payload = payload
        self.references = references


class Packing:
    """Pickles the jobs of one run.

    Args:
        client: puts on the cluster what several of them need.
        name: of the run.
        numbers: for keys.
        local: the local modules that workers do not have; None where they find them by their names.
    """

    def __init__(
        self, client: Any, name: str, numbers: Iterator[int], local: LocalModules | None = None
    ) -> None:
        self._client = client
        self._name = name
        self._numbers = numbers
        self._local = local
        self._modules: set[str] = set()  # digests of those that the flow has brought
        self._brought: set[str] = set()  # and workers have
        self._steps: dict[Any, bytes] = {}  # by likeness
        self._kept: dict[bytes, Any] = {}  # by what they are; None for what one job has got
        self._contexts: dict[int, tuple[Any, bytes]] = {}
        self._seen: OrderedDict[int, tuple[Any, Any]] = OrderedDict()

    def pack(self, job: Job) -> Parcel:
        """Pickle a job; raise whatever an object's pickling does."""
        references: list[Any] = []
        token = sending.set(_Sender(references))
        try:
            with noting(self._modules), self._local.sending() if self._local else nullcontext():
                parcel = self._packed(job, references)
        finally:
            sending.reset(token)
        if job.keeping is not None and self._local:  # what is stored may be of them, by their names
            self._modules |= self._local.digests
        if new := self._modules - self._brought:
            _in_time(partial(self._bring, new))
            self._brought |= new
        return parcel

    def _bring(self, digests: set[str]) -> None:
        """Have all workers find modules, until the run's client has left."""
        if not self._brought:
            with suppress(Exception):  # a scheduler that takes none keeps them
                self._client.register_plugin(forgetting(self._name, self._client.id))
        for digest, sources in zip(digests, sources_of(digests), strict=True):
            plugin = BringsModules(self._name, digest, sources, whole=is_whole(digest))
            self._client.register_plugin(plugin)

    def _packed(self, job: Job, references: list[Any]) -> Parcel:
        step, context = self._step(job), self._context(job)
        inputs = {name: self._input(value, references) for name, value in job.inputs.items()}
        payload = _plainly(
            (job.slug, job.map_index, job.run_count, job.retrying, inputs, job.keeping)
        )
        return Parcel(step, context, payload, references)

    def clear(self) -> None:
        """Let go of what was sent."""
        self._kept.clear()
        self._seen.clear()

    def _step(self, job: Job) -> Any:
        """Return the task as it is sent: with a job that is alone to need it, else once for all."""
        likeness = _likeness(job.task)
        data = self._steps.get(likeness)
        if data is None:
            data = self._steps[likeness] = dumps(for_workers(job.task))
        return self._keep(data, b"step", shared=job.map_index is not None)

    def _context(self, job: Job) -> Any:
        found = self._contexts.get(id(job.context))
        if found is None:
            found = self._contexts[id(job.context)] = (job.context, dumps(job.context))
        return found[1] if len(found[1]) <= SMALL else self._keep(found[1], b"context", shared=True)

    def _keep(self, data: bytes, kind: bytes, *, shared: bool) -> Any:
        """Return data, or, if several jobs need it, what stands for it on the cluster."""
        name = kind + data
        future = self._kept.get(name)
        if future is not None:
            return future
        if len(data) <= SMALL // 4 or (not shared and name not in self._kept and len(data) < LARGE):
            self._kept[name] = None
            return data
        future = self._kept[name] = self._put(data)
        return future

    def _put(self, data: bytes) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            key = (f"prefect-kept-{self._name}", next(self._numbers))
            return self._client.submit(kept.Kept, data, key=key, pure=False)

    def _input(self, value: Any, references: list[Any]) -> Any:
        """Return a value as it is sent: on its own, if several jobs get it, and it is not small."""
        kind = type(value)
        if (
            kind in _PLAIN
            or isinstance(value, Ref)
            or (kind in {str, bytes} and len(value) < SMALL)
        ):
            return value
        seen = self._seen.get(id(value))
        if seen is None:
            data = dumps(value)
            if len(data) <= SMALL:
                return kept.Packed(data)
            future = self._put(data) if len(data) > LARGE else None
            self._remember(value, future)
            if future is None:
                return kept.Packed(data)
        else:
            future = seen[1]
            if future is None:
                future = self._put(dumps(value))
            self._remember(value, future)
        references.append(future)
        return _Taken(len(references) - 1)

    def _remember(self, value: Any, future: Any) -> None:
        self._seen[id(value)] = (value, future)
        self._seen.move_to_end(id(value))
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


class _Sender:
    """Says how a reference is pickled as an input: as the number of a dependency."""

    def __init__(self, references: list[Any]) -> None:
        self._references = references
        self._numbers: dict[int, int] = {}

    def __call__(self, ref: Ref) -> tuple[Any, ...]:
        if isinstance(ref, Promise):
            if not ref.is_kept:
                return kept.take, (self._number(ref),)
            if not isinstance(held := ref.held(), ClusterRef):
                return _itself, (held,)
            ref = held
        if not isinstance(ref, ClusterRef):
            raise TypeError(f"A {type(ref).__name__} cannot be sent to a cluster")
        if ref.parent is not None:
            return kept.take_item, (self._number(ref.parent), ref.index)
        return kept.take, (self._number(ref),)

    def _number(self, ref: ClusterRef | Promise) -> int:
        number = self._numbers.get(id(ref))
        if number is None:
            number = self._numbers[id(ref)] = len(self._references)
            self._references.append(ref.future)
        return number


def _itself(value: Any) -> Any:
    return value


class _Taken:
    """Stands for a value that comes as a dependency."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return kept.take, (self._number,)


def _likeness(task: Task) -> Any:
    """Return what is the same for copies of a task that differ in nothing: they are sent once."""
    return type(task), *((name, _alike(value)) for name, value in vars(task).items())


def _alike(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN or kind is str:
        return kind, value
    if kind in {list, tuple, set}:
        return kind, tuple(id(each) for each in value)
    return id(value)


def _plainly(payload: tuple[Any, ...]) -> bytes:
    """Pickle what is not of a module that would have to be sent by value; most often nothing in it is."""
    try:
        if are_names_known():
            data = pickle.dumps(payload, 5)
            if b"__main__" not in data:  # as Dask looks for it
                return data
    except Exception:  # noqa: BLE001, S110  # cloudpickle may be able to, or tells the reason
        pass
    return dumps(payload)


def _in_time(call: Callable[[], object]) -> None:
    """Make a call that all workers answer; go on without those that do not.

    One that is frozen hears of it when it thaws. What is to be said of it then is for others to say.
    """
    raised: list[Exception] = []

    def made() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # raised below
            raised.append(error)

    thread = Thread(target=made, name="prefect-modules", daemon=True)
    thread.start()
    thread.join(ANSWERED)
    if raised:
        raise raised[0]
