"""Arguments in the places where classic Prefect had them."""

import datetime
import logging
import os

from prefect import Flow, Parameter, Task, task
from prefect.core.parameter import DateTimeParameter
from prefect.schedules import IntervalSchedule
from prefect.tasks.core.constants import Constant
from prefect.tasks.core.function import FunctionTask
from prefect.tasks.secrets import EnvVarSecret

logging.disable(logging.CRITICAL)


@task
def ident(x):
    return x


def probe_a_schedule_in_the_second_place():
    schedule = IntervalSchedule(interval=datetime.timedelta(hours=1))
    with Flow("f", schedule) as flow:
        ident(1)
    return [type(flow.schedule).__name__, type(flow.run(run_on_schedule=False)).__name__]


def probe_a_secret_that_is_cast():
    os.environ["C14_NUMBER"] = "7"
    secret = EnvVarSecret("C14_NUMBER", int, True)
    return [secret.run(), secret.raise_if_missing]


def probe_a_moment_by_default():
    with Flow("f") as flow:
        t = ident(DateTimeParameter("t", "2024-02-29T12:30:00+00:00", False))
    return flow.run().result[t].result.isoformat()


def probe_functions_by_name():
    made = FunctionTask(fn=lambda x: x + 1, name="made")
    with Flow("f") as flow:
        a, b = made(1), task(fn=lambda: 2, name="two")()
    state = flow.run()
    return [state.result[a].result, state.result[b].result]


def probe_names_of_constants():
    return [Constant(1, name="one").name, Constant(1).run()]


def probe_copies_of_parameters():
    with Flow("f") as flow:
        x = Parameter("x", default=1)
        y = ident(x.copy("y"))
    return [flow.run(y=5).result[y].result, sorted(p.name for p in flow.parameters())]


def probe_updates_that_merge():
    def parts():
        x = Parameter("x", default=1)
        with Flow("a") as a:
            first = ident(x)
        with Flow("b") as b:
            second = ident(Parameter("x", default=5))
        return a, b, first, second

    a, b, first, second = parts()
    a.update(b, merge_parameters=True)
    state = a.run(x=2)
    c, d, *_ = parts()
    e = Task("e")
    c.set_reference_tasks(c.terminal_tasks())
    d.add_task(e)
    d.set_reference_tasks([e])
    c.update(d, merge_parameters=True, merge_reference_tasks=True, validate=True)
    return [
        [state.result[each].result for each in (first, second)],
        len(a.parameters()),
        sorted(t.name for t in c.reference_tasks()),
    ]


def probe_updates_with_parameters_of_one_name():
    with Flow("a") as a:
        ident(Parameter("x"))
    with Flow("b") as b:
        ident(Parameter("x"))
    a.update(b)


def probe_sorted_from_some_tasks():
    with Flow("f") as flow:
        a, b, c, d = (Task(name) for name in "abcd")
        flow.chain(a, b, c)
        flow.add_task(d)
    return [t.name for t in flow.sorted_tasks(root_tasks=[b])]


def probe_validating_at_once():
    with Flow("f") as flow:
        a, b = Task("a"), Task("b")
        flow.set_dependencies(a, upstream_tasks=[b], validate=True)
        b.set_dependencies(upstream_tasks=[a], validate=True)


def probe_replacing_and_validating():
    with Flow("f") as flow:
        a, b = Task("a"), Task("b")
        b.set_upstream(a)
    flow.replace(a, Task("c"), validate=True)
    return sorted(t.name for t in flow.tasks)


def probe_descriptions_without_building():
    with Flow("f") as flow:
        ident(1)
    return [isinstance(flow.serialize(build=False), dict), len(flow.serialized_hash(build=False))]


def probe_base_classes_of_errors_and_signals():
    from prefect.engine import signals
    from prefect.exceptions import PrefectException, PrefectSignal

    return [
        issubclass(PrefectException, Exception),
        issubclass(signals.SKIP, PrefectSignal),
        issubclass(PrefectSignal, Exception),
    ]


def probe_results_are_in_states():
    with Flow("f") as flow:
        r = ident([1])
    state = flow.run()
    return state.result[r].load_result().result


def probe_a_run_off_its_schedule_by_position():
    schedule = IntervalSchedule(interval=datetime.timedelta(hours=1))
    with Flow("f", schedule) as flow:
        r = ident(Parameter("x"))
    return flow.run({"x": 3}, False).result[r].result
