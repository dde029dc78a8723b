"""Results that are encrypted at rest."""

import json
import sys
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from packs import packed

from prefect import Flow, Parameter, task
from prefect.core.kept import Kept, asked
from prefect.errors import ResultUnavailableError, StoreError
from prefect.keeping import kept_of
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.store.store import Stored, open_store

KEY = "a" * 64
HIDDEN = "a result that nobody is to read"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def key(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PREFECT_STORE_KEY", EncryptionKey.generate().encode())


@task
def made(name):
    return HIDDEN


@task
def large(text):
    return np.arange(10_000), text


@task
def length(pair):
    return len(pair[0]) + len(pair[1])


def _flow():
    with Flow("hidden") as flow:
        flow.end = length(large(made(Parameter("name", default="x"))))
    return flow


def test_what_is_not_encrypted_is_said_once(store, caplog, monkeypatch):
    """The record of a run, with its parameters and logs, is in the clear; without a key nobody expects otherwise."""
    _flow().run(store=store)
    _flow().run(store=store)
    assert caplog.text.count("The records in") == 1
    assert (
        f"The records in {store} are not encrypted: parameters, logs and tracebacks" in caplog.text
    )
    caplog.clear()
    monkeypatch.delenv("PREFECT_STORE_KEY")
    _flow().run(store=store.with_name("other"))
    assert "not encrypted" not in caplog.text


def _files(store):
    return {path.name: path.read_bytes() for path in store.rglob("*") if path.is_file()} | {
        name: data for _, _, name, data in packed(store)
    }


@pytest.mark.parametrize("executor", ["local", "processes:2", "dask"])
def test_results_are_encrypted_wherever_tasks_run_and_gone_on_with(store, executor):
    """Neither values nor names of files, nor what a record says of them, tell of the values."""
    flow = _flow()
    state = flow.run(store=store, executor=executor)
    assert state.result[flow.end].result == 10_000 + len(HIDDEN)
    found = _files(store)
    assert len(packed(store)) == 3
    assert len(list((store / "values").rglob("*/*"))) == 1
    for data in found.values():
        assert HIDDEN.encode() not in data
        assert np.arange(10_000).tobytes()[:64] not in data
    state = flow.run(store=store, resume=True, executor=executor)
    assert state.result[flow.end].is_cached()
    assert state.result[flow.end].result == 10_000 + len(HIDDEN)


@pytest.mark.parametrize("rows", [10, 20_000])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_are_encrypted_and_come_back(store, make, rows):
    """Arrow files as any other value: of each library, small and large."""
    frame = make({"name": [HIDDEN] * rows})
    opened = open_store(store)
    opened.put(KEY, frame, {})
    assert all(HIDDEN.encode() not in data for data in _files(store).values())
    (found,) = opened.value(KEY)
    assert type(found) is type(frame)
    assert found.equals(frame)


def test_digests_of_one_value_under_two_keys_have_nothing_in_common(store, monkeypatch, tmp_path):
    """In a record and in names: so nobody can try what a value may be. The record says which key it is."""
    seen = []
    for where in ("one", "two"):
        key = EncryptionKey.generate()
        monkeypatch.setenv("PREFECT_STORE_KEY", key.encode())
        _flow().run(store=tmp_path / where)
        lines = _record(tmp_path / where)
        assert lines[0]["results_key"] == key.id
        digests = {line["result"]["digest"] for line in lines if "result" in line}
        inputs = {text for line in lines for text in line.get("inputs", {}).values()}
        code = {
            text for line in lines if line["event"] == "code" for text in line["parts"].values()
        }
        code = {each for each in code if len(each) == 16}
        seen.append(digests | inputs | code | set(_files(tmp_path / where)))
    assert seen[0]
    assert not seen[0] & seen[1]


def _record(store):
    (path,) = (store / "runs").iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("other", ["none", "another"])
def test_a_run_is_not_gone_on_with_under_another_key(store, monkeypatch, other):
    """The error says so before anything runs; so does one that goes on in the clear, and the other way round."""
    flow = _flow()
    flow.run(store=store)
    if other == "none":
        monkeypatch.delenv("PREFECT_STORE_KEY")
    else:
        monkeypatch.setenv("PREFECT_STORE_KEY", EncryptionKey.generate().encode())
    with pytest.raises(StoreError, match=r"stored with key [0-9a-f]{16}, and this process stores them with.* set PREFECT_STORE_KEY"):  # fmt: skip
        flow.run(store=store, resume=True)
    flow.run(store=store)
    monkeypatch.setenv("PREFECT_STORE_KEY", EncryptionKey.generate().encode())
    with pytest.raises(StoreError, match="The results are stored with"):
        flow.run(store=store, resume=True)
    assert len(list((store / "runs").iterdir())) == 2


def test_encrypted_and_plain_results_of_one_key_are_not_mixed_up(store, monkeypatch):
    """Each is found by who stored it alone, and a reference says what it lacks."""
    sealed = open_store(store)
    sealed.put(KEY, "sealed", {})
    monkeypatch.delenv("PREFECT_STORE_KEY")
    plain = open_store(store)
    assert plain.value(KEY) is None
    with pytest.raises(ResultUnavailableError, match="a key that PREFECT_STORE_KEY does not have"):
        Stored(plain.where, KEY).fetch()
    plain.put(KEY, "plain", {})
    assert (sealed.value(KEY), plain.value(KEY)) == (("sealed",), ("plain",))


def test_an_encrypted_file_counts_under_its_own_name_alone(store):
    """Who can write to a store cannot have one result stand for another, nor change one."""
    found = open_store(store)
    found.put(KEY, "one", {})
    found.put("b" * 64, "two", {})
    (_, _, _, one), (path, start, name, _) = packed(store)
    whole = path.read_bytes()
    path.write_bytes(f"{name} {time.time_ns():016x} {len(one):08x}\n".encode() + one)
    assert open_store(f"file://{store}").value("b" * 64) is None
    for position in range(start, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert found.value("b" * 64) is None
    path.write_bytes(whole)
    assert found.value("b" * 64) == ("two",)


def test_what_is_no_key_is_refused(store, monkeypatch):
    """Before anything runs; the error does not show it."""
    monkeypatch.setenv("PREFECT_STORE_KEY", "a passphrase")
    with pytest.raises(StoreError, match=r"cannot be encrypted with PREFECT_STORE_KEY: An encryption key is 32") as caught:  # fmt: skip
        _flow().run(store=store)
    assert "passphrase" not in str(caught.value)


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_key_is_none_and_stores_nothing_in_the_clear(store, monkeypatch, empty):
    """It is what `$(cat missing.key)` leaves: the run is refused before anything is there."""
    monkeypatch.setenv("PREFECT_STORE_KEY", empty)
    with Flow("test") as flow:
        made("x")
    with pytest.raises(StoreError, match=r"PREFECT_STORE_KEY is empty.*or unset it"):
        flow.run(store=store)
    assert not store.exists()


def test_a_place_without_what_encrypts_is_told_how_to_have_it(store, monkeypatch):
    """An environment of a flow has the packages that it was packaged with, and no others."""
    monkeypatch.setitem(sys.modules, "prefect.sealed.results", None)
    with pytest.raises(StoreError, match="Build the flow with -r cryptography"):
        open_store(store)


def test_a_place_that_has_not_the_key_refuses_to_store_in_the_clear(store, monkeypatch):
    """What whoever starts a run has set holds in a sandbox and a container, which do not get its variables."""
    kept = kept_of(store, None)
    monkeypatch.delenv("PREFECT_STORE_KEY")
    token = asked.set(Kept.of_text(kept.at(None, "sandbox").text()))
    try:
        with pytest.raises(StoreError, match="for places, --secret PREFECT_STORE_KEY"):
            _flow().run()
    finally:
        asked.reset(token)
    assert not store.exists()
