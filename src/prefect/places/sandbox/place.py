"""A sandbox as a place: an image's worker in namespaces of its own, with no engine and no root."""

from __future__ import annotations

import json
import os
import signal
import stat
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.files import private_directory
from prefect.oci.cache.layout import DIRECTORIES, MOUNT
from prefect.oci.cache.of_user import open_cache
from prefect.oci.images import canonical_json
from prefect.places.process import WorkerProcess
from prefect.places.sandbox import ahead, bubblewrap, entering
from prefect.places.sandbox.beginning import tied_without_keys
from prefect.places.sandbox.entering import Launch, Layers
from prefect.places.sandbox.host import find_host
from prefect.places.sandbox.limits import limited, remove_stale_groups
from prefect.places.sandbox.spec import COVERED, make_spec, require
from prefect.places.sandbox.stack import Stack
from prefect.places.sandbox.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from prefect.images.inspection import FlowImage
    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image
    from prefect.places.process import Child
    from prefect.places.protocol import Work
    from prefect.places.sandbox.host import Host
    from prefect.places.sandbox.spec import Spec
    from prefect.places.surroundings import Surroundings

_SPARE = "/var/tmp"  # noqa: S108


class Sandbox:
    """An image, to be run in a sandbox; meets `protocol.Place`.

    Args:
        image: one whose layers' bytes are at hand, unless they are unpacked already.
        store: keeps the layers unpacked; it stays open while a run goes on. None is the user's cache.
        progress: gets a line of text where something takes a while.
    """

    def __init__(
        self,
        image: Image,
        *,
        store: Store | None = None,
        progress: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._image = image
        self._store = store
        self._progress = progress

    def start(self, work: Work) -> SandboxProcess:
        """Unpack what of the image is not unpacked by now, and start its worker.

        It ends with the thread that calls this, at the latest.

        Raises:
            PlaceError: no sandbox can be made here, or not with what is asked of it.
            ImageError: the image has nothing to run, or is for another processor.
            ImageContentError: its layers are malformed, hostile, or not what their digests promise.
        """
        require(self._image, work)
        if (found := ahead.take(self._image, work)) is not None:
            return SandboxProcess(
                found.child, found.launch, result=found.result, clean_up=found.close
            )
        with ExitStack() as closing:
            store = self._store or closing.enter_context(open_cache())
            host = find_host(store)
            remove_stale_groups()
            # runc makes a group itself, and moves the run there.
            limits = _limits(work.surroundings, closing) if host.bwrap else []
            trees = Trees(store, closing)
            stack = Stack(trees.provide(self._image.layers, self._progress))
            result = None
            if work.has_report:
                result = closing.enter_context(private_directory("prefect-result"))
            spec = make_spec(self._image, work, stack, result)
            launch = self._launch(spec, work.surroundings, stack, trees, host, store)
            closing.callback(launch.close)
            try:
                clean_up = closing.pop_all()
                started = SandboxProcess(
                    [*limits, *launch.command],
                    launch,
                    env=entering.ENVIRONMENT,
                    cwd=store.root / DIRECTORIES,
                    descriptors=launch.inherited,
                    result=None if result is None else result / "result",
                    clean_up=clean_up.close,
                    apart=tied_without_keys(),
                )
            finally:
                launch.begun()
            if host.overlay:
                ahead.remember(self._image, work, stack, spec, store)  # while the worker starts
            return started

    def _launch(
        self,
        spec: Spec,
        asked: Surroundings,
        stack: Stack,
        trees: Trees,
        host: Host,
        store: Store,
    ) -> Launch:
        lower = [os.path.relpath(tree.path, store.root / DIRECTORIES) for tree in stack.trees]
        layers = Layers(store.root / MOUNT, lower, stack.unlisted_modes())
        if host.bwrap is None:
            from prefect.places.sandbox import runc  # noqa: PLC0415 - where bubblewrap is not

            return runc.launch(str(host.runc), spec, asked, layers)
        if host.overlay and stack.marked:
            found = bubblewrap.on_overlay(host.bwrap, spec, layers)
            if found is not None:
                return found
        root = self._merged(stack, spec, trees)
        own = sorted({_SPARE, spec.home, spec.workdir} - {"/", *COVERED})
        return bubblewrap.on_links(host, spec, root, own)

    def _merged(self, stack: Stack, spec: Spec, trees: Trees) -> Path:
        """Return the files as one tree, with something for each mount to be mounted on."""
        from prefect.places.sandbox.merging import merge  # noqa: PLC0415 - where no overlay is had

        wanted = dict.fromkeys((*COVERED, _SPARE, spec.home, spec.workdir), True)
        wanted |= {mount.target: os.path.isdir(mount.source) for mount in spec.mounts}  # noqa: PTH112
        identity = [[layer.diff_id for layer in self._image.layers], sorted(wanted.items())]
        return trees.merged(
            canonical_json(identity).decode(),
            lambda path: merge(stack, path, sorted(wanted.items())),
        )


def _limits(asked: Surroundings, closing: ExitStack) -> list[str]:
    if asked.memory is None and asked.cpus is None:
        return []
    return closing.enter_context(limited(asked))


@contextmanager
def found_for_sandbox(
    name: str | os.PathLike[str], progress: Callable[[str], object] = lambda _: None
) -> Iterator[tuple[Sandbox, FlowImage]]:
    """Find an image, and have it ready for a sandbox for as long as it may be run.

    What is unpacked already is fetched from nowhere.

    Args:
        name: as `images.whole.find_whole` takes it.
        progress: gets a line of text where something takes a while.

    Raises:
        Exception: as `find_whole`.
    """
    from prefect.images.whole import find_whole  # noqa: PLC0415 - a plan's image is at hand

    with ExitStack() as held:
        store = held.enter_context(open_cache())
        unpacked = Trees(store, held).has
        image, found = find_whole(name, store, unpacked=unpacked, progress=progress)
        yield Sandbox(image, store=store, progress=progress), found


class SandboxProcess(WorkerProcess):
    """A worker in a sandbox.

    Args:
        launch: what it is started with.
    """

    def __init__(self, command: Sequence[str] | Child, launch: Launch, **settings: Any) -> None:
        self._told = b""
        self._status_of = launch.status
        self._depth = launch.depth
        super().__init__(command, **settings)

    def wait(self) -> int:
        """Wait until it ends; return its exit status.

        Raises:
            PlaceError: it never began, as the sandbox could not be entered.
        """
        status = super().wait()
        if status and not self._removed and "exit-code" not in self._tell():
            raise PlaceError(
                "The sandbox could not be entered, or was ended from outside: what was written last "
                "tells why"
            )
        return status

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have a signal end the worker, which goes on to tell of it."""
        if self._waiter.is_alive() and "child-pid" in self._tell():
            worker: int | None = self._process.pid
            for _ in range(self._depth):
                worker = _child(worker)
            if worker is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker, number)

    def report(self) -> bytes | None:
        """Return its report; None where it wrote none, or something else than a file."""
        if self._result is None:
            return super().report()
        try:  # whatever has the name: the run could put a link there, or a pipe that nobody writes to
            handle = os.open(
                self._result, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor
            return file.read()

    def _tell(self) -> dict[str, Any]:
        """Return what bubblewrap told by now; of runc, who passes signals on to the worker, nothing is known."""
        if self._status_of is None:
            return {"exit-code": None, "child-pid": None}
        with suppress(BlockingIOError):
            while data := os.read(self._status_of, 4096):
                self._told += data
        found: dict[str, Any] = {}
        for line in self._told.splitlines():
            with suppress(ValueError):
                found |= json.loads(line)
        return found


def _child(parent: int | None) -> int | None:
    """Return the process that another one has started, if it has."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
