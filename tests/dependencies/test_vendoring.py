"""`prefect.dependencies.vendoring`: what is locked becomes wheels that travel."""

import pytest

from prefect.dependencies.vendoring import vendor
from prefect.dependencies.wheels import read_wheel, write_wheel
from prefect.pylock import File, Lock, Package, Target, read

PLATFORMS = [
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "manylinux_2_27_x86_64.manylinux_2_28_x86_64",
    "manylinux_2_30_x86_64",
    "manylinux_2_34_x86_64",
    "musllinux_1_2_x86_64",
]


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """Wheels of one version for several C libraries, which are all that is to be had."""
    (links := tmp_path / "links").mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    made = {}
    for platform in PLATFORMS:
        tag = f"py3-none-{platform}"
        info = "built-1.0.dist-info"
        members = {
            "built.py": (platform.encode(), False),
            f"{info}/METADATA": (b"Metadata-Version: 2.1\nName: built\nVersion: 1.0\n", False),
            f"{info}/WHEEL": (
                f"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
                False,
            ),
        }
        made[platform] = read_wheel(write_wheel(links / f"built-1.0-{tag}.whl", info, members))
    return made


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_wheel_that_is_locked_is_taken_whatever_c_library_it_is_for(wheels, platform, tmp_path):
    """A lock tells of no C library: the hashes say which of several wheels is meant."""
    wheel = wheels[platform]
    target = Target("3.11", "linux", "x86_64")
    files = (File(wheel.path.name, wheel.size, wheel.sha256),)
    lock = Lock.of({target: [Package("built", "1.0", files, frozenset({target}))]})
    (place := tmp_path / "vendored").mkdir()
    (found,) = vendor(read(lock.text()), (), place)
    assert found.path.name == wheel.path.name
    assert found.sha256 == wheel.sha256
