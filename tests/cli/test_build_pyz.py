"""`prefect build -o FILE.pyz`, and what the other commands make of such a file."""

import json
import shutil
import sys
import zipfile

import pytest

from prefect.pyz.index import read_whole_index
from prefect.pyz.reading import SEALED
from prefect.pyz.writing import around, pack, packed_of
from prefect.sealed.source import opened_whole

SERIES = "3.11"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What was built once for all, by its name."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def pyz(prefect, made):
    """The command in a directory that has etl.pyz and its key, flow.key."""
    if not (made / "etl.pyz").exists():
        prefect("keygen", "flow.key")
        prefect("build", "etl.py", "-o", "etl.pyz", "--key-file", "flow.key", "--python", SERIES)
        for name in ("etl.pyz", "flow.key"):
            shutil.copy2(prefect.directory / name, made)
    for name in ("etl.pyz", "flow.key"):
        shutil.copy2(made / name, prefect.directory)
    return prefect


def test_it_is_told_what_runs_it_and_for_which_places(pyz):
    """Without a key, too; nothing of the flow is in the clear."""
    out, _ = pyz("info", "etl.pyz")
    assert f"runs by itself  by prefect 0.1.0, for Python {SERIES} on linux/" in out
    assert "with glibc 2.28 or newer" in out
    told = json.loads(pyz("info", "etl.pyz", "--json")[0])
    assert [name.partition("-")[0] for name in told["pyz"]["wheels"]] == [
        "cffi", "cloudpickle", "cryptography", "packaging", "pycparser",
    ]  # fmt: skip
    out, _ = pyz("info", "etl.pyz", "--key-file", "flow.key")
    assert "etl & co" in out
    assert "runs by itself" in out
    with zipfile.ZipFile(pyz.directory / "etl.pyz") as archive:
        for name in archive.namelist():
            assert b"etl & co" not in archive.read(name)
            assert str(pyz.directory).encode() not in archive.read(name)


def test_every_command_finds_the_sealed_flow_in_it(pyz):
    """By its path, and through a pipe."""
    key = ("--key-file", "flow.key")
    pyz("build", "etl.py", "-o", "etl.flow", *key)
    assert "Equal" in pyz("diff", "etl.pyz", "etl.flow", *key)[0]
    assert "etl.pyz can run here" in pyz("check", "etl.pyz", *key)[0]
    assert "loaded [0, 2, 4]" in pyz("run", "etl.pyz", *key)[0]
    assert "extract" in pyz("graph", "etl.pyz", *key)[0]


def test_it_is_verified_with_all_that_stands_in_the_clear(pyz):
    """What runs it is what the sealed flow names, and not only what its own index lists."""
    out, _ = pyz("verify", "etl.pyz", "--key-file", "flow.key")
    assert "etl.pyz is authentic, every byte of it." in out
    assert "What runs it is as it was built: prefect 0.1.0, for Python" in out
    path = pyz.directory / "etl.pyz"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sealed = files.pop(SEALED)
    del files["index.json"]
    files["__main__.py"] = b"print('another')\n"
    with (pyz.directory / "other.pyz").open("w+b") as file, around(file, pack(files, "0.1.0")):
        file.write(sealed)
    _, err = pyz("verify", "other.pyz", "--key-file", "flow.key", status=2)
    assert "is not what was there when its flow was sealed" in err
    assert "loaded" in pyz("run", "other.pyz", "--key-file", "flow.key")[0]
    for place in (len(path.read_bytes()) // 2, -30, 40):
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        (pyz.directory / "changed.pyz").write_bytes(data)
        pyz("verify", "changed.pyz", "--key-file", "flow.key", status=2)


def test_who_signs_and_rewraps_leaves_all_else_as_it_is(pyz):
    """The file runs by itself afterwards, and is verified with the new key and the signer."""
    path = pyz.directory / "etl.pyz"
    with opened_whole(path) as source:
        before = packed_of(source)
    pyz("keygen", "--signing", "me.key")
    pyz("keygen", "new.key")
    pyz("sign", "etl.pyz", "--signing-key", "me.key")
    pyz("rewrap", "etl.pyz", "--key-file", "flow.key", "--to-key-file", "new.key")
    with opened_whole(path) as source:
        assert packed_of(source) == before
        read_whole_index(source)
    trusting = ("--key-file", "new.key", "--trusted-signer", "me.key.pub")
    assert "as it was built" in pyz("verify", "etl.pyz", *trusting)[0]
    pyz("verify", "etl.pyz", "--key-file", "flow.key", status=2)
    assert path.stat().st_mode & 0o777 == 0o700


def test_the_sealed_flow_is_taken_out_of_it_by_rewrap_and_not_the_other_way_round(pyz):
    """A sealed flow alone would not run by itself, whatever its name."""
    to = ("--key-file", "flow.key", "--to-key-file", "flow.key")
    pyz("rewrap", "etl.pyz", *to, "-o", "etl.flow")
    assert (pyz.directory / "etl.flow").read_bytes().startswith(b"prefect sealed flow")
    _, err = pyz("rewrap", "etl.flow", *to, "-o", "new.pyz", status=2)
    assert "build it with -o new.pyz" in err
    assert not (pyz.directory / "new.pyz").exists()


@pytest.mark.parametrize("name", ["etl.pyzw", "etl.zip", "etl.PYZ", "etl.py"])
def test_another_ending_that_python_would_run_is_refused(pyz, name):
    """What is written there would be a sealed flow alone."""
    (pyz.directory / "etl.py").rename(pyz.directory / "flow.py")
    _, err = pyz("build", "flow.py", "-o", name, "--key-file", "flow.key", status=2)
    assert "FILE.pyz for one that runs by itself" in err
    assert not (pyz.directory / name).exists()


def test_a_build_that_fails_leaves_the_former_file(pyz):
    """And nothing beside it: without a key, and with a flow that cannot be packaged."""
    before = {path.name: path.read_bytes() for path in pyz.directory.iterdir() if path.is_file()}
    _, err = pyz("build", "etl.py", "-o", "etl.pyz", status=2)
    assert "There is no encryption key" in err
    pyz(
        "build", "etl.py", "-o", "etl.pyz", "--key-file", "flow.key", "-r", "no-such-distribution-here",
        "--python", SERIES, status=2,
    )  # fmt: skip
    after = {path.name: path.read_bytes() for path in pyz.directory.iterdir() if path.is_file()}
    assert after == before


def test_without_an_index_what_is_installed_here_goes_along(pyz):
    """For this Python alone, with a warning; where others are asked for, it is an error."""
    offline = {
        "UV_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_FIND_LINKS": "",
        "UV_CACHE_DIR": str(pyz.directory / "uv"), "XDG_CACHE_HOME": str(pyz.directory / "cache"),
    }  # fmt: skip
    _, err = pyz("build", "etl.py", "-o", "off.pyz", "--key-file", "flow.key", **offline)
    assert "and perhaps on no older system than this one" in err
    assert "for Python" in pyz("info", "off.pyz")[0]
    assert "as it was built" in pyz("verify", "off.pyz", "--key-file", "flow.key")[0]
    more = ("--python", "3.12", "--key-file", "flow.key")
    pyz("build", "etl.py", "-o", "none.pyz", *more, status=2, **offline)
    assert not (pyz.directory / "none.pyz").exists()


@pytest.mark.parametrize(("package", "said"), [("msgpack", True), ("toolz", False)])
def test_packages_that_travel_for_one_series_alone_are_named(pyz, package, said):
    """Machine code is of the Python here; the line says how to have others, and then is gone."""
    (pyz.directory / "packs.py").write_text(
        f"import {package}\nfrom prefect import Flow, task\n\n@task\ndef use():\n"
        f"    return {package}.__name__\n\nwith Flow('packs') as flow:\n    use()\n"
    )
    build = ("build", "packs.py", "-o", "packs.pyz", "--key-file", "flow.key", "--vendor")
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    told = f"{package} travels for Python {here} alone, and so the file runs on no other: --python 3.11,"
    assert (told in pyz(*build)[1]) == said
    assert told not in pyz(*build, "--python", here)[1]


def test_one_is_no_source_of_a_flow(pyz):
    """It was built already."""
    _, err = pyz("build", "etl.pyz", status=2)
    assert "runs by itself already" in err
