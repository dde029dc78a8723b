"""Which layers of an image are others than those of the last build of its name, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prefect.patterns import pattern

if TYPE_CHECKING:
    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image

_BASE = "the base"
_DISTRIBUTIONS = pattern(r"[a-z0-9-]+ \d\S*(, [a-z0-9-]+ \d\S*)*")
_MOST_TOLD = 6


def told_changes(image: Image, name: str, store: Store) -> str:
    """Return a line on what is new in an image, and remember it for the next build.

    Args:
        image: as it was made here.
        name: where it goes.
        store: remembers the layers of the last build that went there.
    """
    layers = _layers(image)
    key = f"layers of {name}"
    former = store.recall(key)
    store.remember(key, layers)
    if not _is_layers(former):
        return f"Layers: {len(layers)}, of the first build under this name"
    known = {digest for _, digest in former}
    new = [text for text, digest in layers if digest not in known]
    if not new and len(former) == len(layers):
        return f"Layers: all {len(layers)} are those of the last build"
    lines = [*_releases(former, layers), *(text for text in new if not _is_distributions(text))]
    texts = [text for text, _ in layers]
    lines += [f"{t} (gone)" for t, _ in former if t not in texts and not _is_distributions(t)]
    lines = lines or [f"{text} was made anew" for text in new]
    more = f", and {len(lines) - _MOST_TOLD} more" if len(lines) > _MOST_TOLD else ""
    return (
        f"Layers: {len(new)} of {len(layers)} are new since the last build, for these changed: "
        f"{', '.join(lines[:_MOST_TOLD])}{more}"
    )


def _releases(former: list[list[str]], layers: list[list[str]]) -> list[str]:
    """Return which distributions came, went, or have another version."""
    old, new = _versions(former), _versions(layers)
    told = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            told.append(f"{name} {new[name]} (added)")
        elif name not in new:
            told.append(f"{name} {old[name]} (gone)")
        elif old[name] != new[name]:
            told.append(f"{name} {old[name]} -> {new[name]}")
    return told


def _versions(layers: list[list[str]]) -> dict[str, str]:
    parts = [part for text, _ in layers if _is_distributions(text) for part in text.split(", ")]
    return dict(part.split(" ", 1) for part in parts)


def _is_distributions(text: str) -> bool:
    return _DISTRIBUTIONS.fullmatch(text) is not None


def _layers(image: Image) -> list[list[str]]:
    """Return what each layer is called, and its digest; those of the base as one."""
    config = json.loads(image.config)
    diff_ids = config["rootfs"]["diff_ids"]
    texts = [str(entry.get("created_by", "")) for entry in config["history"]]
    base = [digest for text, digest in zip(texts, diff_ids, strict=True) if text == "base image"]
    own = [[t, d] for t, d in zip(texts, diff_ids, strict=True) if t != "base image"]
    return [[_BASE, " ".join(base)], *own]


def _is_layers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, list) and list(map(type, one)) == [str, str] for one in value
    )
