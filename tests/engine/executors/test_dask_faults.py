"""What DaskExecutor makes of clusters that are wrong, die or freeze: real processes, real signals."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import dask_cluster
import pytest
from dask_cluster import Cluster
from observing import until, when_running
from processes import await_end
from tcp_proxy import Proxy

import prefect
from prefect import Flow, task
from prefect.engine.executors import DaskExecutor
from prefect.engine.executors.dask import health
from prefect.engine.executors.dask.scheduler import plugin_for
from prefect.engine.state import Failed, Success
from prefect.errors import ExecutorError


@pytest.fixture
def cluster(tmp_path):
    """A scheduler without workers."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.end()


@pytest.fixture
def proxy(cluster):
    """A network to the scheduler that can be cut."""
    proxy = Proxy(cluster.port)
    yield proxy
    proxy.end()


@task
def tried(path, seconds=0.0, then=None):
    """Note each try with its process; end this, or take a while."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()} {prefect.context.task_run_count}\n")
    if then == "die when known":
        until(Path(f"{path}.known").exists)
    if then is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(seconds)
    return list(range(1000))


def _known(path):
    """Tell a task that it is known that it runs."""
    Path(f"{path}.known").touch()


def _tries(path):
    return [line.split()[1] for line in path.read_text().splitlines()]


def _process(path):
    """Wait for the first try, and return its process."""
    assert until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text().split()[0])


def test_a_task_whose_worker_dies_is_not_run_again(cluster, tmp_path):
    """Without max_retries it has failed, once, also where another worker is left; others go on."""
    cluster.worker(name="one"), cluster.worker(name="two")
    cluster.wait_for_workers(2)
    with Flow("test") as flow:
        bad = tried(str(tmp_path / "bad"), then="die when known")
        good = tried(str(tmp_path / "good"))
    known = when_running(flow, bad, lambda: _known(tmp_path / "bad"))
    result = flow.run(executor=DaskExecutor(cluster.address), on_state=known).result
    assert type(result[bad]) is Failed
    assert "lost on the cluster: KilledWorker" in result[bad].message
    assert "different workers" not in result[bad].message  # it was one
    assert "more memory" in result[bad].message
    assert type(result[good]) is Success
    assert _tries(tmp_path / "bad") == ["1"]


def test_a_task_that_kills_its_worker_at_once(cluster, tmp_path):
    """Nobody hears that it began; so it is tried once more, and then has failed."""
    for name in ("one", "two", "three"):
        cluster.worker(name=name)
    cluster.wait_for_workers(3)
    with Flow("test") as flow:
        bad = tried(str(tmp_path / "bad"), then="die at once")
    assert type(flow.run(executor=DaskExecutor(cluster.address)).result[bad]) is Failed
    assert len(_tries(tmp_path / "bad")) <= 2


def test_a_lost_try_counts(cluster, tmp_path, caplog):
    """With max_retries a task is tried again, as try number two, and that is logged."""
    cluster.worker(name="one"), cluster.worker(name="two")
    cluster.wait_for_workers(2)
    path, seen = tmp_path / "tries", []

    @task(max_retries=1)
    def slow_at_first(path):
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()} {prefect.context.task_run_count}\n")
        time.sleep(60 if prefect.context.task_run_count == 1 else 0)

    with Flow("test") as flow:
        flaky = slow_at_first(str(path))
    known = when_running(flow, flaky, lambda: os.kill(_process(path), signal.SIGKILL))

    def observe(event):
        known(event)
        if type(event.state).__name__ == "Retrying":
            seen.append(event.state.run_count)

    state = flow.run(executor=DaskExecutor(cluster.address), on_state=observe)
    assert state.result[flaky].is_successful()
    assert (seen, _tries(path)) == ([1], ["1", "2"])
    assert "try 1 of 2" in caplog.text


def test_at_most_once(cluster, tmp_path):
    """Such a task is never tried again by itself when its worker died, and its value is here at once."""
    cluster.worker(name="one", resources={"safe": 1})
    cluster.worker(name="two", resources={"other": 1})
    cluster.wait_for_workers(2)
    with Flow("test") as flow:
        once = tried(
            str(tmp_path / "tries"),
            then="die at once",
            task_args={"max_retries": 3, "at_most_once": True, "resources": {"other": 1}},
        )
        well = tried(
            str(tmp_path / "well"), task_args={"at_most_once": True, "resources": {"safe": 1}}
        )
    result = flow.run(executor=DaskExecutor(cluster.address)).result
    assert type(result[once]) is Failed
    assert _tries(tmp_path / "tries") == ["1"]
    assert result[well].result == list(range(1000))


def test_a_worker_that_freezes(cluster, tmp_path, caplog):
    """It is left out after silence_timeout; its task has failed, and the rest is done by others."""
    cluster.worker(name="one"), cluster.worker(name="two")
    cluster.wait_for_workers(2)
    path = tmp_path / "tries"
    frozen = []

    def freeze():
        frozen.append(_process(path))
        os.kill(frozen[0], signal.SIGSTOP)

    with Flow("test") as flow:
        stuck = tried(str(path), seconds=60)
        good = [tried(str(tmp_path / f"good{number}"), seconds=0.2) for number in range(4)]
    executor = DaskExecutor(cluster.address, silence_timeout=12)
    result = flow.run(executor=executor, on_state=when_running(flow, stuck, freeze)).result
    os.kill(frozen[0], signal.SIGCONT)
    assert type(result[stuck]) is Failed
    assert "has given no sign" in caplog.text
    assert all(result[each].is_successful() for each in good)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "freezes"])
def test_a_scheduler_that_is_gone(cluster, tmp_path, fault):
    """What runs has failed, what follows too, with what to do; the run ends."""
    cluster.worker()
    cluster.wait_for_workers(1)
    path = tmp_path / "tries"
    with Flow("test") as flow:
        lost = tried(str(path), seconds=60)
        after = tried(
            str(tmp_path / "after"),
            upstream_tasks=[lost],
            task_args={"trigger": prefect.triggers.all_finished},
        )
    known = when_running(flow, lost, lambda: os.kill(cluster.scheduler.pid, fault))
    executor = DaskExecutor(cluster.address, silence_timeout=6)
    result = flow.run(executor=executor, on_state=known).result
    assert [type(result[each]) for each in (lost, after)] == [Failed, Failed]
    assert "run the flow again" in result[lost].message
    assert "run the flow again" in result[after].message


def test_no_workers(cluster, caplog):
    """It is said how to start some, and after worker_timeout the run ends."""
    with Flow("test") as flow:
        never = tried("nowhere")
    result = flow.run(executor=DaskExecutor(cluster.address, worker_timeout=6)).result
    assert type(result[never]) is Failed
    assert f"dask worker {cluster.address}" in result[never].message
    assert "has no workers" in caplog.text


OTHER = """
import distributed.versions as it
real = it.version
it.version = lambda name: "2025.1.0" if name == "distributed" else real(name)
"""

PYTHON = """
import distributed.versions as it
real = it.get_system_info
it.get_system_info = lambda: dict(real()) | {"python": "3.99.0.final.0"}
sys.modules["prefect"] = None  # which a worker is not asked for that would have to run bytecode of this Python
"""


@pytest.mark.filterwarnings("ignore:Mismatched versions")  # Dask's own
@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            "sys.modules['prefect'] = None",
            r"the worker tcp://.* has no prefect, here is .*Install there",
        ),
        (OTHER, r"the worker tcp://.* has distributed 2025\.1\.0, here is"),
        (PYTHON, r"the worker tcp://\S* has Python 3\.99, here is 3\.\d+\. Install there"),
    ],
    ids=["no package", "other release", "other Python"],
)
def test_workers_that_do_not_fit(cluster, first, message):
    """A worker that lacks this package, or has another release of Dask or Python: refused, with what to do."""
    cluster.worker(first)
    cluster.wait_for_workers(1)
    with Flow("test") as flow:
        tried("nowhere")
    with pytest.raises(ExecutorError, match=message):
        flow.run(executor=DaskExecutor(cluster.address))


def test_a_worker_that_does_not_fit_and_comes_later(cluster, tmp_path, caplog):
    """It is said, and the run ends."""

    def start(flow, old, new):
        if new.is_running():
            cluster.worker("sys.modules['prefect'] = None")

    with Flow("test", state_handlers=[start]) as flow:
        never = tried(str(tmp_path / "tries"))
    result = flow.run(executor=DaskExecutor(cluster.address, worker_timeout=30)).result
    assert type(result[never]) is Failed
    assert "has it this package" in caplog.text


def length_after_a_loss(cluster, tmp_path, make, made):
    """Return the length of a value that is used once the worker has died that made it: that of a file of `tried`."""
    cluster.worker(name="one")
    cluster.wait_for_workers(1)
    used = tmp_path / "used"

    @task
    def use(values, path):
        Path(path).touch()
        time.sleep(0 if path.endswith("second") else 60)
        return len(values)

    with Flow("test") as flow:
        value = make()
        first = use(value, str(used))
        second = use(
            value,
            str(tmp_path / "second"),
            upstream_tasks=[first],
            task_args={"trigger": prefect.triggers.all_finished},
        )

    def kill():
        cluster.worker(name="two")
        assert until(used.exists)
        os.kill(_process(made), signal.SIGKILL)

    known = when_running(flow, first, kill)
    return flow.run(executor=DaskExecutor(cluster.address), on_state=known).result[second].result


def test_a_value_that_is_lost_is_made_again_and_said(cluster, tmp_path, caplog):
    """A worker that dies takes its values along: Dask makes them again, which is logged."""
    made = tmp_path / "made"
    assert length_after_a_loss(cluster, tmp_path, lambda: tried(str(made)), made) == 1000
    assert _tries(made) == ["1", "1"]
    assert "runs again" in caplog.text


@pytest.mark.parametrize(("kind", "deaths"), [("done once", 3), ("done", 0)])
def test_what_may_run_once_alone_is_not_done_again(kind, deaths):
    """It tells of its end before Dask hears of that, and its worker may die in between."""
    key = ("t-1-job-run", 7)
    known = SimpleNamespace(suspicious=0)
    scheduler = SimpleNamespace(
        tasks={key: known}, client_comms={}, allowed_failures=3, total_nthreads=1
    )
    plugin = plugin_for("run", "client", b"")
    asyncio.run(plugin.start(scheduler))
    plugin.update_graph(scheduler, keys=[key])
    assert known.suspicious == 3
    plugin.log_event("run", ["tcp://w:1", [(7, kind, 8)]])
    assert known.suspicious == deaths


def test_many_values_that_are_lost_are_named_in_part_and_counted(cluster, tmp_path, caplog):
    """The lines of a worker's death do not grow with what it had."""
    made = [tmp_path / f"made-{number}" for number in range(12)]
    paths = [str(each) for each in made]
    assert length_after_a_loss(cluster, tmp_path, lambda: tried.map(paths), made[0]) == 12
    again = [line for line in caplog.messages if "run again:" in line or "runs again" in line]
    named = [line for line in again if line.startswith("task 'tried[")]
    counted = sum(int(line.split()[0]) for line in again if "more tasks run again" in line)
    assert len(named) + counted == 12
    assert len(named) < 12


def test_a_run_outlives_the_death_of_all_workers(cluster, tmp_path):
    """What ran is tried again; what was done is made again, though the next worker dies while it does that."""
    cluster.worker(name="one"), cluster.worker(name="two")
    cluster.wait_for_workers(2)

    @task(max_retries=3)
    def grow(values, path):
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.05)
        return [*values[0], *range(300)] if values else [*range(1000)]

    paths = [str(tmp_path / f"{number}") for number in range(24)]
    with Flow("test") as flow:
        made = [grow([], path) for path in paths[:3]]
        for number in range(3, 24):
            made.append(grow([made[number - 3], made[3 * (number // 3) - 2]], paths[number]))

    def kill():
        assert until(Path(paths[9]).exists)
        begun = filter(Path.exists, map(Path, paths))
        pids = {int(line) for path in begun for line in path.read_text().split()}
        cluster.worker(name="three"), cluster.worker(name="four")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)  # in which another begins to make again what this one had

    known = when_running(flow, made[8], kill)
    result = flow.run(executor=DaskExecutor(cluster.address), on_state=known, results="all").result
    assert [len(result[each].result) for each in made] == [1000 + 300 * (n // 3) for n in range(24)]


def test_a_cluster_that_scales_from_zero():
    """An adaptive cluster starts without a worker, and gets one for the run."""
    with Flow("test") as flow:
        two = task(lambda: 2, name="two")()
    executor = DaskExecutor(
        cluster_kwargs={"n_workers": 0, "threads_per_worker": 1},
        adapt={"minimum": 0, "maximum": 1, "interval": "100ms"},
    )
    assert flow.run(executor=executor).result[two].result == 2


@pytest.mark.parametrize("fault", ["cut", "break_connections"])
def test_a_network_to_the_scheduler_that_is_gone(cluster, proxy, tmp_path, fault):
    """Lost in silence, or with its connections: what runs and what follows has failed, with what to do."""
    cluster.worker()
    cluster.wait_for_workers(1)
    path = tmp_path / "tries"
    with Flow("test") as flow:
        lost = tried(str(path), seconds=60)
        after = tried(
            str(tmp_path / "after"),
            upstream_tasks=[lost],
            task_args={"trigger": prefect.triggers.all_finished},
        )
    executor = DaskExecutor(proxy.address, silence_timeout=6)
    known = when_running(flow, lost, lambda: (_process(path), getattr(proxy, fault)()))
    result = flow.run(executor=executor, on_state=known).result
    assert [type(result[each]) for each in (lost, after)] == [Failed, Failed]
    assert "run the flow again" in result[lost].message
    assert _tries(path) == ["1"]
    assert not (tmp_path / "after").exists()


def test_a_scheduler_that_listens_and_does_not_answer(cluster, proxy):
    """Where a connection is taken, and nothing comes of it, the run is refused."""
    proxy.cut()
    with Flow("test") as flow:
        tried("nowhere")
    with pytest.raises(ExecutorError, match="No Dask scheduler answers at"):
        flow.run(executor=DaskExecutor(proxy.address))


def test_a_network_to_the_scheduler_that_comes_back(cluster, proxy, tmp_path, caplog):
    """It is said, and the run goes on: each task was done once."""
    cluster.worker()
    cluster.wait_for_workers(1)
    first, second = tmp_path / "first", tmp_path / "second"

    def restore():
        until(lambda: "has not answered for" in caplog.text)
        proxy.restore()

    def cut():
        proxy.cut()
        threading.Thread(target=restore, daemon=True).start()

    with Flow("test") as flow:
        one = tried(str(first), seconds=2)
        two = tried(str(second), upstream_tasks=[one])
    executor = DaskExecutor(proxy.address, silence_timeout=60)
    state = flow.run(executor=executor, on_state=when_running(flow, one, cut))
    assert state.is_successful()
    assert (_tries(first), _tries(second)) == (["1"], ["1"])
    assert "has not answered for" in caplog.text
    assert len(state.result[two].result) == 1000


def test_a_network_to_a_worker_that_is_cut(cluster, proxy, tmp_path, caplog):
    """The worker is left out as one that froze; its task has failed, others are done elsewhere."""
    cluster.worker(name="far", address=proxy.address)
    cluster.wait_for_workers(1)
    path = tmp_path / "tries"
    with Flow("test") as flow:
        stuck = tried(str(path), seconds=30)
        good = tried(str(tmp_path / "good"), upstream_tasks=[stuck],
                     task_args={"trigger": prefect.triggers.all_finished})  # fmt: skip

    def cut():
        cluster.worker(name="near")
        _process(path)
        proxy.cut()

    executor = DaskExecutor(cluster.address, silence_timeout=12)
    result = flow.run(executor=executor, on_state=when_running(flow, stuck, cut)).result
    assert type(result[stuck]) is Failed
    assert type(result[good]) is Success
    assert "has given no sign" in caplog.text
    assert _tries(path) == ["1"]


def test_a_worker_that_takes_too_much_memory(cluster, tmp_path):
    """Its nanny ends it: the task has failed, once, with what to do, and others go on."""
    cluster.worker(memory="400 MB")
    cluster.wait_for_workers(1)
    path = tmp_path / "tries"

    @task
    def takes(path):
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()} {prefect.context.task_run_count}\n")
        held = []
        until(Path(f"{path}.known").exists)
        while True:
            held.append(bytearray(b"x") * 10_000_000)
            time.sleep(0.02)

    with Flow("test") as flow:
        bad = takes(str(path))
        good = tried(str(tmp_path / "good"), upstream_tasks=[bad],
                     task_args={"trigger": prefect.triggers.all_finished})  # fmt: skip
    executor = DaskExecutor(cluster.address, worker_timeout=60)
    known = when_running(flow, bad, lambda: _known(path))
    result = flow.run(executor=executor, on_state=known).result
    assert type(result[bad]) is Failed
    assert "more memory" in result[bad].message
    assert type(result[good]) is Success
    assert _tries(path) == ["1"]


MODULE = """
class Only:
    def __init__(self):
        self.data = "x" * 10_000
"""


def test_a_cluster_of_the_tests_dies_with_its_process(tmp_path):
    """However that ends; else what a killed test has started would stay for good."""
    program = (
        "import os, sys; sys.path.append(sys.argv[1]); from dask_cluster import Cluster\n"
        "cluster = Cluster(sys.argv[2]); worker = cluster.worker(memory='1 GB'); cluster.wait_for_workers(1)\n"
        "with cluster.client() as client: (own,) = client.run(os.getpid).values()\n"
        "print(cluster.scheduler.pid, worker.pid, own, flush=True); os.kill(os.getpid(), 9)"
    )
    support = Path(dask_cluster.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program, str(support), str(tmp_path)],
        stdout=subprocess.PIPE, check=False, timeout=120,
    )  # fmt: skip
    pids = [int(each) for each in done.stdout.split()]
    assert len(set(pids)) == 3
    await_end(*pids)


def test_a_module_that_one_worker_lacks(cluster, tmp_path):
    """A value that a worker cannot load fails the task that was to take it there, which says so; others come well."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/only_one.py").write_text(MODULE)
    has, lacks = {"has": 1}, {"lacks": 1}
    cluster.worker(f"sys.path.append({str(tmp_path / 'modules')!r})", name="1", resources=has)
    cluster.worker(name="2", resources=lacks)
    cluster.wait_for_workers(2)

    @task(resources=has)
    def makes():
        import only_one

        return only_one.Only()

    @task
    def takes(value):
        return len(value.data)

    with Flow("test") as flow:
        value = makes()
        taken = takes(value, task_args={"resources": lacks})
        after = {"trigger": prefect.triggers.all_finished}
        again = takes(value, upstream_tasks=[taken], task_args=after | {"resources": lacks})
        there = takes(value, upstream_tasks=[again], task_args=after | {"resources": has})
        more = tried(str(tmp_path / "more"), task_args={"resources": has})
        other = task(lambda x: len(x) + 1, name="other")(more, upstream_tasks=[again],
                                        task_args=after | {"resources": lacks})  # fmt: skip
    result = flow.run(executor=DaskExecutor(cluster.address), timeout=300).result
    for each in (taken, again):
        assert type(result[each]) is Failed
        assert "a worker cannot load the value of task 'makes-1' (tcp://" in result[each].message
        assert "ModuleNotFoundError: No module named 'only_one'" in result[each].message
    assert result[there].result == 10_000
    assert result[other].result == 1001


def test_a_run_that_was_busy_does_not_take_the_scheduler_for_silent(monkeypatch):
    """Its silence begins with a question: nobody has asked while a callback took longer than that."""

    async def identity():
        await silence.wait()
        return {"workers": {}}

    moment = 0.0
    monkeypatch.setattr(health, "monotonic", lambda: moment)
    loop = asyncio.new_event_loop()
    scheduler = SimpleNamespace(address="tcp://there", identity=identity)
    client = SimpleNamespace(
        scheduler=scheduler, scheduler_comm=None, status="running",
        loop=SimpleNamespace(asyncio_loop=loop),
    )  # fmt: skip
    looks = health.Health(client, None, silence_timeout=60)
    silence = asyncio.Event()
    silence.set()
    moment = 3.0
    assert looks.look(busy=True) is None  # asks
    loop.run_until_complete(asyncio.sleep(0.01))
    moment = 3.5
    assert looks.look(busy=True) is None  # and has an answer
    silence.clear()
    moment = 120.0
    assert looks.look(busy=True) is None
    moment = 181.0
    assert "has not answered for 61 s" in looks.look(busy=True)
    looks.stop()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
