"""The smallest flow: prefect run examples/hello.py -p name=you."""

from prefect import Flow, Parameter, task


@task(log_stdout=True)
def greet(name: str) -> None:
    print(f"Hello, {name}!")


with Flow("hello") as flow:
    greet(Parameter("name", default="world"))
