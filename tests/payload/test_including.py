"""`prefect.payload.including`."""

import os
from pathlib import Path

import pytest

from prefect.errors import IncludeError
from prefect.payload.including import include


@pytest.fixture
def project(tmp_path):
    """A directory with a flow's own, `flows`, and files in and beside it."""
    for path in ("flows/etl.py", "flows/sql/a.sql", "flows/sql/b.sql", "flows/sql/deep/c.sql", "data/x.csv",
                 "flows/sql/.hidden", "flows/sql/__pycache__/a.pyc", "flows/[odd].txt"):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (["sql/a.sql"], ["sql/a.sql"]),
        (["sql/*.sql"], ["sql/a.sql", "sql/b.sql"]),
        (["sql/**/*.sql"], ["sql/a.sql", "sql/b.sql", "sql/deep/c.sql"]),
        (["sql"], ["sql/.hidden", "sql/a.sql", "sql/b.sql", "sql/deep/c.sql"]),
        (["sql/*"], ["sql/a.sql", "sql/b.sql", "sql/deep/c.sql"]),
        (["sql/a.sql", "sql/*", Path("sql") / "a.sql"], ["sql/a.sql", "sql/b.sql", "sql/deep/c.sql"]),
        (["[odd].txt"], ["[odd].txt"]),
        (["./sql/../sql/a.sql"], ["sql/a.sql"]),
    ],
)  # fmt: skip
def test_paths_directories_and_patterns_are_found(project, patterns, paths):
    """Each file once, under the path that it has beside the flow's file."""
    included = include(patterns, project / "flows")
    assert [one.path for one in included.files] == paths
    assert included.root == (project / "flows").resolve()


def test_a_file_outside_of_the_flows_directory_keeps_its_place(project):
    """What `Path(__file__).parent.parent / "data"` means here, it means in the package."""
    included = include(["../data", "sql/a.sql"], project / "flows")
    assert [one.path for one in included.files] == ["data/x.csv", "flows/sql/a.sql"]
    assert included.place_of(str(project / "flows" / "etl.py")) == "flows/etl.py"
    assert included.place_of("/elsewhere/etl.py") is None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [("nothing.csv", r"flows/nothing.csv is not there$"), ("*.nothing", "nothing to include"),
     ("sql/a.sqk", r"sql/a.sqk is not there. Did you mean 'a.sql'\?"), ("empty", "empty has no file in it$"),
     ("pipe", "neither a file nor a directory"), ("broken", "cannot be read"),
     ("", "have no directory in common")],
)  # fmt: skip
def test_what_cannot_travel_is_refused(project, pattern, says):
    """With the pattern's name, before anything is packaged."""
    (project / "flows" / "empty").mkdir()
    os.mkfifo(project / "flows" / "pipe")
    (project / "flows" / "broken").symlink_to("nowhere")
    with pytest.raises(IncludeError, match=says):
        include([pattern or "/proc/version"], project / "flows")


def test_links_are_followed_and_a_circle_ends(project):
    """A link's file travels under the link's name; a directory within itself does so once."""
    (project / "flows" / "sql" / "link.sql").symlink_to("deep/c.sql")
    (project / "flows" / "sql" / "deep" / "up").symlink_to("..")
    paths = [one.path for one in include(["sql"], project / "flows").files]
    assert "sql/link.sql" in paths
    assert len(paths) == len(set(paths)) < 10


def test_a_package_is_the_same_from_a_link_to_the_project(project):
    """By whatever path somebody comes to it."""
    (project / "link").symlink_to("flows")
    assert include(["sql"], project / "link") == include(["sql"], project / "flows")


@pytest.mark.parametrize("pattern", ["data", "data/*", "data/**/*.csv"])
def test_a_link_that_leads_out_is_refused_unless_it_is_named(tmp_path, pattern):
    """What a directory has come to hold does not travel unseen from elsewhere; within, links are files."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "data").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "x.csv").write_text("secret")
    (home / "beside.csv").write_text("1")
    (home / "data/own.csv").symlink_to(home / "beside.csv")
    found = include([pattern], home)
    assert [one.path for one in found.files] == ["data/own.csv"]
    for link, target in ("file.csv", "x.csv"), ("directory", "."):
        (home / "data" / link).symlink_to(elsewhere / target)
        with pytest.raises(IncludeError, match=f"leads out, to {elsewhere}/x.csv"):
            include([pattern if link == "file.csv" else "data"], home)
        assert include([f"data/{link}"], home).files
        (home / "data" / link).unlink()
