"""`prefect.places.choosing`: where a sealed flow runs if nobody says."""

import pytest
from locked_making import manifest as locked
from locked_making import wheel

from prefect.frozen import replace
from prefect.places.choosing import suits


@pytest.fixture
def manifest(tmp_path):
    """A flow that needs nothing but Python, locked."""
    return locked(wheel(tmp_path, "some"))


def test_a_flow_runs_here_where_all_that_it_needs_is_here(manifest):
    """The quickest place, of which nothing has to be said."""
    assert suits(manifest) == ("here", "")
    assert suits(replace(manifest, requirements={"click": "click==0.1"})) == ("here", "")


def test_what_is_not_installed_here_is_had_in_an_environment(manifest):
    """The reason names the package; without a lock there is nothing to make one of."""
    lacking = replace(manifest, requirements={"absent_module": "absent==1"})
    place, reason = suits(lacking)
    assert place == "venv"
    assert "absent==1" in reason
    assert suits(replace(lacking, lock=""))[0] == "here"


def test_another_python_is_had_in_an_environment(manifest):
    """A flow that is bound to a series runs with that one."""
    place, reason = suits(replace(manifest, python="3.9.1", fixed=["etl.py:1 (exec)"]))
    assert place == "venv"
    assert "3.9.1" in reason


def test_other_versions_count_where_the_run_is_strict(tmp_path):
    """A strict run would be refused here, and is not where the versions are had."""
    other = locked(wheel(tmp_path, "click", "0.1"))
    assert suits(other) == ("here", "")
    place, reason = suits(other, strict=True)
    assert place == "venv"
    assert "click==0.1" in reason
