"""The page for whoever knows classic Prefect is what the package is."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def table():
    """Return the script that writes the page."""
    path = ROOT / "scripts" / "classic_table.py"
    spec = importlib.util.spec_from_file_location("classic_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_true_and_complete():
    """Each name of classic Prefect is on it, with what the package has of it: run the script, if not."""
    assert (ROOT / "docs" / "classic.md").read_text() == table().page()


def test_each_note_is_about_a_name_that_there_was():
    """None is left of what is here by now, or was never there."""
    notes = json.loads((ROOT / "scripts" / "classic_notes.json").read_text())
    offered = json.loads((ROOT / "tests" / "classic" / "offered.json").read_text())
    names = {f"{module}.{name}" for module, found in offered.items() for name in found}
    assert [note for note in notes if note.removesuffix(".*") not in {*offered, *names}] == []
