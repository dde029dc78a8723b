"""`prefect report` and `prefect view`."""

import re
import signal
import subprocess
import sys
import urllib.request

import pytest

import records


@pytest.fixture
def kept(prefect):
    """The command in a directory that has a store with a run, in store/."""
    (prefect.directory / "store" / "runs").mkdir(parents=True)
    lines = records.small()
    records.write(prefect.directory / "store" / "runs" / f"{lines[0]['run']}.jsonl", lines)
    return prefect


def test_a_run_is_reported_in_the_form_of_the_ending(kept):
    """A page, a picture or text; text where nothing is named."""
    out, _ = kept("report", "last", "--store", "store")
    assert out.startswith("✗ nightly-sales: Failed")
    assert kept("report", "3f9a2c", "--store", "store", "--text")[0] == out
    assert kept("report", "3f9a2c", "--store", "store", "--svg")[0].startswith("<svg")
    for name, start in (
        ("r.html", "<!DOCTYPE html>"),
        ("r.svg", "<svg"),
        ("r.txt", "✗ nightly-sales"),
    ):
        assert f"to {name}." in kept("report", "last", "--store", "store", "-o", name)[0]
        assert (kept.directory / name).read_text().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["last"], "no such run"),
        (["nobody", "--store", "store"], "none of that name"),
        (["etl.py"], "none of that name"),
        (["last", "--store", "store", "-o", "x.pdf"], "there are .html, .svg and .txt"),
        (["last", "--store", "store", "-o", "none/x.html"], "There is no directory none"),
        (["last", "--store", "store", "-o", "x.svg", "--text"], "leave --text and --svg out"),
        (["last", "--store", "store", "--svg", "--text"], "are two forms"),
        (["last", "--store", "store", "-o", "x.html", "--all"], "--all is for text"),
    ],
)
def test_what_cannot_be_reported_is_said(kept, arguments, says, tmp_path):
    """In a sentence, with the exit status of bad input."""
    _, err = kept("report", *arguments, status=2, XDG_DATA_HOME=str(tmp_path / "data"))
    assert says in " ".join(err.split())


def test_a_run_is_served_until_ctrl_c(kept):
    """The address that it prints has the page, whose data are JSON."""
    command = [sys.executable, "-m", "prefect", "view", "last", "--store", "store"]
    with subprocess.Popen(
        command, cwd=kept.directory, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = re.search(r"http://127\.0\.0\.1:\d+/[0-9a-f]{32}/", process.stdout.readline())[0]
            with urllib.request.urlopen(url, timeout=60) as reply:
                assert b"nightly-sales" in reply.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
        finally:
            process.kill()


def test_the_page_says_why_tasks_ran_again(prefect):
    """It is what `prefect why` finds in the records of two runs."""
    go = "from etl import flow\nfor n in (3, 4): flow.run(store='store', n=n)\n"
    (prefect.directory / "go.py").write_text(go)
    subprocess.run([sys.executable, "go.py"], cwd=prefect.directory, check=True, timeout=120)
    prefect("report", "last", "--store", "store", "-o", "r.html")
    assert (
        "Ran again: parameter n is 4 now, and was 3" in (prefect.directory / "r.html").read_text()
    )


ESCAPES = """
from prefect import Flow, context, task

@task(log_stdout=True)
def prints():
    print("before \\x1b[31mred\\x1b[0m \\x1b[2J\\x1b]0;owned\\x07 after")
    context.logger.info("logged \\x1b[2J")

with Flow("escapes") as flow:
    prints()
"""


def test_what_a_task_prints_commands_neither_page_nor_text(prefect):
    """Escape sequences are written out in the page, in the text, in the picture and by `prefect runs show`."""
    (prefect.directory / "escapes.py").write_text(ESCAPES)
    prefect("run", "escapes.py", "--store", "store", "--report", "run.html")
    shown = [
        (prefect.directory / "run.html").read_text(),
        prefect("report", "last", "--store", "store", "--text")[0],
        prefect("report", "last", "--store", "store", "--svg")[0],
        prefect("runs", "show", "last", "--store", "store")[0],
        prefect("runs", "show", "last", "--store", "store", "--json")[0],
    ]
    assert not any("\x1b" in each or "\x07" in each or "\\u001b" in each for each in shown)
    assert "before" in shown[0]


def test_a_run_writes_its_report_however_it_ends(prefect, tmp_path):
    """It is kept for that; a report that could not be written is refused before anything runs."""
    home = {"XDG_DATA_HOME": str(tmp_path / "data")}
    _, err = prefect("run", "etl.py", "--report", "r.html", **home)
    assert "Wrote the report to r.html." in err
    assert "etl &amp; co" in (prefect.directory / "r.html").read_text()
    prefect("run", "etl.py", "-p", "fail=true", "--report", "r.txt", status=1, **home)
    assert "RuntimeError: as asked" in (prefect.directory / "r.txt").read_text()
    for name, says in (("r.pdf", "No report has the ending"), ("none/r.html", "no directory none")):
        out, err = prefect("run", "etl.py", "--report", name, status=2, **home)
        assert says in " ".join(err.split())
        assert "loaded" not in out
