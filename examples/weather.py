"""Seattle's weather: read it, summarise every year, make a table and a picture.

prefect run examples/weather.py
prefect run examples/weather.py -p first_year=2014 -p picture=null
prefect run examples/weather.py -p outages=2        # to watch the retries
"""

from datetime import timedelta
from pathlib import Path

import pandas as pd
from charts import draw_years
from vega_datasets import local_data

from prefect import Flow, Parameter, context, task, unmapped
from prefect.engine import signals


@task(max_retries=3, retry_delay=timedelta(seconds=1))
def extract(outages: int) -> pd.DataFrame:
    """Read the archive, which may be out of service the first few times."""
    if context.task_run_count <= outages:
        raise ConnectionError("the archive does not answer")
    days = local_data.seattle_weather()
    context.logger.info("%d days from %s to %s", len(days), *days["date"].dt.date.iloc[[0, -1]])
    return days


@task
def choose_years(days: pd.DataFrame, first: int, last: int) -> list[int]:
    """Return the years that there are between two, inclusively."""
    years = [year for year in days["date"].dt.year.unique().tolist() if first <= year <= last]
    if not years:
        raise ValueError(f"there is no weather from {first} to {last}")
    return years


@task
def summarise(year: int, days: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one year."""
    days = days[days["date"].dt.year == year]
    return {
        "year": year,
        "mean °C": days[["temp_min", "temp_max"]].mean(axis=None),
        "coldest °C": days["temp_min"].min(),
        "hottest °C": days["temp_max"].max(),
        "precipitation mm": days["precipitation"].sum(),
        "wet days": (days["precipitation"] > 0).sum(),
    }


@task(log_stdout=True)
def combine(summaries: list[dict[str, float]]) -> pd.DataFrame:
    """Put the years' figures into one table."""
    table = pd.DataFrame(summaries).set_index("year").round(1)
    print(table.to_string())
    return table


@task
def draw(days: pd.DataFrame, table: pd.DataFrame, picture: str | None) -> Path:
    """Draw the years into a PNG file, if one is wanted."""
    if picture is None:
        raise signals.SKIP("no picture is wanted")
    draw_years(days, table, Path(picture))
    context.logger.info("the picture is %s", picture)
    return Path(picture)


with Flow("seattle-weather") as flow:
    days = extract(Parameter("outages", default=0))
    years = choose_years(
        days, Parameter("first_year", default=2012), Parameter("last_year", default=2015)
    )
    table = combine(summarise.map(years, unmapped(days)))  # a task for each year
    draw(days, table, Parameter("picture", default="weather.png"))


if __name__ == "__main__":
    state = flow.run()
    print(state.result[table].result)
