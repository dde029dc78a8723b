"""Unpacked layers in the store: each once, for however many images, and held while a run uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from prefect.frozen import frozen
from prefect.oci.cache import directories
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path
    from typing import Any

    from prefect.oci.cache.directories import HeldDirectory
    from prefect.oci.cache.store import Store
    from prefect.oci.images import Layer

OPAQUE = "user.overlay.opaque"  # of a directory that hides what lower layers have in it
IMPLIED = 0o755  # permissions of directories that a layer does not list
_FORM = 1  # counts up when layers are unpacked in another way
FILES, _ABOUT = "files", "about"  # in a directory of the store
_UNPACKERS = 4


@frozen
class Tree:
    """The files of one layer, which nobody removes while it is held, and nobody changes.

    Args:
        path: their directory.
        about: what `unpack` told.
    """

    path: Path
    about: Mapping[str, Any]


class Trees:
    """The layers of one run.

    Args:
        held: lets go of them in the end.
    """

    def __init__(self, store: Store, held: ExitStack) -> None:
        self._store = store
        self._held = held
        self._wanted = True

    def has(self, diff_id: str) -> bool:
        """Tell whether a layer is unpacked, and hold it then."""
        return self._find(diff_id) is not None

    def provide(self, layers: Sequence[Layer], progress: Callable[[str], object]) -> list[Tree]:
        """Return the trees of layers, and unpack those that are not by now.

        Raises:
            ImageContentError: a layer is malformed, hostile, or not what its digests promise.
            ImageError: the bytes of a layer are not at hand.
        """
        found = {layer.diff_id: self._find(layer.diff_id) for layer in layers}
        missing = {layer.diff_id: layer for layer in layers if found[layer.diff_id] is None}
        if missing:
            size = sum(layer.blob.size for layer in missing.values() if layer.blob is not None)
            plural = "s" if len(missing) > 1 else ""
            doing = f"Unpacking {len(missing)} layer{plural} of {size / 1e6:.1f} MB"
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - seldom needed

            def unpack(layer: Layer) -> Tree:
                tree = self._unpack(layer)
                told.add(layer.blob.size if layer.blob is not None else 0)
                return tree

            with (
                step(doing, size, say=progress) as told,
                ThreadPoolExecutor(_UNPACKERS, "prefect-unpack") as pool,
            ):
                try:
                    made = pool.map(unpack, missing.values())
                    found |= dict(zip(missing, made, strict=True))
                except BaseException:  # also Ctrl-C: who waits for the others need not
                    self._wanted = False
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        return [tree for layer in layers if (tree := found[layer.diff_id]) is not None]

    def merged(self, key: str, make: Callable[[Path], None]) -> Path:
        """Return a directory that was made of trees, or make it from these, which are held."""

        def made(path: Path) -> None:
            (path / FILES).mkdir(parents=True)
            (path / FILES).chmod(0o755)
            make(path / FILES)

        held = self._store.directory(f"merged layers {_FORM} {key}", made, lasting=False)
        self._held.callback(held.close)
        return held.path / FILES

    def _is_wanted(self) -> bool:
        return self._wanted

    def _find(self, diff_id: str) -> Tree | None:
        held = directories.hold(directories.place_of(self._store.root, key_of(diff_id)))
        return None if held is None else self._as_tree(held)

    def _unpack(self, layer: Layer) -> Tree:
        from prefect.places.sandbox.unpacking import unpack  # noqa: PLC0415 - loads isal

        def make(path: Path) -> None:
            (path / FILES).mkdir(parents=True)
            (path / FILES).chmod(0o755)
            (path / _ABOUT).write_text(json.dumps(unpack(layer, path / FILES, self._is_wanted)))

        # Many small files, which a machine that crashed can unpack anew sooner than wait for a disk.
        return self._as_tree(self._store.directory(key_of(layer.diff_id), make, lasting=False))

    def _as_tree(self, held: HeldDirectory) -> Tree:
        self._held.callback(held.close)
        return Tree(held.path / FILES, json.loads((held.path / _ABOUT).read_bytes()))


def key_of(diff_id: str) -> str:
    """Return the key by which the store has a layer unpacked."""
    return f"layer {_FORM} {diff_id}"
