"""State handlers that tell somebody: a function of your own, Slack, or Gmail.

```python
from prefect import Flow, task
from prefect.utilities.notifications import callback_factory

told = []
tell = callback_factory(lambda obj, state: told.append(obj.name), check=lambda state: state.is_finished())


@task(state_handlers=[tell])
def divide(x):
    return 1 / x


with Flow("tells") as flow:
    divide(4)

flow.run()
assert told == ["divide"]
```
"""

from __future__ import annotations

from functools import partial

from prefect.secrets.secret import Secret
from prefect.unsupported import refusing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from prefect.core.state import State

__all__ = ["callback_factory", "gmail_notifier", "slack_message_formatter", "slack_notifier"]
__path__: list[str] = []  # modules of it: see `prefect.lazy`

_SECONDS = 30
_GMAIL = ("smtp.gmail.com", 465)


def callback_factory(
    fn: Callable[[Any, State], Any], check: Callable[[State], bool]
) -> Callable[[Any, State, State], State]:
    """Return a state handler that calls a function at some states.

    Args:
        fn: called as `fn(obj, state)`, with the task or the flow.
        check: called with the new state; where it returns True, `fn` is called.
    """
    return partial(_call_back, fn, check)


def _call_back(
    fn: Callable[[Any, State], Any],
    check: Callable[[State], bool],
    tracked_obj: Any,
    _old_state: State,
    new_state: State,
) -> State:
    if check(new_state):
        fn(tracked_obj, new_state)
    return new_state


def slack_message_formatter(
    tracked_obj: Any,
    state: State,
    backend_info: bool = True,  # noqa: ARG001  # there is no server to link to
) -> dict[str, Any]:
    """Return a message for Slack as its webhooks take it.

    Args:
        tracked_obj: the task or the flow.
        state: its new state.
        backend_info: of no meaning here.
    """
    kind, told = type(state).__name__, state.message
    if isinstance(state.result, Exception):
        told = f"```{state.result!r}```"
    message = {
        "fallback": f"{tracked_obj.name}: {kind}",
        "color": state.color,
        "title": kind,
        "text": f"{tracked_obj.name} is now in a {kind} state",
        "fields": [{"title": "Message", "value": told, "short": False}] if told else [],
    }
    return {"attachments": [message]}


def slack_notifier(
    tracked_obj: Any = None,
    old_state: State | None = None,  # noqa: ARG001  # as of a state handler
    new_state: State | None = None,
    ignore_states: Iterable[type] | None = None,
    only_states: Iterable[type] | None = None,
    webhook_secret: str | None = None,
    backend_info: bool = True,
    proxies: Mapping[str, str] | None = None,
) -> Any:
    """Tell a channel of Slack about a state; a state handler.

    Without a state it returns a handler: `state_handlers=[slack_notifier(only_states=[Failed])]`.

    Args:
        tracked_obj: the task or the flow.
        old_state: its former state.
        new_state: its new state.
        ignore_states: classes of states that are not told.
        only_states: classes of states that alone are told.
        webhook_secret: the name of the secret that is the webhook's address; by default SLACK_WEBHOOK_URL.
        backend_info: of no meaning here.
        proxies: for "http" and "https".

    Returns:
        The new state.

    Raises:
        SecretError: there is no address.
        ValueError: Slack does not take it.
    """
    if new_state is None:
        return partial(
            slack_notifier,
            ignore_states=ignore_states,
            only_states=only_states,
            webhook_secret=webhook_secret,
            backend_info=backend_info,
            proxies=proxies,
        )
    if not _is_told(new_state, ignore_states, only_states):
        return new_state
    import json  # noqa: PLC0415  # for those that tell
    from urllib import request  # noqa: PLC0415  # the same

    url = Secret(webhook_secret or "SLACK_WEBHOOK_URL").value
    if not url.startswith(("https://", "http://")):
        raise ValueError("The secret with the webhook's address has none: it begins with https://")
    data = json.dumps(slack_message_formatter(tracked_obj, new_state, backend_info)).encode()
    asked = request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  # see above
    handlers = [] if proxies is None else [request.ProxyHandler(dict(proxies))]
    try:
        with request.build_opener(*handlers).open(asked, timeout=_SECONDS):
            return new_state
    except OSError as error:
        told = str(error)
        if hasattr(error, "close"):  # an answer
            error.close()
    # Without what it came from, which has the address, a secret.
    raise ValueError(f"Slack was not told of {tracked_obj}: {told}")


def gmail_notifier(
    tracked_obj: Any = None,
    old_state: State | None = None,  # noqa: ARG001  # as of a state handler
    new_state: State | None = None,
    ignore_states: Iterable[type] | None = None,
    only_states: Iterable[type] | None = None,
) -> Any:
    """Send a mail about a state, by Gmail and to the same account; a state handler.

    The account is in the secrets EMAIL_USERNAME and EMAIL_PASSWORD. Without a state it returns a handler.

    Args:
        tracked_obj: the task or the flow.
        old_state: its former state.
        new_state: its new state.
        ignore_states: classes of states that are not told.
        only_states: classes of states that alone are told.

    Returns:
        The new state.

    Raises:
        SecretError: there is no account.
        ValueError: Gmail does not take it.
    """
    if new_state is None:
        return partial(gmail_notifier, ignore_states=ignore_states, only_states=only_states)
    if not _is_told(new_state, ignore_states, only_states):
        return new_state
    import smtplib  # noqa: PLC0415  # for those that tell
    from email.message import EmailMessage  # noqa: PLC0415  # the same

    account, password = Secret("EMAIL_USERNAME").value, Secret("EMAIL_PASSWORD").value
    mail = EmailMessage()
    kind = type(new_state).__name__
    mail["From"] = mail["To"] = account
    mail["Subject"] = f"{tracked_obj.name}: {kind}"
    mail.set_content(f"{tracked_obj.name} is now in a {kind} state.\n\n{new_state.message or ''}\n")
    try:
        with smtplib.SMTP_SSL(*_GMAIL, timeout=_SECONDS) as server:
            server.login(account, password)
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise ValueError(f"No mail was sent about {tracked_obj}: {error}") from error
    return new_state


def _is_told(state: State, ignored: Iterable[type] | None, included: Iterable[type] | None) -> bool:
    if isinstance(state, tuple(ignored or ())):
        return False
    return not included or isinstance(state, tuple(included))


__getattr__ = refusing(__name__)
