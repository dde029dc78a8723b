"""`prefect.report.server`: a page that follows a run, for who has its address and for nobody else."""

import http.client
import json
import threading

import pytest

import records
from prefect.report import server as module
from prefect.report.server import Followed, PageServer

LINES = records.small()


@pytest.fixture
def record(tmp_path):
    """The record of a run of which twelve lines are written."""
    return records.write(tmp_path / "run.jsonl", LINES[:12])


@pytest.fixture
def server(record):
    """A server of its page, in a thread of its own."""
    with (
        Followed(record.open("rb"), "run", str(record.parent)) as followed,
        PageServer(followed) as made,
    ):
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def add(record, events):
    """Write more lines of a run."""
    with record.open("a") as file:
        file.writelines(f"{json.dumps(event)}\n" for event in events)


def ask(server, path, **headers):
    """Make a request; return the status, the headers and the body."""
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    link.request("GET", path, headers=headers)
    reply = link.getresponse()
    body = reply.read()
    link.close()
    return reply.status, reply.headers, body


def test_the_page_and_its_data_are_served(server, record):
    """The data change when there is more of the record, and are not sent twice."""
    status, headers, body = ask(server, f"/{server.token}/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'data-live="data"' in body
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    status, headers, body = ask(server, f"/{server.token}/data")
    assert (status, json.loads(body)["ended"]) == (200, None)
    add(record, LINES[12:])
    status, headers, body = ask(
        server, f"/{server.token}/data", **{"If-None-Match": headers["ETag"]}
    )
    assert (status, json.loads(body)["state"], json.loads(body)["live"]) == (200, "Failed", False)
    status, _, body = ask(server, f"/{server.token}/data", **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/data", "/x/", "/x/data", "//", "", "/{token}x/", "/{token}", "/{token}/../x", "/{token}/other"])  # fmt: skip
def test_nothing_is_served_without_the_token(server, path):
    """Nor is anything else served with it."""
    path = path.format(token=server.token) or "/"
    status, _, body = ask(server, path)
    assert (status, body) == (404, b"Not found\n")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_other_hosts_are_refused(server, host):
    """A site that points a name of its own at this machine gets nothing, though it had the token."""
    status, _, body = ask(server, f"/{server.token}/data", Host=host)
    assert (status, body) == (421, b"Not this host\n")


def test_a_run_whose_process_is_gone_goes_on_no_longer(server, record, monkeypatch):
    """What it wrote last is what there is."""
    monkeypatch.setattr(module.socket, "gethostname", lambda: "workstation")
    monkeypatch.setattr(module.Path, "exists", lambda path: str(path) == "/proc/self")
    assert json.loads(ask(server, f"/{server.token}/data")[2])["live"] is False


@pytest.mark.services
def test_the_page_follows_the_run_without_being_loaded_again(server, record, browser):
    """Rows, graph and badge change as lines are written; what was picked stays so; then it is quiet."""
    with browser.new_context() as context:
        page = context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url)
        assert page.inner_text("#badge") == "Running"
        page.click(".box:has-text('split')")
        page.evaluate("window.stays = 1")
        add(record, LINES[12:24])
        page.locator("#table .row:has-text('of 12')").wait_for()
        add(record, LINES[24:-1])
        page.locator(".chip:has-text('Failed')").wait_for()
        assert page.inner_text("#detail h2") == "split"
        add(record, LINES[-1:])
        page.locator("#live").wait_for(state="hidden")
        assert page.inner_text("#badge") == "Failed"
        assert page.evaluate("window.stays") == 1
        assert complaints == []


def test_the_page_says_why_a_task_ran_again(tmp_path):
    """It is compared with the run before, in the same store, as the page that is written is."""
    (tmp_path / "runs").mkdir()
    described = records.flow("etl", [records.task("load-1")], [])

    def kept(name, digest):
        lines = [
            records.header(described, run=name),
            {"event": "code", "time": records.START, "task": "load-1", "parts": {"load": digest}},
            {"event": "task", "time": records.START, "task": "load-1", "state": "Running"},
            {"event": "task", "time": records.START + 1, "task": "load-1", "state": "Success"},
        ]
        return records.write(tmp_path / "runs" / f"{name}.jsonl", lines)

    kept("20251128-101010-etl-aaaaaa", "a" * 64)
    now = kept("20251129-101010-etl-bbbbbb", "b" * 64)
    with Followed(now.open("rb"), "run", str(tmp_path)) as followed:
        assert "Ran again: load has changed" in json.loads(followed.data()[1])["texts"]
        assert b"Ran again: load has changed" in followed.page()
