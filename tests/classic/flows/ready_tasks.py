"""Tasks that come with the package."""

import logging
import os

import prefect
from prefect import Flow, Parameter, Task, task

logging.disable(logging.CRITICAL)


@task
def ident(x):
    return x


def run(made, *args, **kwargs):
    with Flow("f") as flow:
        r = made(*args, **kwargs)
    return flow.run().result[r]


def probe_shell():
    from prefect.tasks.shell import ShellTask

    return [
        run(ShellTask(command="echo one; echo two")),
        run(ShellTask(return_all=True), command="echo one; echo two"),
        run(ShellTask(env={"WHO": "you"}), command="echo hello $WHO"),
        run(ShellTask(helper_script="cd /usr"), command="pwd"),
        run(ShellTask(shell="sh"), command="echo of sh"),
        run(ShellTask(), command="true"),
        ShellTask(name="n").name,
    ]


def probe_failing_shell():
    from prefect.tasks.shell import ShellTask

    state = run(ShellTask(return_all=True), command="echo before; exit 3")
    return [type(state).__name__, state.message]


def probe_shell_with_errors():
    from prefect.tasks.shell import ShellTask

    return run(ShellTask(return_all=True), command="echo out; echo err 1>&2; true")


def probe_shell_without_a_command():
    from prefect.tasks.shell import ShellTask

    return type(run(ShellTask())).__name__


def probe_variables():
    from prefect.tasks.secrets import EnvVarSecret

    os.environ["CLASSIC_PROBE"] = "12"
    return [
        run(EnvVarSecret("CLASSIC_PROBE")),
        run(EnvVarSecret("CLASSIC_PROBE", cast=int)),
        run(EnvVarSecret("CLASSIC_PROBE_NOT")),
        type(run(EnvVarSecret("CLASSIC_PROBE_NOT", raise_if_missing=True))).__name__,
        EnvVarSecret("CLASSIC_PROBE").name,
    ]


def probe_secrets_of_the_context():
    from prefect.tasks.secrets import PrefectSecret

    with Flow("f") as flow:
        r = ident(PrefectSecret("TOKEN"))
    with prefect.context(secrets={"TOKEN": "from the context"}):
        return flow.run().result[r].result


def probe_missing_secret():
    from prefect.tasks.secrets import PrefectSecret

    return type(run(PrefectSecret("NO_SUCH_SECRET"))).__name__


def probe_operators():
    from prefect.tasks.core import operators as ops

    pairs = {
        name: run(getattr(ops, name)(), x=7, y=2).result
        for name in (
            "Add",
            "Sub",
            "Mul",
            "Div",
            "FloorDiv",
            "Mod",
            "Pow",
            "And",
            "Or",
            "Equal",
            "NotEqual",
            "GreaterThan",
            "GreaterThanOrEqual",
            "LessThan",
            "LessThanOrEqual",
        )
    }
    return [pairs, run(ops.Not(), 0).result, run(ops.GetItem(), [5, 6], 1).result]


def probe_attributes():
    from prefect.tasks.core.operators import GetAttr

    with Flow("f") as flow:
        r = GetAttr()(ident(3 + 4j), "imag")
        s = GetAttr()(ident(3 + 4j), "real.imag")
        t = GetAttr()(ident(3), "nothing", 5)
    state = flow.run()
    return [state.result[each].result for each in (r, s, t)]


def probe_defaults_of_items_and_attributes():
    from prefect.tasks.core.operators import GetAttr, GetItem

    given = {"a": 1}
    return [
        run(GetItem(default=5), given, "a"),
        run(GetItem(default=5), given, "b"),
        run(GetItem(5), task_result=given, key="b"),
        run(GetItem(default=None), given, "b"),
        run(GetItem(default=5), given, "b", 6),
        run(GetItem(), given, "b", default=7),
        run(GetItem(), given, "b"),
        run(GetItem(default=5), [1], 3),
        run(GetAttr(default=5), 3, "real"),
        run(GetAttr(default=5), 3, "nothing"),
        run(GetAttr(default=None), 3, "nothing"),
        run(GetAttr(5), 3, "nothing", 6),
        run(GetAttr(), 3, "nothing"),
        run(GetItem(default=0), given, "b").result,
    ]


def probe_collections():
    from prefect.tasks.core.collections import Dict, List, Set, Tuple
    from prefect.tasks.core.constants import Constant
    from prefect.tasks.core.function import FunctionTask

    with Flow("f") as flow:
        a = List().bind(1, ident(2), flow=flow)
        b = Tuple().bind(1, ident(2), flow=flow)
        c = Set().bind(1, ident(2), flow=flow)
        d = ident({"x": ident(1), "y": [ident(2)]})
        e = Constant(5).bind(flow=flow)
    state = flow.run()
    return [
        [state.result[t].result for t in (a, b, c, d, e)],
        FunctionTask(lambda x: x, name="n").name,
    ]
