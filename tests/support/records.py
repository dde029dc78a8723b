"""Makes records of runs that never were, of any size and with all that a record can tell."""

import json
import random
from pathlib import Path

START = 1_764_450_930.0


def task(slug, name=None, *, retries=0, auto=False, kind="FunctionTask"):
    """Return a task of a serialized flow."""
    return {
        "id": slug, "name": name or slug.rpartition("-")[0] or slug, "type": kind, "tags": [],
        "max_retries": retries, "retry_delay": 1.0 if retries else None, "timeout": None,
        "trigger": "all_successful", "skip_on_upstream_skip": True, "auto_generated": auto,
    }  # fmt: skip


def flow(name, tasks, edges, parameters=()):
    """Return a serialized flow; edges are (upstream, downstream, key, mapped)."""
    waited_for = {edge[0] for edge in edges}
    return {
        "schema": 1, "name": name,
        "parameters": [{"name": p, "required": False, "default": 3, "type": "int"} for p in parameters],
        "tasks": tasks,
        "edges": [{"upstream": u, "downstream": d, "key": k, "mapped": m} for u, d, k, m in edges],
        "reference_tasks": [each["id"] for each in tasks if each["id"] not in waited_for],
        "environment": None,
    }  # fmt: skip


def header(described, **changes):
    """Return the first line of a record."""
    return {
        "event": "run", "version": 1, "run": "20251129-221530-etl-3f9a2c", "time": START,
        "flow": described, "parameters": {"n": 3, "token": "***"}, "executor": "threads:8",
        "place": "here", "artifact": f"sha256:{'a' * 64}", "resumes": None, "host": "workstation",
        "pid": 4711,
        "versions": {"python": "3.11.7", "prefect": "0.15.0", "requirements": ["pandas==2.2.0"]},
    } | changes  # fmt: skip


def write(path, events) -> Path:
    """Write the lines of a record."""
    path = Path(path)
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return path


class Making:
    """A run that is made up, task after task, on a number of workers."""

    def __init__(self, described, workers=8, seed=15, **head):
        self.random = random.Random(seed)
        self.lines = [header(described, **head)]
        self.free = [START + 0.02] * workers
        self.ended = {}  # of each task: when

    def tell(self, time, slug, state, **more):
        """Add a line of a task."""
        self.lines.append(
            {"event": "task", "time": round(time, 4), "task": slug, "state": state} | more
        )

    def log(self, time, slug, message, level="INFO", **more):
        """Add a line of a log."""
        self.lines.append(
            {"event": "log", "time": round(time, 4), "level": level, "logger": f"prefect.task.{slug}",
             "message": message, "task": slug} | more
        )  # fmt: skip

    def run(self, slug, before=(), seconds=1.0, state="Success", tries=1, index=None, **more):
        """Run a task after others: its tries but for the last are followed by another."""
        extra = {} if index is None else {"map_index": index}
        ready = max((self.ended.get(each, START) for each in before), default=START)
        for number in range(1, tries + 1):
            worker = min(range(len(self.free)), key=lambda w: max(self.free[w], ready))
            began = max(self.free[worker], ready)
            took = seconds * self.random.lognormvariate(0, 0.5)
            ready = self.free[worker] = began + took
            again = {} if number == 1 else {"run_count": number}
            self.tell(began, slug, "Running", worker=f"thread-{worker}", **again, **extra)
            if number < tries:
                text = f'Traceback (most recent call last):\n  File "etl.py", line 7, in {slug}\nTimeoutError: no answer\n'
                self.tell(
                    ready,
                    slug,
                    "Retrying",
                    message="TimeoutError: no answer",
                    traceback=text,
                    **extra,
                )
                ready += 1.0
        self.tell(ready, slug, state, **extra, **more)
        self.ended[slug] = max(self.ended.get(slug, START), ready)
        return ready

    def end(self, state="Success", message="All reference tasks succeeded."):
        """End the run, and return its lines in the order of time."""
        last = max(line["time"] for line in self.lines) + 0.01
        first, *rest = self.lines
        rest.sort(key=lambda line: line["time"])
        name = first["flow"]["name"]
        return [
            first,
            *rest,
            {"event": "flow", "time": last, "flow": name, "state": state, "message": message},
        ]


RESULT = {"digest": f"sha256:{'b' * 64}", "size": 120_345, "format": "pickle"}
FAILURE = (
    "Traceback (most recent call last):\n"
    '  File "/home/ana/etl/etl.py", line 42, in load\n    connection.execute(statement)\n'
    "ConnectionError: database db-7 refused the connection\n"
)


def small():
    """Return the lines of a run of ten tasks: a cached one, one mapped, a retry, a failure and what follows."""
    tasks = [
        task("n", kind="Parameter"), task("source", kind="Parameter"), task("extract-1"), task("clean-1"),
        task("split-1"), task("train-1", retries=3), task("score-1"), task("publish-1"), task("notify-1"),
        task("archive-1"),
    ]  # fmt: skip
    edges = [
        ("n", "extract-1", "n", False), ("source", "extract-1", "source", False),
        ("extract-1", "clean-1", "rows", False), ("clean-1", "split-1", "rows", False),
        ("split-1", "train-1", "part", True), ("train-1", "score-1", "models", False),
        ("clean-1", "archive-1", "rows", False), ("score-1", "publish-1", "score", False),
        ("publish-1", "notify-1", None, False),
    ]  # fmt: skip
    made = Making(flow("nightly-sales", tasks, edges, ["n", "source"]), workers=4,
                  parameters={"n": 12, "source": "s3://sales/2025"}, run="20251129-211530-nightly-sales-3f9a2c")  # fmt: skip
    for name in ("n", "source"):
        made.tell(START + 0.01, name, "Success")
    made.tell(START + 0.05, "extract-1", "Cached", result=RESULT,
              why="Not run again: its source, inputs and requirements are those of 20251128-211502-nightly-sales-77ab01")  # fmt: skip
    made.run(
        "clean-1",
        seconds=2.1,
        result=RESULT,
        why="Ran: the source of helpers.normalise has changed",
    )
    made.log(made.ended["clean-1"] - 0.3, "clean-1", "dropped 312 of 48,120 rows")
    made.run("split-1", ["clean-1"], seconds=0.4, result=RESULT)
    made.tell(made.ended["split-1"], "train-1", "Mapped", children=12)
    for index in range(12):
        made.run(
            "train-1",
            ["split-1"],
            seconds=3.0,
            tries=2 if index in {3, 8} else 1,
            index=index,
            result=RESULT,
        )
        made.log(
            made.ended["train-1"], "train-1", f"fold {index}: loss 0.{index + 11}", map_index=index
        )
    made.run("archive-1", ["clean-1"], seconds=6.0, result=RESULT)
    made.run("score-1", ["train-1"], seconds=0.8, result=RESULT)
    made.run("publish-1", ["score-1"], seconds=1.2, state="Failed", traceback=FAILURE,
             message="ConnectionError: database db-7 refused the connection")  # fmt: skip
    made.log(made.ended["publish-1"] - 0.1, "publish-1", "connecting to db-7", level="WARNING")
    made.tell(
        made.ended["publish-1"],
        "notify-1",
        "TriggerFailed",
        message="not all upstream tasks succeeded",
    )
    return made.end("Failed", "Some reference tasks failed.")


def large(  # noqa: C901 - one after the other
    count, *, mapped=0.7, workers=16, seed=15
):
    """Return the lines of a run of so many tasks, mapped children among them.

    Args:
        count: of all that runs.
        mapped: which part of it are children of mapped tasks.
    """
    children = int(count * mapped)
    plain = max(count - children, 4)
    groups = max(1, min(6, plain // 10))
    tasks, edges = [], []
    chance = random.Random(seed)
    names = ["fetch", "parse", "clean", "join", "rank", "store"]
    for number in range(plain):
        slug = f"{names[number % 6]}-{number // 6 + 1}"
        tasks.append(task(slug, retries=2 if number % 9 == 0 else 0))
        if number:
            near = tasks[max(0, number - 1 - chance.randrange(4 if number % 3 else 40))]["id"]
            edges.append((near, slug, "rows", False))
            if number > 12 and number % 7 == 0:
                edges.append((tasks[number - 9]["id"], slug, "other", False))
    edges = list(dict.fromkeys(edges))
    many = []
    for number in range(groups if children else 0):
        slug = f"measure-{number + 1}"
        many.append(slug)
        edges.append((tasks[min(plain - 1, number * plain // groups)]["id"], slug, "part", True))
    tasks += [task(slug) for slug in many]
    if many:
        tasks.append(task("summary-1"))
        edges += [(slug, "summary-1", f"part_{slug[8:]}", False) for slug in many]
    made = Making(flow("stations", tasks, edges), workers=workers, seed=seed)
    above = {}
    for up, down, _, _ in edges:
        above.setdefault(down, []).append(up)
    for number, each in enumerate(tasks[:plain]):
        slug = each["id"]
        if number % 11 == 5:
            made.tell(max((made.ended.get(s, START) for s in above.get(slug, ())), default=START) + 0.001,
                      slug, "Cached", result=RESULT, why="Not run again: nothing that it depends on has changed")  # fmt: skip
            made.ended[slug] = made.lines[-1]["time"]
            continue
        made.run(slug, above.get(slug, ()), seconds=0.5, tries=2 if number % 27 == 0 else 1)
        if number % 5 == 0:
            made.log(made.ended[slug], slug, f"{1000 + number} rows")
    for number, slug in enumerate(many):
        made.tell(
            max(made.ended.get(s, START) for s in above[slug]),
            slug,
            "Mapped",
            children=children // len(many),
        )
        for index in range(children // len(many)):
            bad = number == 1 and index % 100 == 17
            failed = (
                {"state": "Failed", "message": "ValueError: no such station", "traceback": FAILURE}
                if bad
                else {}
            )
            made.run(slug, above[slug], seconds=0.2, index=index, **failed)
    if many:
        made.run("summary-1", many, seconds=1.0)
    return made.end("Failed" if children > 200 else "Success", "")


HOSTILE = '</script><img src=x onerror="alert(1)"><!-- <script> \' & \x1b[31m \u202egnp.exe \ud800 \u2028 ${x}'


def hostile():
    """Return the lines of a run in which everything that can be a text is hostile."""
    described = flow(
        HOSTILE,
        [task(HOSTILE, HOSTILE), task("b")],
        [(HOSTILE, "b", HOSTILE, True)],
    )
    made = Making(
        described, parameters={HOSTILE: HOSTILE}, executor=HOSTILE, place=HOSTILE, artifact=HOSTILE, host=HOSTILE,
        versions={HOSTILE: HOSTILE, "requirements": [HOSTILE]},
    )  # fmt: skip
    made.tell(START, HOSTILE, "Running", worker=HOSTILE)
    made.tell(START + 1, HOSTILE, "Retrying", message=HOSTILE, traceback=HOSTILE)
    made.tell(START + 2, HOSTILE, "Running", worker=HOSTILE)
    made.tell(START + 3, HOSTILE, "Failed", message=HOSTILE, traceback=HOSTILE, why=HOSTILE,
              result=RESULT | {"format": HOSTILE})  # fmt: skip
    made.tell(START + 3, "b", "Mapped", children=1)
    made.tell(START + 3, "b", HOSTILE, map_index=0)
    made.tell(START + 3, "b", "Odd", map_index=0, message=HOSTILE)
    made.log(START + 2, HOSTILE, f"{HOSTILE}\n{HOSTILE}", level=HOSTILE, logger=HOSTILE)
    return made.end("Failed", HOSTILE)
