"""`prefect.images.changes`."""

import json

import pytest

from prefect.images.changes import told_changes
from prefect.oci.cache.store import Store
from prefect.oci.images import Image

BEFORE = [
    ("numpy 2.0", "n1"),
    ("six 1.17, toolz 1.0", "g1"),
    ("prefect's runtime", "r1"),
    ("the flow", "f1"),
]


def image(layers, base="b1"):
    """An image of layers with these comments and digests, as far as its config tells of them."""
    config = {
        "history": [{"created_by": "base image"}, *({"created_by": text} for text, _ in layers)],
        "rootfs": {"diff_ids": [base, *(digest for _, digest in layers)]},
    }
    return Image(json.dumps(config).encode(), ())


@pytest.fixture
def told(tmp_path):
    """Return the line for an image, told after those before it."""
    with Store(tmp_path / "store") as store:
        yield lambda *arguments, name="etl", **more: told_changes(
            image(*arguments, **more), name, store
        )


@pytest.mark.parametrize(
    ("layers", "base", "says"),
    [
        (BEFORE, "b1", "Layers: all 5 are those of the last build"),
        (BEFORE, "b2", "Layers: 1 of 5 are new since the last build, for these changed: the base"),
        ([*BEFORE[:3], ("the flow", "f2")], "b1", "1 of 5 are new since the last build, for these changed: the flow"),
        ([("numpy 2.1", "n2"), *BEFORE[1:]], "b1", "for these changed: numpy 2.0 -> 2.1"),
        ([BEFORE[0], ("six 1.17", "g2"), *BEFORE[2:]], "b1", "for these changed: toolz 1.0 (gone)"),
        ([BEFORE[0], ("attrs 25, six 1.17, toolz 1.0", "g2"), *BEFORE[2:]], "b1", "for these changed: attrs 25 (added)"),
        ([BEFORE[0], ("six 1.17, toolz 1.0", "g2"), *BEFORE[2:]], "b1", "six 1.17, toolz 1.0 was made anew"),
        (BEFORE[:3], "b1", "Layers: 0 of 4 are new since the last build, for these changed: the flow (gone)"),
    ],
)  # fmt: skip
def test_what_has_changed_is_told(told, layers, base, says):
    """Distributions by their versions, all else by its name."""
    assert told(BEFORE) == "Layers: 5, of the first build under this name"
    assert says in told(layers, base=base)
    assert "of the first build" in told(layers, name="other")
