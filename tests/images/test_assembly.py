"""`prefect.images.assembly`, with no dependencies at all."""

import io
import json
import marshal
import sys
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_making import image_of, images, layer_of, tar_of
from validation import validate

from prefect.frozen import replace
from prefect.images.assembly import assemble
from prefect.images.plan import ImagePlan
from prefect.oci.cache.store import Store
from prefect.oci.images import Layer, digest_of
from prefect.oci.layers.unpacking import unpacked

HERE = "{}.{}".format(*sys.version_info)
SITE = f"opt/prefect/lib/python{HERE}/site-packages"
PLAN = ImagePlan(
    base="demo:1", interpreter=f"/usr/bin/python{HERE}", python=HERE,
    platform="x86_64-manylinux_2_36", user="", lock="",
    runtime={"prefect/__init__.py": b"x = 1\n", "prefect/bad.py": b"no python"},
    flow={"manifest.json": b"{}", "payload.pickle": b"P"}, labels={"prefect.version": "1"},
)  # fmt: skip
BASE = image_of(
    layer_of(tar_of(("usr/bin/python3", "x"))),
    config={
        "Env": ["A=b=c", "PATH=/usr/bin", "EMPTY="],
        "User": "app",
        "Labels": {"of": "base"},
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "ExposedPorts": {"80/tcp": {}},
    },
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests, where nothing is made twice."""
    with Store(tmp_path_factory.mktemp("store")) as opened:
        yield opened


def members(layer) -> dict[str, tarfile.TarInfo]:
    with unpacked(layer.blob) as file, tarfile.open(fileobj=io.BytesIO(file.read())) as tar:
        return {member.name: member for member in tar}


def test_the_environment_is_what_venv_makes(store):
    """A home, links to the interpreter, the runtime and its bytecode."""
    runtime = members(assemble(PLAN, BASE, store).layers[1])
    assert runtime["opt/prefect/bin/python"].linkname == f"/usr/bin/python{HERE}"
    assert runtime["opt/prefect/bin/python3"].linkname == "python"
    tag = f"cpython-{HERE.replace('.', '')}"
    assert f"{SITE}/prefect/__pycache__/__init__.{tag}.pyc" in runtime
    assert f"{SITE}/prefect/__pycache__/bad.{tag}.pyc" not in runtime
    assert f"{SITE}/prefect/bad.py" in runtime
    assert "opt/prefect/pyvenv.cfg" in runtime
    assert "opt" not in runtime


def test_bytecode_is_of_the_sources_as_the_image_has_them(store, tmp_path):
    """Checked by their hash, or not at all: their times are those of no disk."""
    layer = assemble(PLAN, BASE, store).layers[1]
    with unpacked(layer.blob) as file, tarfile.open(fileobj=io.BytesIO(file.read())) as tar:
        (name,) = [n for n in tar.getnames() if n.endswith(".pyc")]
        data = tar.extractfile(name).read()
    assert int.from_bytes(data[4:8], "little") & 1
    assert marshal.loads(data[16:]).co_filename == f"/{SITE}/prefect/__init__.py"


def test_settings_are_the_bases_and_ours(store):
    """Its user, ports and labels stay; PATH begins with the environment; what runs is the flow."""
    built = assemble(PLAN, BASE, store).settings
    assert built == {
        "Env": ["A=b=c", "PATH=/opt/prefect/bin:/usr/bin", "EMPTY=", "PYTHONUNBUFFERED=1"],
        "User": "app",
        "Labels": {"of": "base", "prefect.version": "1"},
        "Entrypoint": ["/opt/prefect/bin/python", "-m", "prefect.worker"],
        "Cmd": ["run"],
        "ExposedPorts": {"80/tcp": {}},
    }


def test_a_base_without_a_path_gets_the_engines(store):
    """The programs of the base are found as without us."""
    bare = image_of(layer_of(tar_of(("a", ""))))
    (path, _) = assemble(PLAN, bare, store).settings["Env"]
    assert path.startswith("PATH=/opt/prefect/bin:/usr/local/sbin:")
    assert path.endswith(":/bin")


def test_layers_change_as_seldom_as_they_can(store):
    """A flow, a lock and a runtime change their own alone, and a base none."""
    ids = [layer.diff_id for layer in assemble(PLAN, BASE, store).layers]
    flow = replace(PLAN, flow=PLAN.flow | {"payload.pickle": b"Q"})
    assert [layer.diff_id for layer in assemble(flow, BASE, store).layers][:-1] == ids[:-1]
    runtime = replace(PLAN, runtime={"prefect/__init__.py": b"x = 2\n"})
    others = [layer.diff_id for layer in assemble(runtime, BASE, store).layers]
    assert others[2:] == ids[2:]
    assert others[1] != ids[1]
    lock = replace(PLAN, lock="# of nothing\n")
    others = [layer.diff_id for layer in assemble(lock, BASE, store).layers]
    assert others[:2] + others[3:] == ids[:2] + ids[3:]
    assert others[2] != ids[2]
    base = image_of(layer_of(tar_of(("another", ""))))
    assert [layer.diff_id for layer in assemble(PLAN, base, store).layers][1:] == ids[1:]


def test_without_a_flow_there_is_no_layer_of_it(store):
    """An image of dependencies alone ends with the runtime and the lock."""
    layers = assemble(replace(PLAN, flow={}), BASE, store).layers
    assert len(layers) == 3
    assert "opt/prefect/requirements.lock" in members(layers[-1])


@pytest.mark.parametrize(("size", "layers"), [((1 << 20) - 2, 4), ((1 << 20) - 1, 5)])
def test_more_than_a_mebibyte_is_split(store, size, layers):
    """The manifest then has a layer of its own, on top of all."""
    large = replace(PLAN, flow=PLAN.flow | {"payload.pickle": bytes(size)})
    image = assemble(large, BASE, store)
    validate(image)
    assert len(image.layers) == layers
    assert "opt/prefect/flow/manifest.json" in members(image.layers[-1])
    history = json.loads(image.config)["history"]
    assert [entry.get("created_by") for entry in history][1:4] == [
        "prefect's runtime",
        "the lock",
        "the flow",
    ]


def test_on_a_base_that_a_daemon_has_it_is_the_same_image(store):
    """Without the bytes of the base there is no digest, but the id is the same."""
    bare = replace(BASE, layers=tuple(Layer(layer.diff_id) for layer in BASE.layers), manifest=None)
    image = assemble(PLAN, bare, store)
    assert image.manifest is None
    assert image.id == assemble(PLAN, BASE, store).id


def test_a_cold_store_makes_the_same_bytes(store, tmp_path):
    """Nothing of a store, its place or its age is in an image."""
    with Store(tmp_path / "cold") as cold:
        assert assemble(PLAN, BASE, cold).digest == assemble(PLAN, BASE, store).digest
    with Store(None) as nowhere:
        assert assemble(PLAN, BASE, nowhere).digest == assemble(PLAN, BASE, store).digest


@settings(max_examples=25)
@given(images(), st.binary(max_size=100))
def test_any_base_gives_a_valid_image(store, base, payload):
    """Of either family, packed or not; its id and digest are those of its bytes."""
    image = assemble(replace(PLAN, flow={"payload.pickle": payload}), base, store)
    validate(image)
    assert image.digest == digest_of(image.manifest)
