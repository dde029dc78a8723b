"""Small flows come to the same here as under classic Prefect, whose answers are recorded.

`scripts/classic_oracle.py` asks it again. A difference stands in `differences.json`, with what it is here
and why; one that is gone has to go from there, too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect.sealed.keys import EncryptionKey

HERE = Path(__file__).parent
FLOWS = sorted(path.stem for path in (HERE / "flows").glob("*.py"))
KEY = EncryptionKey.generate().encode()  # what is saved is sealed
DIFFERENCES = json.loads((HERE / "differences.json").read_text())


def recorded(name: str) -> dict:
    """Return the answers of classic Prefect."""
    return json.loads((HERE / "answers" / f"{name}.json").read_text())


def answers(name: str) -> dict:
    """Return ours."""
    done = subprocess.run(
        [sys.executable, HERE / "probing.py", HERE / "flows" / f"{name}.py"],
        capture_output=True, text=True, check=False, timeout=240, env=os.environ | {"TZ": "UTC", "PREFECT_ENCRYPTION_KEY": KEY},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads("{\n" + done.stdout.rpartition("\n{\n")[2])


@pytest.mark.parametrize("name", FLOWS)
def test_what_flows_come_to_is_the_same(name):
    """Each state and result is that of classic Prefect, or the difference that is explained."""
    theirs, ours = recorded(name), answers(name)
    assert list(ours) == list(theirs), "run scripts/classic_oracle.py"
    expected = theirs | {probe: each["here"] for probe, each in DIFFERENCES.get(name, {}).items()}
    assert {
        probe: (ours[probe], theirs[probe]) for probe in ours if ours[probe] != expected[probe]
    } == {}


def test_each_difference_is_one_and_is_explained():
    """No probe is excused that needs no excuse, and each excuse has its reason."""
    for name, probes in DIFFERENCES.items():
        theirs = recorded(name)
        for probe, each in probes.items():
            assert each["here"] != theirs[probe], f"{name}: {probe}"
            assert each["why"].endswith("."), f"{name}: {probe}"
