"""Arguments of wrong types, to all that is public: refused at once, by the name of the parameter."""

from functools import partial

import pytest

import prefect
from prefect import Flow, Parameter, Task, task
from prefect.engine import signals, state
from prefect.engine.executors import DaskExecutor, ThreadExecutor
from prefect.environments import ContainerEnvironment, Environment, PickleEnvironment
from prefect.errors import ParameterError
from prefect.sealed.keys import EncryptionKey, Keyring

OBJECT = object()
WRONG = {
    "flag": [1, 1.5, "x", b"x", OBJECT, [], {}, int],
    "text": [1, 1.5, True, b"x", OBJECT, [], {}, int],
    "list": [1, 1.5, True, "x", b"x", OBJECT, int, [1]],
    "dict": [1, 1.5, True, "x", b"x", OBJECT, (1,), [], int],
    "path": [1, 1.5, True, b"x", OBJECT, [], {}, int, ""],
    "function": [1, 1.5, True, "x", b"x", OBJECT, [], {}],
    "task": [None, 1, "x", b"x", OBJECT, [], {}, int],
    "count": [-1, 1.5, True, "1", b"x", OBJECT, [], {}, int],
    "thing": [1, "x", b"x", OBJECT, [], {}, int],
    "class": [1, "x", b"x", OBJECT, []],
    "seconds": ["x", b"x", OBJECT, [], {}, int],
    "time": [1, 1.5, "x", b"x", OBJECT, [], {}, int],
    "tuple": [None, 1, "x", [], (1,), OBJECT],
}


@task
def one(x=1):
    return x


def flow():
    with Flow("test") as flow:
        one(Parameter("n", default=1))
    return flow


def called(**arguments):
    with Flow("test"):
        one(1, **arguments)


def mapped(**arguments):
    with Flow("test"):
        one.map([1], **arguments)


def edge(**arguments):
    Flow("test").add_edge(**{"upstream_task": one, "downstream_task": one.copy(), **arguments})


def replace(new):
    made = flow()
    made.replace(next(t for t in made.tasks if t.name == "one"), new)


def pickle(method, **arguments):
    getattr(PickleEnvironment(), method)(**arguments)


def container(method, **arguments):
    getattr(ContainerEnvironment("base:1", tag="other:1"), method)(**arguments)


def keyring(**arguments):
    none = {"encryption_keys": (), "recipients": (), "identities": (), "trusted_signers": ()}
    Keyring(**{**none, "signing_key": None, **arguments})


made = flow()
TASK = {
    "name": "text", "slug": "text", "tags": "list", "max_retries": "count",
    "skip_on_upstream_skip": "flag", "state_handlers": "list", "log_stdout": "flag",
    "nout": "count", "retry_delay": "seconds", "timeout": "seconds",
}  # fmt: skip
# What is called with one argument, the names of its parameters, and the kind of each.
CASES = [
    (partial(Flow, "test"), {
        "tasks": "list", "edges": "list", "reference_tasks": "list", "state_handlers": "list",
        "on_failure": "function", "validate": "flag", "environment": "thing",
    }),
    (Flow, {"name": "text"}),
    (lambda task: Flow("test").add_task(task), {"task": "task"}),
    (edge, {"upstream_task": "task", "downstream_task": "task", "key": "text", "mapped": "flag",
            "validate": "flag"}),
    (lambda **a: Flow("test").chain(one, Task(), **a), {"validate": "flag"}),
    (made.set_reference_tasks, {"tasks": "list"}),
    (made.set_dependencies, {"task": "task"}),
    (partial(flow().set_dependencies, one), {
        "upstream_tasks": "list", "downstream_tasks": "list", "keyword_tasks": "dict",
        "mapped": "flag",
    }),
    (made.update, {"flow": "task"}),
    (replace, {"new": "task"}),
    (made.edges_to, {"task": "task"}),
    (made.visualize, {"filename": "path", "format": "text"}),
    (made.run, {"parameters": "dict", "executor": "thing", "on_state": "function", "context": "dict"}),
    (Task, {**TASK, "trigger": "function", "on_failure": "function"}),
    (lambda **a: task(**a)(lambda x: x), TASK),
    (one.copy, TASK),
    (called, {"mapped": "flag", "task_args": "dict", "upstream_tasks": "list", "flow": "thing"}),
    (mapped, {"task_args": "dict", "upstream_tasks": "list", "flow": "thing"}),
    (partial(one.set_upstream, one, flow=made), {"key": "text", "mapped": "flag"}),
    (partial(one.set_downstream, flow=made), {"task": "task"}),
    (partial(Parameter, "n"), {"required": "flag", "tags": "list", "type": "class"}),
    (Parameter, {"name": "text"}),
    (prefect.Secret, {"name": "text"}),
    (ThreadExecutor, {"max_workers": "count"}),
    (DaskExecutor, {"address": "text", "cluster_class": "function", "cluster_kwargs": "dict",
                    "client_kwargs": "dict"}),
    *((getattr(signals, name), {"message": "text"}) for name in ("SUCCESS", "SKIP", "FAIL", "RETRY")),
    (signals.RETRY, {"start_time": "time"}),
    (state.Success, {"message": "text"}),
    (state.Retrying, {"start_time": "time", "run_count": "count"}),
    (state.Mapped, {"map_states": "list"}),
    (Environment, {"secrets": "list", "include": "list"}),
    (PickleEnvironment, {"secrets": "list", "allow_secret_like": "list"}),
    (partial(pickle, "build_to", flow=made), {"path": "path"}),
    (partial(pickle, "rewrap_to", pickle=b""), {"path": "path"}),
    (partial(pickle, "run", bytes=b""), {
        "parameters": "dict", "on_state": "function", "strict": "flag",
    }),
    (ContainerEnvironment, {"image": "text"}),
    (partial(ContainerEnvironment, "base:1"), {
        "tag": "text", "python_dependencies": "list", "secrets": "list", "network": "text",
        "platform": "text", "setup": "list", "include": "list", "lock": "path", "relock": "flag", "infer": "flag",
        "allow_source": "list", "allow_secret_like": "list",
    }),
    (partial(container, "push"), {"reference": "text"}),
    (partial(container, "export"), {"path": "path"}),
    (partial(container, "create_dockerfile"), {"directory": "path"}),
    (partial(container, "info"), {"reference": "path"}),
    (partial(container, "run"), {"tty": "flag", "strict": "flag", "parameters": "dict"}),
    (keyring, {"encryption_keys": "tuple", "recipients": "tuple", "identities": "tuple"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "name", "kind"),
    [(call, name, kind) for call, kinds in CASES for name, kind in kinds.items()],
)
def test_an_argument_of_a_wrong_type_is_named(call, name, kind, tmp_path, monkeypatch):
    """Whatever it is: the error tells the parameter, and comes from a check, not from deep inside."""
    monkeypatch.chdir(tmp_path)
    word = name.removesuffix("s").split("_")[-1].lower()
    for value in WRONG[kind]:
        if name == "nout" and value == -1:
            continue
        with pytest.raises((TypeError, ValueError)) as caught:
            call(**{name: value})
        assert word in str(caught.value).lower(), (value, caught.value)
        entry = caught.traceback[-1]
        assert "raise" in str(entry.statement), (value, entry.statement)
    assert not [*tmp_path.iterdir()]


def test_what_is_given_is_shown_in_short():
    """An argument's repr is cut, and may fail."""

    class Broken:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match=r"validate is True or False, not \[0, 0.*\.\.\.$"):
        Flow("test", validate=[0] * 1000)
    with pytest.raises(TypeError, match=r"validate is True or False, not a Broken$"):
        Flow("test", validate=Broken())


def test_what_is_like_a_list_or_a_dict_will_do():
    """Generators, sets, views and other mappings are taken where lists and dicts are."""
    from collections import UserDict

    assert len(Flow("test", tasks=(t for t in [one])).tasks) == 1
    environment = ContainerEnvironment("base:1", python_dependencies=(x for x in ["pandas"]))
    assert environment.python_dependencies == ["pandas"]
    assert flow().run(UserDict(n=2)).is_successful()
    with pytest.raises(ParameterError, match="parameters is a dict"):
        flow().run([("n", 2)])
    key = EncryptionKey.generate()
    assert Keyring((key,), (), (), None, None).first() == key
