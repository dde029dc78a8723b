"""`prefect.oci.images`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_making import image_of, images, layer_of, names, simple, tar_of
from validation import validate

from prefect.errors import ImageContentError
from prefect.frozen import replace
from prefect.oci.images import (
    DOCKER_MANIFEST,
    OCI_MANIFEST,
    Layer,
    canonical_json,
    derive,
    digest_of,
    from_manifest,
)

UPPER = layer_of(tar_of(("etc/more", "more")))


@given(images(), st.dictionaries(names, names, max_size=3))
def test_what_is_derived_is_valid_and_of_the_ocis_family(base, labels):
    """Of any base: the base's layers come first, and every digest is right."""
    image = derive(base, [UPPER], {"Labels": labels}, comments=["more"])
    validate(image)
    assert image.media_type == OCI_MANIFEST
    assert [each.diff_id for each in image.layers] == [
        *(each.diff_id for each in base.layers), UPPER.diff_id,
    ]  # fmt: skip
    assert image.labels == labels
    assert image.platform == base.platform
    assert derive(base, [UPPER], {"Labels": labels}, comments=["more"]) == image


def test_of_a_bases_config_stays_what_containers_take_from_it():
    """Its user, variables and ports; not when and by whom it was made, nor what is empty."""
    kept = {"User": "app", "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}, "WorkingDir": "/srv"}
    base = simple(
        config=kept | {"Hostname": "builder", "OnBuild": ["RUN x"], "Volumes": None},
        created="2024-01-01T00:00:00Z", author="somebody", container="abc",
    )  # fmt: skip
    image = derive(base, [UPPER], {"Cmd": ["run"], "Entrypoint": []})
    config = json.loads(image.config)
    assert config["config"] == kept | {"Cmd": ["run"]}
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert not {"author", "container", "docker_version"} & config.keys()
    assert [entry["created_by"] for entry in config["history"][:1]] == ["base image"]
    assert len(config["history"]) == 2


def test_one_base_of_two_families_makes_one_image():
    """Docker's manifest and the OCI's name the same layers: what is derived is the same."""
    bases = [
        image_of(layer_of(tar_of(("a", "A")), family), family=family, config={"Env": ["A=1"]})
        for family in (OCI_MANIFEST, DOCKER_MANIFEST)
    ]
    first, second = (derive(base, [UPPER], {}) for base in bases)
    assert first.digest == second.digest


def test_without_a_layers_bytes_there_is_an_id_and_no_digest():
    """The id is that of the image with all bytes: container engines know it by that."""
    base = simple()
    bare = replace(base, layers=tuple(Layer(layer.diff_id) for layer in base.layers))
    image = derive(bare, [UPPER], {})
    assert (image.manifest, image.digest) == (None, None)
    assert image.id == derive(base, [UPPER], {}).id


def test_annotations_are_the_manifests():
    """They change the digest and not the id."""
    plain, annotated = (
        derive(simple(), [UPPER], {}, annotations=notes) for notes in ({}, {"a": "b"})
    )
    assert json.loads(annotated.manifest)["annotations"] == {"a": "b"}
    assert plain.id == annotated.id
    assert plain.digest != annotated.digest
    validate(annotated)


@pytest.mark.parametrize(
    ("manifest", "config"),
    [
        (b"{", b"{}"),
        (b"[]", b"{}"),
        (b"{}", b'{"rootfs": {"diff_ids": []}}'),
        (b'{"layers": [{}]}', b'{"rootfs": {"diff_ids": ["a"]}}'),
        (b'{"layers": []}', b'{"rootfs": {"diff_ids": ["a"]}}'),
        (b'{"layers": []}', b'{"rootfs": null}'),
        (b'{"layers": 5}', b'{"rootfs": {"diff_ids": []}}'),
        (
            b'{"layers": [{"mediaType": "m", "digest": "d", "size": "x"}]}',
            b'{"rootfs": {"diff_ids": ["a"]}}',
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(manifest, config):
    """Malformed JSON, missing members, and other numbers of layers than of diff_ids."""
    with pytest.raises(ImageContentError, match="malformed"):
        from_manifest(manifest, config, lambda _: None, media_type=OCI_MANIFEST)


@given(st.dictionaries(names, st.integers() | names))
def test_json_is_canonical(value):
    """The same value in another order has the same bytes, hence the same digest."""
    other = dict(reversed(value.items()))
    assert digest_of(canonical_json(value)) == digest_of(canonical_json(other))
    assert json.loads(canonical_json(value)) == value
