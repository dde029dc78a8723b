"""`prefect.images.base.image`, on bases made by hand."""

import pytest
from base_making import HERE, base, debian, program
from image_making import image_of, layer_of, tar_of

from prefect.errors import ImageContentError, ImageError
from prefect.frozen import replace
from prefect.images.base.image import assumed, look_into
from prefect.oci.cache.store import Store
from prefect.oci.images import Layer
from prefect.oci.platforms import Platform

OFFICIAL = ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.12.4", "GPG_KEY=x"]


@pytest.fixture
def store(tmp_path):
    """A store that knows nothing."""
    with Store(tmp_path / "store") as opened:
        yield opened


def unreadable(image, *numbers):
    """Return the image with layers that raise when they are opened."""

    def open_() -> None:
        raise AssertionError("this layer is not to be read")

    layers = [
        Layer(each.diff_id, replace(each.blob, open=open_)) if n in numbers else each
        for n, each in enumerate(image.layers)
    ]
    return replace(image, layers=tuple(layers))


@pytest.mark.parametrize(
    ("architecture", "platform"),
    [("amd64", "x86_64-manylinux_2_36"), ("arm64", "aarch64-manylinux_2_36")],
)
def test_a_base_is_described(store, architecture, platform):
    """Its Python, its platform as uv calls it, and as whom its containers run."""
    found = look_into(base(architecture, User="app"), "demo:1", store)
    assert (found.interpreter, found.python) == (f"/usr/bin/python{HERE}", HERE)
    assert (found.platform, found.user, found.reference) == (platform, "app", "demo:1")


def test_what_was_found_is_remembered(store):
    """The layers of a base are read once, wherever and under what name it is seen again."""
    image = base()
    first = look_into(image, "demo:1", store)
    again = look_into(unreadable(image, 0), "other:2", store)
    assert (again.interpreter, again.platform) == (first.interpreter, first.platform)
    with pytest.raises(AssertionError):
        look_into(unreadable(base(Env=["PATH=/elsewhere"]), 0), "demo:1", store)


def test_of_an_official_image_the_layer_with_its_libc_is_enough(store):
    """Those with Python are some 50 MB, and the config tells of them."""
    found = look_into(unreadable(base("amd64", [("x", "")], Env=OFFICIAL), 1), "demo:1", store)
    assert (found.interpreter, found.python) == ("/usr/local/bin/python3.12", "3.12")
    assert found.platform == "x86_64-manylinux_2_36"


def test_a_variable_alone_makes_no_python(store):
    """One without the marks of the official images is looked into."""
    image = base(Env=["PATH=/usr/bin", "PYTHON_VERSION=3.99.1"])
    assert look_into(image, "demo:1", store).python == HERE


def test_the_upper_layers_count(store):
    """A second Python in front of the first is the one that starts."""
    upper = [("usr/local/bin/python3", "2", "python3.31"), ("usr/local/bin/python3.31", program())]
    upper[0] = ("usr/local/bin/python3", b"2", "python3.31")
    assert look_into(base("amd64", upper), "demo:1", store).python == "3.31"
    gone = [("usr/bin/.wh.python3", "")]
    with pytest.raises(ImageError, match="has no Python"):
        look_into(base("amd64", gone), "demo:1", store)


def test_an_old_python_is_refused_though_the_config_tells_it(store):
    """The official image of 3.9 is no base, also for dependencies alone."""
    members = [*debian(), ("usr/local/bin/python3", b"2", "python3.9")]
    members += [("usr/local/bin/python3.9", program())]
    env = [*OFFICIAL[::2], "PYTHON_VERSION=3.9.19"]
    with pytest.raises(ImageError, match=r"has CPython 3\.9; flows need"):
        look_into(image_of(layer_of(tar_of(*members)), config={"Env": env}), "demo:1", store)


@pytest.mark.parametrize("platform", ["windows/amd64", "linux/s390x", "linux/arm/v6"])
def test_other_platforms_are_refused(store, platform):
    """The error lists what there is."""
    image = image_of(layer_of(tar_of(*debian())), platform=platform)
    with pytest.raises(ImageError, match="linux on amd64, arm64, riscv64"):
        look_into(image, "demo:1", store)


def test_an_image_of_ours_is_no_base(store):
    """Two sets of dependencies would mix in it."""
    with pytest.raises(ImageError, match="was itself built by prefect"):
        look_into(base(Labels={"prefect.version": "1"}), "demo:1", store)


def test_a_base_that_is_not_what_it_promises_is_refused(store):
    """And nothing of it is remembered."""
    image = base()
    wrong = replace(image, layers=(Layer("sha256:" + "0" * 64, image.layers[0].blob),))
    for _ in range(2):
        with pytest.raises(ImageContentError, match="unpacks to"):
            look_into(wrong, "demo:1", store)


def test_a_base_that_nobody_can_look_into_is_taken_for_one_like_here():
    """The Dockerfile checks that when it is built."""
    found = assumed("demo:1", Platform.parse("linux/arm64"))
    assert (found.interpreter, found.python) == ("python3", HERE)
    assert found.platform == "aarch64-manylinux_2_28"
