"""Take orders, sum them up, and load the sums into a database: python examples/classic/database.py."""

import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import prefect
from prefect import Flow, Parameter, task

ORDERS = [("ann", 3), ("bob", 5), ("ann", 4), ("eve", -1)]


@task
def create(path):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS sums (name TEXT PRIMARY KEY, total INTEGER)")
    return path


@task(max_retries=2, retry_delay=timedelta(seconds=0))
def extract(orders):
    if prefect.context.task_run_count == 1:
        raise ConnectionError("as it happens at the first try")
    return orders


@task
def transform(orders):
    sums = {}
    for name, amount in orders:
        if amount > 0:
            sums[name] = sums.get(name, 0) + amount
    return sorted(sums.items())


@task
def load(path, sums):
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT OR REPLACE INTO sums VALUES (?, ?)", sums)
    return len(sums)


@task
def report(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT name, total FROM sums ORDER BY total DESC").fetchall()


with Flow("orders to sums") as flow:
    path = create(Parameter("path"))
    loaded = load(path, transform(extract(Parameter("orders", default=ORDERS))))
    reported = report(path, upstream_tasks=[loaded])

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        where = str(Path(directory) / "orders.db")
        for orders in (ORDERS, [("bob", 9)]):
            state = flow.run(path=where, orders=orders)
            print(state.is_successful(), state.result[loaded].result, state.result[reported].result)
