"""State handlers that tell somebody."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from prefect import Flow, task
from prefect.engine.state import Failed, Pending, Running, Success
from prefect.errors import SecretError
from prefect.utilities import notifications
from prefect.utilities.notifications import callback_factory, gmail_notifier, slack_notifier


@task
def divide(x):
    return 1 / x


@pytest.fixture
def slack(monkeypatch):
    """A server that takes what Slack would, and the messages that it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("SLACK_WEBHOOK_URL", f"{address}/hook")
        monkeypatch.setenv("BROKEN", f"{address}/broken")
        yield got
        server.shutdown()
        thread.join()


def test_a_callback_is_called_at_its_states():
    """It is called with the task or the flow and the new state, where the check is true, and changes nothing."""
    told = []
    handler = callback_factory(
        lambda obj, state: told.append((obj.name, type(state).__name__)),
        check=lambda state: state.is_finished(),
    )
    with Flow("f", state_handlers=[handler]) as flow:
        divide(1, task_args={"state_handlers": [handler]})
    assert flow.run().is_successful()
    assert told == [("divide", "Success"), ("f", "Success")]


def test_slack_is_told(slack):
    """A handler made with classes of states posts to the webhook that the secret names."""
    handler = slack_notifier(only_states=[Failed])
    with Flow("f") as flow:
        divide.map([1, 0], task_args={"state_handlers": [handler]})
    flow.run()
    ((message,),) = [each["attachments"] for each in slack]
    assert message["text"] == "divide is now in a Failed state"
    assert "ZeroDivisionError" in message["fields"][0]["value"]
    assert message["color"] == Failed().color


def test_states_are_ignored(slack, monkeypatch):
    """What is ignored, or is not among those that alone are told, needs no secret."""
    state = Running()
    assert slack_notifier(divide, Pending(), state, ignore_states=[Running]) is state
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    assert slack_notifier(divide, Pending(), state, only_states=[Failed]) is state
    assert slack == []
    with pytest.raises(SecretError, match="SLACK_WEBHOOK_URL"):
        slack_notifier(divide, Pending(), Success())


def test_an_address_that_does_not_answer_is_not_quoted(slack, monkeypatch):
    """The error has no address in it, which is a secret."""
    with pytest.raises(
        ValueError, match="Slack was not told of <FunctionTask: divide>: HTTP Error 500"
    ) as error:
        slack_notifier(divide, Pending(), Success(), webhook_secret="BROKEN")
    assert "127.0.0.1" not in str(error.value)
    monkeypatch.setenv("BROKEN", "file:///etc/passwd")
    with pytest.raises(ValueError, match="https://"):
        slack_notifier(divide, Pending(), Success(), webhook_secret="BROKEN")


def test_a_mail_is_sent(monkeypatch):
    """To the account itself, with the state; what the server raises is a ValueError."""
    sent = []

    class Server:
        def __init__(self, *address, timeout):
            self.address = address

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def login(self, account, password):
            if password == "wrong one":
                raise OSError("refused")

        def send_message(self, mail):
            sent.append((self.address, mail["To"], mail["Subject"], mail.get_content()))

    monkeypatch.setattr("smtplib.SMTP_SSL", Server)
    monkeypatch.setenv("EMAIL_USERNAME", "ann@example.com")
    monkeypatch.setenv("EMAIL_PASSWORD", "right one")
    gmail_notifier(only_states=[Success])(divide, Running(), Success("done"))
    gmail_notifier(ignore_states=[Success])(divide, Running(), Success("done"))
    ((address, to, subject, text),) = sent
    assert (address, to, subject) == (notifications._GMAIL, "ann@example.com", "divide: Success")
    assert text == "divide is now in a Success state.\n\ndone\n"
    monkeypatch.setenv("EMAIL_PASSWORD", "wrong one")
    with pytest.raises(ValueError, match="No mail was sent about <FunctionTask: divide>: refused"):
        gmail_notifier(divide, Running(), Success())
