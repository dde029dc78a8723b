"""Branches of flows, and resources that tasks need."""

import logging

from prefect import Flow, Parameter, Task, case, resource_manager, task, triggers
from prefect.engine import signals
from prefect.tasks.control_flow import FilterTask, ifelse, merge, switch

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


@task
def boom():
    raise ValueError("no")


def kinds(flow, *tasks, **parameters):
    state = flow.run(parameters=parameters)
    return [type(state).__name__, *(state.result[t] for t in tasks)]


def branching():
    with Flow("f") as flow:
        x = ident(Parameter("x", default="a"))
        with case(x, "a"):
            a = inc(1)
            b = inc(a)
        with case(x, "b"):
            c = inc(10)
        m = merge(b, c)
    return flow, (a, b, c, m)


def probe_case_first():
    flow, tasks = branching()
    return kinds(flow, *tasks)


def probe_case_second():
    flow, tasks = branching()
    return kinds(flow, *tasks, x="b")


def probe_case_none():
    flow, tasks = branching()
    return kinds(flow, *tasks, x="c")


def probe_case_of_a_parameter():
    with Flow("f") as flow:
        p = Parameter("p", default=True)
        with case(p, True):
            a = one()
        with case(p, False):
            b = one()
    return kinds(flow, a, b)


def probe_case_with_tasks_from_outside():
    with Flow("f") as flow:
        outside = one()
        with case(ident(False), True):
            a = inc(outside)
            b = ident([outside, 2])
    return kinds(flow, outside, a, b)


def probe_nested_cases():
    with Flow("f") as flow:
        x, y = ident(True), ident(False)
        with case(x, True):
            a = one()
            with case(y, True):
                b = one()
            with case(y, False):
                c = one()
            d = inc(c)
    return kinds(flow, a, b, c, d)


def probe_nested_cases_of_which_the_outer_is_skipped():
    with Flow("f") as flow:
        x, y = ident(False), ident(True)
        with case(x, True):
            with case(y, True):
                b = one()
    return kinds(flow, b)


def probe_case_with_a_map():
    with Flow("f") as flow:
        xs = ident([1, 2])
        with case(ident(False), True):
            a = inc.map(xs)
            b = inc.map([5, 6])
        with case(ident(True), True):
            c = inc.map(xs)
            d = inc.map([5, 6])
    return kinds(flow, a, b, c, d)


def probe_case_that_fails():
    with Flow("f") as flow:
        with case(boom(), True):
            a = one()
    return [type(x).__name__ for x in (lambda s: (s, s.result[a]))(flow.run())]


def probe_case_of_a_task():
    with Flow("f"):
        with case(one(), one()):
            pass


def probe_merge_takes_the_first():
    with Flow("f") as flow:
        m = merge(ident(None), ident(2), ident(3))
    return kinds(flow, m)


def probe_merge_of_falsy_values():
    with Flow("f") as flow:
        m = merge(ident(0), ident(3))
    return kinds(flow, m)


def probe_merge_with_a_failure():
    with Flow("f") as flow:
        m = merge(boom(), ident(3))
    return type(flow.run().result[m]).__name__


def probe_switch():
    with Flow("f") as flow:
        a, b, c = ident("A"), ident("B"), ident("C")
        switch(ident("b"), dict(a=a, b=b, c=c))
        m = merge(a, b, c)
    return kinds(flow, a, b, c, m)


def probe_ifelse_true():
    with Flow("f") as flow:
        a, b = ident("A"), ident("B")
        ifelse(ident([1]), a, b)
    return kinds(flow, a, b)


def probe_ifelse_false():
    with Flow("f") as flow:
        a, b = ident("A"), ident("B")
        ifelse(ident(0), a, b)
        m = merge(a, b)
    return kinds(flow, a, b, m)


def probe_ifelse_without_an_else():
    with Flow("f") as flow:
        a = ident("A")
        ifelse(ident(0), a, None)
    return kinds(flow, a)


def probe_mapped_ifelse():
    @task
    def is_even(x):
        return x % 2 == 0

    with Flow("f") as flow:
        xs = ident([1, 2, 3])
        even, odd = inc.map(xs), ident.map(xs)
        ifelse(is_even.map(xs), even, odd, mapped=True)
        m = merge(even, odd, mapped=True)
    state = flow.run()
    return [[type(c).__name__ for c in state.result[t].map_states] for t in (even, odd)] + [
        state.result[m].result
    ]


def probe_case_within_apply_map():
    from prefect import apply_map

    @task
    def is_even(x):
        return x % 2 == 0

    def each(x):
        with case(is_even(x), True):
            a = inc(x)
        with case(is_even(x), False):
            b = ident(x)
        return merge(a, b)

    with Flow("f") as flow:
        m = apply_map(each, [1, 2, 3])
    return flow.run().result[m].result


def probe_filter():
    @task
    def maybe(x):
        if x == 2:
            raise ValueError("two")
        if x == 3:
            return None
        if x == 4:
            raise signals.SKIP("four")
        return x

    with Flow("f") as flow:
        kept = FilterTask()(maybe.map([0, 1, 2, 3]))
        big = FilterTask(filter_func=lambda x: x > 5)(ident([4, 6]))
    return kinds(flow, kept, big)[1:]


def probe_filter_of_skipped():
    @task
    def maybe(x):
        if x == 4:
            raise signals.SKIP("four")
        return x

    with Flow("f") as flow:
        kept = FilterTask()(maybe.map([0, 4]))
    return kinds(flow, kept)


def manager(log, name=None, fail_setup=False, fail_cleanup=False):
    class Database:
        def __init__(self, url):
            self.url = url

        def setup(self):
            log.append("setup")
            if fail_setup:
                raise ValueError("setup")
            return "connected to " + self.url

        def cleanup(self, connection):
            log.append("cleanup of " + connection)
            if fail_cleanup:
                raise ValueError("cleanup")

    return resource_manager(Database, **({} if name is None else {"name": name}))


def with_resource(work, **options):
    log = []
    with Flow("f") as flow:
        with manager(log, **options)(Parameter("url", default="here")) as db:
            a = work(db)
            b = inc(a)
    return flow, (db, a, b), log


@task
def query(db):
    return len(db)


@task
def broken(db):
    raise ValueError("query")


def probe_resource():
    flow, tasks, log = with_resource(query)
    return [*kinds(flow, *tasks), log, sorted(t.name for t in flow.tasks)]


def probe_resource_of_another_name():
    flow, tasks, log = with_resource(query, name="db")
    return sorted(t.name for t in flow.tasks)


def probe_resource_with_a_failure():
    flow, tasks, log = with_resource(broken)
    state = flow.run()
    return [type(state).__name__, *(type(state.result[t]).__name__ for t in tasks), log]


def probe_resource_that_fails():
    flow, tasks, log = with_resource(query, fail_setup=True)
    state = flow.run()
    return [type(state).__name__, *(type(state.result[t]).__name__ for t in tasks), log]


def probe_resource_of_which_the_cleanup_fails():
    flow, tasks, log = with_resource(query, fail_cleanup=True)
    return type(flow.run()).__name__


def probe_reference_tasks_of_a_resource():
    flow, tasks, log = with_resource(query)
    return [
        sorted(t.name for t in flow.reference_tasks()),
        sorted(t.name for t in flow.terminal_tasks()),
    ]


def probe_resource_that_nothing_uses():
    log = []
    with Flow("f") as flow:
        with manager(log)("there") as db:
            a = one()
            b = inc(5)
    return [*kinds(flow, a, b), log]


def probe_resource_with_arguments_of_tasks():
    log = []
    made = resource_manager(
        type(
            "R",
            (),
            {
                "setup": lambda self: log.append("setup"),
                "cleanup": lambda self, r: log.append("cleanup"),
            },
        ),
        init_task_kwargs={"name": "i"},
        setup_task_kwargs={"name": "s"},
        cleanup_task_kwargs={"name": "c"},
    )
    with Flow("f") as flow:
        with made():
            one()
    flow.run()
    return [sorted(t.name for t in flow.tasks), log]
