"""DaskExecutor, on real clusters of processes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading

import distributed
import pytest
from dask_cluster import cluster_of
from observing import until

import prefect
from prefect import Flow, Parameter, Task, task
from prefect.engine import signals
from prefect.engine.executors import DaskExecutor
from prefect.engine.state import Failed, Skipped, Success, TimedOut
from prefect.errors import ExecutorError, RemoteTaskError, UnsupportedError


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processes for all tests here."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def executor(cluster):
    """An executor that connects to the cluster."""
    return DaskExecutor(address=cluster.scheduler_address)


@task
def inc(x):
    return x + 1


@task
def pid():
    return os.getpid()


def test_runs_elsewhere(executor):
    """Tasks run in other processes, with parameters, maps, context, and classes defined here."""

    class Local(Task):
        def run(self, x):
            return x, prefect.context.map_index, prefect.context.flow_name

    with Flow("test") as flow:
        p = pid()
        t = Local().map(inc.map(Parameter("xs")))
    state = flow.run(xs=[1, 2], executor=executor)
    assert state.is_successful()
    assert state.result[p].result != os.getpid()
    assert state.result[t].result == [(2, 0, "test"), (3, 1, "test")]


def test_a_name_that_utf_8_lacks_is_no_broken_connection(executor):
    """Such as that of a file, which Python reads with surrogates; Dask's keys cannot have it."""
    with Flow("test\udcff") as flow:
        t = task(lambda x: x + 1, name="read\udcff").map([1, 2])
    assert flow.run(executor=executor).result[t].result == [2, 3]


def test_values_that_act_when_they_are_loaded(executor):
    """A value cannot end this process, nor an exception become something else."""

    class Ends:
        def __reduce__(self):
            return sys.exit, (0,)

    class NumberError(Exception):
        def __reduce__(self):
            return int, ()

    @task
    def ends():
        return Ends()

    @task
    def raises():
        raise NumberError

    with Flow("test") as flow:
        ended, raised = ends(), raises()
    result = flow.run(executor=executor).result
    assert type(result[ended]) is Failed
    assert "cannot be loaded here: SystemExit" in result[ended].message
    assert isinstance(result[raised].result, RemoteTaskError)


def test_states(executor, caplog):
    """Failures come back with their traceback, which is logged here; signals and timeouts, too."""

    @task
    def boom():
        raise ValueError("far away")

    @task
    def skip():
        raise signals.SKIP("no need")

    @task(timeout=0.05)
    def spin():
        while True:
            pass

    with Flow("test") as flow:
        bad, skipped, slow = boom(), skip(), spin()
    result = flow.run(executor=executor).result
    assert [type(result[t]) for t in (bad, skipped, slow)] == [Failed, Skipped, TimedOut]
    assert isinstance(result[bad].result, ValueError)
    assert "in boom" in result[bad].traceback
    assert "in boom" in caplog.text


def test_retries(executor):
    """A retry is another try, not the result of the first again."""

    @task(max_retries=2, retry_delay=0.01)
    def flaky():
        if prefect.context.task_run_count < 3:
            raise ValueError
        return prefect.context.task_run_count

    with Flow("test") as flow:
        t = flaky()
    assert flow.run(executor=executor).result[t].result == 3


def test_the_same_flow_again(executor):
    """A second run on the same cluster does everything again."""
    with Flow("test") as flow:
        t = task(lambda: os.urandom(8))()
    first, second = (flow.run(executor=executor).result[t].result for _ in range(2))
    assert first != second


def test_exceptions_that_cannot_be_sent(executor):
    """An exception that cannot be pickled, or not unpickled, is replaced by its text."""

    class NeedsTwo(Exception):  # noqa: N818
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")

    @task
    def unloadable():
        raise NeedsTwo(1, 2)

    @task
    def unpicklable():
        error = ValueError("locked")
        error.lock = threading.Lock()
        raise error

    with Flow("test") as flow:
        a, b = unloadable(), unpicklable()
    result = flow.run(executor=executor).result
    assert [type(result[t].result) for t in (a, b)] == [RemoteTaskError, RemoteTaskError]
    assert str(result[a].result) == "NeedsTwo: 1 and 2"
    assert "in unpicklable" in result[b].traceback
    assert "ValueError: locked" in result[b].traceback


def test_results_that_cannot_be_sent(executor):
    """A result that cannot be pickled fails its task, and says so."""

    @task
    def lock():
        return threading.Lock()

    with Flow("test") as flow:
        t = lock()
    state = flow.run(executor=executor).result[t]
    assert type(state) is Failed
    assert "the task's result cannot be pickled" in state.message


def test_inputs_that_cannot_be_sent(executor):
    """An input that cannot be pickled fails its task, and says so."""
    with Flow("test") as flow:
        bad, good = inc(threading.Lock()), inc(1)
    result = flow.run(executor=executor).result
    assert "the task or its inputs cannot be pickled" in result[bad].message
    assert type(result[good]) is Success


def only_known_here(x):
    return x


def test_tasks_that_cannot_be_loaded(executor, monkeypatch):
    """A task that a worker cannot load has failed, and says why."""
    monkeypatch.setitem(sys.modules, "only_here", sys.modules[__name__])
    monkeypatch.setattr(only_known_here, "__module__", "only_here")
    with Flow("test") as flow:
        t = task(only_known_here)(1)
    state = flow.run(executor=executor).result[t]
    assert type(state) is Failed
    assert "cannot load the task" in state.message
    assert "No module named 'only_here'" in state.message


def test_large_inputs(executor):
    """Large inputs are sent without complaint."""
    data = os.urandom(3 << 20)

    @task
    def length(data):
        return len(data)

    with Flow("test") as flow:
        t = length(data)
    assert flow.run(executor=executor).result[t].result == len(data)


def test_exits_are_failures(executor):
    """A task that calls sys.exit() has failed, and its worker goes on."""
    with Flow("test") as flow:
        leaving = task(lambda: sys.exit(3))()
    state = flow.run(executor=executor)
    assert "SystemExit: 3" in state.result[leaving].message


def test_workers_that_die():
    """A task that takes its worker with it has failed; the run goes on and ends.

    The cluster is made for the run, and closed after it.
    """
    with Flow("test") as flow:
        good = inc(1)
        bad = task(lambda: os._exit(1))(upstream_tasks=[good])
        after = inc(bad)
    executor = DaskExecutor(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1})
    from dask import config

    with config.set({"distributed.scheduler.allowed-failures": 0}):
        result = flow.run(executor=executor).result
    assert type(result[bad]) is Failed
    assert "lost on the cluster: KilledWorker" in result[bad].message
    assert "different workers" not in result[bad].message  # it was one
    assert result[good].result == 2
    assert not result[after].is_successful()


def test_other_clusters():
    """A cluster class of one's own is called with its arguments, and its cluster closed."""
    from distributed import LocalCluster

    made = []

    def make(**kwargs):
        made.append(LocalCluster(processes=False, dashboard_address=":0", **kwargs))
        return made[0]

    with Flow("test") as flow:
        t = inc(1)
    executor = DaskExecutor(cluster_class=make, cluster_kwargs={"n_workers": 1})
    assert flow.run(executor=executor).result[t].result == 2
    assert made[0].status.name == "closed"


def test_without_dask(monkeypatch):
    """Without Dask the error says how to install it; making the executor works."""
    executor = DaskExecutor()
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExecutorError, match=r"pip install 'dask\[distributed\]'"):
        Flow("test").run(executor=executor)


def test_classic_arguments():
    """Those of classic Prefect are taken: adapt_kwargs is adapt, a report is refused with the fix, others mean nothing."""
    executor = DaskExecutor(
        adapt_kwargs={"maximum": 2},
        debug=True,
        watch_worker_status=True,
        disable_cancellation_event=True,
    )
    assert executor.adapt == {"maximum": 2}
    with pytest.raises(ValueError, match="give one of both"):
        DaskExecutor(adapt_kwargs={"maximum": 2}, adapt={"maximum": 2})
    with pytest.raises(UnsupportedError, match=r"distributed\.performance_report"):
        DaskExecutor(performance_report_path="report.html")


def test_a_script_that_its_processes_import_is_told_so(tmp_path):
    """A process of the cluster ends where the script would make another one, and the error names the fix."""
    script = tmp_path / "script.py"
    script.write_text(
        "from prefect import Flow\n"
        "from prefect.engine.executors import DaskExecutor\n"
        'settings = {"n_workers": 1, "dashboard_address": None}\n'
        'Flow("test").run(executor=DaskExecutor(cluster_kwargs=settings))\n'
    )
    done = subprocess.run(
        [sys.executable, script], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert "A process of a Dask cluster cannot make another one" in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "ExecutorError: A LocalCluster cannot be made" in last
    assert "if __name__ == '__main__':" in last


def test_a_cluster_class_may_be_named():
    """By its dotted name, as classic Prefect took it; what cannot be imported is an error at once."""
    named = DaskExecutor(cluster_class="distributed.LocalCluster")
    assert named.cluster_class is distributed.LocalCluster
    for wrong in ("no_such_package.Cluster", "distributed.NoSuchCluster", "distributed"):
        with pytest.raises((TypeError, ValueError), match="cluster_class"):
            DaskExecutor(cluster_class=wrong)


def test_a_named_cluster_class_leaves_ctrl_c_alone(tmp_path, monkeypatch):
    """Though its module, as that of dask_jobqueue, sets a handler by which Ctrl-C ends the process and not the run."""
    (tmp_path / "rude_cluster.py").write_text(
        "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit())\nclass Cluster: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    DaskExecutor(cluster_class="rude_cluster.Cluster")
    assert signal.getsignal(signal.SIGINT) is before


def test_arguments():
    """An address excludes a cluster of one's own."""
    with pytest.raises(ValueError, match="not both"):
        DaskExecutor("tcp://here:1", cluster_class=object)
    assert "tcp://here:1" in repr(DaskExecutor("tcp://here:1"))
    for adapt in ({"maximum": -1}, {"maximum": 0}, {"minimum": 3, "maximum": 2}, {"minimum": -1}):
        with pytest.raises(ValueError, match="adapt's"):
            DaskExecutor(adapt=adapt)
    with pytest.raises(ValueError, match="silence_timeout"):
        DaskExecutor("tcp://here:1", silence_timeout=0)
    with pytest.raises(TypeError, match="a name in client_kwargs is a str"):
        DaskExecutor("tcp://here:1", client_kwargs={1: 2})


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"cluster_kwargs": {"nope": 1}}, "LocalCluster cannot be made.*: .*nope"),
        ({"client_kwargs": {"nope": 1}, "cluster_kwargs": {"n_workers": 0}}, "client cannot be made: .*nope"),
    ],
)  # fmt: skip
def test_arguments_that_dask_does_not_know(settings, error):
    """They are an error that says where they went, whatever Dask makes of them."""
    with pytest.raises(ExecutorError, match=error):
        Flow("test").run(executor=DaskExecutor(**settings))


def test_options_that_the_client_of_a_cluster_does_not_know(cluster):
    """They are not taken for an address where nobody answers."""
    executor = DaskExecutor(cluster.scheduler_address, client_kwargs={"nope": 1})
    with pytest.raises(ExecutorError, match=r"client cannot be made: .*nope"):
        Flow("test").run(executor=executor)


def test_no_scheduler():
    """An address at which nobody answers is an error, not a wait for ever."""
    with pytest.raises(ExecutorError, match="No Dask scheduler answers at"):
        Flow("test").run(executor=DaskExecutor("tcp://127.0.0.1:9", client_kwargs={"timeout": 0.2}))


def test_an_address_of_tls_without_certificates_is_refused_at_once(monkeypatch):
    """The error says where they are given. Dask's client would wait, and say that None is no SSLContext."""
    monkeypatch.setattr(distributed, "Client", None)
    with pytest.raises(ExecutorError, match=r"client_kwargs=.*TLS__CA_FILE"):
        DaskExecutor("tls://127.0.0.1:9").start()


def test_what_tls_fails_for_is_told(cluster, tmp_path):
    """One who speaks without it, certificates that are not there, and a lack of them, are said at once."""
    address = cluster.scheduler_address.replace("tcp://", "tls://")
    gone = str(tmp_path / "gone.pem")
    for security, message in [
        (distributed.Security.temporary(), r"speaks no TLS \(tcp://\)"),
        (
            distributed.Security(tls_ca_file=gone, tls_client_cert=gone, tls_client_key=gone),
            r"cannot be read: .*gone\.pem",
        ),
        (distributed.Security(tls_ca_file=gone), "with tls_ca_file, tls_client_cert"),
    ]:
        with pytest.raises(ExecutorError, match=message):
            DaskExecutor(address, client_kwargs={"security": security}).start()


def test_an_address_of_a_kind_that_dask_does_not_know(monkeypatch):
    """It is refused before Dask's client is made, which would wait when it is gone, and leave a traceback."""
    monkeypatch.setattr(distributed, "Client", None)
    with pytest.raises(ExecutorError, match=r"scheme 'http' \(known"):
        DaskExecutor("http://127.0.0.1:9").start()


def test_log_lines_come_back(executor, caplog):
    """What tasks log on a worker is logged here, with its level, and with its traceback as text."""

    @task(log_stdout=True)
    def talk(x):
        print("printing", x)
        try:
            raise ValueError("caught")  # noqa: TRY301
        except ValueError:
            prefect.context.logger.exception("logging %s", x)

    with Flow("test") as flow:
        talk.map([1, 2])
    with caplog.at_level("INFO", logger="prefect"):
        assert flow.run(executor=executor).is_successful()
    records = [r for r in caplog.records if r.name == "prefect.task.talk"]
    said = sorted((r.levelname, r.getMessage()) for r in records)
    assert said == [
        ("ERROR", "logging 1"), ("ERROR", "logging 2"), ("INFO", "printing 1"), ("INFO", "printing 2"),
    ]  # fmt: skip
    assert all("ValueError: caught" in r.exc_text for r in records if r.levelname == "ERROR")


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch):
    """Dask's client is not even made: it would try again for half a minute."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # not listening
        monkeypatch.setattr(distributed, "Client", None)
        for address in (f"tcp://127.0.0.1:{port}", f"127.0.0.1:{port}"):
            with pytest.raises(ExecutorError, match=r"No Dask scheduler answers.*dask scheduler"):
                DaskExecutor(address).start()


@pytest.mark.parametrize("size", [1, 5000])
def test_async_tasks_begin_before_a_plain_one_that_was_sent_after_them(tmp_path, size):
    """It does not keep the only thread of a worker from them, also while their code is on its way there."""
    text = "x" * size  # as large as what is sent once for all

    def note(number):
        (tmp_path / f"{number}-{len(text)}").touch()

    @task
    async def waits(number):
        note(number)
        await asyncio.sleep(0)

    @task
    def plain():
        return until(lambda: len([*tmp_path.glob(f"*-{size}")]) == 20)

    with Flow("test") as flow:
        waits.map(list(range(20)))
        last = plain()
    with cluster_of(1, tmp_path) as cluster:
        assert flow.run(executor=DaskExecutor(cluster.address)).result[last].result is True


def test_a_cluster_that_scales_by_itself_has_resources():
    """From no worker at all: those that come have what tasks need."""
    settings = {"n_workers": 0, "threads_per_worker": 2, "resources": {"GPU": 1}}
    scales = DaskExecutor(cluster_kwargs=settings, adapt={"minimum": 0, "maximum": 2})
    with Flow("test") as flow:
        needs = task(lambda x: x + 1, name="needs", resources={"GPU": 1}).map([1, 2, 3])
    assert flow.run(executor=scales).result[needs].result == [2, 3, 4]
