"""Names that files import, and what they do."""

import datetime
import logging

import prefect
from prefect import Flow, Parameter, Task, task

logging.disable(logging.CRITICAL)


@task
def one(x=None):
    return 1


@task
def inc(x):
    return x + 1


@task
def ident(x):
    return x


@task
def boom(x):
    if x == 2:
        raise ValueError("two")
    return [x, x]


def probe_settings_for_a_while():
    from prefect.utilities.configuration import set_temporary_config

    found = []
    with set_temporary_config(
        {"limit": 1, "mine.a": 2, "mine.b": 3, "flows.checkpointing": True}
    ) as config:
        found += [
            config is prefect.config,
            config.limit,
            config.mine.a,
            config["mine"]["b"],
            config.flows.checkpointing,
        ]
        with set_temporary_config({"limit": 2, "mine": {"a": 4}}):
            found += [config.limit, config.mine.a]
        found += [config.limit, config.mine.b]
    try:
        with set_temporary_config({"limit": 5}):
            raise KeyError
    except KeyError:
        pass
    return [*found, config.get("limit"), config.get("mine"), config.flows.checkpointing]


def probe_what_is_printed_goes_to_a_log():
    import contextlib
    import logging

    from prefect.utilities.logging import RedirectToLog

    lines = []
    logger = logging.Logger("mine")
    logger.addHandler(logging.Handler())
    logger.handlers[0].emit = lambda record: lines.append([record.levelname, record.getMessage()])
    logging.disable(logging.NOTSET)
    with contextlib.redirect_stdout(RedirectToLog(logger)) as stream:
        print("100 %s of", "it")
        print()
        stream.flush()
    logging.disable(logging.CRITICAL)
    try:
        stream.write(b"bytes")
    except TypeError:
        lines.append("refused")
    return [lines, RedirectToLog().stdout_logger.name]


def probe_executors():
    from prefect.engine.executors import DaskExecutor as A
    from prefect.engine.executors import LocalDaskExecutor as B
    from prefect.engine.executors import LocalExecutor as C
    from prefect.executors import DaskExecutor, LocalDaskExecutor, LocalExecutor

    return [A is DaskExecutor, B is LocalDaskExecutor, C is LocalExecutor]


def run_with(executor):
    with Flow("f") as flow:
        r = inc.map(inc.map([1, 2, 3]))
    return flow.run(executor=executor).result[r].result


def probe_local_dask_executors():
    from prefect.executors import LocalDaskExecutor

    return [
        run_with(LocalDaskExecutor()),
        run_with(LocalDaskExecutor(scheduler="threads", num_workers=2)),
        run_with(LocalDaskExecutor(scheduler="synchronous")),
    ]


def probe_unknown_scheduler():
    from prefect.executors import LocalDaskExecutor

    return run_with(LocalDaskExecutor(scheduler="nonsense"))


def probe_datetime_parameter():
    from prefect.core.parameter import DateTimeParameter

    with Flow("f") as flow:
        r = ident(DateTimeParameter("when"))
        s = ident(DateTimeParameter("then", required=False))
    found = []
    for text in ("2020-02-29T10:00:00", "2020-02-29T10:00:00+02:00"):
        state = flow.run(parameters={"when": text})
        found += [state.result[r].result.isoformat(), state.result[s].result]
    return found


def probe_tags():
    from prefect import tags

    with Flow("f") as flow:
        with tags("a", "b"):
            x = one()
            with tags("c"):
                y = one()
            z = Task(name="z", tags=["own"])
            p = Parameter("p", default=1)
        w = one()
    return [sorted(t.tags) for t in (x, y, z, p, w, one)]


def probe_mapped():
    @task
    def add(x, y):
        return [x, y]

    with Flow("f") as flow:
        r = add(prefect.mapped([1, 2]), [3, 4])
    return flow.run().result[r]


def probe_flatten():
    from prefect import flatten, unmapped
    from prefect.utilities import edges

    @task
    def pairs(x):
        return [x, x]

    with Flow("f") as flow:
        a = inc.map(flatten([[1, 2], [3]]))
        b = inc.map(flatten(pairs.map([1, 2])))
        c = ident(flatten(pairs.map([1, 2])))
        d = inc.map(flatten(flatten(ident([[[1], [2]], [[3]]]))))
    state = flow.run()
    return [edges.flatten is flatten, *(state.result[t].result for t in (a, b, c, d))]


def probe_flatten_a_failure():
    with Flow("f") as flow:
        r = inc.map(prefect.flatten(boom.map([1, 2, 3])))
    return [type(child).__name__ for child in flow.run().result[r].map_states]


def probe_apply_map():
    from prefect import apply_map, unmapped

    def both(x, y):
        a = inc(x)
        return one(a), inc(a + y)

    with Flow("f") as flow:
        r, s = apply_map(both, [1, 2, 3], unmapped(10))
    state = flow.run()
    return [state.result[r].result, state.result[s].result]


def probe_apply_map_over_tasks_by_name():
    from prefect import apply_map

    def both(x, y):
        return inc(x) + y

    with Flow("f") as flow:
        r = apply_map(both, x=ident([1, 2]), y=[10, 20])
    return flow.run().result[r].result


def probe_apply_map_with_a_task_of_its_own():
    from prefect import apply_map

    def func(x):
        return inc(x), one()

    with Flow("f") as flow:
        r, s = apply_map(func, [1, 2, 3])
    state = flow.run()
    return [state.result[r].result, state.result[s].result]


def probe_as_task():
    from prefect.utilities.tasks import as_task

    with Flow("f") as flow:
        t = as_task([one(), 2])
        r = ident(t)
    return [flow.run().result[r].result, as_task(one) is one]


def probe_task_of_every_argument():
    def f(x):
        return x

    t = task(
        f,
        name="n",
        tags=["t"],
        max_retries=1,
        retry_delay=datetime.timedelta(seconds=0),
        timeout=10,
        task_run_name="run {x}",
        checkpoint=False,
        skip_on_upstream_skip=False,
        log_stdout=True,
        nout=1,
        cache_for=datetime.timedelta(hours=1),
    )
    with Flow("f") as flow:
        r = t(1)
    return [
        t.name,
        sorted(t.tags),
        t.max_retries,
        t.timeout,
        t.checkpoint,
        flow.run().result[r].result,
    ]


def probe_task_run_name():
    @task(task_run_name="run {x} of {flow_name}")
    def by_template(x):
        return prefect.context.task_run_name

    @task(task_run_name=lambda **kw: "f%s" % kw["x"])
    def by_function(x):
        return prefect.context.task_run_name

    with Flow("f") as flow:
        a, b, c = by_template(3), by_function(4), by_template.map([1, 2])
    state = flow.run()
    return [state.result[t].result for t in (a, b, c)]


def probe_retry_on():
    tries = []

    @task(max_retries=2, retry_delay=datetime.timedelta(seconds=0), retry_on=KeyError)
    def first():
        tries.append("first")
        raise KeyError

    @task(max_retries=2, retry_delay=datetime.timedelta(seconds=0), retry_on=[KeyError, IndexError])
    def second():
        tries.append("second")
        raise ValueError

    with Flow("f") as flow:
        a, b = first(), second()
    state = flow.run()
    return [sorted(tries), type(state.result[a]).__name__, type(state.result[b]).__name__]


def probe_defaults_from_attrs():
    from prefect.utilities.tasks import defaults_from_attrs

    class Adds(Task):
        def __init__(self, x=None, y=None, **kwargs):
            self.x, self.y = x, y
            super().__init__(**kwargs)

        @defaults_from_attrs("x", "y")
        def run(self, x=None, y=None):
            return [x, y]

    adds = Adds(x=1, y=2)
    with Flow("f") as flow:
        a, b = adds(), adds(y=5)
    state = flow.run()
    return [state.result[a].result, state.result[b].result, adds.run(x=9)]


def probe_raise_on_exception():
    from prefect.utilities.debug import raise_on_exception

    with Flow("f") as flow:
        boom(2)
    try:
        with raise_on_exception():
            flow.run()
    except ValueError as error:
        return str(error)


def probe_is_serializable():
    from prefect.utilities.debug import is_serializable

    return [is_serializable(1), is_serializable(lambda: 3), is_serializable((i for i in ()))]


def probe_collections():
    from prefect.utilities.collections import (
        DotDict,
        as_nested_dict,
        dict_to_flatdict,
        flatdict_to_dict,
        flatten_seq,
        merge_dicts,
    )

    d = DotDict(a=1, b=DotDict(c=2))
    d.e = 4
    nested = as_nested_dict({"x": {"y": [{"z": 1}]}}, DotDict)
    merged = merge_dicts({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4})
    flat = dict_to_flatdict({"a": {"b": 1}, "c": 2})
    return [
        d.a,
        d.b.c,
        d["e"],
        nested.x.y[0].z,
        merged,
        sorted(list(k) for k in flat),
        flatdict_to_dict(flat),
        list(flatten_seq([1, [2, [3, "four"]], (5,)])),
        d.get("nope"),
        "a" in d,
        d == {"a": 1, "b": {"c": 2}, "e": 4},
    ]


def probe_get_logger():
    from prefect.utilities.logging import get_logger

    return [get_logger().name, get_logger("mine").name]


def probe_import_object():
    from prefect.utilities.importtools import import_object

    return [
        import_object("json").__name__,
        import_object("json:loads")("2"),
    ]


def probe_task_names():
    from prefect.core.task import Task as A
    from prefect.core.flow import Flow as B
    from prefect.core import Edge, Parameter as C
    from prefect.utilities.tasks import task as D

    return [A is Task, B is Flow, C is Parameter, D is task, Edge(one, inc, key="x").key]


def probe_copied_edges():
    from prefect.core.edge import Edge

    edge = Edge(one, inc, key="x", mapped=True)
    return [edge.upstream_task is one, edge.mapped, edge == Edge(one, inc, key="x", mapped=True)]
