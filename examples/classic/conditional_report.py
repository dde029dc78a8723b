"""Write a long report, a short one or none, as the numbers are: python examples/classic/conditional_report.py."""

from prefect import Flow, Parameter, case, task
from prefect.tasks.control_flow import merge, switch
from prefect.tasks.control_flow.filter import FilterTask

drop_negative = FilterTask(filter_func=lambda number: number >= 0)


@task
def size(numbers):
    if not numbers:
        return "none"
    return "many" if len(numbers) > 3 else "few"


@task
def say_short(numbers):
    return f"only {len(numbers)}: {numbers}"


@task
def say_long(numbers):
    return f"{len(numbers)} numbers from {min(numbers)} to {max(numbers)}"


@task
def say_nothing():
    return "nothing to report"


@task
def is_urgent(numbers):
    return any(number > 100 for number in numbers)


@task
def ring():
    return "ringing"


with Flow("conditional report") as flow:
    numbers = drop_negative(Parameter("numbers"))
    short, long, nothing = say_short(numbers), say_long(numbers), say_nothing()
    switch(size(numbers), {"few": short, "many": long, "none": nothing})
    report = merge(short, long, nothing)
    with case(is_urgent(numbers), True):
        rung = ring()

if __name__ == "__main__":
    for given in ([1, 2], [-5, 1, 2, 3, 400], [-1], []):
        state = flow.run(numbers=given)
        print(
            state.result[report].result,
            type(state.result[long]).__name__,
            type(state.result[rung]).__name__,
        )
