"""`prefect.oci.manifests`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import ImageContentError, RegistryNotFoundError
from prefect.oci.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from prefect.oci.manifests import choose, parse_document
from prefect.oci.platforms import Platform


def index(*platforms: str) -> dict:
    """An index whose entries have the size of their place in it."""
    entries = []
    for size, name in enumerate(platforms):
        keys = ("os", "architecture", "variant")
        fields = dict(zip(keys, name.split("/"), strict=False))
        digest = f"sha256:{size:064x}"
        entries.append(
            {"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": fields}
        )
    return {"manifests": entries}


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64"], "linux/arm64", 1),
        (["linux/amd64", "linux/arm64/v8"], "linux/arm64", 1),
        (["linux/arm64", "linux/arm64/v9"], "linux/arm64/v8", 0),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm", 1),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1),
        (["linux/arm/v5", "linux/arm/v7"], "linux/arm/v6", 0),
        (["linux/amd64/v3", "linux/amd64", "linux/amd64/v2"], "linux/amd64", 1),
        (["linux/amd64/v3", "linux/amd64/v2"], "linux/amd64", 1),
        (["linux/amd64/v2", "linux/amd64"], "linux/amd64/v3", 0),
        (["unknown/unknown", "windows/amd64", "linux/amd64"], "linux/amd64", 2),
    ],
)
def test_the_fitting_variant_is_chosen(there, wanted, chosen):
    """Exactly the wanted one, else the latest that runs there, else the only sensible guess."""
    assert choose(index(*there), Platform.parse(wanted), "x").size == chosen


@pytest.mark.parametrize(
    ("there", "wanted"),
    [(["linux/arm/v8"], "linux/arm/v6"), (["linux/amd64"], "windows/amd64"), ([], "linux/amd64")],
)
def test_what_does_not_run_is_not_chosen(there, wanted):
    """The error lists the platforms there are."""
    with pytest.raises(RegistryNotFoundError, match=", ".join(there) or "none at all"):
        choose(index(*there), Platform.parse(wanted), "x")


@pytest.mark.parametrize(
    "entry",
    [None, "x", {"digest": "sha256:12", "size": 1, "platform": {"os": "a", "architecture": "b"}},
     {"platform": {"os": 1, "architecture": "b"}}, {"platform": {"os": "a", "architecture": "b"}},
     {"platform": {"os": "a/b", "architecture": "b!"}}],
)  # fmt: skip
def test_a_malformed_index_is_refused(entry):
    """Entries that are none, or have no digest."""
    with pytest.raises(ImageContentError, match="The index of x"):
        choose({"manifests": [entry]}, Platform("linux", "amd64"), "x")


PARTS = {"schemaVersion": 2, "config": {}, "layers": []}


@pytest.mark.parametrize(
    ("document", "header", "kind"),
    [
        ({**PARTS, "mediaType": DOCKER_MANIFEST}, "", DOCKER_MANIFEST),
        (PARTS, "application/json", OCI_MANIFEST),
        (PARTS, f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST),
        ({"schemaVersion": 2, "manifests": []}, "", OCI_INDEX),
    ],
)
def test_the_media_type_is_found(document, header, kind):
    """In the document, in the header, or by its members where neither says."""
    assert parse_document(json.dumps(document).encode(), header, "x") == (kind, document)


@given(
    st.binary(max_size=50)
    | st.builds(
        lambda value: json.dumps(value).encode(),
        st.dictionaries(
            st.sampled_from(["schemaVersion", "mediaType", "config", "layers", "manifests"]),
            st.none()
            | st.just(2)
            | st.sampled_from([OCI_INDEX, OCI_MANIFEST])
            | st.lists(st.integers()),
        ),
    )
)
def test_no_document_makes_it_crash(data):
    """Whatever bytes come, they are a manifest or our own error."""
    try:
        kind, document = parse_document(data, "", "x")
    except ImageContentError:
        return
    assert ("manifests" in document) == (kind == OCI_INDEX)
