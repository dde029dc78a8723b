"""`prefect.oci.manifests`."""

import json
import platform
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_making import docker_save, put_index, sha256, simple, write_layout

from prefect.errors import ArtifactError, ImageContentError, ImageError, RegistryNotFoundError
from prefect.frozen import replace
from prefect.oci.archives.archive import read
from prefect.oci.documents import Descriptor
from prefect.oci.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, canonical_json
from prefect.oci.manifests import (
    CONFIG_BYTES,
    INDEX_DEPTH,
    INDEX_ENTRIES,
    choose,
    entries_of,
    parse_document,
    read_image,
)
from prefect.oci.platforms import Platform
from prefect.oci.registry.client import fetch, push


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


def absent(wanted, there):
    return LookupError(f"{wanted}: {', '.join(map(str, there)) or 'none at all'}")


def chosen_size(there, wanted):
    entries = [e for e in entries_of(index(*there), "x") if e.platform.os != "unknown"]
    return choose(entries, lambda each: each.platform, wanted, absent).size


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
        (["linux/arm64/v8.1", "linux/arm64/v8.4", "linux/arm64"], "linux/arm64/v8.3", 0),
        (["linux/arm64/v8.7", "linux/arm64/v8.6", "linux/arm64/v9.2"], "linux/arm64/v9.1", 1),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm64", 1),
        (["linux/386", "linux/amd64/v4"], "linux/amd64/v3", 0),
        (["linux/386", "linux/amd64/v2"], "linux/amd64", 1),
        (["linux/amd64", "linux/amd64/v1"], "linux/amd64", 0),
        (["linux/riscv64", "linux/riscv64/rva20u64"], "linux/riscv64/rva20u64", 1),
        (["linux/riscv64"], "linux/riscv64/rva23u64", 0),
    ],
)
def test_the_fitting_variant_is_chosen(there, wanted, chosen):
    """Exactly the wanted one, else the latest that runs there, else the only sensible guess."""
    assert chosen_size(there, Platform.parse(wanted)) == chosen


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (["linux/arm/v8"], "linux/arm/v6"),
        (["linux/amd64"], "windows/amd64"),
        ([], "linux/amd64"),
        (["linux/arm64"], "linux/arm/v8"),
        (["linux/arm64/v8.5"], "linux/arm64/v8.4"),
        (["linux/amd64"], "linux/386"),
        (["linux/amd64/v3"], "linux/amd64/v2"),
        (["linux/amd64/even"], "linux/amd64/odd"),
        (["linux/arm/v6"], "linux/arm/v5"),
    ],
)
def test_what_does_not_run_is_not_chosen(there, wanted):
    """The error lists the platforms there are."""
    with pytest.raises(LookupError, match=", ".join(there) or "none at all"):
        chosen_size(there, Platform.parse(wanted))


@pytest.mark.parametrize(
    "entry",
    [None, "x", {"digest": "sha256:12", "size": 1, "platform": {"os": "a", "architecture": "b"}},
     {"platform": {"os": 1, "architecture": "b"}}, {"platform": {"os": "a", "architecture": "b"}},
     {"platform": {"os": "a/b", "architecture": "b!"}}],
)  # fmt: skip
def test_a_malformed_index_is_refused(entry):
    """Entries that are none, or have no digest."""
    with pytest.raises(ImageContentError, match="The index of x"):
        entries_of({"manifests": [entry]}, "x")


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


SOURCES = [
    pytest.param("registry", marks=pytest.mark.services),
    "layout",
    "archive",
    "docker-archive",
]
# What is there, what is wanted (None: nothing was said, on a machine of amd64), which is taken.
CHOICES = [
    (["linux/arm/v6", "linux/amd64"], "linux/arm/v7", 0),
    (["linux/arm/v5", "linux/arm/v6", "linux/amd64"], "linux/arm/v7", 1),
    (["linux/arm/v7"], "linux/arm/v6", None),
    (["linux/amd64/v2", "linux/amd64/v3"], "linux/amd64", 0),
    (["linux/amd64/v3", "linux/amd64/v2"], "linux/amd64/v4", 0),
    (["linux/amd64", "linux/amd64/v3"], "linux/amd64/v2", 0),
    (["linux/amd64/v3", "linux/arm64"], "linux/amd64/v2", None),
    (["linux/386", "linux/arm64"], "linux/amd64", 0),
    (["linux/arm64", "linux/amd64"], None, 1),
    (["linux/arm64"], None, 0),
    (["linux/arm64", "linux/s390x"], None, None),
    (["linux/amd64"], "linux/arm64", None),
    (["linux/amd64"], "linux/amd64/v3", 0),
    (["linux/arm64/v9", "linux/arm64"], "linux/arm64/v8", 1),
    (["linux/riscv64"], "linux/riscv64/rva23u64", 0),
    (["linux/odd/b", "linux/odd/a"], "linux/odd/a", 1),
    (["linux/odd/b"], "linux/odd/a", None),
    ([], "linux/amd64", None),
]


def entry_of(image, **more):
    """What an index says of an image; its platform if that is given."""
    size = len(image.manifest)
    return {"mediaType": image.media_type, "digest": image.digest, "size": size} | more


def fields(text: str) -> dict:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


@pytest.fixture
def offer(tmp_path, request):
    """Return a function that puts images with one name somewhere, and gives what reads them."""

    def put(kind, images, entries, index=None):
        path = tmp_path / kind
        document = index or {"schemaVersion": 2, "manifests": entries}
        if kind == "registry":
            name = request.getfixturevalue("reference")(request.getfixturevalue("open_registry"))
            for each in images:
                push(each, replace(name, tag=None, digest=each.digest))
            put_index(name, entries)
            return lambda wanted: fetch(name, wanted)
        if kind == "docker-archive":
            docker_save(path, *images)
        else:
            write_layout(tmp_path / "layout", simple("a blob that nothing lists"))
            for each in images:
                write_layout(tmp_path / "layout", each)
            (tmp_path / "layout/index.json").write_text(json.dumps(document))
        if kind == "archive":
            with tarfile.open(path, "w") as tar:
                for each in (tmp_path / "layout").iterdir():
                    tar.add(each, each.name)
        return lambda wanted: read(path, wanted)

    return put


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("there", "wanted", "taken"), CHOICES)
def test_the_choice_is_the_same_everywhere(source, there, wanted, taken, offer, monkeypatch):
    """A registry, a layout and archives give the same image, or refuse with the same list."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    images = [simple(f"{n}", platform=name) for n, name in enumerate(there)]
    entries = [entry_of(i, platform=fields(p)) for i, p in zip(images, there, strict=True)]
    get = offer(source, images, entries)
    asked = None if wanted is None else Platform.parse(wanted)
    if taken is not None:
        assert get(asked).config == images[taken].config
        return
    error = RegistryNotFoundError if source == "registry" else ImageError
    known = ", ".join(sorted(str(Platform.parse(each)) for each in there))
    with pytest.raises(error, match=known or "no image") as caught:
        get(asked)
    if there:
        assert str(asked or "linux/amd64") in str(caught.value)


@pytest.mark.parametrize("source", SOURCES[:3])
def test_an_index_without_platforms_is_resolved_by_configs(source, offer):
    """Their configs tell; charts and attestations beside them are passed over."""
    amd, arm = simple("1"), simple("2", platform="linux/arm/v6")
    chart = json.loads(simple("3").manifest)
    chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    chart = replace(simple("3"), manifest=json.dumps(chart).encode())
    unknown = {"os": "unknown", "architecture": "unknown"}
    entries = [entry_of(chart), entry_of(amd, platform=unknown), entry_of(amd), entry_of(arm)]
    get = offer(source, [amd, arm, chart], entries)
    assert get(Platform.parse("linux/amd64")).config == amd.config
    assert get(Platform.parse("linux/arm/v7")).config == arm.config
    with pytest.raises((RegistryNotFoundError, ImageError), match="linux/amd64, linux/arm/v6"):
        get(Platform.parse("linux/s390x"))


@pytest.mark.parametrize("source", SOURCES[:3])
def test_a_config_has_to_be_for_what_its_index_says(source, offer):
    """Another processor is a lie; a variant that the config leaves out is the index's to say."""
    old = simple("old", platform="linux/arm")
    get = offer(source, [old], [entry_of(old, platform=fields("linux/arm/v6"))])
    assert get(Platform.parse("linux/arm/v6")).config == old.config
    get = offer(source, [old], [entry_of(old, platform=fields("linux/riscv64"))])
    for wanted in (None, Platform.parse("linux/riscv64")):
        with pytest.raises(ImageContentError, match="riscv64, but its config says linux/arm"):
            get(wanted)


def documents(*values):
    """Return a function that gives documents by descriptor, and notes which it gave; and those."""
    known = {sha256(raw): raw for raw in values}
    asked = []

    def give(of):
        asked.append(of.digest)
        return known[of.digest]

    return give, asked


def nested(depth):
    """Return an index within as many indexes, and all of them."""
    raws = [canonical_json({"schemaVersion": 2, "manifests": []})]
    for _ in range(depth):
        entry = {"mediaType": OCI_INDEX, "digest": sha256(raws[-1]), "size": len(raws[-1])}
        raws.append(canonical_json({"schemaVersion": 2, "manifests": [entry]}))
    return Descriptor(OCI_INDEX, sha256(raws[-1]), len(raws[-1]), {}), raws


def test_limits_hold():
    """Indexes are followed some steps, list so many manifests, and no huge document is asked for."""
    fine, raws = nested(INDEX_DEPTH - 1)
    with pytest.raises(LookupError):
        read_image([fine], None, documents(*raws)[0], None, absent)
    deep, raws = nested(INDEX_DEPTH)
    with pytest.raises(ImageContentError, match="index of indexes"):
        read_image([deep], None, documents(*raws)[0], None, absent)
    with pytest.raises(ImageContentError, match=f"more than {INDEX_ENTRIES}"):
        read_image([fine] * (INDEX_ENTRIES + 1), None, documents(*raws)[0], None, absent)
    image = simple()
    changed = json.loads(image.manifest)
    changed["config"]["size"] = CONFIG_BYTES + 1
    raw = json.dumps(changed).encode()
    give, asked = documents(raw, image.config)
    one = Descriptor(OCI_MANIFEST, sha256(raw), len(raw), {})
    with pytest.raises(ImageContentError, match=f"at most {CONFIG_BYTES}"):
        read_image([one], None, give, None, absent)
    assert asked == [one.digest]


VARIANTS = st.sampled_from(["", "v1", "v2", "v5", "v6", "v7", "v8", "v8.1", "v9", "v9.2", "odd"])
PLATFORMS = st.builds(
    lambda *parts: Platform.parse("/".join(part for part in parts if part)),
    st.sampled_from(["linux", "windows"]),
    st.sampled_from(["amd64", "386", "arm", "arm64", "riscv64"]),
    VARIANTS,
)


@given(st.lists(PLATFORMS, max_size=8), PLATFORMS, st.randoms())
def test_a_choice_does_not_depend_on_the_order(there, wanted, dice):
    """Whatever an index lists first, the platform that is taken is the same, and can run there."""
    shuffled = dice.sample(there, len(there))
    try:
        first = choose(there, lambda each: each, wanted, absent)
    except LookupError:
        assert not any(each in wanted.runs() for each in there)
        with pytest.raises(LookupError):
            choose(shuffled, lambda each: each, wanted, absent)
        return
    assert choose(shuffled, lambda each: each, wanted, absent) == first
    if wanted in there:
        assert first == wanted
    assert first in wanted.runs() or (
        not wanted.variant and (first.os, first.architecture) == (wanted.os, wanted.architecture)
    )


PIECES = st.recursive(
    st.builds(lambda text: ("image", text), st.sampled_from(["a", "b"])),
    lambda inner: st.builds(lambda parts: ("index", parts), st.lists(inner, max_size=3)),
    max_leaves=6,
)


@given(PIECES, st.binary(max_size=3))
def test_whatever_indexes_hold_is_read_or_refused(tree, noise):
    """Random trees of indexes give an image that is in them, or an error of ours; so does noise."""
    raws, texts = [], []

    def make(node):
        kind, what = node
        if kind == "image":
            image = simple(what)
            raws.extend([image.manifest, image.config])
            texts.append(image.config)
            return entry_of(image)
        entries = [make(each) for each in what]
        raw = canonical_json({"schemaVersion": 2, "manifests": entries})
        raws.append(raw)
        return {"mediaType": OCI_INDEX, "digest": sha256(raw), "size": len(raw)}

    top = make(tree)
    listed = [Descriptor(top["mediaType"], top["digest"], top["size"], {})]
    try:
        image = read_image(listed, None, documents(*raws)[0], lambda _: None, absent)
    except ArtifactError as error:
        assert "index of indexes" in str(error)  # noqa: PT017 - of the random ones that are too deep
    except LookupError:
        assert not texts
    else:
        assert image.config == texts[0]
    with pytest.raises(ImageContentError):
        read_image(listed, None, lambda _: noise, lambda _: None, absent)
