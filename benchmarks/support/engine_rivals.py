"""How other engines run a graph: more ways of engine_ways.py, each for an environment of its own."""

# ruff: noqa: PLC0415 - each way imports what only its environment has

from __future__ import annotations

import logging
from itertools import count as numbers
from typing import TYPE_CHECKING, Any

from engine_ways import Work, add, add_integers, add_up, increment

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine_ways import Build, Run


def hamilton() -> Build:
    """Run functions that name each other in their parameters; they are written before the clock runs."""
    from hamilton import ad_hoc_utils, driver
    from hamilton.execution.executors import SynchronousLocalTaskExecutor
    from hamilton.htypes import Collect, Parallelizable

    modules = numbers()

    def functions(text: str) -> list[Any]:
        names = {"Parallelizable": Parallelizable, "Collect": Collect}
        exec(text, names)
        return [function for name, function in names.items() if name.startswith("t")]

    def prepare(work: Work) -> Callable[[], Run]:
        if work.shape == "mapped":
            written = functions(
                "def titem(count: int) -> Parallelizable[int]:\n  yield from range(count)\n"
                "def tone(titem: int) -> int:\n  return sum([titem]) + 1\n"
                "def tall(tone: Collect[int]) -> list:\n  return list(tone)\n"
            )
        else:
            text = "def t{}({}) -> int:\n  return sum([{}]) + 1\n"
            written = functions("".join(
                text.format(number, ", ".join(f"t{one}: int" for one in needs),
                            ", ".join(f"t{one}" for one in needs))
                for number, needs in enumerate(work.needs)
            ))  # fmt: skip

        def build() -> Run:
            name = f"measured{next(modules)}"
            module = ad_hoc_utils.create_temporary_module(*written, module_name=name)
            builder = driver.Builder().with_modules(module)
            if work.shape == "mapped":
                local = SynchronousLocalTaskExecutor
                builder = builder.enable_dynamic_execution(allow_experimental_mode=True)
                built = builder.with_local_executor(local()).with_remote_executor(local()).build()
                return lambda: built.execute(["tall"], inputs={"count": work.count})["tall"]
            built = builder.build()
            sinks = [f"t{number}" for number in work.sinks]
            return lambda: list(built.execute(sinks).values())

        return build

    prepare.before_the_clock = True  # type: ignore[attr-defined]
    return prepare


def luigi() -> Build:
    """Run tasks that keep their values in this process, with the local scheduler and one worker."""
    import luigi

    logging.disable(logging.CRITICAL)

    def build(work: Work) -> Run:
        values: dict[int, int] = {}
        mapped = work.shape == "mapped"
        sinks = range(work.count) if mapped else work.sinks

        class Step(luigi.Task):  # type: ignore[misc, name-defined]
            number = luigi.IntParameter()

            def requires(self) -> list[Any]:
                return [] if mapped else [Step(number=one) for one in work.needs[self.number]]

            def complete(self) -> bool:
                return self.number in values

            def run(self) -> None:
                inputs = [self.number] if mapped else [values[x] for x in work.needs[self.number]]
                values[self.number] = add(inputs)

        wanted = [Step(number=number) for number in sinks]

        def run() -> list[Any]:
            luigi.build(wanted, local_scheduler=True, workers=1, log_level="CRITICAL", no_lock=True)
            return [values[number] for number in sinks]

        return run

    return build


def dagster() -> Build:
    """Run a job in this process, with an instance that is forgotten."""
    import dagster

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    one = dagster.op(name="one", ins={"inputs": dagster.In(default_value=[])})(add)
    each = dagster.op(name="each")(increment)

    @dagster.op(name="everything")
    def everything(items: list[int]) -> list[int]:
        return items

    def build(work: Work) -> Run:
        if work.shape == "mapped":

            @dagster.op(out=dagster.DynamicOut(int))
            def items() -> Any:
                for number in range(work.count):
                    yield dagster.DynamicOutput(number, mapping_key=str(number))

            @dagster.graph
            def measured() -> None:
                everything(items().map(each).collect())

            names = ["everything"]
        else:
            measured = dagster.GraphDefinition(
                name="measured", node_defs=[one],
                dependencies={
                    dagster.NodeInvocation("one", alias=f"t{number}"): {
                        "inputs": dagster.MultiDependencyDefinition(
                            [dagster.DependencyDefinition(f"t{need}") for need in needs]
                        )
                    } if needs else {}
                    for number, needs in enumerate(work.needs)
                },
            )  # fmt: skip
            names = [f"t{number}" for number in work.sinks]
        job = measured.to_job()

        def run() -> list[Any]:
            with dagster.DagsterInstance.ephemeral() as instance:
                done = job.execute_in_process(instance=instance, run_config=quiet)
                values = [done.output_for_node(name) for name in names]
            return values[0] if work.shape == "mapped" else values

        return run

    return build


def redun() -> Build:
    """Run with the database in memory, and nothing taken from it."""
    from redun import Scheduler
    from redun import task as redun_task
    from redun.config import Config

    logging.disable(logging.CRITICAL)
    scheduler = Scheduler(config=Config({"backend": {"db_uri": "sqlite:///:memory:"}}))
    scheduler.load()
    options = {"namespace": "measured", "cache": False, "check_valid": "shallow"}
    one, each, total = (redun_task(**options)(each) for each in (add_up, increment, add))

    def build(work: Work) -> Run:
        if work.shape == "mapped":
            wanted = [each(number) for number in range(work.count)]
        else:
            found: list[Any] = []
            for needs in work.needs:
                given = [found[number] for number in needs]
                found.append(total(given) if len(given) > 3 else one(*given))
            wanted = [found[number] for number in work.sinks]
        return lambda: scheduler.run(wanted)

    return build


def flytekit() -> Build:
    """Run an imperative workflow locally."""
    from flytekit import map_task
    from flytekit import task as flyte_task
    from flytekit.core.workflow import ImperativeWorkflow

    one, names = flyte_task(add_integers), numbers()

    def build(work: Work) -> Run:
        flow = ImperativeWorkflow(name=f"measured{next(names)}")
        wanted: Any
        if work.shape == "mapped":
            node = flow.add_entity(map_task(one), inputs=[[number] for number in range(work.count)])
            wanted = node.outputs["o0"]
        else:
            outputs: list[Any] = []
            for needs in work.needs:
                node = flow.add_entity(one, inputs=[outputs[number] for number in needs])
                outputs.append(node.outputs["o0"])
            wanted = [outputs[number] for number in work.sinks]
        flow.add_workflow_output("values", wanted, python_type=list[int])
        return flow

    return build


def prefect_3() -> Build:
    """Call tasks within a flow, with the server that it starts for itself."""
    from prefect import flow as flow_3
    from prefect import task as task_3

    one, each = task_3(add), task_3(increment)

    def build(work: Work) -> Run:
        @flow_3
        def measured() -> list[Any]:
            if work.shape == "mapped":
                return [future.result() for future in each.map(range(work.count))]
            values: list[Any] = []
            for needs in work.needs:
                values.append(one([values[number] for number in needs]))
            return [values[number] for number in work.sinks]

        return measured

    return build


WAYS: dict[str, Callable[[], Build]] = {
    "Hamilton": hamilton,
    "Luigi": luigi,
    "Dagster": dagster,
    "redun": redun,
    "flytekit": flytekit,
    "Prefect 3": prefect_3,
}
