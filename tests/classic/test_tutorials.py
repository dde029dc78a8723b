"""Classic Prefect's tutorials, in our own words, run unchanged under both.

What they print under classic Prefect is recorded; `scripts/classic_oracle.py tutorials` asks it again.
"""

import json
import os
import sys
from importlib import util
from pathlib import Path

import pytest

_SPEC = util.spec_from_file_location("tutorials", Path(__file__).with_name("tutorials.py"))
tutorials = util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tutorials)
RECORDED = json.loads((Path(__file__).parent / "tutorials.json").read_text())


def test_each_is_recorded():
    """Classic Prefect was asked for every example."""
    assert sorted(RECORDED) == tutorials.NAMES


@pytest.mark.parametrize("name", tutorials.NAMES)
def test_it_prints_the_same(name, tmp_path):
    """An example prints what it printed under classic Prefect, and says nothing on standard error."""
    assert tutorials.printed(name, sys.executable, os.environ, tmp_path) == RECORDED[name]
