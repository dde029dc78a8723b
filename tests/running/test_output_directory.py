"""`prefect.running.output_directory`: where files of a run go, and whose they are."""

import os
from pathlib import Path

import pytest

import prefect
from prefect import Flow, task
from prefect.environments import PickleEnvironment
from prefect.errors import PlaceError
from prefect.running.output_directory import make_output_directory, output_directory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@task
def write(name):
    (prefect.context.output_dir / name).write_text("made")
    return prefect.context.output_dir


@pytest.mark.parametrize("executor", ["local", "threads:2", "dask"])
def test_tasks_know_it_in_every_executor(tmp_path, executor):
    """As an absolute path, whatever it was named by."""
    environment = PickleEnvironment()
    with Flow("writes") as flow:
        write.map(["a", "b"])
    environment.build(flow)
    state = environment.run(executor=executor, output=tmp_path)
    assert state.is_successful()
    (result,) = [each.result for one, each in state.result.items() if one.name == "write"]
    assert result == [tmp_path, tmp_path]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_without_one_the_error_says_how_to_get_one():
    """And who can do without asks by `get`."""
    assert prefect.context.get("output_dir") is None
    with pytest.raises(AttributeError, match="--output DIR"):
        _ = prefect.context.output_dir
    with prefect.context(output_dir=Path("out")):
        assert prefect.context.output_dir == Path("out")


def test_it_is_made_with_its_parents(tmp_path, monkeypatch):
    """And known by its absolute path; a file in its place is said."""
    monkeypatch.chdir(tmp_path)
    made = make_output_directory("new/out")
    assert made == tmp_path / "new" / "out"
    assert made.is_dir()
    assert make_output_directory(made) == made
    (made / "file").touch()
    with pytest.raises(PlaceError, match="a file of that name"):
        make_output_directory(made / "file")
    with pytest.raises(PlaceError, match="cannot be made"):
        make_output_directory(made / "file" / "below")


def test_one_that_cannot_be_written_is_refused_before_the_run(tmp_path, monkeypatch):
    """The message says as whom."""
    with pytest.raises(PlaceError, match="no output directory"), output_directory(tmp_path / "no"):
        pass
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PlaceError, match=r"by the user \d+.*--user \d+"):
        output_directory(tmp_path).__enter__()


@needs_root
def test_what_root_makes_in_somebodys_directory_is_that_owners(tmp_path):
    """Directories and links as well; what root had there before, and what links lead to, is not."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.touch()
    (out / "old").touch()
    os.chown(out, 4321, 4322)
    with pytest.raises(ZeroDivisionError), output_directory(out):
        (out / "deep" / "er").mkdir(parents=True)
        (out / "deep" / "er" / "file").touch()
        (out / "link").symlink_to(elsewhere)
        _ = 1 / 0
    owners = {
        str(each.relative_to(tmp_path)): (each.lstat().st_uid, each.lstat().st_gid)
        for each in (elsewhere, *out.rglob("*"))
    }
    assert owners == {
        "elsewhere": (0, 0),
        "out/old": (0, 0),
        **dict.fromkeys(("out/deep", "out/deep/er", "out/deep/er/file", "out/link"), (4321, 4322)),
    }
