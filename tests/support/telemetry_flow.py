"""A flow of which telemetry has much to tell: a mapped task, a try that fails, a failure and what it skips."""

FLOW = """
import os
from prefect import Flow, Parameter, Secret, context, task

tries = []

@task
def numbers(n):
    return list(range(n))

@task(max_retries=1)
def flaky(x):
    if x == 1 and len(tries) < 1:
        tries.append(x)
        raise ConnectionError("no answer for " + os.environ.get("TOKEN", "nobody"))
    return x

@task(skip_on_upstream_skip=False)
def fails(xs):
    raise ValueError("as asked")

@task
def after(x):
    pass

with Flow("tell <me>") as flow:
    after(fails(flaky.map(numbers(Parameter("n", default=3)))))
"""
