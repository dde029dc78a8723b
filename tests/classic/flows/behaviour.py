"""Operators, loops, the context, and what flows and tasks answer."""

import datetime
import logging

import prefect
from prefect import Flow, Parameter, Task, task
from prefect.engine import signals
from prefect.engine.state import Failed, Success

logging.disable(logging.CRITICAL)


@task
def ident(x):
    return x


@task
def inc(x):
    return x + 1


@task
def one():
    return 1


def value_of(build, **parameters):
    with Flow("f") as flow:
        made = build()
    return flow.run(parameters=parameters).result[made].result


def probe_arithmetic():
    x = lambda: ident(7)
    return [
        value_of(lambda: each(x()))
        for each in (
            lambda t: t + 2,
            lambda t: 2 + t,
            lambda t: t - 2,
            lambda t: 2 - t,
            lambda t: t * 2,
            lambda t: t / 2,
            lambda t: 14 / t,
            lambda t: t // 2,
            lambda t: t % 4,
            lambda t: t**2,
            lambda t: 2**t,
            lambda t: t > 5,
            lambda t: t >= 7,
            lambda t: t < 5,
            lambda t: t <= 7,
        )
    ]


def probe_logic_of_bools():
    return [value_of(lambda: ident(a) & ident(b)) for a in (True, False) for b in (True, False)] + [
        value_of(lambda: ident(a) | ident(b)) for a in (True, False) for b in (True, False)
    ]


def probe_logic_of_other_values():
    return [value_of(lambda: ident(2) & ident(5)), value_of(lambda: ident(0) | ident("x"))]


def probe_comparisons_by_name():
    return [
        value_of(lambda: ident(1).is_equal(1)),
        value_of(lambda: ident(1).is_not_equal(1)),
        value_of(lambda: ident(0).not_()),
        value_of(lambda: ident(0).or_(ident(3))),
    ]


def probe_inversion():
    return value_of(lambda: ~ident(0))


def probe_items():
    return [
        value_of(lambda: ident([5, 6])[1]),
        value_of(lambda: ident({"a": {"b": 2}})["a"]["b"]),
        value_of(lambda: ident([5, 6])[ident(0)]),
    ]


def probe_pipe():
    return value_of(lambda: one().pipe(inc).pipe(inc))


def probe_same_task_twice():
    with Flow("f") as flow:
        r = inc.bind(x=1)
    return [r is inc, len(flow.tasks)]


def probe_loop():
    seen = []

    @task
    def factorial(n):
        total = prefect.context.get("task_loop_result", 1)
        count = prefect.context.get("task_loop_count", 1)
        seen.append([count, total])
        if count < n:
            raise signals.LOOP(message="next", result=total * count)
        return total * count

    with Flow("f") as flow:
        r = factorial(4)
    state = flow.run()
    return [state.result[r], seen]


def probe_loop_of_mapped_tasks():
    @task
    def count_to(n):
        count = prefect.context.get("task_loop_count", 1)
        if count < n:
            raise signals.LOOP(result=count)
        return [n, count, prefect.context.get("task_loop_result")]

    with Flow("f") as flow:
        r = count_to.map([1, 2, 3])
    return flow.run().result[r].result


def probe_loop_with_retries():
    seen = []

    @task(max_retries=1, retry_delay=datetime.timedelta(seconds=0))
    def work():
        count = prefect.context.get("task_loop_count", 1)
        seen.append([count, prefect.context.task_run_count])
        if count == 2 and len(seen) == 2:
            raise ValueError("once")
        if count < 3:
            raise signals.LOOP(result=count)
        return "done"

    with Flow("f") as flow:
        r = work()
    return [flow.run().result[r], seen]


def probe_handlers_see_the_loop():
    seen = []

    def handler(obj, old, new):
        seen.append([type(old).__name__, type(new).__name__])

    @task(state_handlers=[handler])
    def twice():
        if prefect.context.get("task_loop_count", 1) == 1:
            raise signals.LOOP()

    with Flow("f") as flow:
        twice()
    flow.run()
    return seen


def probe_handlers():
    seen = []

    def handler(obj, old, new):
        seen.append([obj.name, type(old).__name__, type(new).__name__])
        return new

    @task(state_handlers=[handler], max_retries=1, retry_delay=datetime.timedelta(seconds=0))
    def fails():
        raise ValueError

    with Flow("f", state_handlers=[handler]) as flow:
        fails()
    flow.run()
    return seen


def probe_on_failure():
    seen = []
    with Flow(
        "f", on_failure=lambda flow, state: seen.append([flow.name, type(state).__name__])
    ) as flow:

        @task(on_failure=lambda task, state: seen.append([task.name, type(state).__name__]))
        def fails():
            raise ValueError

        fails()
    flow.run()
    return seen


def probe_terminal_state_handler():
    def handler(flow, state, reference_task_states):
        return Success("whatever", result=sorted(type(s).__name__ for s in reference_task_states))

    @task
    def fails():
        raise ValueError

    with Flow("f", terminal_state_handler=handler) as flow:
        fails()
    return type(flow.run()).__name__


def probe_context_as_a_dict():
    @task
    def look():
        context = prefect.context
        found = [
            context["region"],
            context.region,
            context.get("region"),
            context.get("nothing"),
            "region" in context,
            "nothing" in context,
            dict(context)["region"],
            sorted(k for k in context.keys() if k == "region"),
            [v for k, v in context.items() if k == "region"],
            context.to_dict()["region"],
            len(context) > 3,
        ]
        with context(region="south", more=1):
            found += [context.region, context.more]
        with context(dict(region="west")):
            found += [context.region]
        return found + [context.region]

    with Flow("f") as flow:
        r = look()
    with prefect.context(region="north"):
        return flow.run().result[r].result


def probe_context_is_set_and_updated():
    @task
    def look():
        prefect.context.mine = 1
        prefect.context["yours"] = 2
        prefect.context.update(theirs=3)
        prefect.context.setdefault("ours", 4)
        return [prefect.context.get(name) for name in ("mine", "yours", "theirs", "ours")]

    with Flow("f") as flow:
        r = look()
    return flow.run().result[r].result


def probe_missing_in_context():
    return prefect.context.nothing


def probe_missing_key_in_context():
    return prefect.context["nothing"]


def probe_context_of_a_task():
    names = (
        "task_name",
        "task_full_name",
        "task_slug",
        "map_index",
        "task_run_count",
        "task_tags",
        "flow_name",
        "task_loop_count",
    )

    @task(tags=["t"])
    def look(x=None):
        return [prefect.context.get(name) for name in names]

    with Flow("f") as flow:
        r, m = look(), look.map([0, 1])
    state = flow.run()
    return [state.result[r].result, state.result[m].map_states[1].result]


def probe_ids_of_a_run():
    @task
    def look():
        return [
            prefect.context.flow_run_id,
            prefect.context.task_run_id,
            prefect.context.flow_run_name,
        ]

    with Flow("f") as flow:
        r, s = look(), look()
    state = flow.run()
    a, b = state.result[r].result, state.result[s].result
    return [a[0] == b[0], a[1] == b[1], len(a[0]), len(a[1]), len(a[2])]


def example():
    with Flow("example") as flow:
        a = one()
        b = inc(a)
        c = inc(b)
        d = ident([b, 1])
    return flow, a, b, c, d


def probe_tasks_and_edges():
    flow, a, b, c, d = example()
    return [
        isinstance(flow.tasks, set),
        len(flow.tasks),
        len(flow.edges),
        flow.root_tasks() == {a},
        flow.terminal_tasks() == {c, d},
        flow.reference_tasks() == {c, d},
        flow.upstream_tasks(c) == {b},
        len(flow.downstream_tasks(b)),
        [t.name for t in flow.sorted_tasks()][:2],
        {e.key for e in flow.edges_to(c)},
        len(flow.edges_from(b)),
        {t.name for t in flow.tasks & {a, b}},
        a in flow.tasks,
    ]


def probe_get_tasks():
    flow, a, b, c, d = example()
    return [
        len(flow.get_tasks(name="inc")),
        flow.get_tasks(slug="one-1") == [a],
        len(flow.get_tasks(task_type=Task)),
        flow.get_tasks("nothing"),
    ]


def probe_equality_of_flows():
    a, b = Flow("f"), Flow("f")
    t = Task("t")
    before = [a == b, a == Flow("g"), a != b]
    a.add_task(t)
    middle = a == b
    b.add_task(t)
    return [*before, middle, a == b, a == a.copy(), a == 1]


def probe_iteration_of_flows():
    flow, *_ = example()
    return sorted(t.name for t in flow)


def probe_flows_are_hashable():
    a = Flow("f")
    return len({a, a, a.copy()}) > 0


def probe_set_downstream_chains():
    with Flow("f") as flow:
        a, b, c = Task("a"), Task("b"), Task("c")
        a.set_downstream(b).set_downstream(c)
        d = Task("d").set_upstream(c)
    return [flow.upstream_tasks(b) == {a}, flow.upstream_tasks(c) == {b}, type(d).__name__]


def probe_set_dependencies_returns():
    with Flow("f") as flow:
        a, b = Task("a"), Task("b")
        return [
            type(a.set_upstream(b)).__name__,
            type(flow.set_dependencies(a, upstream_tasks=[b])).__name__,
        ]


def probe_all_edges():
    flow, a, b, c, d = example()
    return [
        {e.downstream_task.name for e in flow.all_downstream_edges(a)}
        == {"inc", "List", "identity", "ident"},
        [e.upstream_task.name for e in flow.all_upstream_edges(b)],
    ]


def probe_parameters():
    with Flow("f") as flow:
        (
            ident(Parameter("x")),
            ident(Parameter("y", default=6)),
            ident(Parameter("z", required=False)),
        )
    return sorted([p.name, p.required, p.default] for p in flow.parameters())


def probe_missing_parameters():
    with Flow("f") as flow:
        ident(Parameter("x"))
    return flow.run()


def probe_unknown_parameters():
    with Flow("f") as flow:
        ident(Parameter("x", default=1))
    return flow.run(parameters={"y": 1})


def probe_serialized_hash():
    a, b = example()[0], Flow("other")
    return [
        len(a.serialized_hash()) == 64,
        a.serialized_hash() == a.serialized_hash(),
        a.serialized_hash() == b.serialized_hash(),
    ]


def probe_save_and_load():
    import os
    import tempfile

    flow, *_ = example()
    path = os.path.join(tempfile.mkdtemp(), "example.prefect")
    saved = flow.save(path)
    again = Flow.load(saved)
    return [again.name, len(again.tasks), type(again.run()).__name__]


def probe_diagnostics():
    import json

    from prefect.utilities.diagnostics import diagnostic_info

    told = json.loads(example()[0].diagnostics())
    return [
        type(told["system_information"]["python_version"]).__name__,
        type(told["system_information"]["platform"]).__name__,
        type(told["system_information"]["prefect_version"]).__name__,
        type(told["config_overrides"]).__name__,
        type(told["env_vars"]).__name__,
        [told["flow_information"][name] for name in ("storage", "result", "schedule")],
        told["flow_information"]["task_count"],
        "flow_information" in json.loads(diagnostic_info(include_secret_names=True)),
    ]


def probe_run_once_more():
    flow, a, b, c, d = example()
    return [flow.run().result[d].result, flow.run(run_on_schedule=False).result[c].result]


def probe_run_with_task_states():
    flow, a, b, c, d = example()
    state = flow.run(task_states={b: Success(result=10)})
    return [state.result[each].result for each in (c, d)]


def probe_attributes_of_tasks():
    @task(name="n", max_retries=2, retry_delay=datetime.timedelta(seconds=3), timeout=4)
    def f(x: int, y=2) -> str:
        """Does it."""

    return [
        f.name,
        f.max_retries,
        f.retry_delay.total_seconds(),
        f.timeout,
        sorted(f.tags),
        f.log_stdout,
        f.skip_on_upstream_skip,
        f.trigger.__name__,
        sorted(f.inputs()),
        f.inputs()["x"]["required"],
        f.inputs()["y"]["required"],
        f.__doc__,
        f.__name__,
        f.auto_generated,
        f.slug,
    ]


def probe_tasks_as_classes():
    class Adds(Task):
        def __init__(self, y, **kwargs):
            self.y = y
            super().__init__(**kwargs)

        def run(self, x):
            return x + self.y

    adds = Adds(y=2, name="adds")
    with Flow("f") as flow:
        a, b = adds(1), adds(x=adds(5))
    state = flow.run()
    return [
        state.result[a].result,
        state.result[b].result,
        adds.run(1),
        a.name,
        a is adds,
        len(flow.tasks),
    ]


def probe_star_arguments():
    @task
    def f(*args):
        return args


def probe_reserved_arguments():
    @task
    def f(upstream_tasks):
        return 1


def probe_calls_without_a_flow():
    return inc(1)


def probe_pause():
    from prefect.triggers import manual_only

    @task(trigger=manual_only)
    def waits(x):
        return x

    with Flow("f") as flow:
        waits(one())
    return [signals.PAUSE("m").state.is_scheduled(), manual_only.__name__]


def probe_pause_for_a_while():
    import builtins

    from prefect.engine.state import Paused
    from prefect.utilities.tasks import pause_task

    seen = []

    @task
    def waits():
        seen.append(prefect.context.get("resume"))
        pause_task("wait", duration=datetime.timedelta(seconds=0.2))
        return "went on"

    @task
    def waits_by_signal():
        if not prefect.context.get("resume"):
            start = datetime.datetime.now(datetime.timezone.utc)
            raise signals.PAUSE("wait", start_time=start + datetime.timedelta(seconds=0.2))
        return "went on, too"

    with Flow("f") as flow:
        a, b = waits(), waits_by_signal()
    asked, builtins.input = builtins.input, lambda *_: ""
    try:
        state = flow.run()
    finally:
        builtins.input = asked
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    later = flow.run(task_states={a: Paused("m", start_time=past), b: Success(result=1)})
    return [state, state.result[a], state.result[b], seen, later.result[a], Paused("m").start_time]


def probe_cycles():
    a, b = Task("a"), Task("b")
    flow = Flow("f")
    flow.add_edge(a, b)
    flow.add_edge(b, a)
    flow.validate()


def probe_two_parameters_of_one_name():
    with Flow("f") as flow:
        ident(Parameter("x"))
        ident(Parameter("x"))


def probe_results_are_accepted():
    from prefect.engine.results import LocalResult, PrefectResult

    with Flow("f", result=LocalResult(dir="/tmp")) as flow:
        r = task(
            lambda: 1, name="t", result=PrefectResult(), target="{task_name}.txt", checkpoint=True
        )()
    return flow.run().result[r].result


def probe_settings():
    import os

    return [prefect.config.flows.checkpointing, prefect.config.logging.level, prefect.config.debug]


def probe_ordered_by_upstream_tasks():
    seen = []

    @task
    def note(name):
        seen.append(name)

    with Flow("f") as flow:
        a = note("a")
        b = note("b", upstream_tasks=[a])
        c = note("c", upstream_tasks=[b])
        flow.chain(Task("x"), Task("y"))
    flow.run()
    return [seen, len(flow.tasks)]


def probe_flow_update():
    a, b = Flow("a"), Flow("b")
    a.add_task(Task("t"))
    b.update(a)
    return [len(b.tasks), len(a.tasks)]


def probe_timeouts():
    import time

    @task(timeout=1)
    def slow():
        time.sleep(3)

    with Flow("f") as flow:
        r = slow()
    return type(flow.run().result[r]).__name__


def probe_visualize_needs_nothing_to_be_asked_for():
    return callable(Flow("f").visualize)


def probe_add_edge_flattened():
    got = []

    @task
    def take(xs):
        got.append(xs)
        return xs

    @task
    def lists():
        return [[1, 2], [3]]

    with Flow("f") as flow:
        nested, whole, each = lists(), Task("whole"), inc.copy()
        t = take.copy()
        flow.add_edge(nested, t, key="xs", flattened=True)
        flow.add_edge(nested, each, key="x", mapped=True, flattened=True)
        flow.add_edge(nested, whole)
    state = flow.run()
    return [state.result[t].result, state.result[each].result, got]


def probe_add_edge_takes_annotations_and_values():
    from prefect import unmapped
    from prefect.utilities.edges import flatten, mapped

    @task
    def add(x, y=0):
        return [x, y]

    with Flow("f") as flow:
        xs = ident([[1, 2], [3]])
        a, b, c = add.copy(), add.copy(), add.copy()
        flow.add_edge(flatten(xs), a, key="x")
        flow.add_edge(mapped(xs), b, key="x")
        flow.add_edge(unmapped(xs), b, key="y")
        flow.add_edge(5, c, key="x")
    state = flow.run()
    return [state.result[each].result for each in (a, b, c)]
