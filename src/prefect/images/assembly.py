"""A plan as an image, made here: no container engine, no root, nothing of the image is executed."""

from __future__ import annotations

import hashlib
import io
import posixpath
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from prefect.dependencies.bytecode import Compiler, Interpreter, bytecode_entries, find_interpreter
from prefect.images.base.python import DEFAULT_PATH
from prefect.images.dependency_layers import dependency_layers
from prefect.images.plan import COMMAND, ENTRYPOINT, LOCK_FILE, PYTHON, ImagePlan
from prefect.images.runtime import RuntimeFiles
from prefect.oci.images import Layer, blob_of, canonical_json, derive
from prefect.oci.layers.writing import CODEC, LAYER, Entry, write_layer
from prefect.payload.attachments import listed
from prefect.running.flow_directory import FILES, FLOW_DIRECTORY, MANIFEST_FILE, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, BinaryIO

    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image
    from prefect.oci.layers.writing import Written

_FORMAT = 2  # counts up when the runtime's layer is made in another way
_OWN = PREFIX.lstrip("/")
# A larger payload has a layer of its own, so that a look at the manifest need not read it.
_LARGE = 1 << 20


def assemble(
    plan: ImagePlan,
    base: Image,
    store: Store,
    *,
    annotations: dict[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
    ready: Callable[[Sequence[Layer]], None] | None = None,
) -> Image:
    """Put the layers of a plan on its base.

    Args:
        base: where it has no blobs, neither has the result, and the container engine that has them
            can load it.
        ready: gets the layers that there are on the base, from the first one up, while others are
            made.

    Raises:
        RequirementsError: a dependency has no wheel for the image's Python and platform.
        OSError: the store cannot be written.
    """
    with ThreadPoolExecutor(1, "prefect-runtime") as pool:  # while uv downloads
        runtime = pool.submit(_runtime_layer, plan, store)
        layers = dependency_layers(
            plan.lock,
            python=plan.python,
            platform=plan.platform,
            prefix=PREFIX,
            sources=plan.sources,
            wheels=plan.wheels,
            store=store,
            progress=progress,
            ready=ready,
        )
    layers.append((runtime.result(), "prefect's runtime"))
    # By itself: within the runtime's layer, each changed dependency would change that one, too.
    layers.append(
        (_small_layer(_OWN, {posixpath.basename(LOCK_FILE): plan.lock.encode()}), "the lock")
    )
    flow = FLOW_DIRECTORY.lstrip("/")
    if plan.files:
        layers.append((_attached_layer(plan, store), "the files that travel with the flow"))
    layers += [(_small_layer(flow, files), comment) for files, comment in _flow_files(plan)]
    settings = {
        "Env": _environment(base.settings.get("Env") or []),
        "Entrypoint": list(ENTRYPOINT),
        "Cmd": list(COMMAND),
        "Labels": {**base.labels, **plan.labels},
    }
    return derive(
        base,
        [layer for layer, _ in layers],
        settings,
        comments=[comment for _, comment in layers],
        annotations=annotations,
    )


def _environment(lines: Sequence[str]) -> list[str]:
    environment = dict(line.partition("=")[::2] for line in lines)
    environment["PATH"] = f"{PREFIX}/bin:{environment.get('PATH') or DEFAULT_PATH}"
    environment["PYTHONUNBUFFERED"] = "1"
    return [f"{name}={value}" for name, value in environment.items()]


def _runtime_layer(plan: ImagePlan, store: Store) -> Layer:
    """Return the layer with the environment's own files and this package."""
    interpreter = find_interpreter(plan.python, store)
    identity = [_FORMAT, CODEC, plan.interpreter, plan.python, interpreter and interpreter.version]
    key = _runtime_key(plan.runtime, identity, store)

    def make(file: BinaryIO) -> Written:
        with TemporaryDirectory(dir=store.scratch()) as directory:
            entries = _runtime_entries(plan, interpreter, Path(directory))
            return write_layer(entries, file, own=_OWN)

    return store.layer(key, make, LAYER)


def _runtime_key(runtime: Mapping[str, bytes], identity: list[Any], store: Store) -> str:
    """Return the key of the runtime's layer, by the files' contents; they are read where they may have changed."""

    def digest(value: Any) -> str:
        return hashlib.sha256(canonical_json(value)).hexdigest()

    by_stamps = None
    if isinstance(runtime, RuntimeFiles):
        by_stamps = f"runtime by its files {digest([*identity, runtime.stamps()])}"
        known = store.recall(by_stamps)
        if isinstance(known, str):
            return known
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in runtime.items()}
    key = f"runtime-{digest([*identity, digests])}"
    if by_stamps is not None:
        store.remember(by_stamps, key)
    return key


def _runtime_entries(
    plan: ImagePlan, interpreter: Interpreter | None, directory: Path
) -> list[Entry]:
    # What `python -m venv --system-site-packages` makes, for a Python that is not here.
    site = (
        f"home = {posixpath.dirname(plan.interpreter)}\n"
        "include-system-site-packages = true\n"
        f"version = {plan.python}\n"
    )
    packages = plan.site_packages.lstrip("/")
    sources = {f"{packages}/{path}": data for path, data in plan.runtime.items()}
    entries = [
        Entry(f"{_OWN}/pyvenv.cfg", site.encode()),
        Entry(PYTHON.lstrip("/"), link=plan.interpreter),
        Entry(f"{_OWN}/bin/python3", link="python"),
        Entry(f"{_OWN}/bin/python{plan.python}", link="python"),
        *(Entry(path, data) for path, data in sources.items()),
    ]
    if interpreter is not None:
        files = []
        for number, data in enumerate(sources.values()):
            (file := directory / f"{number}.py").write_bytes(data)
            files.append(file)
        with closing(Compiler(interpreter, directory)) as compiler:
            named = list(zip(files, sources, strict=True))
            entries += bytecode_entries(compiler, named, plan.python, "prefect")
    return entries


def _flow_files(plan: ImagePlan) -> list[tuple[dict[str, bytes], str]]:
    if not plan.flow:
        return []
    if sum(map(len, plan.flow.values())) <= _LARGE or MANIFEST_FILE not in plan.flow:
        return [(dict(plan.flow), "the flow")]
    manifest = {MANIFEST_FILE: plan.flow[MANIFEST_FILE]}
    rest = {name: data for name, data in plan.flow.items() if name != MANIFEST_FILE}
    return [(rest, "the flow"), (manifest, "the flow's manifest")]


def _attached_layer(plan: ImagePlan, store: Store) -> Layer:
    """Return the layer with the files that travel, however large they are."""
    listing = canonical_json([_FORMAT, CODEC, listed(plan.files)])
    key = f"attached-{hashlib.sha256(listing).hexdigest()}"
    entries = [
        Entry(
            f"{FILES.lstrip('/')}/{one.path}", one.source or b"", one.executable, sha256=one.sha256
        )
        for one in plan.files
    ]
    return store.layer(key, lambda file: write_layer(entries, file, own=_OWN), LAYER)


def _small_layer(own: str, files: dict[str, bytes]) -> Layer:
    file = io.BytesIO()
    written = write_layer(
        [Entry(f"{own}/{name}", data) for name, data in files.items()], file, own=own
    )
    return Layer(written.diff_id, blob_of(file.getvalue(), LAYER))
