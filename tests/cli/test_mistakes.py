"""Files that a command has no use for: each error says what the file is, and what to do."""

import gzip
import os
import tarfile

import pytest

WRONG_SOURCES = [
    ("etl.flow", "etl.flow is a sealed flow already: `prefect run etl.flow` runs it"),
    ("sealed.py", "sealed.py is a sealed flow, and its ending says that it is source"),
    ("etl.tar", "etl.tar is an image already, or packed"),
    ("etl.tgz", "etl.tgz is an image already, or packed"),
    ("layout", "layout is an image already, or packed"),
    ("directory", "directory is a directory: name the file in it"),
    ("directory.py", "directory.py is a directory: name the file in it"),
    ("notebook.ipynb", "notebook.ipynb is a notebook"),
    ("flow.key", "flow.key is no source of a flow"),
    ("binary.py", "binary.py is no source of a flow: it has null bytes"),
    ("fifo", "fifo is no ordinary file"),
    ("missing.py", "There is no file missing.py"),
    ("image:etl", "There is no file image:etl. If an image is meant, it is built already"),
    ("ghcr.io/team/etl:1", "If an image is meant, it is built already"),
    ("", "is empty"),
    ("file:", "it is empty"),
]
WRONG_SEALED = [
    ("etl.py", "etl.py is not a sealed flow: package it with `prefect build etl.py`"),
    ("file:etl.py", "etl.py is not a sealed flow: package it with `prefect build etl.py`"),
    ("notebook.ipynb", "notebook.ipynb is a notebook"),
    ("flow.key", "flow.key is not a sealed flow: it does not begin as"),
    ("empty", "empty is not a sealed flow: it is empty"),
    ("etl.tar", "etl.tar is an image or packed, not a sealed flow"),
    ("directory", "directory is a directory"),
    ("image:etl", "There is no file image:etl. If an image is meant, this is for sealed flows"),
    ("", "is empty"),
]


@pytest.fixture
def files(sealed):
    """The command beside a file of each kind."""
    here = sealed.directory
    (here / "sealed.py").write_bytes((here / "etl.flow").read_bytes())
    for name, mode in (("etl.tar", "w"), ("etl.tgz", "w:gz")):
        with tarfile.open(here / name, mode) as file:
            file.add(here / "etl.py", "etl.py")
    (here / "packed.py").write_bytes(gzip.compress(b"print()"))
    (here / "layout").mkdir()
    (here / "layout" / "oci-layout").write_text("{}")
    (here / "directory").mkdir()
    (here / "directory.py").mkdir()
    (here / "notebook.ipynb").write_text('{"cells": []}')
    (here / "binary.py").write_bytes(b"a = 1\0\n")
    (here / "empty").touch()
    os.mkfifo(here / "fifo")
    return sealed


def test_only_source_is_built(files):
    """What is no FILE.py is named for what it is and never executed or quoted, a key least of all."""
    for argument, message in WRONG_SOURCES:
        out, err = files("build", argument, "-o", "new.flow", "--key-file", "flow.key", status=2)
        assert (out, message in err) == ("", True), err
        assert "Traceback" not in err
        assert (files.directory / "flow.key").read_text().strip() not in err
    assert not (files.directory / "new.flow").exists()


def test_source_is_no_artifact(files):
    """`info` of a FILE.py says how to package it, where it is one."""
    for argument, message in [
        ("etl.py", "etl.py is no artifact"),
        ("missing.py", "There is no file missing.py"),
        ("directory.py", "directory.py is a directory"),
        ("sealed.py", "sealed.py is a sealed flow, and its ending says that it is source"),
        ("packed.py", "packed.py is an image already, or packed"),
    ]:
        _, err = files("info", argument, status=2)
        assert message in err, err


@pytest.mark.parametrize("command", ["verify", "sign", "rewrap"])
def test_only_sealed_flows_are_verified_signed_and_rewrapped(files, command):
    """What is none is named for what it is."""
    files("keygen", "--signing", "me")
    options = {
        "verify": ["--key-file", "flow.key"],
        "sign": ["--signing-key", "me"],
        "rewrap": ["--key-file", "flow.key", "--to-key-file", "flow.key", "-o", "new.flow"],
    }[command]
    for argument, message in WRONG_SEALED:
        _, err = files(command, argument, *options, status=2)
        assert message in err, err


@pytest.mark.parametrize("command", ["info", "run", "graph"])
def test_neither_an_image_nor_a_sealed_flow(files, command):
    """A file that is neither is named, with or without a key."""
    for argument in ("notebook.ipynb", "flow.key", "empty"):
        for key in ([], ["--key-file", "flow.key"]):
            _, err = files(command, argument, *key, status=2)
            assert f"Error: {argument} is " in err, err
