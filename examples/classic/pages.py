"""Read all pages of an API, however many there are: python examples/classic/pages.py http://127.0.0.1:8000.

The API answers /items?page=1 with {"items": [...], "next": 2}, and the last page has null there.
"""

import json
import sys
from urllib.request import urlopen

import prefect
from prefect import Flow, Parameter, task
from prefect.engine import signals


@task
def read_all(address):
    found = prefect.context.get("task_loop_result") or {"next": 1, "items": []}
    with urlopen(f"{address}/items?page={found['next']}") as answer:  # noqa: S310  # the address is ours
        page = json.load(answer)
    items = found["items"] + page["items"]
    if page["next"]:
        raise signals.LOOP(
            message=f"page {found['next']} of several",
            result={"next": page["next"], "items": items},
        )
    return items, prefect.context.get("task_loop_count", 1)


@task
def total(found):
    items, _ = found
    return sum(item["price"] for item in items)


with Flow("read pages") as flow:
    read = read_all(Parameter("address"))
    summed = total(read)

if __name__ == "__main__":
    state = flow.run(address=sys.argv[1])
    items, pages = state.result[read].result
    print(state.is_successful(), pages, [item["name"] for item in items])
    print(state.result[summed].result)
