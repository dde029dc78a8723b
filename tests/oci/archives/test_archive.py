"""`prefect.oci.archives.archive`, and what it reads and writes with."""

import gzip
import io
import json
import os
import random
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_making import (
    content,
    docker_save,
    image_of,
    images,
    layer_of,
    sha256,
    simple,
    tar_of,
    write_layout,
)
from validation import validate

from prefect.errors import ImageContentError, ImageError, OutputError
from prefect.frozen import replace
from prefect.oci.archives.archive import docker_archive, read, write
from prefect.oci.digests import read_verified
from prefect.oci.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Layer
from prefect.oci.platforms import Platform

REF_NAME = "org.opencontainers.image.ref.name"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A directory that examples of one property share."""
    return tmp_path_factory.mktemp("images")


def fresh(scratch: Path) -> Path:
    return scratch / str(sum(1 for _ in scratch.iterdir()))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def repacked(path: Path, **changes) -> None:
    """Write an archive again with other members; None leaves one out."""
    files = members(path) | {name.replace("__", "/"): data for name, data in changes.items()}
    path.write_bytes(tar_of(*((n, d) for n, d in files.items() if d is not None)))


@settings(max_examples=60, deadline=None)
@given(image=images(), suffix=st.sampled_from([".tar", ""]), name=st.sampled_from([None, "a/b:c"]))
def test_what_is_written_is_read_back(scratch, image, suffix, name):
    """Random images of both families come back equal, valid, and with all their bytes."""
    path = fresh(scratch).with_suffix(suffix)
    write(image, path, name=name)
    back = read(path, name=name)
    assert back == image
    assert content(back) == content(image)
    validate(back)


@settings(max_examples=40, deadline=None)
@given(image=images())
def test_the_other_half_of_the_archive_holds_the_same_image(scratch, image):
    """Without the OCI's index, docker's tells of the same config and layers."""
    path = fresh(scratch).with_suffix(".tar")
    write(image, path, name="demo")
    repacked(path, **{"index.json": None, "oci-layout": None})
    back = read(path, name="docker.io/library/demo:latest")
    assert (back.config, content(back)) == (image.config, content(image))
    assert [layer.diff_id for layer in back.layers] == [layer.diff_id for layer in image.layers]
    validate(back)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.booleans())
def test_no_corruption_goes_unnoticed(scratch, seed, cut):
    """A flipped byte or a lost end is one of our errors, or changes nothing of the image.

    Where docker's half alone is there, a layer is known by its unpacked bytes alone.
    """
    dice = random.Random(seed)
    family = dice.choice([OCI_MANIFEST, DOCKER_MANIFEST])
    packing = dice.choice(["", "gzip"])
    image = image_of(layer_of(tar_of(a=dice.randbytes(900)), family, packing), family=family)
    path = scratch / "corrupt.tar"
    path.unlink(missing_ok=True)
    write(image, path, name="demo")
    if half := dice.random() < 0.3:
        repacked(path, **{"index.json": None, "oci-layout": None})
    raw = bytearray(path.read_bytes())
    place = dice.randrange(len(raw))
    if cut:
        del raw[place:]
    else:
        raw[place] ^= 1 << dice.randrange(8)
    path.write_bytes(raw)
    try:
        back = read(path)
        validate(back)
    except (ImageContentError, ImageError):
        return
    assert back.config == image.config
    assert [layer.diff_id for layer in back.layers] == [layer.diff_id for layer in image.layers]
    assert half or content(back) == content(image)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=3000), packed=st.booleans())
def test_bytes_that_are_no_image_are_refused(scratch, data, packed):
    """Whatever a file holds, reading it is an error of ours."""
    path = scratch / "noise"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises((ImageContentError, ImageError), match="noise"):
        read(path)


def test_equal_images_are_written_as_equal_bytes(tmp_path, monkeypatch):
    """Whatever the clock, umask and place: times, owners and modes in it are fixed, and names sorted."""
    image = simple()
    write(image, tmp_path / "one.tar", name="demo")
    old = os.umask(0o077)
    try:
        (tmp_path / "deep").mkdir()
        write(read(tmp_path / "one.tar"), tmp_path / "deep" / "two.tar", name="demo:latest")
        write(image, tmp_path / "layout")
    finally:
        os.umask(old)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "deep" / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        found = tar.getmembers()
    assert [m.name for m in found] == sorted(m.name for m in found)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in found} == {
        (0, 0, 0, "", 0o644), (0, 0, 0, "", 0o755),
    }  # fmt: skip
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "layout").rglob("*")}
    assert modes == {0o600, 0o700}


def test_a_layout_keeps_its_images_by_name(tmp_path):
    """One more name is added, the same one replaced; unnamed images are told apart by platform."""
    one, two, arm = simple("one"), simple("two"), simple("arm", platform="linux/arm64")
    for image, name in ((one, "b:1"), (one, "a:1"), (two, "docker.io/library/b:1")):
        write(image, tmp_path / "layout", name=name)
    assert read(tmp_path / "layout", name="b:1") == two
    assert read(tmp_path / "layout", name="a:1") == one
    with pytest.raises(ImageError, match=r"name one.*library/a:1.*library/b:1"):
        read(tmp_path / "layout")
    with pytest.raises(ImageError, match=r"no image named 'c'.*library/a:1"):
        read(tmp_path / "layout", name="c")
    for image in (one, arm, two):
        write(image, tmp_path / "unnamed")
    assert read(tmp_path / "unnamed", Platform.parse("linux/arm64")) == arm
    assert read(tmp_path / "unnamed", Platform.parse("linux/amd64")) == two
    assert len(json.loads((tmp_path / "unnamed" / "index.json").read_bytes())["manifests"]) == 2


def test_a_new_layout_gets_all_that_are_written_at_once(tmp_path):
    """Of several that begin it, none fails and none is lost."""
    ready = threading.Barrier(4)
    failures = []

    def export(number):
        ready.wait()
        try:
            write(simple(f"{number}"), tmp_path / "layout", name=f"demo:{number}")
        except (OSError, ImageError) as error:
            failures.append(error)

    threads = [threading.Thread(target=export, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for number in range(4):
        validate(read(tmp_path / "layout", name=f"demo:{number}"))
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]


def test_a_damaged_blob_of_a_layout_is_written_again(tmp_path):
    """What an earlier writer left behind is not taken on trust."""
    write(simple(), tmp_path / "layout", name="a")
    for blob in (tmp_path / "layout" / "blobs" / "sha256").iterdir():
        blob.write_bytes(b"x" * blob.stat().st_size)
    write(simple(), tmp_path / "layout", name="a")
    validate(read(tmp_path / "layout"))


def test_nothing_of_somebody_else_is_overwritten(tmp_path):
    """A file or a directory that holds no image stays; an image is replaced."""
    (tmp_path / "notes.tar").write_bytes(tar_of(notes=b"mine"))
    (tmp_path / "text.tar").write_text("mine")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "file").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("notes.tar", "text.tar", "directory", "file"):
        with pytest.raises(OutputError, match=name):
            write(simple(), tmp_path / name)
    assert (tmp_path / "text.tar").read_text() == "mine"
    for text in ("one", "two"):
        write(simple(text), tmp_path / "image.tar")
    assert read(tmp_path / "image.tar") == simple("two")
    with pytest.raises(ValueError, match="packed twice"):
        write(simple(), tmp_path / "image.tar.gz")


@pytest.mark.parametrize("target", ["image.tar", "layout"])
def test_an_image_with_wrong_bytes_is_not_written(tmp_path, target):
    """Blobs are verified as they are copied, and what failed half-way is gone."""
    image = simple()
    (layer,) = image.layers
    data = content(image)[0]
    for wrong in (b"x" * len(data), data[:-1], data + b"x"):
        blob = replace(layer.blob, open=lambda wrong=wrong: io.BytesIO(wrong))
        with pytest.raises(ImageContentError, match=layer.blob.digest):
            write(replace(image, layers=(replace(layer, blob=blob),)), tmp_path / target)
    unknown = replace(image, layers=(Layer(layer.diff_id),), manifest=None)
    with pytest.raises(ImageError, match="in a container engine"):
        write(unknown, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_layers_that_the_daemon_has_are_named_and_left_out(tmp_path):
    """`docker load` gets all names, the config and the other layers; the rest need no blob."""
    base, own = layer_of(tar_of(a=b"1")), layer_of(tar_of(b=b"2"))
    image = replace(image_of(base, own), layers=(Layer(base.diff_id), own), manifest=None)
    raw = b"".join(docker_archive(image, "demo", leave_out={base.diff_id}))
    (tmp_path / "some.tar").write_bytes(raw)
    found = members(tmp_path / "some.tar")
    (entry,) = json.loads(found.pop("manifest.json"))
    assert entry == {
        "Config": f"blobs/sha256/{image.id[7:]}",
        "RepoTags": ["demo:latest"],
        "Layers": [f"blobs/sha256/{d[7:]}" for d in (base.diff_id, own.blob.digest)],
    }
    assert set(found) == {entry["Config"], entry["Layers"][1]}
    with pytest.raises(ImageError, match=base.diff_id):
        list(docker_archive(image, "demo"))
    with pytest.raises(ImageError):
        list(docker_archive(image, "demo", leave_out={base.diff_id}, both_indexes=True))
    whole = image_of(base, own)
    raw = b"".join(docker_archive(whole, None, leave_out={base.diff_id}, both_indexes=True))
    (tmp_path / "both.tar").write_bytes(raw)
    assert {"index.json", "oci-layout"} < set(members(tmp_path / "both.tar"))
    with pytest.raises(ImageContentError, match=f"{base.blob.digest} is missing"):
        read(tmp_path / "both.tar")


@pytest.mark.parametrize("name", ["Upper", "a@sha256:" + "0" * 64, "a b", ""])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    """Images in files are named by a repository and a tag."""
    with pytest.raises(ValueError, match=r"reference|digest"):
        write(simple(), tmp_path / "image.tar", name=name)
    assert list(tmp_path.iterdir()) == []


def test_an_index_is_resolved_by_platform(tmp_path):
    """Also through nested indexes, and past what BuildKit attests; an error lists what there is."""
    amd, arm = simple(), simple(platform="linux/arm/v6")
    write_layout(tmp_path, amd)
    (one,) = write_layout(tmp_path, amd)
    (two,) = write_layout(
        tmp_path, arm, {"platform": {"os": "linux", "architecture": "arm", "variant": "v6"}}
    )
    attested = one | {"platform": {"os": "unknown", "architecture": "unknown"}}
    inner = json.dumps({"schemaVersion": 2, "manifests": [attested, one, two]}).encode()
    (tmp_path / "blobs/sha256" / sha256(inner)[7:]).write_bytes(inner)
    nested = {"mediaType": OCI_INDEX, "digest": sha256(inner), "size": len(inner)}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [nested]}))
    assert read(tmp_path, Platform.parse("linux/arm/v6")) == arm
    assert read(tmp_path, Platform.parse("linux/amd64")) == amd
    with pytest.raises(ImageError, match=r"linux/s390x in it.*: linux/amd64, linux/arm/v6"):
        read(tmp_path, Platform.parse("linux/s390x"))
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [two]}))
    assert read(tmp_path) == arm  # the only one, whatever this machine is
    (tmp_path / "index.json").write_text(
        json.dumps({"manifests": [one | {"platform": {"os": "linux", "architecture": "riscv64"}}]})
    )
    with pytest.raises(ImageContentError, match="riscv64, but its config says linux/amd64"):
        read(tmp_path)


def test_what_docker_saves_is_read(tmp_path):
    """Layers plain or packed, and symbolic links where two images share a layer."""
    for packing in ("", "gzip"):
        layers = [layer_of(tar_of(a=b"1" * 99), DOCKER_MANIFEST, packing) for _ in range(2)]
        image = image_of(*layers, family=DOCKER_MANIFEST)
        link = ("second/layer.tar", tarfile.SYMTYPE, f"../{layers[0].diff_id[7:]}/layer.tar")
        path = tmp_path / f"image{packing}.tar"
        docker_save(
            path, image, extra=[link],
            change=lambda e: e | {"Layers": [e["Layers"][0], "second/layer.tar"]},
        )  # fmt: skip
        back = read(path, name="demo:1")
        assert (back.config, content(back)) == (image.config, content(image))
        assert [layer.blob.media_type for layer in back.layers] == [
            layer.blob.media_type for layer in layers
        ]
        validate(back)


def test_of_several_images_one_is_named(tmp_path):
    """Several names of one image need none; several images do."""
    one, two = (simple(text, family=DOCKER_MANIFEST) for text in ("one", "two"))
    docker_save(tmp_path / "one.tar", one, names=["a:1", "b:1"])
    assert read(tmp_path / "one.tar").id == one.id
    assert read(tmp_path / "one.tar", name="b:1").id == one.id
    tags = iter("ab")
    docker_save(tmp_path / "two.tar", one, two, change=lambda e: e | {"RepoTags": [next(tags)]})
    assert read(tmp_path / "two.tar", name="b").id == two.id
    with pytest.raises(ImageError, match="'a', 'b'"):
        read(tmp_path / "two.tar")
    with pytest.raises(ImageError, match=r"for linux/arm64 in it, but .*: linux/amd64"):
        read(tmp_path / "one.tar", Platform.parse("linux/arm64"))


def test_a_packed_archive_is_read_and_leaves_nothing(tmp_path, monkeypatch):
    """It is unpacked to a file without a name."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    write(simple(), tmp_path / "image.tar")
    packed = tmp_path / "image.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "image.tar").read_bytes()))
    image = read(packed)
    packed.unlink()
    validate(image)
    assert image == simple()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_layers_are_read_from_where_they_are(tmp_path):
    """A layer of 64 MiB is not in memory, threads may read at once, and the file may be replaced."""
    big = layer_of(tar_of(big=bytes(64 << 20)), packing="")
    write(image_of(big), tmp_path / "image.tar")
    before = set(threading.enumerate())  # of other tests, whose threads may end meanwhile
    image = read(tmp_path / "image.tar")
    write(simple(), tmp_path / "image.tar")
    threads = [threading.Thread(target=validate, args=[image]) for _ in range(3)]
    with image.layers[0].blob.open() as file:
        file.seek(1000)
        for thread in threads:
            thread.start()
        assert file.read(24) == bytes(24)
    for thread in threads:
        thread.join()
    assert set(threading.enumerate()) <= before
    handles = sum(1 for _ in Path("/proc/self/fd").iterdir())
    del image, file
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == handles - 1


def entry(**changes):
    return lambda fields: fields | changes


HOSTILE = {
    "a path above the archive": {"change": entry(Config="../../etc/passwd")},
    "an absolute path": {"change": entry(Config="/etc/passwd")},
    "a link out of the archive": {
        "change": entry(Config="a/link"),
        "extra": [("a/link", tarfile.SYMTYPE, "../../../etc/passwd")],
    },
    "an absolute link": {
        "change": entry(Config="link"), "extra": [("link", tarfile.SYMTYPE, "/etc/passwd")],
    },
    "a hard link out of the archive": {
        "change": entry(Config="link"), "extra": [("link", tarfile.LNKTYPE, "../etc/passwd")],
    },
    "a link to itself": {
        "change": entry(Config="link"), "extra": [("link", tarfile.SYMTYPE, "link")],
    },
    "a device": {"change": entry(Config="null"), "extra": [("null", tarfile.CHRTYPE, "")]},
    "a pipe": {"change": entry(Config="pipe"), "extra": [("pipe", tarfile.FIFOTYPE, "")]},
    "a name twice": {"extra": [("manifest.json", b"[]")]},
    "an absolute member": {"extra": [("/etc/passwd", b"x")]},
    "a member above": {"extra": [("../x", b"x")]},
    "a layer too few": {"change": entry(Layers=[])},
    "a layer that is missing": {"change": entry(Layers=["nothing"])},
    "a config that is missing": {"change": entry(Config="nothing")},
    "no config": {"change": entry(Config=None)},
    "names that are numbers": {"change": entry(RepoTags=[1])},
    "an entry that is none": {"change": lambda _: 1},
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_docker_archive_is_refused(tmp_path, case):
    """Nothing outside of the archive is read, and every oddity is an error of ours."""
    docker_save(tmp_path / "image.tar", simple(family=DOCKER_MANIFEST), **HOSTILE[case])
    with pytest.raises(ImageContentError, match=r"image\.tar"):
        read(tmp_path / "image.tar")


def test_a_config_under_a_name_that_is_not_its_digest_is_refused(tmp_path):
    """A docker-archive names its config by digest."""
    image = simple(family=DOCKER_MANIFEST)
    other = "0" * 64 + ".json"
    docker_save(
        tmp_path / "image.tar", image, change=entry(Config=other), extra=[(other, image.config)]
    )
    with pytest.raises(ImageContentError, match=image.id):
        read(tmp_path / "image.tar")


BIG = b'{"a": "' + b"x" * (5 << 20) + b'"}'
DOCUMENTS = {
    "no JSON": b"{",
    "no UTF-8": b'{"a": "\xff"}',
    "another encoding": '{"manifests": []}'.encode("utf-16"),
    "deep": b'{"a": ' * 100_000,
    "rather deep": b"[" * 200 + b"]" * 200,
    "giant": BIG,
    "a giant number": b'{"schemaVersion": ' + b"9" * 100_000 + b"}",
    "a name twice": b'{"manifests": [], "manifests": []}',
    "no object": b"[]",
    "not a number": b'{"manifests": [], "a": NaN}',
    "no list": b'{"manifests": {}}',
    "two kinds at once": b'{"manifests": [], "layers": []}',
    "no descriptor": b'{"manifests": [1]}',
    "a path for a digest": b'{"manifests": [{"digest": "sha256:../../x", "size": 1, "mediaType": ""}]}',
    "an odd size": b'{"manifests": [{"digest": "sha256:%s", "size": -1, "mediaType": ""}]}'
    % (b"0" * 64),
    "a size that is true": b'{"manifests": [{"digest": "sha256:%s", "size": true, "mediaType": ""}]}'
    % (b"0" * 64),
}


@pytest.mark.parametrize("case", DOCUMENTS)
@pytest.mark.parametrize("where", ["index.json", "oci-layout", "manifest.json", "manifest"])
def test_hostile_json_is_refused(tmp_path, case, where):
    """In the index, the marker, docker's list and the manifest, in archives and directories."""
    data = DOCUMENTS[case]
    if where == "manifest":
        (listed,) = write_layout(tmp_path / "layout", simple())
        (tmp_path / "layout/blobs/sha256" / sha256(data)[7:]).write_bytes(data)
        listed |= {"digest": sha256(data), "size": len(data)}
        (tmp_path / "layout/index.json").write_text(json.dumps({"manifests": [listed]}))
        path = tmp_path / "layout"
    else:
        path = tmp_path / "image.tar"
        write(simple(), path)
        if where == "manifest.json":
            repacked(path, **{"index.json": None})
        repacked(path, **{where: data})
    with pytest.raises((ImageContentError, ImageError)):
        read(path)


CONFIGS = {
    "no platform": {"os": None},
    "an odd platform": {"architecture": "../x"},
    "labels that are numbers": {"config": {"Labels": {"a": 1}}},
    "settings that are a list": {"config": ["Env"]},
    "an environment of numbers": {"config": {"Env": [1]}},
    "no layers": {"rootfs": {}},
    "another number of layers": {"rootfs": {"type": "layers", "diff_ids": []}},
    "a digest that is none": {"rootfs": {"type": "layers", "diff_ids": ["sha256:x"]}},
    "a history of texts": {"history": ["a"]},
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_is_none_is_refused(tmp_path, case):
    """An image that is read answers every question that is asked of it."""
    write_layout(tmp_path, simple(**CONFIGS[case]))
    with pytest.raises(ImageContentError):
        read(tmp_path)


def test_a_layout_is_not_read_beyond_its_directory(tmp_path):
    """A symbolic link within is followed, one to elsewhere is refused, and so is a pipe."""
    image = simple()
    (tmp_path / "secret").write_bytes(content(image)[0])
    write_layout(tmp_path / "layout", image)
    blob = tmp_path / "layout/blobs/sha256" / image.layers[0].blob.digest[7:]
    blob.rename(tmp_path / "layout" / "inside")
    blob.symlink_to("../../inside")
    validate(read(tmp_path / "layout"))
    blob.unlink()
    with pytest.raises(ImageContentError, match="missing"):
        read(tmp_path / "layout")
    blob.symlink_to("../../../secret")
    with pytest.raises(ImageContentError, match="leads out"):
        read(tmp_path / "layout")
    blob.unlink()
    os.mkfifo(blob)
    with pytest.raises(ImageContentError, match="is no file"):
        read(tmp_path / "layout")
    blob.unlink()
    blob.symlink_to(blob.name)
    with pytest.raises((ImageContentError, ImageError)):
        read(tmp_path / "layout")


def test_what_is_not_there_is_said(tmp_path):
    """A missing path, a pipe, an empty directory, an archive of something else."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.tar").write_bytes(tar_of(a=b"1"))
    for name, words in (
        ("absent.tar", "There is no image at"),
        ("pipe", "neither a file nor a directory"),
        ("empty", "no image: it has neither"),
        ("other.tar", "no image: it has neither"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(ImageError, match=words):
            read(tmp_path / name)


def test_a_chart_or_another_artifact_is_no_image(tmp_path):
    """What a registry also stores has a manifest, and a config of another type."""
    image = simple()
    manifest = json.loads(image.manifest)
    manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    write_layout(tmp_path, replace(image, manifest=json.dumps(manifest).encode()))
    with pytest.raises(ImageError, match="no image in it"):
        read(tmp_path)


def test_a_document_is_verified_before_it_is_believed(tmp_path):
    """A manifest or a config of the right size and other bytes is refused when it is read."""
    image = simple()
    for digest in (image.digest, image.id):
        write_layout(tmp_path, image)
        path = tmp_path / "blobs/sha256" / digest[7:]
        path.write_bytes(path.read_bytes().replace(b"2", b"3").replace(b"amd64", b"arm64"))
        with pytest.raises(ImageContentError, match=digest):
            read(tmp_path)
    with pytest.raises(ImageContentError, match="at most 10"):
        read_verified(image.config_blob(), 10)
