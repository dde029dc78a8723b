"""Artifacts that somebody hostile made: the command refuses or shows them, and nothing else."""

import gzip
import json
import subprocess
import sys

import pytest
from base_making import layout
from click.testing import CliRunner
from edits import edits
from image_making import layer_of, tar_of

from prefect import Flow, Parameter, task
from prefect.cli.main import main
from prefect.images.labels import LABEL_FLOW, LABEL_MANIFEST, LABEL_SEALED, LABEL_VERSION
from prefect.oci.archives import archive as archives
from prefect.oci.images import derive
from prefect.payload.manifest import Manifest
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.writing import seal


@task(max_retries=1, tags=["t"])
def double(x):
    return 2 * x


@pytest.mark.parametrize("command", ["info", "graph"])
def test_no_single_edit_of_a_manifest_is_a_traceback(tmp_path, monkeypatch, command):
    """The status is 0 or 2, and what is printed commands no terminal."""
    key = EncryptionKey.generate()
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", key.encode())
    with Flow("small") as flow:
        double.map(Parameter("xs", default=[1]))
    manifest = json.loads(Manifest.describe(flow.serialize(), {"numpy": "numpy==2.0"}).to_json())
    path, run = tmp_path / "f.flow", CliRunner()
    for where, text in edits(manifest):
        path.write_bytes(seal(text.encode(), b"never read", key))
        done = run.invoke(main, [command, str(path)])
        assert done.exit_code in {0, 2}, (where, done.output, done.exception)
        assert "".join(done.output.split("\n")).isprintable(), where


def test_a_name_forges_no_line(tmp_path, monkeypatch):
    """A newline in a flow's, a task's or a secret's name is shown as one, in the line of that name."""
    key = EncryptionKey.generate()
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", key.encode())
    forged = "x\nsigned by me (trusted)"
    with Flow(forged) as flow:
        task(lambda n: n, name=forged)(Parameter(forged, default=forged))
    description = flow.serialize() | {"environment": {"type": forged, "secrets": [forged]}}
    path = tmp_path / "f.flow"
    path.write_bytes(seal(Manifest.describe(description, {}).to_json(), b"never read", key))
    for command in ("info", "graph"):
        done = CliRunner().invoke(main, [command, str(path)])
        assert done.exit_code == 0
        lines = [line.strip() for line in done.output.splitlines()]
        assert not [line for line in lines if line.startswith("signed by me")]


MEASURED = """
import re, sys
from pathlib import Path
from prefect.cli.start import main
try:
    main()
finally:  # not ru_maxrss, which counts from before this program was started
    used = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
    print("MiB:", int(used) // 1024, file=sys.stderr)
"""
BOMBS = {
    "lists": (b"[[]", b",[]", 1 << 24),
    "objects": (b"[1", b',{"a":1}', 1 << 22),
    "one text": (b'"\\ud83d\\ude00', b"a", 1 << 26),
    "zeros": (b"", b"\0", 1 << 26),
    "far too much": (b"", b"\0", 1 << 29),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_small_archive_does_not_fill_the_memory(prefect, monkeypatch, bomb, packed):
    """Whatever its manifest is unpacked to, `info` refuses it, with at most 200 MiB more than it needs."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    layout(prefect.directory / "base")
    build = ("build", "etl.py", "--image", "./base", "-r", "cloudpickle", "--export")
    prefect(*build, "good.tar")
    good = archives.read(prefect.directory / "good.tar")
    manifest = good.labels[LABEL_MANIFEST].lstrip("/")
    begin, part, count = BOMBS[bomb]
    layer = layer_of(tar_of((manifest, begin + part * count)))
    archives.write(derive(good, [layer], good.settings), prefect.directory / "bad.tar", name="bad")
    name = "bad.tar"
    if packed:
        name = "bad.tar.gz"
        data = gzip.compress((prefect.directory / "bad.tar").read_bytes())
        (prefect.directory / name).write_bytes(data)
    assert (prefect.directory / name).stat().st_size < 5 << 20
    needed = measured(prefect.directory, 0, "info", "good.tar")
    assert measured(prefect.directory, 2, "info", name) < needed + 200


def measured(directory, status, *arguments) -> int:
    """Run the command, check its exit status, and return how many MiB of memory it had at most."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return int(done.stderr.rpartition("MiB:")[2])


@pytest.mark.services
@pytest.mark.parametrize("what", ["manifest", "sealed flow"])
def test_an_image_in_an_engine_does_not_fill_the_memory(sealed, daemon, unique, what):
    """Its manifest is read up to a limit, and its sealed flow goes to disk."""
    begin, part, count = BOMBS["lists"]
    content = begin + part * count if what == "manifest" else bytes(1 << 28)
    label = LABEL_MANIFEST if what == "manifest" else LABEL_SEALED
    labels = {LABEL_VERSION: "1", LABEL_FLOW: "bomb", label: "/bomb"}
    daemon.api.import_image_from_data(
        tar_of(("bomb", content)), repository=unique,
        changes=[f"LABEL {name}={value}" for name, value in labels.items()],
    )  # fmt: skip
    options = () if what == "manifest" else ("--key-file", "flow.key")
    needed = measured(sealed.directory, 0, "info", "etl.flow", "--key-file", "flow.key")
    used = measured(sealed.directory, 2, "info", f"image:{unique}", *options)
    assert used < needed + 200
