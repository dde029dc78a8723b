"""Ending what takes too long."""

import gc
import logging
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import pytest

from prefect import Flow, context, task
from prefect.engine import interruption, timeouts
from prefect.engine.executors import LocalExecutor, ThreadExecutor
from prefect.engine.interruption import Interruption, interrupt, interrupt_now
from prefect.engine.state import Success, TimedOut
from prefect.engine.timeouts import run_within
from prefect.errors import TaskTimeoutError
from prefect.triggers import all_finished

SHORT, LONG = 0.05, 60


def in_main_thread(seconds, function):
    return run_within(seconds, function, {})


def in_other_thread(seconds, function):
    outcome = []

    def call():
        try:
            outcome.append(run_within(seconds, function, {}))
        except BaseException as error:  # noqa: BLE001
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


@pytest.fixture(params=[in_main_thread, in_other_thread])
def within(request):
    """Call a function with a timeout, in this thread and in another."""
    return request.param


def time_left():
    """Return what the process's timer, of which pytest-timeout may be the owner, is set to."""
    return signal.getitimer(signal.ITIMER_REAL)[0]


def spin():
    while True:
        pass


def test_result(within):
    """A function that is in time returns its result, and the timer is as before."""
    handler, left = signal.getsignal(signal.SIGALRM), time_left()
    assert within(LONG, lambda: 3) == 3
    assert signal.getsignal(signal.SIGALRM) is handler
    assert time_left() == pytest.approx(left, abs=LONG / 2)


def test_no_timeout(within):
    """Without a timeout the function is just called."""
    assert within(None, lambda: 3) == 3


def test_own_exceptions(within):
    """What the function raises is raised."""
    with pytest.raises(ZeroDivisionError):
        within(LONG, lambda: 1 / 0)


@pytest.mark.parametrize("function", [spin, lambda: time.sleep(LONG)], ids=["spins", "sleeps"])
def test_too_long(within, function):
    """A function that takes too long is given up, whether it computes or waits."""
    with pytest.raises(TaskTimeoutError, match=r"Timed out after 0\.05 seconds"):
        within(SHORT, function)


def test_interrupted_in_the_middle():
    """In the main thread the function is interrupted where it is: the rest never happens."""
    reached = []

    def slow():
        time.sleep(LONG)
        reached.append(1)

    with pytest.raises(TaskTimeoutError) as caught:
        in_main_thread(SHORT, slow)
    assert not reached
    assert any("sleep(LONG)" in str(entry.statement) for entry in caught.traceback)


def test_caught_interruptions(within):
    """A function that swallows the interruption has taken too long all the same."""
    ended = threading.Event()

    def stubborn():
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001
            ended.set()
        return 3

    with pytest.raises(TaskTimeoutError):
        within(SHORT, stubborn)
    assert ended.wait(LONG)


def test_helper_threads_end():
    """A helper thread that computes ends soon after it is given up."""
    started = []

    def notice():
        started.append(threading.current_thread())
        spin()

    with pytest.raises(TaskTimeoutError):
        in_other_thread(SHORT, notice)
    started[0].join(LONG)
    assert not started[0].is_alive()


def test_context_is_known_in_helpers():
    """Context variables hold in the helper thread."""
    seen = []

    def call():
        with context(a=5):
            seen.append(run_within(LONG, lambda: context.a, {}))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert seen == [5]


def test_inner_timeout():
    """An inner call that takes too long leaves the outer one its time."""

    def outer():
        with pytest.raises(TaskTimeoutError, match=r"0\.05"):
            in_main_thread(SHORT, spin)
        return time_left()

    assert LONG - 30 < in_main_thread(LONG, outer) < LONG


def test_outer_timeout():
    """An outer call that takes too long ends an inner one that had more time."""
    with pytest.raises(TaskTimeoutError, match=r"0\.05"):
        in_main_thread(SHORT, lambda: in_main_thread(LONG, spin))


def test_outer_timeout_swallowed_by_the_inner_function():
    """The outer timeout counts even if the inner function swallows the interruption."""

    def stubborn():
        try:
            spin()
        except Interruption:
            return 1

    with pytest.raises(TaskTimeoutError, match=r"0\.05"):
        in_main_thread(SHORT, lambda: in_main_thread(LONG, stubborn))


def test_timers_of_others():
    """Another user of the timer gets it back, and is called in between when its time comes."""
    rings = threading.Event()
    count = []

    def handler(*_):
        count.append(1)
        if len(count) == 3:
            rings.set()

    former = signal.signal(signal.SIGALRM, handler)
    former_timer = signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        assert in_main_thread(LONG, lambda: rings.wait(LONG))
        assert signal.getsignal(signal.SIGALRM) is handler
        assert signal.getitimer(signal.ITIMER_REAL)[1] == pytest.approx(0.01)
    finally:
        signal.signal(signal.SIGALRM, former)
        signal.setitimer(signal.ITIMER_REAL, *former_timer)


def test_a_flow_within_a_task_that_times_out():
    """A timeout ends all of a flow that a task runs, not just one task of it."""
    ran = []
    with Flow("inner") as inner:
        task(spin)()
        task(lambda: ran.append(1))()

    @task(timeout=SHORT)
    def outer():
        inner.run()

    with Flow("outer") as flow:
        t = outer()
    assert type(flow.run().result[t]) is TimedOut
    assert not ran


def test_in_threads():
    """A timeout fails one task; the others of the flow go on."""
    with Flow("test") as flow:
        slow = task(spin, timeout=SHORT)()
        fine = task(lambda: 1, timeout=LONG)()
    result = flow.run(executor=ThreadExecutor(2)).result
    assert (type(result[slow]), type(result[fine])) == (TimedOut, Success)


def most_at_once(flow_of, executor):
    """Run a flow of a task that keeps going, in a thread that is not the main one."""
    running, most = [], []
    lock = threading.Lock()

    def go_on():
        with lock:
            running.append(1)
            most.append(len(running))
        try:
            time.sleep(4 * SHORT)  # which nothing interrupts
        finally:
            running.pop()

    with Flow("test") as flow:
        flow_of(task(go_on, timeout=SHORT, max_retries=1))
    states = []
    thread = threading.Thread(target=lambda: states.append(flow.run(executor=executor)))
    thread.start()
    thread.join(LONG)
    assert states[0].is_failed()
    return max(most), len(most)


def several(task_of_flow):
    for _ in range(3):
        task_of_flow()


@pytest.mark.parametrize(("executor", "places"), [(ThreadExecutor(2), 2), (LocalExecutor(), 1)])
def test_tries_that_were_given_up_keep_their_places(executor, places):
    """However many tries time out, no more of them run at a time than there are workers."""
    assert most_at_once(several, executor) == (places, 6)


def test_a_try_that_never_ends_gives_its_place_up_at_last(monkeypatch, caplog):
    """What cannot be interrupted holds up nothing for ever, and a warning says that it goes on."""
    monkeypatch.setattr(timeouts, "MOST_WAITED", SHORT)
    most, tries = most_at_once(several, ThreadExecutor(1))
    assert most > 1
    assert tries == 6
    assert "still runs, and cannot be interrupted" in caplog.text


def test_other_places_are_used_meanwhile():
    """A worker that waits for a try that was given up keeps no other task from the next worker."""
    ran = threading.Event()

    def waits():  # which catches what interrupts it
        while not ran.is_set():
            try:
                ran.wait(SHORT)
            except BaseException:  # noqa: BLE001
                continue

    with Flow("test") as flow:
        slow = task(waits, timeout=SHORT)()
        task(ran.set, trigger=all_finished)(upstream_tasks=[slow])
    state = flow.run(executor=ThreadExecutor(2))
    assert state.is_successful()


def test_interrupting_an_ended_thread():
    """Interrupting a thread that has ended does nothing."""
    thread = threading.Thread(target=int)
    interrupt(thread)
    thread.start()
    thread.join()
    interrupt(thread)


def test_a_thread_that_starts_another():
    """It is interrupted when the other has begun: Python 3.11 would interrupt that, and nobody hear of it."""
    begins, begun = threading.Event(), threading.Event()

    class Late(threading.Thread):
        def _bootstrap(self):
            begins.wait(LONG)
            super()._bootstrap()

    def until_interrupted():
        with pytest.raises(Interruption):
            Late(target=begun.set, daemon=True).start()
            spin()

    def is_starting(frame):
        while frame is not None and frame.f_code is not threading.Thread.start.__code__:
            frame = frame.f_back
        return frame is not None

    thread = threading.Thread(target=until_interrupted, daemon=True)
    thread.start()
    while not is_starting(sys._current_frames()[thread.ident]):
        time.sleep(0.001)
    assert not interrupt_now(thread)
    begins.set()
    interrupt(thread)
    thread.join(LONG)
    assert not thread.is_alive()
    assert begun.is_set()


class Sender:
    """Has the name of what is not to be interrupted."""

    def send(self, late):
        try:
            while len(late) < 3:
                pass
        except Interruption:
            return "half"
        return "whole"


def test_an_alarm_in_the_midst_of_putting_one_off(monkeypatch):
    """A busy machine comes to no more than that in time: what is not to be interrupted is not, even so."""

    class Late:
        def __getattr__(self, name):
            return getattr(signal, name)

        def setitimer(self, which, seconds, *interval):
            found = signal.setitimer(which, seconds, *interval)
            if 0 < seconds < SHORT / 2 and len(late) < 3:
                late.append(seconds)
                time.sleep(2 * seconds)  # in which it rings
            return found

    late, sent = [], []

    def sends():
        sent.append(Sender().send(late))
        if sent == ["whole"]:
            spin()

    monkeypatch.setattr(timeouts, "signal", Late())
    with pytest.raises(TaskTimeoutError):
        run_within(SHORT, sends, {})
    assert sent == ["whole"]


def test_a_thread_that_waits_for_a_lock_of_logging():
    """It is interrupted when it has given the lock back: nobody waits for that in vain."""
    handler = logging.Handler()
    handler.lock = threading.Lock()  # in C, as logging's own
    handler.lock.acquire()
    entered = threading.Event()

    def log_once():
        entered.set()
        handler.acquire()
        try:
            time.sleep(0)
        finally:
            handler.release()
        spin()

    def until_interrupted():
        with pytest.raises(Interruption):
            log_once()

    thread = threading.Thread(target=until_interrupted)
    thread.start()
    entered.wait(LONG)
    while sys._current_frames()[thread.ident].f_code is not logging.Handler.acquire.__code__:
        time.sleep(0.001)
    interrupt(thread)
    handler.lock.release()
    thread.join(LONG)
    assert not thread.is_alive()
    assert handler.lock.acquire(timeout=1)


@pytest.mark.parametrize("nth", range(8))
def test_garbage_collected_while_a_thread_is_interrupted(nth):
    """No destructor lets the thread move on meanwhile, to where it has just taken a lock of logging."""
    collections = iter(range(100))
    goes_on, takes = threading.Lock(), threading.Lock()
    goes_on.acquire()
    takes.acquire()
    given_back = []
    handler = logging.Handler()
    handler.lock = SimpleNamespace(acquire=takes.acquire, release=partial(given_back.append, 1))

    def log_once():
        with suppress(Interruption):
            goes_on.acquire()
            handler.acquire()
            try:
                spin()
            finally:
                handler.release()

    def let_it_go_on(phase, info):
        interrupts = sys._getframe().f_back.f_code is interruption._raise_in.__code__
        if interrupts and phase == "start" and next(collections) == nth:
            goes_on.release()
            time.sleep(SHORT)

    ended = threading.Event()  # those are looked at as well, after the one that started last
    others = [threading.Thread(target=ended.wait) for _ in range(8)]
    thread = threading.Thread(target=log_once, daemon=True)
    for each in (*others, thread):
        each.start()
    time.sleep(SHORT)
    threshold = gc.get_threshold()
    gc.callbacks.append(let_it_go_on)
    gc.set_threshold(1)
    try:
        interrupt(thread)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(let_it_go_on)
    if goes_on.locked():
        goes_on.release()
    takes.release()
    ended.set()
    for each in (*others, thread):
        each.join(LONG)
    handler.createLock()  # logging takes it at the end
    assert not thread.is_alive()
    assert not takes.locked() or given_back


def test_an_alarm_while_a_lock_of_logging_is_taken():
    """In the main thread, too, a task that takes too long gives back what it has just taken."""
    given_back = []
    handler = logging.Handler()
    handler.lock = SimpleNamespace(
        acquire=partial(time.sleep, 2 * SHORT), release=partial(given_back.append, 1)
    )

    def log_once():
        handler.acquire()
        try:
            spin()
        finally:
            handler.release()

    with pytest.raises(TaskTimeoutError):
        in_main_thread(SHORT, log_once)
    assert given_back == [1]


STRESS = """
import logging, os, sys, threading, time
from prefect import Flow, context, task
from prefect.engine.executors import LocalExecutor, ThreadExecutor

sink = open("/dev/null", "w")
handlers = [logging.StreamHandler(sink), logging.FileHandler("/dev/null")]
logging.basicConfig(level=logging.INFO, handlers=handlers)

@task(timeout=0.02)
def logs(x):
    while True:
        context.logger.info("line %s", x)

@task(timeout=0.02, log_stdout=True)
def prints(x):
    while True:
        print("line", x)

@task(timeout=0.02)
def finds_loggers(x):
    while True:
        logging.getLogger(f"own.{time.perf_counter()}").info("line %s", x)

executor = ThreadExecutor(4) if sys.argv[2] == "threads" else LocalExecutor()
with Flow("test") as flow:
    mapped = globals()[sys.argv[1]].map([1, 2, 3, 4])
sys.stdout = sink
for _ in range(10):
    states = flow.run(executor=executor).result[mapped].map_states
    assert all(type(state).__name__ == "TimedOut" for state in states), states
for thread in threading.enumerate():
    if thread.name.startswith("prefect-"):
        thread.join(10)

def take(lock):
    free = lock.acquire(timeout=5)
    if not free:
        print("Locked:", lock, file=sys.__stdout__)
        os._exit(1)
    lock.release()

for lock in [*(handler.lock for handler in handlers), logging._lock]:
    other = threading.Thread(target=take, args=(lock,))
    other.start()
    other.join()
print("All are free", file=sys.__stdout__)
"""


@pytest.mark.parametrize("where", ["local", "threads"])
@pytest.mark.parametrize("name", ["logs", "prints", "finds_loggers"])
def test_tasks_that_are_interrupted_while_they_log(name, where):
    """They all time out, and leave no lock locked, that of a user's handler neither."""
    script = [sys.executable, "-c", STRESS, name, where]
    done = subprocess.run(script, check=False, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("All are free\n", 0), done.stderr
