"""How a program ends."""

import subprocess
import sys

import pytest

SCRIPT = """
import logging, signal
from functools import partial
from types import SimpleNamespace
from prefect.running.stopping import exit_status, unwind_on_signals

given_back = []
handler = logging.Handler()
handler.lock = SimpleNamespace(  # in C, as logging's own
    acquire=partial(signal.raise_signal, signal.{name}), release=partial(given_back.append, 1)
)
unwind_on_signals()
try:
    handler.acquire()
    try:
        signal.pause()
    finally:
        handler.release()
except KeyboardInterrupt as stop:
    print(exit_status(stop), given_back)
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_signal_while_a_lock_is_taken(name, status):
    """It waits until the lock would be given back, by who unwinds."""
    script = SCRIPT.format(name=name)
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (f"{status} [1]\n", "")


ELSEWHERE = """
import signal, threading, time
from prefect.running.stopping import exit_status, unwind_on_signals

def get():
    time.sleep(0.1)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

unwind_on_signals()
threading.Thread(target=get).start()
try:
    time.sleep(600)
except KeyboardInterrupt as stop:
    print(exit_status(stop))
"""


def test_a_signal_that_another_thread_gets_ends_what_the_main_thread_waits_for():
    """Python but marks it as having come: the main thread is awakened to see it."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("143\n", "")


AGAIN = """
import os
from prefect.running.stopping import unwind_on_signals

unwind_on_signals()
before = os.listdir("/proc/self/fd")
for _ in range(10):
    unwind_on_signals()
print(len(os.listdir("/proc/self/fd")) - len(before))
"""


def test_signals_are_provided_for_once():
    """A program that asks for it again opens nothing more."""
    done = subprocess.run(
        [sys.executable, "-c", AGAIN], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
