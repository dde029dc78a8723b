"""What classic Prefect had and this package has not, each with what to use instead.

Classic Prefect's flows ran by a server and its agents. There is no server here: a flow is packaged, and
run where it is to run.
"""

from __future__ import annotations

from prefect.errors import UnsupportedError, UnsupportedModuleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PACKAGED = (
    "a flow takes along what it needs: `prefect build FILE.py -o flow.flow`, or an image, `prefect build "
    "FILE.py --image BASE`"
)
_PLACES = (
    "where a packaged flow runs, and with what, is said when it runs: `prefect run ARTIFACT --in engine "
    "--memory 2g`, or `prefect manifest IMAGE --kind kubernetes-job`"
)
_SERVERLESS = (
    "there is no server, and nothing to register with: `prefect build` packages a flow, and `prefect run` or "
    "`prefect manifest` runs it"
)
_FLOWS_OF_FLOWS = (
    "a task runs another flow by `flow.run()`, and a packaged one by `prefect.places.run(artifact)`"
)
_ENVIRONMENTS = (
    "flows are packaged by ContainerEnvironment and PickleEnvironment, and their tasks run where "
    "`Flow(executor=...)` says"
)

_RESULTS = (
    "`prefect.engine.results` has the places of results; the value of a state is `state.result`"
)
_SETTINGS = "settings are read from variables when they are asked for: `prefect.config`"
_LIBRARIES = {
    "airbyte": "requests",
    "airtable": "pyairtable",
    "asana": "asana",
    "aws": "boto3",
    "azure": "azure-storage-blob",
    "azureml": "azureml-core",
    "census": "requests",
    "cubejs": "requests",
    "database": "sqlite3, which Python has,",
    "databricks": "databricks-sdk",
    "dbt": "prefect.tasks.shell.ShellTask with `dbt run`, or dbt-core",
    "docker": "docker",
    "dremio": "pyarrow",
    "dropbox": "dropbox",
    "exasol": "pyexasol",
    "files": "pathlib and shutil",
    "firebolt": "firebolt-sdk",
    "fivetran": "requests",
    "gcp": "google-cloud-storage or google-cloud-bigquery",
    "github": "PyGithub",
    "great_expectations": "great_expectations",
    "gsheets": "gspread",
    "hightouch": "requests",
    "jira": "jira",
    "jupyter": "papermill",
    "kafka": "confluent-kafka",
    "kubernetes": "kubernetes",
    "mixpanel": "requests",
    "monday": "requests",
    "monte_carlo": "pycarlo",
    "mysql": "pymysql",
    "neo4j": "neo4j",
    "notifications": "smtplib or urllib.request",
    "postgres": "psycopg",
    "powershell": "prefect.tasks.shell.ShellTask with `pwsh -Command`",
    "prometheus": "prometheus-client",
    "redis": "redis",
    "rss": "feedparser",
    "sendgrid": "sendgrid",
    "sftp": "paramiko",
    "snowflake": "snowflake-connector-python",
    "sodaspark": "soda-spark",
    "sodasql": "soda-sql",
    "spacy": "spacy",
    "sql_server": "pyodbc",
    "templates": "str.format or Jinja2",
    "toloka": "toloka-kit",
    "transform": "transform",
    "trello": "py-trello",
    "twitter": "tweepy",
    "zendesk": "zenpy",
}
"""What the integrations of `prefect.tasks` were made of."""

_MODULES = {
    "prefect.cli": "the command is `prefect`, and its modules are its own",
    "prefect.engine.cloud": _SERVERLESS,
    "prefect.engine.flow_runner": "`flow.run()` runs a flow",
    "prefect.engine.result": _RESULTS,
    "prefect.engine.result_handlers": "where a task's results are kept is said by `Task(result=...)` or `flow.run(store=...)`",
    "prefect.engine.runner": "`flow.run()` runs a flow",
    "prefect.engine.task_runner": "`task.run(...)` calls a task's function",
    "prefect.hello_world": "`examples/hello.py` of this package is such a flow",
    "prefect.serialization": "`flow.serialize()` describes a flow, `state.serialize()` a state",
    "prefect.utilities.agent": _SERVERLESS,
    "prefect.utilities.aws": "use boto3",
    "prefect.utilities.backend": _SERVERLESS,
    "prefect.utilities.cli": "an internal of its command",
    "prefect.utilities.executors": "an internal of it; `prefect.executors` has the executors",
    "prefect.utilities.filesystems": "use pathlib or fsspec in a task",
    "prefect.utilities.gcp": "use google-cloud-storage",
    "prefect.utilities.git": "`prefect build` packages what is checked out",
    "prefect.utilities.graphql": _SERVERLESS,
    "prefect.utilities.kubernetes": "use the package kubernetes",
    "prefect.utilities.plugins": "there are no plugins",
    "prefect.utilities.serialization": "an internal of it",
    "prefect.utilities.storage": _PACKAGED,
}
"""Modules that are not here, besides those whose names are refused as attributes, too."""

_REASONS = {
    "prefect.Client": _SERVERLESS,
    "prefect.Flow.deploy": _SERVERLESS,
    "prefect.Flow.register": _SERVERLESS,
    "prefect.Flow.run.return_tasks": "the state of a run has the states of all tasks",
    "prefect.Flow.run.runner_cls": "`flow.run()` runs a flow in one way, on the executor that it is given",
    "prefect.Flow.run.task_contexts": "`flow.run(context=...)` is for all tasks; give a task what is its own as an argument",
    "prefect.Flow.run_agent": _SERVERLESS,
    "prefect.Flow.run_config": _PLACES,
    "prefect.Flow.storage": _PACKAGED,
    "prefect.Task.serialize": "`flow.serialize()` describes all tasks",
    "prefect.agent": _PLACES,
    "prefect.api": _SERVERLESS,
    "prefect.artifacts": "files go to prefect.context.output_dir, and values to `prefect run --result FILE`",
    "prefect.backend": _SERVERLESS,
    "prefect.client": f'{_SERVERLESS}; a secret is `prefect.Secret("NAME").value`, or the task `PrefectSecret("NAME")`',
    "prefect.core.Edge.flattened": "flow.add_edge(..., flattened=True) puts a task between that flattens",
    "prefect.engine.CloudFlowRunner": _SERVERLESS,
    "prefect.engine.CloudTaskRunner": _SERVERLESS,
    "prefect.engine.FlowRunner": "`flow.run()` runs a flow",
    "prefect.engine.TaskRunner": "`flow.run()` runs a flow, and `task.run(...)` calls a task's function",
    "prefect.environments.DaskKubernetesEnvironment": _ENVIRONMENTS,
    "prefect.environments.FargateTaskEnvironment": _ENVIRONMENTS,
    "prefect.environments.KubernetesJobEnvironment": _ENVIRONMENTS,
    "prefect.environments.LocalEnvironment": _ENVIRONMENTS,
    "prefect.environments.RemoteEnvironment": _ENVIRONMENTS,
    "prefect.environments.execution": _ENVIRONMENTS,
    "prefect.environments.storage": _PACKAGED,
    "prefect.executors.DaskExecutor.performance_report_path": "connect a distributed.Client of your own, and run "
    "within `with distributed.performance_report(path):` with DaskExecutor(address)",
    "prefect.models": _SERVERLESS,
    "prefect.plugins": _SERVERLESS,
    "prefect.run_configs": _PLACES,
    "prefect.storage": _PACKAGED,
    "prefect.tasks.prefect": _FLOWS_OF_FLOWS,
}

_NOTIFIED = "a state handler, which is any function, sends what it wants: `callback_factory`"
_LOGGING = "configure Python's logging; this package's logger is `prefect`"
_INTERNAL = "an internal of it"
_NAMES = {
    _SETTINGS: {
        "prefect.configuration": "Config create_user_config interpolate_config interpolate_env_vars load_configuration "
        "load_default_config load_toml process_task_defaults string_to_type to_environment_variables validate_config",
    },
    _SERVERLESS: {
        "prefect.exceptions": "AuthorizationError ClientError FlowStorageError ObjectNotFoundError "
        "VersionLockMismatchSignal",
    },
    _LOGGING: {
        "prefect.utilities.logging": "CloudHandler LogManager configure_extra_loggers configure_logging "
        "create_diagnostic_logger getlogsize temporary_logger_config",
    },
    _NOTIFIED: {
        "prefect.utilities.notifications": "jira_notifier snowflake_logger snowflake_message_formatter",
    },
    _INTERNAL: {
        "prefect.core.edge": "is_valid_identifier",
        "prefect.core.flow": "ParameterDetails cache",
        "prefect.core.task": "NoDefault TaskMetaclass instance_property",
        "prefect.tasks.core.collections": "VarArgsTask",
        "prefect.utilities.edges": "EdgeAnnotation",
    },
}
"""Names that are not in modules that are."""
_REASONS |= {
    f"{module}.{name}": reason
    for reason, modules in _NAMES.items()
    for module, names in modules.items()
    for name in names.split()
}


def refusing(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module that has some of classic Prefect's names, and refuses the others.

    Args:
        module: its own name, `__name__`.
    """

    def find(name: str) -> Any:
        refuse(f"{module}.{name}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


def refuse(name: str) -> None:
    """Refuse the use of a name that classic Prefect had, if it is one.

    Raises:
        UnsupportedError: it is; the message says what to use instead.
    """
    reason = _REASONS.get(name)
    if reason is not None:
        raise UnsupportedError(f"{name} of classic Prefect is not here: {reason}")


def refuse_module(name: str) -> None:
    """Refuse the import of a module that classic Prefect had, if it is one.

    Raises:
        UnsupportedModuleError: it is; the message says what to use instead.
    """
    reason = _MODULES.get(name) or _REASONS.get(name)
    home, _, integration = name.rpartition(".")
    if reason is None and home == "prefect.tasks" and integration in _LIBRARIES:
        reason = f"use {_LIBRARIES[integration]} in a task of your own"
    if reason is not None:
        error = UnsupportedModuleError(f"{name} of classic Prefect is not here: {reason}")
        error.name = name
        raise error


class RefusedAttribute:
    """An attribute of flows that cannot be set: None, and an error for anything else."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"prefect.{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> None:
        """Return None, as of a flow that has none."""

    def __set__(self, instance: object, value: object) -> None:
        if value is not None:
            refuse(self._name)


class RefusedMethod:
    """A method whose call is an error."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"prefect.{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., None]:
        """Return what refuses its call."""

        def refused(*_: Any, **__: Any) -> None:
            refuse(self._name)

        refused.is_refused = True  # type: ignore[attr-defined]  # for the page of what is here
        return refused
