"""`prefect.installed`."""

import sys
from importlib import metadata

from prefect.installed import distributions, normal_name


def test_the_names_say_what_the_metadata_says():
    """Names and versions are those that reading all metadata finds."""
    slow = {normal_name(one.metadata["Name"]): one.version for one in metadata.distributions()}
    quick = dict(reversed(list(distributions())))
    assert len(quick) > 30
    assert {name: slow[name] for name in quick} == quick


def test_what_is_imported_first_comes_first(tmp_path, monkeypatch):
    """In the order of sys.path, normalised; what is no directory of that kind is passed over."""
    for place, names in {
        "one": ["My_Own.Thing-2.0.dist-info", "~umpy-1.0.dist-info", "my_own"],
        "two": ["my_own_thing-1.0.dist-info", "old-3.1-py3.11.egg-info"],
    }.items():
        for name in names:
            (tmp_path / place / name).mkdir(parents=True)
    path = [str(tmp_path / "absent"), str(tmp_path / "one"), str(tmp_path / "two")]
    monkeypatch.setattr(sys, "path", path)
    assert list(distributions()) == [
        ("my-own-thing", "2.0"), ("my-own-thing", "1.0"), ("old", "3.1"),
    ]  # fmt: skip
