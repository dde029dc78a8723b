"""`@task`."""

import functools
import inspect

import cloudpickle
import pytest

import prefect.core.task
from prefect import Flow, Task, task
from prefect.core.function_task import _ELSEWHERE, FunctionTask
from prefect.errors import FlowError


@task
def add(x: int, y: int = 1) -> int:
    """Add two numbers."""
    return x + y


def test_keeps_the_function():
    """The function's name, signature and docstring remain, and run calls it."""
    assert isinstance(add, FunctionTask)
    assert (add.name, add.__name__, add.__doc__) == ("add", "add", "Add two numbers.")
    assert str(inspect.signature(add)) == "(x: int, y: int = 1) -> int"
    assert add.run(1) == 2
    assert add.run(1, y=5) == 6


def test_arguments():
    """@task(...) takes the arguments of Task."""

    @task(name="plus", max_retries=3, tags=["math"], nout=1)
    def add(x):
        return x

    assert (add.name, add.max_retries, add.tags, add.nout) == ("plus", 3, {"math"}, 1)
    with pytest.raises(TypeError, match="colour"):
        task(colour="red")(lambda: 1)


def test_arguments_as_others_call_them():
    """The error says what they are called here, and each of those is one."""
    with pytest.raises(TypeError, match="no argument 'retries': here it is 'max_retries'"):
        task(retries=3)
    for name in _ELSEWHERE.values():
        assert name in inspect.signature(Task).parameters


def test_any_callable():
    """Lambdas, partials and objects that can be called will do."""

    class Callable:
        def __call__(self, x):
            return -x

    with Flow("test") as flow:
        a = task(lambda x: x + 1)(1)
        b = task(functools.partial(pow, exp=2))(3)
        c = task(Callable())(4)
    assert [flow.run().result[t].result for t in (a, b, c)] == [2, 9, -4]
    assert [t.name for t in (a, b, c)] == ["<lambda>", "partial", "Callable"]


@pytest.mark.parametrize("thing", [3, "f", add, Task()])
def test_refuses_other_things(thing):
    """Only functions can be decorated, and only once."""
    with pytest.raises(TypeError):
        task(thing)


def test_refuses_functions_that_cannot_be_tasks():
    """A function with *args is refused when it is decorated, by name."""
    with pytest.raises(FlowError, match=r"Task 'gather': run takes \*things"):

        @task
        def gather(*things):
            return things


def test_cloudpickles():
    """A function task comes back from pickling complete."""

    @task(max_retries=2)
    def local(x):
        return add.run(x)

    back = cloudpickle.loads(cloudpickle.dumps(local))
    assert back.run(1) == 2
    assert (back.max_retries, back._type_name) == (2, local._type_name)


def test_flows_of_earlier_releases_find_the_class():
    """It was in the module of tasks once, where pickles of that time look for it."""
    assert prefect.core.task.FunctionTask is FunctionTask
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        prefect.core.task.Other  # noqa: B018
