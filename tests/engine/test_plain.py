"""Plain tasks run in the thread of the loop with fewer steps, and come to the same."""

import contextvars
import gc
import random
import threading
import weakref

import pytest

import prefect
from prefect import Flow, Parameter, Task, flatten, task, triggers, unmapped
from prefect.engine import signals
from prefect.engine.state import Success

TRIGGERS = (
    None, None, None, triggers.all_finished, triggers.any_successful, triggers.any_failed,
    triggers.not_all_skipped,
)  # fmt: skip


class Step(Task):
    """Notes what it sees, and does what the dice say."""

    def __init__(self, seen, dice, **kwargs):
        super().__init__(**kwargs)
        self.seen, self.ends = seen, dice.choices(
            ("value", "list", "fail", "skip", "retry", "success", "loop", "exit"),
            (50, 20, 6, 6, 6, 4, 4, 4),
        )[0]  # fmt: skip
        self.tries = 0

    def run(self, **given):
        self.tries += 1
        names = ("task_slug", "map_index", "task_run_count", "task_full_name", "flow_name")
        context = tuple(prefect.context.get(name) for name in names)
        self.seen.append((context, repr(sorted(given.items()))))
        if self.ends == "fail":
            raise ValueError(self.name)
        if self.ends == "skip":
            raise signals.SKIP("not now")
        if self.ends == "success":
            raise signals.SUCCESS("well", result=[1, 2])
        if self.ends == "exit":
            raise SystemExit(3)
        if self.ends == "retry" and prefect.context.task_run_count == 1:
            raise OSError(self.name)
        if self.ends == "loop" and prefect.context.get("task_loop_count", 1) < 3:
            raise signals.LOOP(result=[prefect.context.get("task_loop_count", 1)])
        return [self.name, 1] if self.ends == "list" else self.name


def random_flow(seed):
    """Return a flow, and what its tasks will have seen."""
    dice, seen, made = random.Random(seed), [], []
    with Flow("random") as flow:
        made.append(Parameter("p", default=[1, 2, 3]))
        for number in range(dice.randint(3, 20)):
            step = Step(
                seen, dice,
                name=f"t{number}",
                trigger=dice.choice(TRIGGERS),
                skip_on_upstream_skip=dice.random() < 0.7,
                max_retries=dice.choice((0, 0, 1)),
                state_handlers=[lambda *_: None] if dice.random() < 0.1 else None,
            )  # fmt: skip
            inputs = {
                f"x{key}": each
                for key, each in enumerate(dice.sample(made, min(len(made), dice.randint(0, 3))))
            }
            if inputs and dice.random() < 0.4:
                ways = (lambda each: each, lambda each: each, unmapped, flatten)
                inputs = {key: dice.choice(ways)(each) for key, each in inputs.items()}
                step.bind(
                    **inputs,
                    c=unmapped(number),
                    mapped=not all(type(each) is unmapped for each in inputs.values()),
                )
            else:
                step.bind(**inputs, c=number, upstream_tasks=dice.sample(made, min(len(made), 1)))
            made.append(step)
    return flow, seen


def outcome(seed, **options):
    """Run a flow, and return all that can be seen of it."""
    flow, seen = random_flow(seed)
    state = flow.run(results="all", **options)

    def told(state):
        children = [told(each) for each in getattr(state, "map_states", ())]
        value = state.held
        value = (type(value), str(value)) if isinstance(value, BaseException) else value
        return type(state), state.message, repr(value), children

    slugs = flow.slugs
    tasks = {slugs[task]: told(found) for task, found in state.result.items()}
    return type(state), state.message, tasks, seen


@pytest.mark.parametrize("start", range(0, 120, 40))
def test_random_flows_come_to_the_same(start):
    """States, messages, values, contexts, order and events are those of the long way, which limits need."""
    for seed in range(start, start + 40):
        short, long = [], []
        expected = outcome(seed, limits={"none has it": 1}, on_state=long.append)
        assert outcome(seed) == expected, seed
        assert outcome(seed, on_state=short.append) == expected, seed
        assert [said_by(each) for each in short] == [said_by(each) for each in long], seed


def said_by(event):
    """Return what an event says, but for the time."""
    kind = type(event.state)
    return (
        event.task_slug,
        event.task_name,
        event.map_index,
        kind,
        event.state.message,
        event.children,
    )


def test_a_value_becomes_what_the_constructor_makes_of_it():
    """A state that the loop makes has all that Success has."""
    with Flow("one") as flow:
        one = task(lambda: 5)()
    found, made = flow.run().result[one], Success("the task succeeded", 5)
    slots = [name for kind in Success.__mro__ for name in getattr(kind, "__slots__", ())]
    assert [getattr(found, name, "unset") for name in slots] == [
        getattr(made, name, "unset") for name in slots
    ]


def test_observers_are_told_outside_of_tasks():
    """What an observer sees of the context is the flow's, before and after a task."""
    names = []
    with Flow("observed") as flow:
        note(make(), [])
    flow.run(
        on_state=lambda _: names.append(
            (prefect.context.get("task_name"), prefect.context.flow_name)
        )
    )
    assert set(names) == {(None, "observed")}
    assert len(names) == 4


class Value:
    """Can be referred to weakly."""

    def __init__(self):
        self.data = bytearray(1 << 20)
        self.nbytes = len(self.data)


@task
def make():
    return Value()


@task
def note(value, seen):
    seen.append(weakref.ref(value))


@task
def fail():
    raise ValueError("no")


@task(trigger=triggers.all_finished)
def look(seen):
    gc.collect()
    return [each() is None for each in seen]


def test_a_value_goes_while_the_next_task_runs():
    """Neither the loop nor a failure's traceback keeps a value that nobody takes any more."""
    seen = []
    with Flow("values") as flow:
        failed = fail()
        noted = [
            note(
                make(upstream_tasks=[failed], task_args={"trigger": triggers.all_finished}),
                unmapped(seen),
            )
        ]
        looked = look(unmapped(seen), upstream_tasks=[*noted])
    state = flow.run()
    assert state.result[failed].is_failed()
    assert state.result[looked].result == [True]


def test_a_thread_that_outlives_its_task_keeps_the_tasks_context():
    """The context that a task has copied stays that of this task."""
    go, names = threading.Event(), []

    @task
    def first():
        context = contextvars.copy_context()

        def later():
            go.wait(60)
            names.append((prefect.context.task_name, prefect.context.task_slug))

        thread = threading.Thread(target=lambda: context.run(later))
        thread.start()
        return thread

    @task
    def second(thread):
        go.set()
        thread.join()
        return prefect.context.task_name

    with Flow("threads") as flow:
        last = second(first())
    state = flow.run()
    assert state.result[last].result == "second"
    assert names == [("first", "first-1")]


def test_the_context_is_the_flows_again_where_a_failure_is_logged(caplog):
    """What is told of a task's end is told outside of the task."""
    seen = []
    caplog.handler.addFilter(lambda _: seen.append(prefect.context.get("task_name")) or True)
    with Flow("failing") as flow:
        fail()
    flow.run()
    assert set(seen) == {None}
