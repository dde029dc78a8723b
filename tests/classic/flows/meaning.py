"""What must not mean something else here than it did there."""

import prefect
from prefect import Flow, Parameter, Task, task, triggers
from prefect.engine import signals


@task
def one():
    return 1


@task
def ident(x):
    return x


def probe_executor_as_attribute():
    from prefect.executors import LocalExecutor

    with Flow("f") as flow:
        r = one()
    flow.executor = LocalExecutor()
    return flow.run().result[r]


def probe_executor_as_attribute_of_dask_threads():
    from prefect.executors import LocalDaskExecutor

    with Flow("f") as flow:
        r = ident.map([1, 2, 3])
    flow.executor = LocalDaskExecutor(scheduler="threads", num_workers=2)
    return flow.run().result[r]


@task
def read(name):
    return prefect.context.get(name)


def probe_run_with_context():
    with Flow("f") as flow:
        r, s = read("today"), read("region")
    state = flow.run(context={"today": "2020-02-29", "region": "north"})
    return [state.result[r].result, state.result[s].result]


def probe_run_within_context():
    with Flow("f") as flow:
        r, s = read("today"), read("region")
    with prefect.context(today="2020-02-29", region="north"):
        state = flow.run()
    return [state.result[r].result, state.result[s].result]


def probe_context_of_run_wins():
    with Flow("f") as flow:
        r = read("region")
    with prefect.context(region="north"):
        state = flow.run(context={"region": "south"})
    return state.result[r].result


def probe_parameters_of_context():
    with Flow("f") as flow:
        r = ident(Parameter("x", default=1))
    state = flow.run(context={"parameters": {"x": 5}})
    return state.result[r].result


@task
def skipping():
    raise signals.SKIP("no")


@task
def failing():
    raise ValueError("no")


@task(trigger=triggers.not_all_skipped, skip_on_upstream_skip=False)
def join(a=None, b=None):
    return [a, b]


def probe_not_all_skipped_with_all():
    with Flow("f") as flow:
        r = join(skipping(), skipping())
    return flow.run().result[r]


def probe_not_all_skipped_with_some():
    with Flow("f") as flow:
        r = join(skipping(), one())
    return flow.run().result[r]


def probe_not_all_skipped_with_a_failure():
    with Flow("f") as flow:
        r = join(failing(), one())
    return flow.run().result[r]


@task(trigger=triggers.not_all_skipped)
def strict_join(a=None, b=None):
    return [a, b]


def probe_not_all_skipped_that_skips():
    with Flow("f") as flow:
        r = strict_join(skipping(), one())
        s = strict_join(skipping(), skipping())
    state = flow.run()
    return [state.result[r], state.result[s]]


@task(nout=2)
def minmax(xs):
    return min(xs), max(xs)


def probe_nout():
    with Flow("f") as flow:
        lo, hi = minmax([1, 2, 3])
    state = flow.run()
    return [state.result[lo].result, state.result[hi].result]


def probe_nout_of_a_mapped_task():
    with Flow("f") as flow:
        lo, hi = minmax.map([[1, 2], [3, 4], [5, 6]])
        more = ident.map(hi)
    state = flow.run()
    return [state.result[lo].result, state.result[hi].result, state.result[more].result]


def probe_index_of_a_mapped_task():
    with Flow("f") as flow:
        both = minmax.map([[1, 2], [3, 4], [5, 6]])
        first = both[0]
    return flow.run().result[first].result


@task(tags=["own"])
def tagged():
    return 1


def probe_tags_in_task_args():
    with Flow("f"):
        r = tagged(task_args={"tags": ["more"]})
    return sorted(r.tags)


def probe_tags_in_task_args_of_map():
    with Flow("f"):
        r = ident.map([1], task_args={"tags": ["more"], "name": "other"})
    return [sorted(r.tags), r.name]


def probe_tags_of_copy():
    return sorted(tagged.copy(tags=["more"]).tags)


def probe_run_within_its_own_block():
    with Flow("f") as flow:
        one()
        return flow.run()


@task
def xs():
    return [1, 2, 3]


def probe_map_over_upstream_tasks():
    with Flow("f") as flow:
        r = one.map(upstream_tasks=[xs()])
    return flow.run().result[r]


def probe_map_over_a_plain_list_and_upstream_tasks():
    with Flow("f") as flow:
        r = ident.map([7, 8, 9], upstream_tasks=[xs()])
    return flow.run().result[r]


def probe_map_over_an_unmapped_upstream_task():
    with Flow("f") as flow:
        r = ident.map([7, 8], upstream_tasks=[prefect.unmapped(xs())])
    return flow.run().result[r]


def probe_map_over_unequal_lengths():
    @task
    def add(a, b):
        return a + b

    with Flow("f") as flow:
        r = add.map([1, 2, 3], [10, 20])
    return flow.run().result[r]


def probe_map_over_nothing_given():
    with Flow("f") as flow:
        r = one.map()
    return flow.run().result[r]


class Named(Task):
    def run(self):
        return self.name


def probe_name_in_task_args():
    with Flow("f") as flow:
        r = Named(name="x")(task_args={"name": "y"})
    return flow.run().result[r].result


def probe_result_in_task_args():
    with Flow("f"):
        r = one(task_args={"max_retries": 2, "retry_delay": __import__("datetime").timedelta(0)})
    return r.max_retries


def probe_unknown_in_task_args():
    with Flow("f"):
        return one(task_args={"nonsense": 2}).nonsense


def probe_run_of_another_flow_within_a_block():
    with Flow("inner") as inner:
        r = one()
    with Flow("f"):
        return inner.run().result[r]


def probe_run_within_its_own_nested_block():
    with Flow("f") as flow:
        one()
        with Flow("g"):
            return flow.run()


def probe_dates_of_a_run():
    names = (
        "today",
        "yesterday",
        "tomorrow",
        "today_nodash",
        "yesterday_nodash",
        "tomorrow_nodash",
    )
    with Flow("f") as flow:
        all_of_them = [read(name) for name in names]
    state = flow.run(context={"yesterday": "2020-02-28"})
    texts = [state.result[each].result for each in all_of_them]
    return [texts[1], *(len(text) for text in texts), texts[0] < texts[2], texts[3] > texts[4]]


def probe_dates_within_a_run():
    @task
    def outer():
        with Flow("inner") as inner:
            r = read("today")
        return inner.run().result[r].result

    with Flow("f") as flow:
        r = outer()
    return flow.run(context={"today": "2020-02-29"}).result[r].result


def probe_parameters_within_a_run():
    @task
    def outer():
        with Flow("inner") as inner:
            r = ident(Parameter("x", default=1))
        return inner.run().result[r].result

    with Flow("f") as flow:
        x = Parameter("x", default=2)
        flow.add_task(x)
        r = outer(upstream_tasks=[x])
    return flow.run(parameters={"x": 3}).result[r].result


def probe_parameters_of_the_ambient_context():
    with Flow("f") as flow:
        r = ident(Parameter("x", default=1))
    with prefect.context(parameters={"x": 5}):
        return flow.run().result[r].result


def probe_parameters_given_twice():
    with Flow("f") as flow:
        r = ident(Parameter("x", default=1))
    return flow.run(parameters={"x": 4}, context={"parameters": {"x": 5}}).result[r].result


def probe_map_over_a_shorter_upstream_task():
    with Flow("f") as flow:
        r = ident.map([7, 8, 9, 10], upstream_tasks=[xs()])
    return flow.run().result[r]


def probe_map_over_two_upstream_tasks():
    with Flow("f") as flow:
        r = one.map(upstream_tasks=[xs(), xs()])
    return flow.run().result[r]


def probe_map_over_a_mapped_upstream_task():
    with Flow("f") as flow:
        r = one.map(upstream_tasks=[ident.map([1, 2])])
    return flow.run().result[r]


def probe_map_and_wait_for_one_without_items():
    with Flow("f") as flow:
        r = ident.map([7, 8], upstream_tasks=[one()])
    return flow.run().result[r]


def probe_map_over_one_without_items():
    with Flow("f") as flow:
        r = one.map(upstream_tasks=[one()])
    return flow.run().result[r]


def probe_attribute_of_flows():
    with Flow("f") as flow:
        one()
    return [flow.executor is not None, flow.schedule, flow.result]
