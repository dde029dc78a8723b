"""What other threads tell the one that runs a flow."""

import signal
import threading
import time

import pytest

from prefect import Flow, task
from prefect.engine.executors.inbox import Inbox
from prefect.engine.state import Cancelled


def test_items_come_in_their_order():
    """Each once; there is none where nothing came in time."""
    inbox = Inbox()
    assert inbox.empty()
    assert inbox.get() is None
    inbox.put(1)
    inbox.put(2)
    assert not inbox.empty()
    assert [inbox.get(), inbox.get(1), inbox.get(0.001)] == [1, 2, None]


def test_many_threads_put():
    """Whoever waits is woken by each of them, and nothing is lost."""
    inbox = Inbox()
    threads = [
        threading.Thread(target=lambda n=n: [inbox.put((n, i)) for i in range(2000)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    found = [inbox.get(60) for _ in range(8000)]
    assert inbox.get() is None
    for n in range(4):
        assert [i for m, i in found if m == n] == list(range(2000))


@pytest.fixture
def slow_handler():
    """A handler of SIGUSR1 that takes longer than a run's wait, and one such signal soon."""
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.3))
    main = threading.main_thread().ident
    timer = threading.Timer(0.12, signal.pthread_kill, (main, signal.SIGUSR1))
    timer.start()
    yield
    timer.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("slow_handler")
def test_a_handler_that_takes_longer_than_the_wait():
    """The wait ends when the time is over: there is none of it left, and not as much as one likes."""
    assert Inbox().get(0.2) is None


@pytest.mark.usefixtures("slow_handler")
def test_a_run_in_threads_with_such_a_handler():
    """It takes as long as it may, and no longer."""
    with Flow("test") as flow:
        task(lambda: [time.sleep(0.01) for _ in range(6000)])()
    assert type(flow.run(executor="threads:1", timeout=0.25)) is Cancelled
