"""State handlers of tasks that loop."""

import datetime
import logging

import prefect
from prefect import Flow, task
from prefect.engine import signals
from prefect.engine.state import Success

logging.disable(logging.CRITICAL)


def probe_handlers_of_a_loop_with_a_failure():
    seen = []

    def handler(obj, old, new):
        seen.append(
            [type(old).__name__, type(new).__name__, prefect.context.get("task_loop_count")]
        )

    @task(state_handlers=[handler], max_retries=1, retry_delay=datetime.timedelta(seconds=0))
    def work():
        count = prefect.context.get("task_loop_count", 1)
        if count == 2 and prefect.context.task_run_count == 1:
            raise ValueError("once")
        if count < 3:
            raise signals.LOOP(result=count * 10)
        return [count, prefect.context.get("task_loop_result")]

    with Flow("f") as flow:
        r = work()
    return [flow.run().result[r], seen]


def probe_handlers_of_mapped_loops():
    seen = []

    def handler(obj, old, new):
        seen.append(
            [prefect.context.get("map_index"), type(new).__name__, getattr(new, "loop_count", None)]
        )

    @task(state_handlers=[handler])
    def count_to(n):
        count = prefect.context.get("task_loop_count", 1)
        if count < n:
            raise signals.LOOP(result=count)
        return count

    with Flow("f") as flow:
        r = count_to.map([1, 3])
    return [flow.run().result[r].result, seen]


def probe_a_handler_ends_a_loop():
    def handler(obj, old, new):
        if new.is_looped() and new.loop_count >= 2:
            return Success("enough", result=new.result)

    @task(state_handlers=[handler])
    def for_ever():
        raise signals.LOOP(result=prefect.context.get("task_loop_result", 0) + 1)

    with Flow("f") as flow:
        r = for_ever()
    return flow.run().result[r]


def probe_a_handler_begins_a_loop():
    def handler(obj, old, new):
        if new.is_successful() and new.result < 3:
            from prefect.engine.state import Looped

            return Looped(result=new.result, loop_count=prefect.context.get("task_loop_count", 1))

    @task(state_handlers=[handler])
    def once_more():
        return prefect.context.get("task_loop_result", 0) + 1

    with Flow("f") as flow:
        r = once_more()
    return flow.run().result[r]
