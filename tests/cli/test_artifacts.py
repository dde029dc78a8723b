"""What an argument of the command names, by how it is written."""

from pathlib import Path

import pytest

from prefect.cli.artifacts import image_argument, image_named, is_flow_file

IMAGES = ["etl:1", "ghcr.io/team/etl", "localhost/etl", "team/etl:1", "etl@sha256:" + "0" * 64,
          "localhost:5000/etl"]  # fmt: skip
PATHS = ["etl", "team/etl", "etl.flow", "./etl:1", "/etl:1", "../etl", "~/etl:1", "a.b/etl.flow",
         "etl.tar", "etl.tar.gz", "v1.2", "/dev/fd/63", "file:etl:1", "etl.py", "etl.py:flow",
         "a.b/etl.py:flow", "file:etl.py:flow"]  # fmt: skip


def test_the_spelling_alone_decides(tmp_path, monkeypatch):
    """The rules of `prefect --help`, whatever files there are; an image's name says so if need be."""
    monkeypatch.chdir(tmp_path)
    for name in IMAGES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
        assert image_named(name) == image_argument(name) == name
        assert not is_flow_file(name)
    for path in PATHS:
        assert image_named(path) is None
        assert image_named(image_argument(path)) == path
    assert [path for path in PATHS if is_flow_file(path)] == PATHS[-4:]
    assert not is_flow_file("image:etl.py")


@pytest.mark.parametrize("prefix", ["", "./", "file:"])
def test_a_sealed_flow_may_have_any_name(sealed, prefix):
    """Without an ending, and with a colon where the argument says that it is a file."""
    names = ["payroll", "pay:1"] if prefix else ["payroll"]
    for name in names:
        (sealed.directory / name).write_bytes((sealed.directory / "etl.flow").read_bytes())
        for command in ("info", "graph", "run", "verify"):
            sealed(command, prefix + name, "--key-file", "flow.key")
