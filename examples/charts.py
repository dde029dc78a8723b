"""How the weather is drawn. A module beside a flow's file travels with the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

INK, PALE, PANEL, WATER = "#22303c", "#6b7a87", "#f4f6f8", "#2f6fce"
# From frost to heat; no shade is so light that it would vanish on the panel.
SHADES = ("#27348b", "#3f8fd2", "#4fb8a5", "#f2b134", "#e4572e", "#9b1b30")
WARMTH = LinearSegmentedColormap.from_list("warmth", SHADES)
LEFT, RIGHT = 0.075, 0.83
YEAR_HEIGHT, HEADER, FOOTER = 1.75, 0.95, 0.6  # in inches


def draw_years(days: pd.DataFrame, table: pd.DataFrame, picture: Path) -> None:
    """Draw a row for each year of the table: temperatures day by day, precipitation below."""
    height = HEADER + YEAR_HEIGHT * len(table) + FOOTER
    # A figure of its own, not pyplot's current one: tasks may draw in several threads at once.
    figure = Figure(figsize=(10, height))
    canvas = FigureCanvasAgg(figure)
    rows = figure.add_gridspec(
        len(table),
        left=LEFT,
        right=RIGHT,
        top=1 - HEADER / height,
        bottom=FOOTER / height,
        hspace=0.16,
    )
    days = days[days["date"].dt.year.isin(table.index)]
    coldest, hottest, wettest = (
        days["temp_min"].min(),
        days["temp_max"].max(),
        days["precipitation"].max(),
    )
    for row, (year, figures) in zip(rows, table.iterrows(), strict=True):
        of_year = days[days["date"].dt.year == year]
        above, below = row.subgridspec(2, 1, height_ratios=[3, 1], hspace=0).subplots()
        draw_temperature(above, of_year)
        above.set_ylim(coldest - 7, hottest + 7)
        draw_precipitation(below, of_year)
        below.set_ylim(0, wettest * 1.1)
        describe(above, str(year), figures)
    below.tick_params(labelbottom=True)

    first, last = table.index.min(), table.index.max()
    years = str(first) if first == last else f"{first} to {last}"
    title = {"x": LEFT, "va": "top", "color": INK}
    figure.text(
        y=1 - 0.18 / height, s=f"Weather in Seattle, {years}", size=17, weight="bold", **title
    )
    legend = "Each day from its lowest to its highest temperature, and its precipitation"
    figure.text(y=1 - 0.54 / height, s=legend, size=10.5, **title)
    source = "Data: NOAA, by way of vega_datasets"
    figure.text(LEFT, 0.12 / height, source, size=8, color=PALE)

    # Whoever looks at the picture meanwhile sees the old one or the new one, never half of it.
    part = picture.with_name(f".{picture.name}.part")
    canvas.print_figure(part, dpi=120, format="png")
    part.replace(picture)


def draw_temperature(axes: Axes, days: pd.DataFrame) -> None:
    """Draw a line for each day, coloured by its mean, and name the extremes."""
    prepare(axes, days, "°C")
    means = (days["temp_min"] + days["temp_max"]) / 2
    lines = axes.vlines(days["date"], days["temp_min"], days["temp_max"], linewidth=1.7)
    lines.set(array=means, cmap=WARMTH, clim=(-3, 27))
    axes.set_yticks([0, 15, 30])
    for column, extreme, va, offset in (
        ("temp_min", days["temp_min"].idxmin(), "top", -2),
        ("temp_max", days["temp_max"].idxmax(), "bottom", 2),
    ):
        date, value = days.loc[extreme, ["date", column]]
        axes.annotate(
            f"{value:.1f}°",
            (date, value),
            xytext=(0, offset),
            textcoords="offset points",
            ha="center",
            va=va,
            size=8.5,
            weight="bold",
            color=INK,
        )


def draw_precipitation(axes: Axes, days: pd.DataFrame) -> None:
    """Draw a bar for each day."""
    prepare(axes, days, "mm")
    axes.vlines(days["date"], 0, days["precipitation"], color=WATER, linewidth=1.7)
    axes.set_yticks([0, 40])


def prepare(axes: Axes, days: pd.DataFrame, unit: str) -> None:
    """Make an empty panel of one year, with its months."""
    months = pd.date_range(f"{days['date'].iloc[0].year}-01-01", periods=13, freq="MS")
    axes.set_xlim(months[0], months[-1])
    axes.set_xticks(months[:-1], months[:-1].strftime("%b"), ha="left")
    axes.set_facecolor(PANEL)
    axes.set_ylabel(unit, rotation=0, ha="right", va="center", size=9, color=PALE)
    axes.tick_params(labelsize=8.5, labelcolor=PALE, length=0, labelbottom=False)
    axes.grid(color="white", linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def describe(axes: Axes, year: str, figures: pd.Series) -> None:
    """Write a year's figures to the right of its panel."""
    facts = (
        f"{figures['mean °C']:.1f} °C on average\n"
        f"{figures['precipitation mm']:,.0f} mm fell\n"
        f"on {figures['wet days']:.0f} days"
    )
    beside = {"transform": axes.transAxes, "va": "top", "color": INK}
    axes.text(1.03, 0.92, year, size=15, weight="bold", **beside)
    axes.text(1.03, 0.64, facts, size=9.5, linespacing=1.5, **beside)
