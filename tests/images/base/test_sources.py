"""Bases from a registry, from the container engine, from disk, and of other platforms."""

import json
import os
import subprocess

import faulty_registry
import pytest
from base_making import base, layout
from validation import validate

from prefect.dependencies.uv import uv_program
from prefect.environments import ContainerEnvironment
from prefect.errors import ContainerEngineError, ImageError, PrefectError, RegistryError
from prefect.oci.archives import archive as archives
from prefect.oci.images import digest_of
from prefect.oci.layers.unpacking import walk
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference
from prefect.oci.registry import client as registry

NOWHERE = "unix:///nowhere.sock"
BASE_DIGEST = "org.opencontainers.image.base.digest"


@pytest.fixture
def no_daemon(monkeypatch):
    """No container engine anywhere."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)


def exported(environment, path, flow=None):
    """Export, and return the image as it was read again and found valid."""
    digest = environment.export(path, flow)
    image = archives.read(path)
    validate(image)
    assert image.digest == digest
    return image


def libraries(image):
    """Return the paths of what markupsafe has compiled, as an image has it."""
    paths = (member.path for layer in image.layers for member, _ in walk(layer))
    return [path for path in paths if "/markupsafe/_speedups." in path and path.endswith(".so")]


# ---- on disk ------------------------------------------------------------------------------------


def test_layout_and_archive_of_one_base_make_one_image(no_daemon, tmp_path, flow):
    """The base's digest is recorded in the new manifest, and both files are left as they were."""
    image = base()
    archives.write(image, tmp_path / "base.tar")
    before = (tmp_path / "base.tar").read_bytes()
    built = [
        exported(ContainerEnvironment(name, python_dependencies=[]), tmp_path / f"{n}.tar", flow)
        for n, name in enumerate((layout(tmp_path / "base", image), str(tmp_path / "base.tar")))
    ]
    assert built[0].digest == built[1].digest
    assert json.loads(built[0].manifest)["annotations"] == {BASE_DIGEST: image.digest}
    assert (tmp_path / "base.tar").read_bytes() == before


def test_a_relative_path_begins_with_a_dot(no_daemon, tmp_path, monkeypatch):
    """And one below the home directory with a tilde; other words are names of images."""
    layout(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("./base", f"../{tmp_path.name}/base", "~/base"):
        exported(ContainerEnvironment(name, python_dependencies=[]), tmp_path / "out.tar")


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_text("x"), lambda p: p.mkdir()])
def test_what_is_no_image_is_named(no_daemon, tmp_path, make):
    """Nothing at the path, a file of something else, an empty directory."""
    make(tmp_path / "base")
    with pytest.raises(PrefectError, match="base") as caught:
        ContainerEnvironment(str(tmp_path / "base")).export(tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()
    assert str(tmp_path / "base") in str(caught.value)


def test_of_several_platforms_one_is_chosen(no_daemon, tmp_path, flow):
    """This machine's, or the one that is asked for, whose wheels are then installed.

    Nothing of the image runs here: no emulation is needed for it.
    """
    for architecture in ("amd64", "arm64"):
        archives.write(base(architecture), tmp_path / "base", name=f"base:{architecture}")
    index = json.loads((tmp_path / "base/index.json").read_text())
    for entry in index["manifests"]:
        entry.pop("annotations")
    (tmp_path / "base/index.json").write_text(json.dumps(index))
    for platform, machine in (("linux/arm64", "aarch64"), (None, os.uname().machine)):
        environment = ContainerEnvironment(
            str(tmp_path / "base"), platform=platform, python_dependencies=["markupsafe"]
        )
        image = exported(environment, tmp_path / f"{machine}.tar", flow)
        assert image.platform == Platform.parse(f"linux/{machine}")
        (library,) = libraries(image)
        assert machine in library
    with pytest.raises(ImageError, match="linux/amd64, linux/arm64"):
        ContainerEnvironment(str(tmp_path / "base"), platform="linux/riscv64").export(
            tmp_path / "out.tar"
        )


def test_a_base_for_musl_gets_wheels_for_musl(no_daemon, tmp_path):
    """As Alpine has it: the platform is the C library's, too."""
    members = [("usr/lib/.wh.x86_64-linux-gnu", ""), ("usr/lib/ld-musl-x86_64.so.1", "")]
    image = base("amd64", members)
    name = layout(tmp_path / "base", image)
    environment = ContainerEnvironment(name, python_dependencies=["markupsafe"])
    built = exported(environment, tmp_path / "out.tar")
    assert "-musl.so" in libraries(built)[0]


def test_a_base_on_disk_cannot_be_pulled_nor_stand_in_a_dockerfile(no_daemon, tmp_path):
    """The errors say what to do with it."""
    environment = ContainerEnvironment(layout(tmp_path / "base"))
    with pytest.raises(ImageError, match="nothing to pull"):
        environment.pull_image()
    with pytest.raises(ImageError, match="push it to a registry"):
        environment.create_dockerfile(tmp_path / "context")


@pytest.mark.services
def test_the_daemon_builds_on_a_base_from_disk(daemon, base_image, tmp_path, unique, flow):
    """It gets the base with the first image; the id is that of the exported one."""
    with (tmp_path / "base.tar").open("wb") as file:
        for chunk in daemon.images.get(base_image).save(named=True):
            file.write(chunk)
    environment = ContainerEnvironment(str(tmp_path / "base.tar"), tag=unique)
    image, _ = environment.build(flow)
    assert environment.digests(flow)[1] == image.id
    container = environment.run()
    assert container.wait()["StatusCode"] == 0


# ---- in a registry ------------------------------------------------------------------------------


@pytest.fixture
def counting(registry):
    """The test registry, behind one that notes what it is asked for."""
    server = faulty_registry.FaultyRegistry(registry)
    yield server
    server.stop()


@pytest.mark.services
def test_a_base_from_a_registry_is_recorded_by_its_digest(base_image, no_daemon, tmp_path, flow):
    """By tag or by digest it makes one image, in which the digest stands."""
    reference = Reference.parse(base_image)
    digest = registry.resolve(reference)
    images = [
        exported(ContainerEnvironment(name), tmp_path / f"{n}.tar", flow)
        for n, name in enumerate((base_image, f"{reference.name}@{digest}"))
    ]
    assert images[0].digest == images[1].digest
    assert json.loads(images[0].manifest)["annotations"] == {BASE_DIGEST: digest}
    ContainerEnvironment(base_image).create_dockerfile(tmp_path / "context", flow=flow)
    assert f"FROM {reference.name}@{digest}" in (tmp_path / "context/Dockerfile").read_text()


@pytest.mark.services
def test_a_push_beside_its_base_sends_no_layer_of_it(
    base_image, registry, counting, no_daemon, unique, flow
):
    """The registry mounts them; the second push of the same image sends nothing."""
    name = base_image.replace(registry, counting.host)
    environment = ContainerEnvironment(name, python_dependencies=[])
    environment.digests(flow)
    counting.seen.clear()
    pushed = environment.push(f"{counting.host}/{unique}:1", flow)
    assert pushed.startswith(f"{counting.host}/{unique}@sha256:")
    base_layers = {layer.blob.digest for layer in _fetched(name).layers}
    assert not [s for s in counting.seen if s.method == "GET" and "/blobs/" in s.path
                and s.path.rpartition("/")[2] in base_layers]  # fmt: skip
    assert {s.path.split("mount=")[1].split("&")[0].replace("%3A", ":") for s in counting.seen
            if "mount=" in s.path} >= base_layers  # fmt: skip
    counting.seen.clear()
    assert environment.push(f"{counting.host}/{unique}:1") == pushed
    # Not for the base's config, which is known by its digest, and for /v2/ once at most.
    asked = [(s.method, s.path.rpartition("/")[2]) for s in counting.seen]
    assert [one for one in asked if one != ("GET", "")] == [
        ("GET", base_image.rpartition(":")[2]), ("HEAD", "1")
    ]  # fmt: skip
    assert len(asked) <= 3
    validate(_fetched(pushed))


@pytest.mark.services
def test_the_layers_of_a_base_are_fetched_once(
    base_image, registry, counting, no_daemon, tmp_path, monkeypatch, flow
):
    """A second export takes them from the store, and is the same."""
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or uv_cache())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment = ContainerEnvironment(base_image.replace(registry, counting.host))
    base_layers = {layer.blob.digest for layer in _fetched(environment.image).layers}
    found = []
    for number in range(2):
        counting.seen.clear()
        image = exported(environment, tmp_path / f"{number}.tar", flow)
        asked = [s.path.rpartition("/")[2] for s in counting.seen if s.method == "GET"]
        found.append((image.digest, len(base_layers.intersection(asked))))
    assert found == [(image.digest, len(base_layers)), (image.digest, 0)]


def uv_cache() -> str:
    """Return where uv keeps its downloads, which another cache directory would have it fetch."""
    return subprocess.run([uv_program(), "cache", "dir"], capture_output=True, text=True,
                          check=True).stdout.strip()  # fmt: skip


def _fetched(name: str):
    return registry.fetch(Reference.parse(name))


@pytest.mark.services
def test_without_its_registry_a_base_is_taken_from_the_daemon(
    daemon, base_image, unique, tmp_path, flow
):
    """Its layers are packed anew, and no digest of a base is recorded: who knows none tells none."""
    daemon.images.get(base_image).tag(f"127.0.0.1:1/{unique}", "1")
    environment = ContainerEnvironment(f"127.0.0.1:1/{unique}:1")
    image = exported(environment, tmp_path / "out.tar", flow)
    assert "annotations" not in json.loads(image.manifest)
    built, _ = environment.build(flow)
    assert built.id == image.id
    known, _ = ContainerEnvironment(base_image, tag=f"{unique}:known").build(flow)
    assert known.id == ContainerEnvironment(base_image).digests(flow)[1] != image.id


@pytest.mark.services
def test_a_platform_is_chosen_in_a_registry_and_stays_apart_in_the_daemon(
    daemon, registry, unique, tmp_path, flow
):
    """A build for ARM leaves the next one of the same base for this machine as it was."""
    name = f"{registry}/{unique}:1"
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
             "manifests": []}  # fmt: skip
    import urllib.request

    for architecture in ("amd64", "arm64"):
        image = base(architecture)
        _push(image, f"{registry}/{unique}:{architecture}")
        index["manifests"].append(
            {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest),
             "platform": {"os": "linux", "architecture": architecture}}
        )  # fmt: skip
    urllib.request.urlopen(
        urllib.request.Request(
            f"http://{registry}/v2/{unique}/manifests/1",
            json.dumps(index).encode(), {"Content-Type": index["mediaType"]}, method="PUT",
        )
    ).close()  # fmt: skip
    arm = ContainerEnvironment(name, platform="linux/arm64", tag=f"{unique}:arm")
    here = ContainerEnvironment(name, tag=f"{unique}:here")
    assert arm.build(flow)[0].attrs["Architecture"] == "arm64"
    assert here.build(flow)[0].attrs["Architecture"] == "amd64"
    assert arm.digests(flow)[1] == daemon.images.get(f"{unique}:arm").id
    by_digest = f"{registry}/{unique}@{digest_of(json.dumps(index).encode())}"
    for environment in (arm, ContainerEnvironment(by_digest, platform="linux/arm64")):
        assert environment.digests(flow)[0] == arm.digests(flow)[0]
    with pytest.raises(RegistryError, match="linux/amd64, linux/arm64"):
        ContainerEnvironment(name, platform="linux/riscv64").digests(flow)


def _push(image, name: str) -> None:
    registry.push(image, Reference.parse(name))


@pytest.mark.services
def test_a_base_in_a_registry_without_python_is_refused(no_daemon, base_image, registry, unique):
    """Before anything is resolved, and the error proposes another."""
    from image_making import simple

    _push(simple(), f"{os.environ['PREFECT_TEST_REGISTRY']}/{unique}:1")
    environment = ContainerEnvironment(
        f"{os.environ['PREFECT_TEST_REGISTRY']}/{unique}:1",
        python_dependencies=["no-such-distribution-1"],
    )
    with pytest.raises(ImageError, match=r"has no Python.*python:3\.11-slim"):
        environment.digests()


def test_a_registry_that_is_not_there_is_named(no_daemon, tmp_path, flow):
    """Without a container engine that has the base, the registry's error is the one to tell."""
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1"):
        ContainerEnvironment("127.0.0.1:1/python:3.11").export(tmp_path / "out.tar", flow)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("image", "implied"),
    [("python:3.11", True), ("docker.io/python:3.11", False), ("127.0.0.1:1/python", False)],
)
def test_docker_hub_is_not_blamed_as_if_it_were_named(
    no_daemon, tmp_path, monkeypatch, image, implied
):
    """A name without a registry implies it: the error says so, and how another one is named."""
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    for variable in ("PREFECT_REGISTRY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(RegistryError, match=r"^The registry .* cannot") as caught:
        ContainerEnvironment(image).export(tmp_path / "out.tar")
    assert ("implies Docker Hub" in str(caught.value)) is implied
    assert ("PREFECT_REGISTRY" in str(caught.value)) is implied


def test_set_up_commands_need_a_daemon(no_daemon, tmp_path):
    """Also for a push or an export, as they run there."""
    environment = ContainerEnvironment("127.0.0.1:1/python:3.11", setup=["true"])
    with pytest.raises(ContainerEngineError, match="DOCKER_HOST"):
        environment.export(tmp_path / "out.tar")
