"""`prefect.oci.registry.retries`."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from prefect.errors import RegistryError
from prefect.oci.registry.retries import PassingError, Retries, seconds_of


def failing(times: int):
    """Return something that fails so often, and then says how often it was called."""
    calls = []

    def action() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise PassingError(f"failure {len(calls)}")
        return len(calls)

    return action


def test_what_passes_is_tried_again():
    """Up to the number of attempts; then the last failure is raised, as an ordinary error."""
    retries = Retries(attempts=3, sleep=lambda _: None)
    assert retries.run(failing(2), threading.Event()) == 3
    with pytest.raises(RegistryError, match="failure 3") as caught:
        retries.run(failing(3), threading.Event())
    assert type(caught.value) is RegistryError


def test_pauses_grow_up_to_a_limit():
    """They double, with jitter of a half, and never exceed the longest."""
    pauses = []
    retries = Retries(attempts=8, first=1, longest=10, sleep=pauses.append)
    retries.run(failing(7), threading.Event())
    for pause, most in zip(pauses, (1, 2, 4, 8, 10, 10, 10), strict=True):
        assert most / 2 <= pause <= most


def test_nothing_is_tried_again_once_it_is_given_up():
    """Whoever stops a push does not wait for its pauses."""
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(RegistryError, match="failure 1"):
        Retries(first=1000).run(failing(1), stopped)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        (" 7 ", 7),
        ("-7", None),
        ("soon", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 +" + "9" * 30, None),
    ],
)
def test_a_pause_may_be_a_number(header, seconds):
    """What is neither number nor date is as if nothing was said."""
    assert seconds_of(header) == seconds


def test_a_pause_may_be_a_date():
    """Seconds until then; none if it is past."""
    then = datetime.now(UTC) + timedelta(hours=1)
    assert 3500 < seconds_of(format_datetime(then, usegmt=True)) <= 3600
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 -0000") == 0
