"""Runs that begin with states of some of their tasks."""

import datetime
import logging

import prefect
from prefect import Flow, Task, task
from prefect.engine.state import Failed, Success

logging.disable(logging.CRITICAL)


@task
def ident(x):
    return x


@task
def inc(x):
    return x + 1


def probe_task_states_of_finished_tasks():
    ran = []

    @task
    def note(x):
        ran.append(x)
        return x

    with Flow("f") as flow:
        a = note("a")
        b = note(a)
        c = note(b)
    state = flow.run(task_states={b: Success(result="given")})
    skipped = flow.run(task_states={a: Failed("no")})
    return [ran, state.result[c].result, state.result[b].result, skipped.result[c], skipped]


def probe_task_states_of_unfinished_tasks():
    from prefect.engine.state import Pending, Retrying, Scheduled

    @task
    def tries():
        return prefect.context.task_run_count

    with Flow("f") as flow:
        a, b, c = tries(), tries(), tries()
    state = flow.run(task_states={a: Pending(), b: Retrying(run_count=3), c: Scheduled()})
    return [state.result[each].result for each in (a, b, c)]


def probe_task_states_of_mapped_tasks():
    from prefect.engine.state import Mapped, Pending, Retrying

    ran = []

    @task
    def ten(x):
        ran.append([x, prefect.context.task_run_count])
        return x * 10

    with Flow("f") as flow:
        m = ten.map([1, 2, 3])
        n = inc.map(m)
    given = Mapped(map_states=[Success(result=7), Retrying(run_count=2), Pending()])
    state = flow.run(task_states={m: given})
    whole = flow.run(task_states={m: Success(result=[5, 6])})
    return [ran, state.result[n].result, state.result[m].result, whole.result[n].result]


def probe_task_states_of_an_earlier_run():
    ran = []

    @task
    def note(x):
        ran.append(x)
        if len(ran) < 3:
            raise ValueError
        return x

    with Flow("f") as flow:
        a = ident(1)
        b = note(a)
        c = ident(b)
    first = flow.run()
    second = flow.run(task_states={a: first.result[a]})
    third = flow.run(task_states={a: first.result[a]})
    return [type(first).__name__, type(second).__name__, third.result[c].result, ran]


def probe_task_states_of_cached_tasks():
    from prefect.engine.cache_validators import all_inputs, duration_only
    from prefect.engine.state import Cached

    @task(cache_for=datetime.timedelta(hours=1), cache_validator=duration_only)
    def by_time():
        return "run"

    @task(cache_for=datetime.timedelta(hours=1), cache_validator=all_inputs)
    def by_inputs(x):
        return "run"

    @task
    def never():
        return "run"

    with Flow("f") as flow:
        a, b, c = by_time(), by_inputs(1), never()
    later = __import__("pendulum").now("utc").add(hours=1)
    given = Cached(result="cached", cached_result_expiration=later)
    state = flow.run(task_states={a: given, b: given, c: given})
    return [state.result[each].result for each in (a, b, c)]


def probe_task_states_and_handlers():
    seen = []

    def handler(obj, old, new):
        seen.append([type(old).__name__, type(new).__name__])

    with Flow("f") as flow:
        a = Task("a", state_handlers=[handler])
        b = Task("b", state_handlers=[handler], trigger=prefect.triggers.any_failed)
        b.set_upstream(a)
    state = flow.run(task_states={a: Failed("told")})
    return [state, seen]


def probe_task_states_of_fewer_children():
    from prefect.engine.state import Mapped

    with Flow("f") as flow:
        m = inc.map([1, 2, 3])
    return flow.run(task_states={m: Mapped(map_states=[Success(result=7)])}).result[m].result


def probe_task_states_of_secrets_and_resources():
    import os

    from prefect import resource_manager
    from prefect.tasks.secrets import EnvVarSecret

    os.environ["C14_VALUE"] = "fresh"
    ended = []

    @resource_manager
    class Room:
        def setup(self):
            return "fresh"

        def cleanup(self, resource):
            ended.append(resource)

    with Flow("f") as flow:
        secret = EnvVarSecret("C14_VALUE")
        with Room() as room:
            both = ident([secret, room])
    setup = flow.get_tasks(name="Room.setup") or [t for t in flow.tasks if "setup" in t.name]
    state = flow.run(task_states={secret: Success(result="old"), setup[0]: Success(result="old")})
    return [state.result[both].result, ended]


def probe_task_states_of_a_paused_task():
    from prefect.engine.state import Resume
    from prefect.triggers import manual_only

    @task(trigger=manual_only)
    def waits():
        return prefect.context.get("resume")

    with Flow("f") as flow:
        r = waits()
    return flow.run(task_states={r: Resume()}).result[r]


def probe_task_states_of_retries_after_a_failure():
    from prefect.engine.state import Retrying

    @task
    def fails():
        raise ValueError

    with Flow("f") as flow:
        r = inc(fails())
    return type(flow.run(task_states={r: Retrying(run_count=1)}).result[r]).__name__
