"""`PickleEnvironment` with files: streamed both ways, in little memory, and never in clear."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment
from prefect.errors import (
    AuthenticationError,
    FormatError,
    OutputError,
    PicklingError,
    SecretError,
)

LARGE = os.urandom(1000) * 12_000  # more than is pickled at once


@pytest.fixture
def large():
    """A flow with some megabytes of data in it."""
    data = LARGE

    @task
    def size(n):
        return len(data) + n

    with Flow("large") as made:
        size(Parameter("n", default=1))
    return made


@pytest.mark.parametrize("path", [".", "directory"])
def test_a_directory_is_no_file_to_write(tmp_path, monkeypatch, path):
    """The error quotes it as it was given, says what is wanted, and nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    with pytest.raises(OutputError, match=f"^'{path}' is a directory: .*such as etl.flow"):
        PickleEnvironment().build_to(path, Flow("etl"))
    assert [each.name for each in tmp_path.iterdir()] == ["directory"]


def test_a_file_holds_what_the_bytes_hold(flow, large, tmp_path):
    """Small or large, a flow that was built to a path is read from there, and as bytes."""
    for number, made in enumerate((flow, large)):
        environment = PickleEnvironment()
        path = tmp_path / f"{number}.flow"
        environment.build_to(path, made)
        assert environment.info(path) == environment.info(path.read_bytes()) == made.serialize()
        assert environment.manifest(path) == environment.manifest(environment.build(made))
        assert environment.run(path).is_successful()
        assert environment.run(path.read_bytes()).is_successful()


def test_without_a_path_the_file_that_was_built_last_runs(flow, large, tmp_path):
    """`run()` finds it where `build_to` put it."""
    environment = PickleEnvironment()
    environment.build(flow)
    environment.build_to(tmp_path / "large.flow", large)
    (state,) = [s for s in environment.run().result.values() if s.result != 1]
    assert state.result == len(LARGE) + 1


def test_a_str_is_a_path_to_write_and_never_one_to_read(flow, tmp_path):
    """Where bytes may be given, a str might be anything: a TypeError says to write a Path."""
    environment = PickleEnvironment()
    name = str(tmp_path / "f.flow")
    environment.build_to(name, flow)
    for method in (environment.info, environment.run, environment.rewrap):
        with pytest.raises(TypeError, match=r"pathlib\.Path"):
            method(name)
    environment.rewrap_to(name, Path(name))
    assert environment.info(Path(name)) == flow.serialize()


def test_a_file_is_rewrapped_in_place(large, tmp_path):
    """The new key opens the same file, and the old does not."""
    old, new = PickleEnvironment(), PickleEnvironment()
    path = tmp_path / "f.flow"
    old.build_to(path, large)
    PickleEnvironment([new.encryption_key, old.encryption_key]).rewrap_to(path, path)
    assert new.run(path).is_successful()
    with pytest.raises(AuthenticationError):
        old.info(path)


def test_a_build_that_fails_leaves_the_former_file(large, tmp_path, monkeypatch):
    """A secret deep within a large payload is found at the seams too, and nothing is left."""
    environment = PickleEnvironment(secrets=["TOKEN"])
    large.environment = environment
    path = tmp_path / "f.flow"
    path.write_bytes(b"precious")
    for position in (5_000_000, 65_536 - 8, len(LARGE) - 20):
        monkeypatch.setenv("TOKEN", LARGE[position : position + 16].hex())
        environment.secrets[0].value = None
        environment.build_to(tmp_path / "fine.flow", large)

        token = os.environ["TOKEN"]
        data = LARGE[:position] + token.encode() + LARGE[position:]

        @task
        def leak(data=data):
            return len(data)

        with Flow("leaks", environment=environment) as leaks:
            leak()
        with pytest.raises(SecretError, match="TOKEN occurs in the flow's payload") as caught:
            environment.build_to(path, leaks)
        assert token not in str(caught.value)
    assert path.read_bytes() == b"precious"
    assert {p.name for p in tmp_path.iterdir()} == {"f.flow", "fine.flow"}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("size", [1000, 1_500_000])
def test_an_array_is_streamed_whatever_its_shape(order, size, tmp_path):
    """Arrays reach the file as buffers; a secret within one is found nevertheless."""
    import numpy as np

    array = np.arange(size * 2, dtype=np.float64).reshape(2, size).copy(order=order)

    @task
    def total():
        return float(array.sum())

    with Flow("array") as arrays:
        total()
    environment = PickleEnvironment(secrets=["TOKEN"])
    arrays.environment = environment
    path = tmp_path / "f.flow"
    environment.secrets[0].value = "canary-of-an-array"
    environment.build_to(path, arrays)
    (state,) = environment.run(path).result.values()
    assert state.result == array.sum()
    secret = np.frombuffer(b"canary-of-an-array".ljust(24), dtype=np.float64)
    array.ravel(order="K")[-3:] = secret
    with pytest.raises(SecretError, match="payload"):
        environment.build_to(path, arrays)


class Changing:
    """Pulls in another module each time it is pickled."""

    count = 0

    def __reduce__(self):
        Changing.count += 1
        import iniconfig

        return (str, ()) if Changing.count == 1 else (type, (iniconfig.IniConfig,))


def test_a_flow_that_changes_while_it_is_packaged_is_refused(tmp_path):
    """What is pickled twice must need the same both times."""
    data = [Changing(), LARGE]

    @task
    def hold():
        return len(data)

    with Flow("changing") as changing:
        hold()
    with pytest.raises(PicklingError, match="differed"):
        PickleEnvironment().build_to(tmp_path / "f.flow", changing)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_said_as_such(large):
    """The system's error comes through; it is not blamed on a task."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    from prefect.payload.packing import pickle_flow_into

    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="space"):
        pickle_flow_into(large, full)


def test_what_was_cut_or_changed_is_refused_from_a_file(canary, tmp_path):
    """As for bytes: no byte of the payload is unpickled."""
    held = [canary, LARGE]

    @task
    def hold():
        return len(held)

    with Flow("canary") as armed:
        hold()
    environment = PickleEnvironment()
    path = tmp_path / "f.flow"
    environment.build_to(path, armed)
    data = path.read_bytes()
    for bad, error in (
        (data[:-1], FormatError),
        (data + b"x", FormatError),
        (data[:5_000_000] + bytes([data[5_000_000] ^ 1]) + data[5_000_001:], AuthenticationError),
        (data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], AuthenticationError),
    ):
        path.write_bytes(bad)
        with pytest.raises(error):
            environment.run(path)
        assert not Path(canary.path).exists()
    path.write_bytes(data)
    environment.run(path)  # and the canary is alive
    assert Path(canary.path).exists()


MEASURE = """
import os, resource, sys
from pathlib import Path
from prefect import Flow, task
from prefect.environments import PickleEnvironment
from prefect.payload import packing as pickling
from prefect.sealed import rewrapping as resealing
from prefect.sealed import reading as sealing
from prefect.sealed.keys.encryption import EncryptionKey

SIZE = 256 * 2**20
path, key = Path("large.flow"), EncryptionKey(b"k" * 32)
environment = PickleEnvironment(key.encode())

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

if sys.argv[1] == "build":
    data = os.urandom(2**20) * 256
    @task
    def size():
        return len(data)
    with Flow("large") as flow:
        size()
    environment.build(Flow("warm"))
    before = peak()
    environment.build_to(path, flow)
elif sys.argv[1] == "open":
    PickleEnvironment(key.encode()).run(environment.build(Flow("warm")))
    before = peak()
    assert len(sealing.open_sealed(path, key).payload) > SIZE
    before += SIZE / 2**20
else:
    environment.info(environment.build(Flow("warm")))
    before = peak()
    if sys.argv[1] == "info":
        environment.info(path)
    elif sys.argv[1] == "verify":
        sealing.verify(path, key)
    else:
        environment.rewrap_to(path, path)
print(peak() - before)
"""


def test_memory_is_bounded_whatever_the_size(tmp_path, run_python):
    """With 256 MiB: building, verifying and rewrapping take a few; opening the payload and 16."""
    (tmp_path / "measure.py").write_text(MEASURE)
    for step, limit in (("build", 8), ("info", 2), ("verify", 8), ("rewrap", 8), ("open", 16)):
        done = run_python("measure.py", step, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) < limit, step


KILLED = """
import os, sys, time
from pathlib import Path
from prefect import Flow, task
from prefect.environments import PickleEnvironment
from prefect.sealed import writing as sealed_writer

written = 0
real = sealed_writer.SealedWriter.write

def write(self, data):
    global written
    count = real(self, data)
    written += count
    if written > 8_000_000:
        self._file.flush()
        print("half", flush=True)
        time.sleep(60)
    return count

sealed_writer.SealedWriter.write = write
marker = bytes.fromhex(sys.argv[1])
data = [marker * 1000 for _ in range(1000)]

@task
def hold():
    return len(data)

with Flow("named-" + sys.argv[1]) as flow:
    hold()
PickleEnvironment().build_to(Path("out.flow"), flow)
"""


def test_a_killed_build_leaves_no_plaintext_on_disk(tmp_path):
    """All files of the working and temporary directories are searched for what was sealed."""
    marker = os.urandom(16)
    (tmp_path / "tmp").mkdir()
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    work = tmp_path / "work"
    work.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), marker.hex()], cwd=work, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGSTOP)
        # What it has open may have no name, and is on the disk nevertheless.
        opened = [path for path in Path(f"/proc/{process.pid}/fd").iterdir() if path.is_file()]
        contents = [path.read_bytes() for path in opened if work.name in str(path.readlink())]
        process.send_signal(signal.SIGKILL)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path != script]
    assert sum(map(len, contents)) > 8_000_000  # there is something to search
    assert not (work / "out.flow").exists()
    for content in (*contents, *(path.read_bytes() for path in left)):
        for spelling in (marker, marker[1:9], marker.hex().encode(), b"cloudpickle"):
            assert spelling not in content
