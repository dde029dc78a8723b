"""State handlers."""

import os
import threading

import pytest

from prefect import Flow, Parameter, context, task
from prefect.engine import signals
from prefect.engine.state import Failed, Pending, Running, Skipped, Success


class Recorder:
    """A handler that writes down what it sees."""

    def __init__(self):
        self.seen = []

    def __call__(self, obj, old, new):
        self.seen.append((type(old).__name__, type(new).__name__))


def run_one(function, **settings):
    with Flow("test") as flow:
        t = task(function, **settings)()
    return flow.run().result[t]


def boom():
    raise ValueError("no")


def skip():
    raise signals.SKIP


@pytest.mark.parametrize(
    ("function", "settings", "expected"),
    [
        (lambda: 1, {}, [("Pending", "Running"), ("Running", "Success")]),
        (skip, {}, [("Pending", "Running"), ("Running", "Skipped")]),
        (
            boom,
            {"max_retries": 1},
            [
                ("Pending", "Running"),
                ("Running", "Failed"),
                ("Failed", "Retrying"),
                ("Retrying", "Running"),
                ("Running", "Failed"),
            ],
        ),
    ],
)
def test_transitions(function, settings, expected):
    """Handlers see each change of state, with what was before."""
    recorder = Recorder()
    run_one(function, state_handlers=[recorder], **settings)
    assert recorder.seen == expected


def test_transitions_without_running():
    """Handlers see states that are reached without running, and the expansion of a map."""
    recorder = Recorder()
    with Flow("test") as flow:
        failed = task(boom)()
        task(lambda x: x, state_handlers=[recorder])(failed)
    flow.run()
    assert recorder.seen == [("Pending", "TriggerFailed")]
    recorder.seen.clear()
    with Flow("test") as flow:
        task(lambda x: x, state_handlers=[recorder]).map([1])
    flow.run()
    assert recorder.seen == [("Pending", "Mapped"), ("Pending", "Running"), ("Running", "Success")]


def test_transitions_of_flows():
    """A flow's handlers see it start and end."""
    recorder = Recorder()
    failed = []
    with Flow(
        "test", state_handlers=[recorder], on_failure=lambda flow, state: failed.append(flow.name)
    ) as flow:
        task(lambda x: 1 / x)(Parameter("x"))
    flow.run(x=1)
    assert not failed
    flow.run(x=0)
    assert failed == ["test"]
    start = ("Pending", "Running")
    assert recorder.seen == [start, ("Running", "Success"), start, ("Running", "Failed")]


def test_on_failure_is_called_at_each_failure():
    """on_failure is called for every try that fails, with the failure."""
    seen = []
    run_one(boom, max_retries=2, on_failure=lambda t, state: seen.append(state.message))
    assert seen == ["ValueError: no"] * 3


def test_handlers_know_the_context():
    """Within a handler prefect.context is that of the task."""
    seen = []
    run_one(boom, name="boom", on_failure=lambda *_: seen.append(context.task_slug))
    assert seen == ["boom-1"]


def becomes(kind, when):
    return lambda obj, old, new: kind("changed") if isinstance(new, when) else None


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (becomes(Skipped, Running), Skipped),
        (becomes(Failed, Success), Failed),
        (becomes(Pending, Running), Failed),
        (becomes(Running, Success), Failed),
    ],
)
def test_handlers_change_states(handler, expected):
    """A state that a handler returns counts; one in which a task cannot end is a failure."""
    ran = []
    state = run_one(lambda: ran.append(1), state_handlers=[handler])
    assert type(state) is expected
    assert bool(ran) == (handler(None, Pending(), Running()) is None)


def test_handlers_are_called_in_turn():
    """Each handler sees what the one before made of the state."""
    second = Recorder()
    run_one(lambda: 1, state_handlers=[becomes(Skipped, Success), second])
    assert second.seen[-1] == ("Running", "Skipped")


def broken(obj, old, new):
    if new.is_successful():
        raise KeyError("oops")


def signalling(obj, old, new):
    if new.is_successful():
        raise signals.SKIP("after all")


def nonsense(obj, old, new):
    return "Success" if new.is_successful() else None


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        (broken, Failed, "a state handler raised KeyError: 'oops'"),
        (signalling, Skipped, "after all"),
        (nonsense, Failed, "not a State"),
    ],
)
def test_handlers_that_raise(handler, kind, message):
    """A handler that raises decides the state; of an exception the traceback is kept."""
    for state in (
        run_one(lambda: 1, state_handlers=[handler]),
        Flow("test", state_handlers=[handler]).run(),
    ):
        assert type(state) is kind
        assert message in state.message
        assert (state.traceback is not None) == (kind is Failed)


def test_a_broken_handler_does_not_lose_the_tasks_states():
    """A flow whose handler raises still has the state of each task."""
    with Flow("test", state_handlers=[broken]) as flow:
        t = task(lambda: 5)()
    state = flow.run()
    assert state.is_failed()
    assert state.result[t].result == 5


def test_a_flow_that_a_handler_stops():
    """A flow that a handler does not let start runs nothing."""
    ran = []
    with Flow("test", state_handlers=[becomes(Skipped, Running)]) as flow:
        task(lambda: ran.append(1))()
    assert type(flow.run()) is Skipped
    assert not ran


def test_a_map_that_a_handler_stops():
    """A mapped task that a handler does not let expand has no children."""
    with Flow("test") as flow:
        t = task(lambda x: x, state_handlers=[becomes(Skipped, Success)]).map([1, 2])
        after = task(lambda x: x)(t)
    result = flow.run().result
    assert type(result[t]) is Skipped
    assert type(result[after]) is Skipped


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of one process, for all tests here."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=["local", "threads:2", "processes:2", "dask"])
def everywhere(request):
    """Each executor, as text."""
    if request.param != "dask":
        return request.param
    return f"dask:{request.getfixturevalue('cluster')}"


class Here:
    """A handler that cannot be sent anywhere, and knows where and when it is called."""

    def __init__(self, change=lambda old, new: None):
        self.lock = threading.Lock()
        self.change = change
        self.seen = []
        self.where = set()

    def __call__(self, task, old, new):
        with self.lock:
            self.where.add((os.getpid(), threading.get_ident()))
            self.seen.append((context.map_index, type(old).__name__, type(new).__name__))
        return self.change(old, new)

    def is_only_here(self):
        return self.where == {(os.getpid(), threading.get_ident())}


STARTS, ENDS = ("Pending", "Running"), ("Running", "Success")


def test_handlers_are_called_where_the_flow_runs(everywhere):
    """In its process and thread, whatever the executor; so they need not be sent to others."""
    handler = Here()
    with Flow("test") as flow:
        doubled = task(lambda x: 2 * x, name="double", state_handlers=[handler]).map([1, 2])
        last = task(lambda xs: xs[0] + xs[1], name="sum", state_handlers=[handler])(doubled)
    assert flow.run(executor=everywhere).result[last].result == 6
    assert handler.is_only_here()
    for index in (0, 1, None):
        changes = [change[1:] for change in handler.seen if change[0] == index]
        assert changes == [*([("Pending", "Mapped")] if index is None else []), STARTS, ENDS]


def test_a_handler_keeps_a_task_from_running(everywhere, tmp_path):
    """What it makes of Running counts before anything has happened, wherever that would have been."""
    ran = tmp_path / "ran"
    handler = Here(lambda old, new: Skipped("known") if isinstance(new, Running) else None)
    with Flow("test") as flow:
        kept = task(lambda path: open(path, "w").close(), state_handlers=[handler])(str(ran))  # noqa: PTH123
    assert type(flow.run(executor=everywhere).result[kept]) is Skipped
    assert not ran.exists()
    assert [change[1:] for change in handler.seen] == [STARTS]


def test_handlers_see_values_and_replace_them(everywhere):
    """They read what a task has returned, and what follows gets what they put in its place."""
    handler = Here(
        lambda old, new: Success("more", [*new.result, 3]) if isinstance(new, Success) else None
    )
    with Flow("test") as flow:
        listed = task(lambda: [1, 2] * 1000, name="list", state_handlers=[handler])()
        last = task(lambda xs: (len(xs), xs[-1]), name="last")(listed)
    assert flow.run(executor=everywhere).result[last].result == (2001, 3)


def test_handlers_decide_about_retries(everywhere):
    """A failure that a handler makes well is not tried again; another is, and all of it is told."""
    well = Here(lambda old, new: Success("well", 1) if isinstance(new, Failed) else None)
    told = Here()
    failures = []

    def fail():
        raise ValueError("no")

    with Flow("test") as flow:
        mended = task(fail, name="mended", max_retries=3, state_handlers=[well])()
        tried = task(
            fail, name="tried", max_retries=1, state_handlers=[told],
            on_failure=lambda task, state: failures.append(state.message),
        )()  # fmt: skip
    result = flow.run(executor=everywhere).result
    assert (type(result[mended]), result[mended].result) == (Success, 1)
    assert [change[1:] for change in well.seen] == [STARTS, ("Running", "Failed")]
    assert type(result[tried]) is Failed
    assert [change[1:] for change in told.seen] == [
        STARTS, ("Running", "Failed"), ("Failed", "Retrying"), ("Retrying", "Running"),
        ("Running", "Failed"),
    ]  # fmt: skip
    assert failures == ["ValueError: no"] * 2
    assert told.is_only_here()


def test_handlers_of_async_tasks(everywhere):
    """Theirs are called there, too."""

    async def wait():
        return 3

    handler = Here()
    with Flow("test") as flow:
        waited = task(wait, state_handlers=[handler])()
    assert flow.run(executor=everywhere).result[waited].result == 3
    assert handler.is_only_here()
    assert [change[1:] for change in handler.seen] == [STARTS, ENDS]


def test_handlers_know_what_a_run_of_a_task_is_called(everywhere):
    """Its name may be made of inputs, which the context of a handler has as well."""
    names = []
    with Flow("test") as flow:
        task(
            lambda x: x,
            name="named",
            task_run_name="for-{x}",
            state_handlers=[lambda *_: names.append(context.task_run_name)],
        )(3)
    assert flow.run(executor=everywhere).is_successful()
    assert names == ["for-3"] * 2


def test_successes_have_a_handler_of_their_own():
    """Of a task at each success, of a mapped one for each child; of the flow once, if it succeeds."""
    told = []

    def tell(one, state):
        told.append((one.name, type(state).__name__))

    @task(on_success=tell, on_failure=tell, max_retries=1)
    def half(x):
        if x == 1 and ("half", "Failed") not in told:
            raise ValueError("odd")
        return x / 2

    with Flow("f", on_success=tell, on_failure=tell) as flow:
        half.map([0, 1])
    flow.run()
    assert sorted(told) == [
        ("f", "Success"),
        ("half", "Failed"),
        ("half", "Success"),
        ("half", "Success"),
    ]
    with pytest.raises(TypeError, match="on_success is a function"):
        task(lambda: 1, on_success=5)
