"""Records that are cut off, damaged or hostile: whatever is read of one can be shown, in every form."""

import json
import random

import pytest

import records
from prefect.core.picture import to_svg
from prefect.errors import RecordError
from prefect.records.reading import read_record
from prefect.records.reasons import changes
from prefect.report.html import html
from prefect.report.text import states_of, text

LINES = [json.dumps(each).encode() + b"\n" for each in records.small()]
ODD = [
    b"\xff\xfe\x00 no text\n",
    b"\x00" * 5000 + b"\n",
    b"[" * 20_000 + b"\n",
    b'{"event":' * 3000 + b"\n",
    LINES[0],
    b"null\n[]\n1e999\n\n",
    b"1" * 10_000 + b"\n",
    *(
        json.dumps(each).encode() + b"\n"
        for each in (
            {"event": "task", "task": "train-1", "state": "Mapped", "children": 10**30, "time": 1},
            {
                "event": "task",
                "task": "train-1",
                "state": "Success",
                "map_index": -5,
                "time": -1e300,
            },
            {
                "event": "task",
                "task": "train-1",
                "state": "Success",
                "map_index": 10**12,
                "time": 5,
            },
            {"event": "task", "task": "clean-1", "state": ["Success"], "time": {}},
            {"event": "task", "task": "clean-1", "state": "\x1b[2J<script>", "time": records.START},
            {"event": "task", "task": None, "state": "Success", "time": records.START},
            {"event": "log", "task": "clean-1", "message": {"a": []}, "time": "now", "level": 5},
            {"event": "log", "task": "nobody", "message": "\ud800\u202e\x1b]0;x\x07", "time": 0},
            {"event": "flow", "state": None, "time": None, "message": 7},
            {"event": "code", "task": "clean-1", "parts": {"a": 5, "b": None}},
        )
    ),
]


def show(path) -> bool:
    """Show a record in every form, if it is one; tell whether it is."""
    try:
        run = read_record(path)
    except RecordError:
        return False
    page = html(run, changes(run, run))
    shown = text(run, everything=True)
    svg = to_svg(run.flow, {slug: states_of(task) for slug, task in run.tasks.items()})
    assert page.startswith(b"<!DOCTYPE html>")
    assert svg.startswith("<svg")
    for each in (page.decode(), shown, svg):
        assert not {"\x1b", "\x07", "\u202e"} & set(each)
    return True


def test_a_record_that_is_cut_off_anywhere_is_shown(tmp_path):
    """As far as it goes; one that was cut off within its first line is none."""
    whole, path = b"".join(LINES), tmp_path / "run.jsonl"
    begin = len(LINES[0])
    for cut in (
        *range(0, begin, begin // 7),
        *range(begin, len(whole), len(whole) // 60),
        len(whole),
    ):
        path.write_bytes(whole[:cut])
        assert show(path) is (cut >= begin)


@pytest.mark.parametrize("odd", range(len(ODD)))
def test_an_odd_line_anywhere_hinders_nothing(tmp_path, odd):
    """Whatever the line is, and wherever it stands, all the others are read and shown."""
    path = tmp_path / "run.jsonl"
    for place in (1, len(LINES) // 2, len(LINES)):
        path.write_bytes(b"".join([*LINES[:place], ODD[odd], *LINES[place:]]))
        assert show(path)
        assert read_record(path).tasks["publish-1"].state == "Failed"


def test_bits_that_flip_are_shown_or_refused(tmp_path):
    """A damaged byte costs its line at most, or the record is refused as none."""
    chance, whole = random.Random(15), b"".join(LINES)
    path = tmp_path / "run.jsonl"
    shown = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 8)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        shown += show(path)
    assert shown
