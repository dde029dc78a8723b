"""`prefect.places.surroundings`: what docker's users write, read or refused with its reason."""

import pytest

from prefect.errors import PlaceError
from prefect.places.surroundings import Surroundings, Volume, parse_env, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 << 20),
        ("2g", 2 << 30),
        ("1.5G", 3 << 29),
        ("2gb", 2 << 30),
        ("7340032", 7 << 20),
    ],
)
def test_sizes_are_read_as_docker_reads_them(text, size):
    """A number and a unit of powers of 1024 is a size in bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "2 gigabytes", "-1g", "1k", "1e9", "inf"])
def test_what_is_no_size_is_refused(text):
    """What is no size, or too small for a process, is an error that shows how one is written."""
    with pytest.raises(ValueError, match=r"512m or 2g|6m"):
        parse_size(text)


def test_volumes_are_read_as_docker_reads_them(tmp_path, monkeypatch):
    """A path of this machine or the name of a volume, where it is seen, and whether it may change."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert Volume.parse("/data:/in:ro") == Volume("/data", "/in", writable=False)
    assert Volume.parse("./data:/in") == Volume(f"{tmp_path}/data", "/in")
    assert Volume.parse("~/data:/in:rw") == Volume("/home/ada/data", "/in")
    assert Volume.parse("cache:/c") == Volume("cache", "/c")
    assert not Volume.parse("cache:/c").is_path
    assert Volume.parse("/data:/in:z") == Volume("/data", "/in", label="z")
    assert Volume.parse("/data:/in:ro,Z") == Volume("/data", "/in", writable=False, label="Z")


@pytest.mark.parametrize(
    "text",
    ["", "/data", ":/in", "/data:in", "/data:/in:rx", "data/x:/in", "/a:/b:ro,rw", "/a:/b:z,Z"],
)
def test_what_is_no_volume_is_refused(text):
    """What is no volume is an error that shows how one is written."""
    with pytest.raises(ValueError, match=r"write|neither"):
        Volume.parse(text)


def test_variables_are_given_or_passed_on(monkeypatch):
    """NAME=VALUE is given, NAME is passed on from here, and the last of a name counts."""
    monkeypatch.setenv("MODE", "fast")
    monkeypatch.delenv("ABSENT", raising=False)
    assert parse_env(["A=1", "B=", "MODE", "A=2=3"]) == (("A", "2=3"), ("B", ""), ("MODE", "fast"))
    for wrong in ("=1", "", "ABSENT"):
        with pytest.raises(ValueError, match="variable"):
            parse_env([wrong])


def test_what_a_place_cannot_give_is_refused_by_its_name():
    """A place names each thing that is asked of it and that it cannot give."""
    asked = Surroundings(memory=1 << 30, volumes=(Volume("/a", "/b"),), network="host")
    assert asked.asked() == ["volumes", "memory", "network"]
    asked.require("volumes", "memory", "network", place="here")
    with pytest.raises(PlaceError, match=r"--volume, --network cannot be had in this interpreter"):
        asked.require("memory", place="in this interpreter")


@pytest.mark.parametrize(
    "wrong", [{"cpus": 0}, {"cpus": float("nan")}, {"memory": 1}, {"workdir": "a"}]
)
def test_what_nobody_can_have_is_refused(wrong):
    """Numbers out of range and relative paths are errors before anything starts."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Surroundings(**wrong)


@pytest.mark.parametrize("second", ["/data", "/data/", "//data", "/x/../data"])
def test_two_volumes_on_one_target_are_refused(second):
    """However it is written: one of them would not be seen. Both are named."""
    volumes = [Volume("/a", "/data"), Volume("/c", "/data/c"), Volume("/b", second)]
    with pytest.raises(ValueError, match=f"one target.*/a:/data and /b:{second}"):
        Surroundings(volumes=tuple(volumes))
    with pytest.raises(ValueError, match="one target"):
        Surroundings.given(volumes=["/a:/data", f"/b:{second}:ro"])
    assert Surroundings(volumes=tuple(volumes[:2])).volumes


def test_what_is_given_in_python_is_what_is_written_on_a_command_line(tmp_path, monkeypatch):
    """Numbers or text, a dict or lines: one meaning."""
    monkeypatch.chdir(tmp_path)
    written = Surroundings.given(
        volumes=["./data:/in:ro"], env=["A=1"], memory="64m", cpus=1.5, gpus="2", user="1000:5",
        network="host", workdir="/in", output="out",
    )  # fmt: skip
    assert written == Surroundings.given(
        volumes=[Volume(f"{tmp_path}/data", "/in", writable=False)], env={"A": "1"},
        memory=64 << 20, cpus=1.5, gpus=2, user="1000:5", network="host", workdir="/in",
        output=tmp_path / "out",
    )  # fmt: skip
    assert written.output == tmp_path / "out"
    assert Surroundings.given() == Surroundings()
    assert Surroundings.given(gpus="device=0,GPU-3a", user=1000).user == "1000"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"volumes": "./a:/b"}, TypeError), ({"volumes": [1]}, TypeError),
        ({"env": "A=1"}, TypeError), ({"env": {"A": 1}}, TypeError), ({"env": [1]}, TypeError),
        ({"env": {"A": None}}, TypeError), ({"env": {"A=B": "1"}}, ValueError),
        ({"env": {"A": "\0"}}, ValueError), ({"memory": 1.5}, TypeError), ({"memory": 9}, ValueError),
        ({"memory": True}, TypeError), ({"cpus": "2"}, TypeError), ({"cpus": True}, TypeError),
        ({"cpus": 0}, ValueError), ({"cpus": float("nan")}, ValueError), ({"gpus": 0}, ValueError),
        ({"gpus": "some"}, ValueError), ({"user": -1}, ValueError), ({"user": "a b"}, ValueError),
        ({"user": ""}, ValueError), ({"network": ""}, ValueError), ({"workdir": "in"}, ValueError),
        ({"workdir": 1}, TypeError), ({"output": ""}, ValueError), ({"output": 1}, TypeError),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong, kind):
    """By its type or its value, before anything is made."""
    with pytest.raises(kind):
        Surroundings.given(**wrong)
