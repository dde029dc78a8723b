"""What classic Prefect had and is not here."""

import importlib

import pytest

import prefect
from prefect import Flow
from prefect.errors import UnsupportedError

SERVER = "`prefect build` packages a flow"


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("import prefect.storage", "prefect build FILE.py"),
        ("from prefect.storage import GitHub", "prefect build FILE.py"),
        ("from prefect.environments.storage import Docker", "prefect build FILE.py"),
        ("from prefect.run_configs import KubernetesRun", "prefect manifest IMAGE"),
        ("from prefect.agent.docker import DockerAgent", "prefect manifest IMAGE"),
        ("from prefect.client import Client", SERVER),
        ("from prefect import Client", SERVER),
        ("from prefect.backend import FlowRunView", SERVER),
        ("from prefect.artifacts import create_markdown_artifact", "output_dir"),
        ("from prefect.tasks.prefect import create_flow_run", r"`flow.run\(\)`"),
        ("from prefect.environments import LocalEnvironment", "ContainerEnvironment"),
        ("from prefect.engine import FlowRunner", r"`flow.run\(\)`"),
        ("prefect.Flow('f').register(project_name='p')", SERVER),
        ("prefect.Flow('f').run_agent()", SERVER),
        ("prefect.Flow('f').storage = object()", "prefect build FILE.py"),
        ("prefect.Flow('f').run_config = object()", "prefect manifest IMAGE"),
        ("prefect.Flow('f').run(runner_cls=object)", "flow.run"),
        ("prefect.Flow('f').run(task_contexts={})", "flow.run"),
        ("prefect.Flow('f').run(return_tasks=[])", "states of all tasks"),
        ("prefect.Flow('f', storage=object())", "prefect build FILE.py"),
        ("prefect.Flow('f', run_config=object())", "prefect manifest IMAGE"),
    ],
)
def test_its_use_says_what_to_use_instead(line, fix):
    """The line that uses it raises one kind of error, which names it and the way that there is here."""
    with pytest.raises(UnsupportedError, match=rf"prefect\.[\w.]+ of classic .*{fix}"):
        exec(line, {"prefect": prefect})


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("from prefect.tasks.aws import S3Download", "boto3 in a task of your own"),
        ("from prefect.tasks.notifications.email_task import EmailTask", "smtplib"),
        ("import prefect.tasks.dbt", "ShellTask"),
        ("from prefect.engine.task_runner import TaskRunner", "calls a task's function"),
        ("import prefect.storage", "prefect build"),
        ("import prefect.engine.result_handlers", "Task"),
    ],
)
def test_a_module_that_is_not_here_is_an_import_error(line, fix):
    """Who catches ImportError, as for an extra that is not installed, catches it; its name is the module's."""
    with pytest.raises(ImportError, match=rf"of classic Prefect is not here: .*{fix}") as error:
        exec(line, {})
    assert isinstance(error.value, UnsupportedError)
    assert error.value.name == line.split()[1].removesuffix(".email_task")


@pytest.mark.parametrize("name", ["prefect.nonsense", "prefect.tasks.nonsense", "prefect.core.aws"])
def test_a_module_that_neither_had_is_unknown_as_ever(name):
    """A typing error is a ModuleNotFoundError."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)


def test_a_flow_has_none_of_them():
    """Reading them is no error, and neither is None: a file that asks for them need not be changed."""
    flow = Flow("f", schedule=None, storage=None, run_config=None)
    assert (flow.schedule, flow.storage, flow.run_config) == (None, None, None)
    assert flow.copy().run().is_successful()


def test_other_names_are_unknown_as_ever():
    """What neither had is an AttributeError, by which `hasattr` knows it."""
    assert not hasattr(prefect, "nonsense")
    assert not hasattr(prefect.environments, "nonsense")


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("from prefect.utilities.logging import LogManager", "Python's logging"),
        ("from prefect.configuration import load_configuration", "prefect.config"),
        ("from prefect.exceptions import ClientError", "no server"),
        ("from prefect.core.task import NoDefault", "internal"),
        ("import prefect; prefect.Task('t').serialize()", "flow.serialize"),
    ],
)
def test_a_name_that_is_not_here_is_refused_where_others_of_its_module_are(line, fix):
    """The error says what to use instead; another name is an ImportError, as of any module."""
    with pytest.raises(UnsupportedError, match=rf"of classic Prefect is not here: .*{fix}"):
        exec(line, {})
    with pytest.raises(ImportError, match="cannot import name"):
        exec("from prefect.utilities.logging import nothing", {})
