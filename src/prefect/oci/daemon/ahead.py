"""Loading the first layers of an image into a container engine while the later ones are made.

Unpacking takes a container engine about as long as making the same layers takes here. So what is
ready goes there meanwhile, as an image of its own that has no name and a label: a part. The whole
image then lacks but its last layers there, and the part is removed. What killed builds left goes
when another build loads ahead, an hour later.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from prefect.errors import PrefectError
from prefect.frozen import replace
from prefect.oci.daemon.client import Storage
from prefect.oci.daemon.loading import held_layers, load_part
from prefect.oci.images import canonical_json, derive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from prefect.oci.daemon.client import Daemon
    from prefect.oci.images import Image, Layer

PART = "prefect.part"  # the label of parts
_LEFT = "1h"  # the age at which a part is one that nobody removes any more
# Packed bytes, below which a load of its own takes longer than what it saves.
_WORTH = 1 << 20
_logger = logging.getLogger("prefect.oci")


class LoadingAhead:
    """Loads parts of an image in a thread; leaving it waits for the thread and removes the parts.

    What goes wrong with a part is no error: all that it should have had is sent with the image.
    Only Docker's classic store gets parts. containerd's knows an image by the digests of all of its
    base's packed layers, for which the base would have to be taken out first; and podman cannot
    list its images while one is removed.

    Args:
        name: that the whole image is to get.
        label: of the whole image, and of those that are likely to have layers in common with it.
    """

    def __init__(self, daemon: Daemon, name: str, *, label: str) -> None:
        self._daemon = daemon
        self._name, self._label = name, label
        self._changed = threading.Condition()
        self._wanted: Image | None = None
        self._ended = False
        self._thread: threading.Thread | None = None
        self._parts: list[str] = []  # the last one has all that the others have

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._remove(self._parts)

    def offer(self, base: Image, layers: Sequence[Layer]) -> None:
        """Take the layers that are ready, from the base up; more than last time, and more follow."""
        with self._changed:
            if self._ended or self._daemon.storage is not Storage.CLASSIC:
                return
            self._wanted = _part(base, layers)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prefect-load-ahead")
                self._thread.start()
            self._changed.notify()

    def end(self) -> list[str]:
        """Load no more; return the id of a part that was loaded, if one was, in a list."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        return self._parts[-1:]

    def _run(self) -> None:
        try:
            self._daemon.prune(PART, _LEFT)
            while (part := self._next()) is not None:
                known = held_layers(self._daemon, part, self._parts[-1:], self._name, self._label)
                missing = [layer for layer in part.layers if layer.diff_id not in known]
                if sum(layer.blob.size for layer in missing if layer.blob) < _WORTH:
                    continue
                # Noted first: whatever becomes of it is removed.
                former, self._parts = self._parts, [*self._parts, part.id]
                if not load_part(self._daemon, part, known, self._label, None):
                    return
                self._remove(former)
                self._parts = [part.id]
        except (PrefectError, OSError) as error:
            _logger.debug("Nothing more is loaded ahead: %s", error)

    def _next(self) -> Image | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._wanted is not None)
            part, self._wanted = self._wanted, None
            return None if self._ended else part

    def _remove(self, parts: Sequence[str]) -> None:
        for part in parts:
            with suppress(PrefectError):  # it goes with what killed builds leave
                self._daemon.remove(part)


def _part(base: Image, layers: Sequence[Layer]) -> Image:
    # An image of this build's own, by its label's value: nobody else removes it.
    image = derive(base, layers, {"Labels": {**base.labels, PART: uuid.uuid4().hex}})
    created = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    config = canonical_json(json.loads(image.config) | {"created": created})
    return replace(image, config=config)
