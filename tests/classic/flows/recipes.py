"""Small flows as people wrote them for 0.14 to 1.4, from memory, in our own words."""

import datetime
import json
import logging
import os
import random
import sqlite3
import tempfile
from collections import namedtuple
from contextlib import closing, redirect_stdout
from io import StringIO

import prefect
from prefect import (
    Flow,
    Parameter,
    Task,
    apply_map,
    case,
    flatten,
    mapped,
    resource_manager,
    tags,
    task,
    unmapped,
)
from prefect.engine import signals
from prefect.engine.results import LocalResult
from prefect.engine.signals import FAIL, LOOP, SKIP
from prefect.engine.state import Failed, Finished, Retrying, Skipped, State, Success
from prefect.executors import LocalDaskExecutor, LocalExecutor
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule, filters
from prefect.schedules.clocks import CronClock, DatesClock, IntervalClock
from prefect.tasks.control_flow import FilterTask, ifelse, merge, switch
from prefect.tasks.shell import ShellTask
from prefect.triggers import all_finished, all_successful, any_failed, any_successful
from prefect.utilities.debug import raise_on_exception
from prefect.utilities.tasks import defaults_from_attrs

logging.disable(logging.CRITICAL)


def probe_etl_with_a_database():
    path = os.path.join(tempfile.mkdtemp(), "complaints.db")

    @task(max_retries=2, retry_delay=datetime.timedelta(seconds=0))
    def extract():
        return [{"id": n, "company": "abc"[n % 3], "open": n % 2 == 0} for n in range(6)]

    @task
    def transform(raw):
        Complaint = namedtuple("Complaint", ["id", "company", "open"])
        return [Complaint(**row) for row in raw if row["open"]]

    @task
    def load(rows):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS c (id INTEGER, company TEXT)")
            connection.executemany("INSERT INTO c VALUES (?, ?)", [(r.id, r.company) for r in rows])

    @task
    def count():
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT count(*), min(company) FROM c").fetchone()

    with Flow("etl") as flow:
        loaded = load(transform(extract()))
        counted = count(upstream_tasks=[loaded])
    state = flow.run()
    return [state.is_successful(), state.result[counted].result]


def probe_reference_tasks_decide():
    @task
    def fails():
        raise ValueError("no")

    @task(trigger=all_finished)
    def tidy():
        return "tidied"

    with Flow("f") as flow:
        f = fails()
        t = tidy(upstream_tasks=[f])
    first = flow.run()
    flow.set_reference_tasks([f])
    second = flow.run()
    return [type(first).__name__, type(second).__name__, first.message, first.result[t].result]


def probe_fan_out_and_in():
    @task
    def numbers(n):
        return list(range(n))

    @task
    def times(x, y):
        return x * y

    @task
    def total(xs):
        return sum(xs)

    with Flow("f") as flow:
        n = Parameter("n", default=4)
        scaled = times.map(numbers(n), y=unmapped(10))
        t = total(scaled)
    return [
        flow.run().result[t].result,
        flow.run(n=2).result[t].result,
        flow.run(n=0).result[t].result,
    ]


def probe_a_failed_child_and_a_reduction():
    @task
    def divide(x):
        return 10 / x

    @task(trigger=all_finished)
    def survivors(xs):
        return [x for x in xs if not isinstance(x, BaseException)]

    with Flow("f") as flow:
        d = divide.map([1, 0, 5])
        s = survivors(d)
    state = flow.run()
    return [
        state.result[s].result,
        [type(each).__name__ for each in state.result[d].map_states],
        state.result[d].is_successful(),
        type(state.result[d]).__name__,
        type(state).__name__,
    ]


def probe_filtering_mapped_results():
    only = FilterTask(filter_func=lambda x: not isinstance(x, BaseException) and x is not None)

    @task
    def maybe(x):
        if x == 1:
            return None
        if x == 2:
            raise ValueError
        return x

    @task
    def double(x):
        return x * 2

    with Flow("f") as flow:
        d = double.map(only(maybe.map([0, 1, 2, 3])))
    return flow.run().result[d].result


def probe_nested_loops_flattened():
    @task
    def pages(site):
        return [f"{site}/{n}" for n in range(2)]

    @task
    def words(page):
        return page.split("/")

    @task
    def upper(word):
        return word.upper()

    with Flow("f") as flow:
        w = words.map(flatten(pages.map(["a", "b"])))
        u = upper.map(flatten(w))
    return flow.run().result[u].result


def probe_case_and_merge():
    @task
    def weekday(day):
        return day not in ("sat", "sun")

    @task
    def work():
        return "work"

    @task
    def rest():
        return "rest"

    with Flow("f") as flow:
        day = Parameter("day")
        condition = weekday(day)
        with case(condition, True):
            a = work()
        with case(condition, False):
            b = rest()
        m = merge(a, b)
    first, second = flow.run(day="mon"), flow.run(day="sun")
    return [
        first.result[m].result,
        second.result[m].result,
        type(first.result[b]).__name__,
        type(second.result[b]).__name__,
        [type(t).__name__ for t in flow.get_tasks(name="CompareValue(True)")][:1],
    ]


def probe_switch_and_ifelse():
    @task
    def give(x):
        return x

    with Flow("f") as flow:
        kind = Parameter("kind")
        a, b = give("A"), give("B")
        switch(kind, dict(a=a, b=b))
        m = merge(a, b)
        yes, no = give("yes"), give("no")
        ifelse(kind == "a", yes, no)
        n = merge(yes, no)
    states = [flow.run(kind=kind) for kind in "abc"]
    return [[state.result[m].result, state.result[n].result] for state in states]


def probe_case_with_a_skip_and_a_task_after_it():
    @task
    def flag():
        return False

    @task
    def inner():
        return 1

    @task
    def after(x):
        return [x]

    @task(skip_on_upstream_skip=False)
    def always(x):
        return [x]

    with Flow("f") as flow:
        with case(flag(), True):
            i = inner()
        a, b = after(i), always(i)
    state = flow.run()
    return [type(state.result[a]).__name__, state.result[b], state.is_successful()]


def probe_resource_manager():
    seen = []

    @resource_manager
    class Database:
        def __init__(self, path, fail=False):
            self.path = path

        def setup(self):
            seen.append("setup")
            return sqlite3.connect(self.path, check_same_thread=False)

        def cleanup(self, connection):
            seen.append("cleanup")
            connection.close()

    @task
    def create(connection):
        connection.execute("CREATE TABLE t (x)")

    @task
    def insert(connection, x):
        connection.execute("INSERT INTO t VALUES (?)", (x,))

    @task
    def boom(connection):
        raise ValueError("boom")

    with Flow("f") as flow:
        path = Parameter("path", default=":memory:")
        with Database(path) as connection:
            made = create(connection)
            inserted = insert(connection, 1, upstream_tasks=[made])
            boom(connection, upstream_tasks=[inserted])
    state = flow.run()
    return [seen, type(state).__name__, state.result[inserted].is_successful()]


def probe_pages_by_loop():
    served = {1: ([1, 2], 2), 2: ([3], 3), 3: ([4, 5], None)}

    @task
    def fetch():
        loop = prefect.context.get("task_loop_result", {"page": 1, "items": []})
        items, following = served[loop["page"]]
        items = loop["items"] + items
        if following:
            raise LOOP(message=f"page {following}", result={"page": following, "items": items})
        return items

    with Flow("f") as flow:
        f = fetch()
    return flow.run().result[f].result


def probe_signals():
    @task
    def ends(how):
        if how == "skip":
            raise SKIP("nothing to do")
        if how == "fail":
            raise FAIL("by hand", result=3)
        if how == "success":
            raise signals.SUCCESS("early", result=4)
        if how == "invalid":
            raise signals.VALIDATIONFAIL("not valid")
        return how

    with Flow("f") as flow:
        e = ends.map(["skip", "fail", "success", "invalid", "plain"])
    state = flow.run()
    children = state.result[e].map_states
    return [
        [
            type(c).__name__,
            c.message if c.message in ("nothing to do", "by hand", "early") else None,
        ]
        for c in children
    ]


def probe_retry_signal():
    tries = []

    @task
    def picky():
        tries.append(prefect.context.task_run_count)
        if len(tries) < 3:
            raise signals.RETRY(
                "later",
                start_time=prefect.context.get("nothing") or __import__("pendulum").now("utc"),
            )
        return "done"

    with Flow("f") as flow:
        p = picky()
    return [flow.run().result[p].result, tries]


def probe_triggers():
    @task
    def ok():
        return 1

    @task
    def bad():
        raise ValueError

    names = (all_finished, all_successful, any_failed, any_successful)
    with Flow("f") as flow:
        a, b = ok(), bad()
        made = [Task(t.__name__, trigger=t) for t in names]
        for each in made:
            each.set_upstream(a)
            each.set_upstream(b)
    state = flow.run()
    return {t.name: type(state.result[t]).__name__ for t in made}


def probe_custom_trigger():
    def mostly(upstream_states):
        good = sum(s.is_successful() for s in upstream_states.values())
        if good < len(upstream_states) / 2:
            raise signals.TRIGGERFAIL("too few")
        return True

    @task
    def ok(x):
        return 1 / x

    @task(trigger=mostly)
    def after():
        return "went"

    with Flow("f") as flow:
        a = after(upstream_tasks=[ok(1), ok(2), ok(0)])
        b = after(upstream_tasks=[ok(0), ok(0), ok(1)])
    state = flow.run()
    return [state.result[a].result, type(state.result[b]).__name__, state.result[b].message]


def probe_parameters_of_many_kinds():
    @task
    def show(a, b, c, d):
        return [a, b, c, d]

    with Flow("f") as flow:
        p = Parameter("p", default={"x": {"y": [1, 2]}})
        s = show(p["x"], p["x"]["y"][1], [p, 1], {"k": p["x"]["y"]})
    return flow.run().result[s].result


def probe_run_with_keyword_parameters_and_defaults():
    @task
    def join(a, b="B"):
        return a + b

    with Flow("f") as flow:
        a = Parameter("a")
        b = Parameter("b", default="b")
        one, two = join(a), join(a, b)
    state = flow.run(parameters=dict(a="x"))
    again = flow.run(a="y", b="z")
    return [[s.result[t].result for t in (one, two)] for s in (state, again)]


def probe_schedules_of_clocks():
    import pendulum

    start = pendulum.datetime(2024, 1, 1)
    schedule = Schedule(
        clocks=[
            IntervalClock(
                start_date=start,
                interval=datetime.timedelta(hours=6),
                parameter_defaults={"p": "a"},
            ),
            CronClock("30 9 * * 1-5", start_date=start, parameter_defaults={"p": "b"}),
        ],
        filters=[filters.is_weekday],
        or_filters=[filters.between_times(datetime.time(6), datetime.time(18))],
    )
    events = schedule.next(4, after=start, return_events=True)
    return [[e.start_time.isoformat(), e.parameter_defaults] for e in events]


def probe_runs_on_a_schedule_of_dates():
    import pendulum

    seen = []

    @task
    def note(p):
        seen.append([p, prefect.context.scheduled_start_time == times[len(seen)]])

    times = [pendulum.now("utc").add(seconds=0.3), pendulum.now("utc").add(seconds=0.6)]
    clock = DatesClock(times, parameter_defaults={"p": "clock"})
    with Flow("f", schedule=Schedule(clocks=[clock])) as flow:
        note(Parameter("p", default="default"))
    state = flow.run()
    return [seen, type(state).__name__]


def probe_notifications():
    told = []

    def notify(obj, old, new):
        if new.is_finished() and new.is_failed():
            told.append("{0} {1} {2}".format(type(obj).__name__, obj.name, repr(new.result)))
        return new

    def by_kind(task, old_state, new_state):
        if isinstance(new_state, Retrying):
            told.append(f"{task.name} retries, run {new_state.run_count}")
        if isinstance(new_state, Finished):
            told.append(f"{task.name} from {type(old_state).__name__}")

    @task(max_retries=1, retry_delay=datetime.timedelta(0), state_handlers=[notify, by_kind])
    def fragile():
        raise ValueError("broken")

    with Flow("f", state_handlers=[notify]) as flow:
        fragile()
    flow.run()
    return [t for t in told if "Flow" not in t]


def probe_handlers_that_change_states():
    def forgive(task, old, new):
        if isinstance(new, Failed):
            return Success(message="forgiven", result="nothing")

    def strict(flow, old, new):
        if new.is_successful():
            return Failed("strict")

    @task(state_handlers=[forgive])
    def fails():
        raise ValueError

    @task
    def after(x):
        return x

    with Flow("f", state_handlers=[strict]) as flow:
        a = after(fails())
    state = flow.run()
    return [state.result[a].result, type(state).__name__, state.message]


def probe_logger_in_the_context():
    records = []

    class Keeps(logging.Handler):
        def emit(self, record):
            records.append([record.name, record.levelname, record.getMessage()])

    @task
    def says(name):
        logger = prefect.context.get("logger")
        logger.info("Hello, %s", name)
        prefect.context.logger.warning("careful")
        return logger.name

    class Says(Task):
        def run(self):
            self.logger.info("from the class")

    logging.disable(logging.NOTSET)
    keeps = Keeps()
    logger = prefect.utilities.logging.get_logger()
    logger.addHandler(keeps)
    with redirect_stdout(StringIO()):
        with Flow("f") as flow:
            s = says("Ann")
            Says()()
        name = flow.run().result[s].result
    logger.removeHandler(keeps)
    logging.disable(logging.CRITICAL)
    return [
        name,
        sorted(r for r in records if "Hello" in r[2] or "careful" in r[2] or "class" in r[2]),
    ]


def probe_prints_that_are_logged():
    records = []

    class Keeps(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    @task(log_stdout=True)
    def prints():
        print("to the log")
        print("two", "words")

    logging.disable(logging.NOTSET)
    keeps = Keeps()
    logger = prefect.utilities.logging.get_logger()
    logger.addHandler(keeps)
    with redirect_stdout(StringIO()):
        with Flow("f") as flow:
            prints()
        flow.run()
    logger.removeHandler(keeps)
    logging.disable(logging.CRITICAL)
    return [r for r in records if r in ("to the log", "two words")]


def probe_class_tasks_with_defaults():
    class Greets(Task):
        def __init__(self, greeting="Hello", name=None, **kwargs):
            self.greeting = greeting
            super().__init__(name=name or "greets", **kwargs)

        @defaults_from_attrs("greeting")
        def run(self, whom, greeting=None):
            return f"{greeting} {whom}"

    greets = Greets(max_retries=1, retry_delay=datetime.timedelta(seconds=1))
    with Flow("f") as flow:
        a = greets("Ann")
        b = greets("Ben", greeting="Hi")
        c = Greets("Ciao")("Cleo")
    state = flow.run()
    return [[state.result[t].result for t in (a, b, c)], a.name, a.max_retries]


def probe_the_imperative_way():
    class Number(Task):
        def run(self):
            return 3

    class Sum(Task):
        def run(self, x, y, z=0):
            return x + y + z

    flow = Flow("f")
    n, s, last = Number(), Sum(), Task("last")
    flow.set_dependencies(task=s, keyword_tasks=dict(x=n, y=5))
    s.bind(z=n, flow=flow)
    last.set_upstream(s, flow=flow)
    flow.add_task(Task("alone"))
    state = flow.run()
    return [
        state.result[s].result,
        sorted(t.name for t in flow.terminal_tasks()),
        sorted(t.name for t in flow.root_tasks()),
        sorted(
            [e.upstream_task.name, e.downstream_task.name, e.key]
            for e in flow.edges
            if e.key is None
        ),
        len(flow.edges),
        {t.name: dict(c) for t, c in flow.constants.items()},
    ]


def probe_set_upstream_in_a_block():
    ran = []

    @task
    def step(name):
        ran.append(name)

    with Flow("f") as flow:
        a, b, c = step("a"), step("b"), step("c")
        a.set_upstream(b)
        b.set_upstream(c)
        d = step("d")
        d.set_downstream(c)
    flow.run()
    return ran


def probe_replace_update_and_edges():
    @task
    def one():
        return 1

    @task
    def hundred():
        return 100

    @task
    def inc(x):
        return x + 1

    with Flow("a") as a:
        first = one()
        second = inc(first)
    new = hundred.copy()
    a.replace(first, new)
    with Flow("b") as b:
        third = inc(5)
    b.update(a)
    state = b.run()
    return [
        state.result[second].result,
        state.result[third].result,
        [e.upstream_task.name for e in b.edges_to(second)],
        [e.downstream_task.name for e in b.edges_from(new)],
        sorted(t.name for t in b.tasks),
        {e.key for e in b.edges},
        b.name,
    ]


def probe_results_and_targets():
    directory = tempfile.mkdtemp()
    ran = []

    @task(result=LocalResult(dir=directory), target="{task_name}.txt", checkpoint=True)
    def costly():
        ran.append(1)
        return {"a": [1, 2]}

    with Flow("f", result=LocalResult(dir=directory)) as flow:
        c = costly()
    return [flow.run().result[c].result, flow.run().result[c].result]


def probe_tags_and_names_of_runs():
    @task(tags=["own"], task_run_name="run of {x}")
    def named(x):
        return [prefect.context.task_run_name, sorted(prefect.context.task_tags)]

    with Flow("f") as flow:
        with tags("ambient"):
            n = named(7)
        m = named.map([1, 2])
    state = flow.run()
    return [state.result[n].result, [c[0] for c in state.result[m].result], sorted(n.tags)]


def probe_dates_in_the_context():
    @task
    def when():
        c = prefect.context
        return [
            c.today == c.date.strftime("%Y-%m-%d"),
            len(c.today_nodash),
            c.yesterday < c.today < c.tomorrow,
            c.scheduled_start_time is not None,
        ]

    @task
    def given():
        return prefect.context.today

    with Flow("f") as flow:
        w, g = when(), given()
    with prefect.context(today="2020-02-29"):
        backfill = flow.run()
    return [flow.run().result[w].result, backfill.result[g].result]


def probe_multiple_outputs():
    from typing import Tuple

    @task(nout=2)
    def ends(xs):
        return min(xs), max(xs)

    @task
    def typed() -> Tuple[int, str]:
        return 1, "a"

    with Flow("f") as flow:
        low, high = ends([3, 1, 2])
        number, text = typed()
        diff = high - low
    state = flow.run()
    return [state.result[t].result for t in (low, high, diff, number, text)]


def probe_apply_map_with_branches():
    @task
    def inc(x):
        return x + 1

    @task
    def neg(x):
        return -x

    @task
    def even(x):
        return x % 2 == 0

    def either(x):
        with case(even(x), True):
            a = inc(x)
        with case(even(x), False):
            b = neg(x)
        return merge(a, b)

    with Flow("f") as flow:
        r = apply_map(either, range(4))
    return flow.run().result[r].result


def probe_mapping_over_dicts_and_pairs():
    @task
    def items(d):
        return list(d.items())

    @task
    def show(pair, sep, n=1):
        return sep.join(map(str, pair)) * n

    with Flow("f") as flow:
        s = show.map(items({"a": 1, "b": 2}), sep=unmapped("="), n=[1, 2])
        t = show(mapped([("x", 1)]), ":")
    state = flow.run()
    return [state.result[s].result, state.result[t].result]


def probe_shell_tasks():
    shell = ShellTask(helper_script="cd /", return_all=True)
    with Flow("f") as flow:
        a = shell(command="pwd; echo two")
        b = ShellTask(name="env", env={"C14": "yes"})(command="echo $C14")
        c = shell(command="exit 3")
    state = flow.run()
    return [state.result[a].result, state.result[b].result, type(state.result[c]).__name__]


def probe_executors():
    @task
    def ten(x):
        return x * 10

    with Flow("f") as flow:
        t = ten.map(list(range(5)))
    flow.executor = LocalDaskExecutor(scheduler="threads", num_workers=2)
    first = flow.run()
    flow.executor = LocalExecutor()
    return [first.result[t].result, flow.run().result[t].result]


def probe_debugging_by_raising():
    @task
    def fails():
        raise KeyError("x")

    with Flow("f") as flow:
        fails()
    with raise_on_exception():
        flow.run()


def probe_states_by_hand():
    @task
    def returns(state):
        return {"s": Skipped("s"), "f": Failed("f"), "v": 3}[state]

    with Flow("f") as flow:
        r = returns.map(["s", "f", "v"])
    state = flow.run()
    return [type(c).__name__ for c in state.result[r].map_states]


def probe_a_flow_within_a_task():
    @task
    def inner():
        with Flow("inner") as small:
            x = Parameter("x")
            y = x + 1
        return small.run(x=5).result[y].result

    with Flow("outer") as flow:
        i = inner()
    return flow.run().result[i].result


def probe_timeouts_and_retries_on_some_errors():
    seen = []

    @task(max_retries=3, retry_delay=datetime.timedelta(0), retry_on=KeyError)
    def picky():
        seen.append(prefect.context.task_run_count)
        raise (KeyError if len(seen) == 1 else ValueError)("x")

    with Flow("f") as flow:
        p = picky()
    return [type(flow.run().result[p].result).__name__, seen]


def probe_tasks_in_collections():
    @task
    def n(x):
        return x

    @task
    def show(value):
        return value

    with Flow("f") as flow:
        s = show({"a": n(1), "b": [n(2), (n(3), {"c": n(4)})], "d": {n(5)}})
    return flow.run().result[s].result


def probe_messages_of_flows():
    @task
    def ok():
        return 1

    @task
    def skips():
        raise SKIP("s")

    with Flow("f") as flow:
        ok()
    with Flow("g") as other:
        skips()
    return [flow.run().message, other.run().message, str(flow), repr(Flow("x"))]


def probe_serialized_flows():
    @task
    def ok():
        return 1

    with Flow("f") as flow:
        ok()
    told = flow.serialize()
    return [told["name"], len(told["tasks"]), told["edges"], json.dumps(told, default=str)[:1]]


def probe_is_in_a_state_of_success():
    @task
    def number():
        return random.Random(7).randint(1, 6)

    with Flow("f") as flow:
        r = number()
    state = flow.run()
    return [
        isinstance(state, State),
        state.is_successful(),
        isinstance(state.result[r].result, int),
    ]
