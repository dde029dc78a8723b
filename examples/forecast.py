"""How warm will it be tomorrow in Seattle? Try many forecasts on four years of its weather, and keep the best.

prefect run examples/forecast.py                            # one after the other
prefect run examples/forecast.py --executor processes       # on all processors
prefect run examples/forecast.py --executor dask:tcp://10.0.0.5:8786

Each task tries all forecasts of one weight, in Python: work for processes, or a cluster. Threads do not help it.
"""

from vega_datasets import local_data

from prefect import Flow, Parameter, context, task, unmapped


@task
def read() -> list[float]:
    """Return the warmest temperature of each day."""
    days = local_data.seattle_weather()
    return [float(each) for each in days["temp_max"]]


@task
def weights(count: int) -> list[float]:
    """Return how much the newest day may count: the forecasts to try."""
    if count < 1:
        raise ValueError(f"there is nothing to try with {count} weights")
    return [(number + 1) / (count + 1) for number in range(count)]


@task
def score(level: float, days: list[float], steps: int) -> dict[str, float]:
    """Return the best forecast of one weight: by how many degrees it is wrong on average."""
    error, season, pull = min(
        (mean_error(days, level, season / 100, pull / steps), season / 100, pull / steps)
        for season in range(1, 9)
        for pull in range(steps)
    )
    return {"error": error, "level": level, "season": season, "pull": pull}


def mean_error(days: list[float], level: float, season: float, pull: float) -> float:
    """Forecast each day from those before it: what it has been of late, pulled towards the season."""
    recent = usual = days[0]
    wrong = 0.0
    for day in days[1:]:
        wrong += abs(day - (recent + pull * (usual - recent)))
        recent += level * (day - recent)
        usual += season * (day - usual)
    return wrong / (len(days) - 1)


@task
def best(scores: list[dict[str, float]]) -> dict[str, float]:
    """Return the best forecast of all."""
    found = min(scores, key=lambda each: each["error"])
    context.logger.info(
        "tomorrow is foretold to %.3f degrees on average: %s", found["error"], found
    )
    return found


with Flow("forecast") as flow:
    scores = score.map(
        weights(Parameter("count", default=12)),
        unmapped(read()),
        unmapped(Parameter("steps", default=10)),
    )
    chosen = best(scores)


if __name__ == "__main__":
    print(flow.run(executor="processes").result[chosen].result)
