"""What other programs make of our images, and we of theirs: docker, podman, skopeo, umoci, runc."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
import run_of_tests
from validation import validate

from prefect.oci.archives.archive import docker_archive, read, write
from prefect.oci.images import DOCKER_LAYER, Blob, Image, Layer, derive
from prefect.oci.layers.files import LayerFiles, read_from_layer
from prefect.oci.layers.writing import LAYER, Entry, write_layer

pytestmark = pytest.mark.services

GREETING = "hello from a layer"
PROGRAM = f"import sys; print({GREETING!r}, sys.version_info.major)\n".encode()
EXPECTED = f"{GREETING} 3\n"
PLACES = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def run(*command: str | Path, **options) -> str:
    """Run a program, which has to be there and to succeed; return what it prints."""
    program = shutil.which(command[0], path=PLACES)
    assert program, f"{command[0]} is not installed: run `make services`"
    done = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, check=False, timeout=200, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work():
    """A directory of all these tests; its 200 MB images go when they end."""
    # podman takes no path of more than 50 characters.
    path = Path(tempfile.mkdtemp(prefix="i", dir=run_of_tests.directory()))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def oci_base(base_image, work) -> Path:
    """The base image as skopeo takes it from the registry: a layout with a gzip layer."""
    source = f"docker://{base_image}"
    run("skopeo", "copy", "--src-tls-verify=false", source, f"oci:{work}/base:demo")
    return work / "base"


@pytest.fixture(scope="module")
def docker_base(base_image, daemon, work) -> Path:
    """The base image as `docker save` writes it."""
    with (work / "base.tar").open("wb") as file:
        for chunk in daemon.images.get(base_image).save(named=True):
            file.write(chunk)
    return work / "base.tar"


@pytest.fixture(scope="module")
def image(oci_base, work) -> Image:
    """A runnable image: the base, and a layer with a program."""
    return on_base(read(oci_base), work)


@pytest.fixture(scope="module")
def on_docker(docker_base, work) -> Image:
    """The same on what docker saved, whose layers are not packed."""
    return on_base(read(docker_base), work)


def on_base(base: Image, work: Path) -> Image:
    """Put a layer with a program on a base."""
    with (work / "greeter.layer").open("wb") as file:
        entry = Entry("opt/greeter/greet.py", PROGRAM, executable=True)
        written = write_layer([entry], file, own="opt/greeter")
    path = Path(file.name)
    blob = Blob(LAYER, written.digest, written.size, lambda: path.open("rb"))
    command = {"Entrypoint": ["python3"], "Cmd": ["/opt/greeter/greet.py"]}
    return derive(base, [Layer(written.diff_id, blob)], command, comments=["greeter"])


@pytest.fixture(scope="module")
def archive(image, work) -> Path:
    """The image in an archive, with the name greeter:1."""
    write(image, work / "image.tar", name="greeter:1")
    return work / "image.tar"


def program_of(image: Image) -> bytes | None:
    """Return the program, which is in the image's last layer."""
    return read_from_layer(image.layers[-1], "opt/greeter/greet.py", 1 << 20)


@pytest.fixture(scope="module")
def podman(work):
    """Return a function that runs podman with a storage of its own."""
    # What vfs copies needs no mounts, so that nothing has to be cleaned up.
    options = [
        f"--root={work}/storage", f"--runroot={work}/run", f"--tmpdir={work}/tmp",
        "--storage-driver=vfs", "--runtime=runc", "--cgroup-manager=cgroupfs",
        "--events-backend=file",
    ]  # fmt: skip
    return lambda *command: run("podman", *options, *command)


def test_the_image_is_valid_and_its_files_are_found(image):
    """Every digest is right; the program is in its layer, and python3 behind the base's links."""
    validate(image)
    files = LayerFiles(image, re.compile(r"greet\.py$|bin/python3|os-release$"))
    for _ in files.read_layers():
        pass
    assert files.read("/opt/greeter/greet.py") == PROGRAM
    assert files.read("usr/bin/python3")[:4] == b"\x7fELF"
    assert b"ID=debian" in files.read("etc/os-release")
    assert read_from_layer(image.layers[-1], "opt/other", 1 << 20) is None


def test_skopeo_reads_the_archive_as_both_kinds(image, archive):
    """It sees the same config and layers in the OCI's half and in docker's."""
    for transport in ("oci-archive", "docker-archive"):
        seen = json.loads(run("skopeo", "inspect", "--config", f"{transport}:{archive}"))
        assert seen["rootfs"]["diff_ids"] == [layer.diff_id for layer in image.layers]
        assert seen["config"]["Cmd"] == ["/opt/greeter/greet.py"]
    digest = run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{archive}")
    assert digest.strip() == image.digest


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
def test_what_skopeo_copies_is_read(image, archive, work, kind):
    """From our archive into each kind of its own, with the same files, and valid."""
    target = work / f"copied-{kind}"
    tag = ":copied:1" if kind != "oci" else ":copied"
    source = "docker-archive" if kind == "docker-archive" else "oci-archive"
    run("skopeo", "copy", f"{source}:{archive}", f"{kind}:{target}{tag}")
    back = read(target, name="copied" if kind == "oci" else "copied:1")
    validate(back)
    assert [layer.diff_id for layer in back.layers] == [layer.diff_id for layer in image.layers]
    assert program_of(back) == PROGRAM
    shutil.rmtree(target) if target.is_dir() else target.unlink()


def test_skopeo_copies_from_a_layout_by_name(image, work):
    """Our directory has two images, of which it takes the named one, as it is."""
    for name in ("one:1", "two:2"):
        write(image, work / "layout", name=name)
    run("skopeo", "copy", f"oci:{work}/layout:two:2", f"oci:{work}/again:two")
    assert read(work / "again").digest == image.digest
    shutil.rmtree(work / "again")


def test_podman_loads_and_runs_it(image, archive, podman, work):
    """The program prints what it should; what podman saves, we read."""
    assert "greeter:1" in podman("load", "--input", archive)
    limits = ["--ulimit=nofile=256:256", "--ulimit=nproc=256:256"]
    options = ["--pull=never", "--network=none", "--rm", *limits]
    assert podman("run", *options, "greeter:1") == EXPECTED
    for kind in ("docker-archive", "oci-archive"):
        saved = work / f"podman-{kind}"
        podman("save", "--quiet", f"--format={kind}", f"--output={saved}", "greeter:1")
        validate(back := read(saved))
        assert program_of(back) == PROGRAM
        saved.unlink()
    podman("rmi", "--all", "--force")


def test_umoci_unpacks_and_runc_runs_it(image, work, unique):
    """A bundle made of our layout, run with no container engine, prints what it should."""
    write(image, work / "umoci", name="greeter")
    assert "greeter:latest" in run("umoci", "ls", "--layout", work / "umoci")
    bundle = work / "bundle"
    run("umoci", "unpack", "--image", f"{work}/umoci:greeter:latest", bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "rlimits": []}
    (bundle / "config.json").write_text(json.dumps(config))
    output = run("runc", f"--root={work}/runc", "run", f"--bundle={bundle}", unique)
    assert output == EXPECTED
    shutil.rmtree(bundle)


def test_docker_loads_and_runs_it(image, daemon, unique, work):
    """From chunks, with both indexes and without; what docker saves, we read."""
    for both in (False, True):
        name = f"{unique}:{'both' if both else 'one'}"
        daemon.api.load_image(docker_archive(image, name, both_indexes=both))
        assert daemon.containers.run(name, network_mode="none", remove=True).decode() == EXPECTED
        assert daemon.images.get(name).id == image.id
    with (work / "saved.tar").open("wb") as file:
        for chunk in daemon.images.get(name).save(named=name):
            file.write(chunk)
    validate(back := read(file.name, name=name))
    assert back.id == image.id
    assert program_of(back) == PROGRAM
    (work / "saved.tar").unlink()


def test_docker_loads_what_it_lacks(image, daemon, base_image, unique, work):
    """The base's layer is left out, since the container engine has it; the program runs all the same."""
    base = image.layers[0]
    assert daemon.images.get(base_image).attrs["RootFS"]["Layers"] == [base.diff_id]
    chunks = list(docker_archive(image, unique, leave_out={base.diff_id}))
    assert sum(map(len, chunks)) < 20_000
    daemon.api.load_image(iter(chunks))
    assert daemon.containers.run(unique, network_mode="none", remove=True).decode() == EXPECTED
    path = work / "less.tar"
    path.write_bytes(b"".join(chunks))
    with tarfile.open(path) as tar:
        assert f"blobs/sha256/{base.blob.digest[7:]}" not in tar.getnames()


def test_an_image_on_what_docker_saved_is_as_good(on_docker, image, daemon, unique, work):
    """It is valid, has the same id, and skopeo and docker take it."""
    validate(on_docker)
    assert on_docker.id == image.id
    write(on_docker, work / "plain.tar", name=f"{unique}:1")
    run("skopeo", "copy", f"oci-archive:{work}/plain.tar", f"oci:{work}/plain:one")
    validate(back := read(work / "plain"))
    assert [layer.diff_id for layer in back.layers] == [layer.diff_id for layer in image.layers]
    daemon.api.load_image(docker_archive(on_docker, unique, both_indexes=True))
    assert daemon.containers.run(unique, network_mode="none", remove=True).decode() == EXPECTED


def test_layers_of_docker_are_plain_and_named_by_diff_id(docker_base):
    """`docker save` does not pack them, and so the blob is the archive itself."""
    for layer in read(docker_base).layers:
        assert layer.blob.media_type == DOCKER_LAYER
        assert layer.blob.digest == layer.diff_id
