"""`Task`: construction, calling, binding, dependencies."""

from datetime import timedelta

import cloudpickle
import pytest

from prefect import Flow, Parameter, Task, task, triggers
from prefect.core.graph import Edge
from prefect.core.inputs import GetItem
from prefect.core.task import type_name
from prefect.errors import FlowError


class Add(Task):
    """A task class with a constructor of its own."""

    def __init__(self, amount=1, **kwargs):
        self.amount = amount
        super().__init__(**kwargs)

    def run(self, x, y=0):
        return x + y + self.amount


@task
def inc(x):
    return x + 1


@pytest.fixture
def flow():
    with Flow("test") as flow:
        yield flow


def test_defaults():
    """A task is named after its class, and has the classic defaults."""
    t = Add()
    assert (t.name, t.slug, t.tags, t.max_retries, t.timeout) == ("Add", None, set(), 0, None)
    assert t.trigger is triggers.all_successful
    assert t.skip_on_upstream_skip
    assert repr(t) == "<Add: Add>"
    assert t.logger.name == "prefect.task.Add"


def test_calling_copies_and_binding_does_not(flow):
    """Calling a task adds a copy each time; bind adds the task itself."""
    add = Add(amount=5)
    first, second = add(1), add(2, y=first_argument(flow))
    assert first is not second
    assert first.amount == 5
    bound = add.bind(3)
    assert bound is add
    assert {first, second, add} <= flow.tasks


def first_argument(flow):
    return next(iter(flow.tasks))


def test_task_args_change_the_copy_alone(flow):
    """task_args are constructor arguments of the copy, checked like those; its tags come on top."""
    add = Add(tags=["a"])
    copy = add(1, task_args={"name": "plus", "max_retries": 2, "retry_delay": 3, "tags": ["b"]})
    assert (copy.name, copy.max_retries, copy.retry_delay) == ("plus", 2, timedelta(seconds=3))
    assert (add.name, add.max_retries, add.tags, copy.tags) == ("Add", 0, {"a"}, {"a", "b"})
    with pytest.raises(TypeError, match=r"'naem' \(did you mean 'name'"):
        add(1, task_args={"naem": "x"})
    with pytest.raises(ValueError, match="negative"):
        add(1, task_args={"max_retries": -1})


def test_copies_share_nothing_that_changes():
    """A copy's tags and handlers can be changed without changing the original's."""
    original = Add(tags=["a"], state_handlers=[lambda *_: None])
    copy = original.copy()
    copy.tags.add("b")
    copy.state_handlers.clear()
    assert original.tags == {"a"}
    assert len(original.state_handlers) == 1


@pytest.mark.parametrize("use", [lambda: inc(1), lambda: inc.map([1]), lambda: inc[0]])
def test_outside_a_flow(use):
    """Using a task outside a flow is an error that says what to do instead."""
    with pytest.raises(FlowError, match=r"Task 'inc' was used outside a flow.*\.run\("):
        use()


def test_flow_can_be_given():
    """With flow=..., tasks are used outside a `with` block."""
    flow = Flow("test")
    x = inc(1, flow=flow)
    inc.map([1], flow=flow)
    inc.copy().bind(x, flow=flow)
    assert flow.run().is_successful()


def test_tags_and_handlers_are_each_tasks_own():
    """What nobody gave is empty, can be added to, and is shared with no copy."""
    one = Task()
    one.tags.add("x")
    one.state_handlers.append(print)
    other = one.copy()
    other.tags.add("y")
    other.state_handlers.clear()
    assert (one.tags, one.state_handlers) == ({"x"}, [print])
    assert (other.tags, other.state_handlers) == ({"x", "y"}, [])
    assert (Task().tags, Task().state_handlers) == (set(), [])


def test_what_a_class_has_is_no_argument():
    """A class's attribute with the name of an argument does not take its place."""

    class Own(Task):
        max_retries = 5
        tags = frozenset("abc")
        trigger = triggers.all_failed

    made = Own()
    assert (made.max_retries, made.tags, made.trigger) == (0, set(), triggers.all_successful)


def test_a_task_that_was_looked_at_pickles_as_before():
    """What is empty leaves no trace in a pickle, and an instance has only what is its own."""
    made = Task(name="t")
    assert vars(made) == {"name": "t"}
    before = cloudpickle.dumps(made)
    assert not made.tags
    assert not made.state_handlers
    assert cloudpickle.dumps(made) == before


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (inc, "Task 'inc' misses its argument 'x'"),
        (lambda: inc(1, 2), "1 arguments by position, 2 given"),
        (lambda: inc(y=1), "no argument 'y'"),
        (lambda: inc(1, upstream_tasks=[3]), "cannot wait for 3"),
        (lambda: inc(1, upstream_tasks="abc"), "list of tasks"),
        (lambda: inc(1, upstream_tasks=inc), "list of tasks"),
        (lambda: inc(1, flow="test"), "flow= takes a Flow, not 'test'"),
    ],
)
def test_wrong_calls(flow, use, message):
    """Wrong arguments are refused when the task is called, by its name."""
    with pytest.raises(TypeError, match=message):
        use()


def test_wrong_definitions():
    """A class whose run a flow could not call is refused when it is defined."""
    with pytest.raises(FlowError, match=r"task class 'Bad': run takes \*args"):

        class Bad(Task):
            def run(self, *args):
                pass

    with pytest.raises(FlowError, match="reserved"):

        class Worse(Task):
            def run(self, flow):
                pass


class Mixin:
    """Has a run, but is no task."""

    def run(self, x, y):
        return x, y


class Mixed(Mixin, Task):
    """Gets run from a class that is no task."""


class Static(Task):
    """Has a run without self."""

    @staticmethod
    def run(x):
        return x


class Child(Add):
    """Inherits run."""


def test_run_may_come_from_anywhere(flow):
    """The signature of run is known if it is inherited, mixed in or static."""
    Mixed()(1, 2)
    Child()(1)
    bound = Static()(4)
    assert flow.copy().run().result[bound].result == 4
    with pytest.raises(TypeError, match="misses its argument 'y'"):
        Mixed()(1)


def test_forgotten_super_init(flow):
    """A class that does not call super().__init__ is told so."""

    class Forgetful(Task):
        def __init__(self):
            pass

        def run(self):
            pass

    with pytest.raises(FlowError, match=r"Forgetful must call super\(\).__init__"):
        flow.add_task(Forgetful())


def test_dependencies():
    """set_upstream, set_downstream and set_dependencies add edges, with keys where given."""
    flow = Flow("test")
    a, b, c, d = (Task(name) for name in "abcd")
    add = Add()
    with flow:
        a.set_downstream(b)
        b.set_upstream(c)
        add.set_upstream(a, key="x")
    d.set_dependencies(flow=flow, upstream_tasks=[a], downstream_tasks=[b])
    add.set_dependencies(flow=flow, keyword_tasks={"y": 3})
    assert flow.edges == {Edge(a, b), Edge(c, b), Edge(a, add, "x"), Edge(a, d), Edge(d, b)}
    assert flow.constants[add] == {"y": 3}


def test_items(flow):
    """Indexing adds a task that takes the item; the key may come from a task too."""

    @task
    def table():
        return {"a": 1, "b": {"c": 2}}

    t = table()
    one, two, key = t["a"], t["b"]["c"], t[Parameter("key", default="a")]
    assert isinstance(one, GetItem)
    assert [x.name for x in (one, two, key)] == ["table['a']", "table['b']['c']", "table[key]"]
    results = flow.copy().run().result  # it is still open
    assert [results[x].result for x in (one, two, key)] == [1, 2, 1]


def test_unpacking(flow):
    """A task is unpacked if nout or its return annotation says into how many."""

    @task(nout=2)
    def pair():
        return 1, 2

    @task
    def annotated() -> tuple[int, str, str]:
        return 1, "a", "b"

    a, b = pair()
    c, d, e = annotated()
    results = flow.copy().run().result  # it is still open
    assert [results[x].result for x in (a, b, c, d, e)] == [1, 2, 1, "a", "b"]


def test_a_mapped_task_cannot_be_unpacked(flow):
    """Its result is a list of what each child returns: the length of one says nothing of that."""

    @task(nout=2)
    def pair(x):
        return x, x

    mapped = pair.map([1, 2, 3])
    with pytest.raises(TypeError, match="is mapped, and its result a list"):
        _, _ = mapped


def test_unpacking_needs_a_length(flow):
    """A task of which the number of values is not known cannot be unpacked or looped over."""

    @task
    def many() -> tuple[int, ...]:
        return 1, 2

    @task
    def unknown() -> "Nonsense":  # noqa: F821
        return 1, 2

    for t in (many(), unknown(), inc(1)):
        with pytest.raises(TypeError, match="nout"):
            _, _ = t


def test_handlers_of_failures():
    """on_failure becomes a state handler, called for failures alone."""
    from prefect.engine.state import Failed, Success

    seen = []
    t = Task(on_failure=lambda task, state: seen.append((task, state)))
    t.state_handlers[0](t, Success(), Success())
    t.state_handlers[0](t, Success(), Failed("no"))
    assert seen == [(t, Failed("no"))]


def test_type_names_of_scripts(monkeypatch):
    """What a script defines is named by its file, as it is where the script is imported."""
    import sys

    class InScript:
        pass

    InScript.__module__, InScript.__qualname__ = "__main__", "InScript"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/home/me/etl.py", raising=False)
    assert type_name(InScript) == "etl.InScript"
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    assert type_name(InScript) == "__main__.InScript"


def test_classes_pickle_by_value():
    """A class that is pickled by value keeps what is known of its run."""

    class Local(Task):
        def run(self, x):
            return x

    back = cloudpickle.loads(cloudpickle.dumps(Local()))
    with Flow("test"), pytest.raises(TypeError, match="misses its argument 'x'"):
        back()


def test_copies_of_classes_that_copy_in_their_own_way():
    """A class with slots, or with a method for copying, is copied as copy.copy does it."""

    class Slotted(Task):
        __slots__ = ("own",)

        def __init__(self, own):
            self.own = own
            super().__init__()

    class Counted(Task):
        def __setstate__(self, state):
            self.__dict__.update(state, copied=True)

        def __getstate__(self):
            return dict(self.__dict__)

    assert Slotted([1]).copy().own == [1]
    assert Counted().copy().copied
    plain = Task(name="plain")
    plain.own = [1]
    assert plain.copy().own is plain.own
    assert plain.copy(name="other").name == "other"
    assert plain.name == "plain"
