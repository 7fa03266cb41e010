"""The plots of the benchmark's report."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from benchmarks.runs import CORE, SETFIT, SIDES, Record, Setup
from benchmarks.summary import Cell, standard_error, summarize
from benchmarks.targets import times

COLOURS = {SETFIT: "#b0552f", CORE: "#1f6f8b"}
MARKERS = {8: "o", 64: "s"}
COLUMNS = 4
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
}
TICKS = (0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)  # seconds
RATIOS = (
    ("embedding_phase", "Embedding phase"),
    ("differentiable_head", "Differentiable head"),
    ("predict", "Prediction"),
    ("whole_process", "Whole process"),
)


def seconds_label(value: float, _position: int | None = None) -> str:
    if value < 60:
        return f"{value:.0f} s" if value >= 1 else f"{value:g} s"
    return f"{value / 60:.0f} min" if value < 3_600 else f"{value / 3_600:.{value % 3_600 > 0:d}f} h"


def training_seconds(cell: Cell, side: str) -> float | None:
    """Return the mean of both phases; where the head phase is missing (extrapolated), of the first alone."""
    phases = [cell.values(side, phase) for phase in ("embedding_phase", "logistic_head")]
    return sum(statistics.mean(values) for values in phases if values) or None


def draw_accuracy(axes: Axes, cells: Sequence[Cell]) -> None:
    """Draw the accuracy of one data set over its training time: a line for each side, a point for each cell."""
    for side in SIDES:
        points = []
        for cell in cells:
            seconds, accuracies = training_seconds(cell, side), cell.values(side, "accuracy logistic")
            if seconds is None:
                continue
            if not accuracies:
                axes.axvline(seconds, color=COLOURS[side], linestyle=":", linewidth=1.5)
                note = f"{cell.per_class} a class ≈ {seconds_label(seconds)}"
                place = {"xy": (seconds, 0.03), "xycoords": axes.get_xaxis_transform()}
                offset = {"xytext": (-3, 0), "textcoords": "offset points", "ha": "right", "rotation": 90}
                axes.annotate(note, **place, **offset, color=COLOURS[side], fontsize=8)
                continue
            error = standard_error(accuracies)
            points.append((seconds, statistics.mean(accuracies), 0 if math.isnan(error) else error, cell.per_class))
        axes.plot([p[0] for p in points], [p[1] for p in points], color=COLOURS[side], linewidth=1, alpha=0.5)
        for seconds, accuracy, error, per_class in points:
            look = {"color": COLOURS[side], "marker": MARKERS.get(per_class, "D"), "markersize": 7, "capsize": 3}
            axes.errorbar(seconds, accuracy, yerr=error, **look)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.6, high * 1.6)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(seconds_label))
    axes.margins(y=0.15)


def accuracy_plot(cells: Sequence[Cell]) -> Figure:
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    rows = -(-len(datasets) // COLUMNS)
    columns = min(COLUMNS, len(datasets))
    figure = Figure(figsize=(max(6.5, 3.3 * columns), 2.9 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, dataset in zip(grid.flat, datasets, strict=False):
        draw_accuracy(axes, [cell for cell in cells if cell.dataset == dataset])
        axes.set_title(dataset)
    for axes in list(grid.flat)[len(datasets) :]:
        axes.set_axis_off()
    sizes = sorted({cell.per_class for cell in cells})
    handles = [
        *(mpl.lines.Line2D([], [], color=COLOURS[side], linewidth=3, label=side) for side in SIDES),
        *(
            mpl.lines.Line2D([], [], color="#555", linestyle="", marker=MARKERS.get(n, "D"), label=f"{n} a class")
            for n in sizes
        ),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
    figure.supxlabel("processor seconds of training")
    figure.supylabel("accuracy, % (mean ± s.e.)")
    return figure


def draw_ratios(axes: Axes, cells: Sequence[Cell], number: str, title: str) -> None:
    """Draw setfit's seconds over ours, a bar for each cell, from 1 to the right if ours are fewer."""
    ratios = [cell.ratio(number) for cell in cells]
    for row, (cell, value) in enumerate(zip(cells, ratios, strict=True)):
        if value is None:
            continue
        axes.barh(row, value - 1, left=1, color=COLOURS[CORE if value >= 1 else SETFIT], height=0.7)
        mark = "≈ " if number == "embedding_phase" and cell.extrapolated() else ""
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
        axes.annotate(mark + times(value), (max(value, 1), row), **place)
    known = [value for value in ratios if value is not None]
    axes.set_xscale("log")
    low, high = min([0.8, *(value / 1.2 for value in known)]), max([10, *known])
    axes.set_xlim(low, high * (high / low) ** 0.3)  # room for what is written beside the bars
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(1, color="#444", linewidth=1)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)


def ratio_plot(cells: Sequence[Cell]) -> Figure:
    figure = Figure(figsize=(13, 0.3 * len(cells) + 1.4), layout="constrained")
    grid = figure.subplots(1, len(RATIOS), sharey=True)
    for axes, (number, title) in zip(grid, RATIOS, strict=True):
        draw_ratios(axes, cells, number, title)
    grid[0].set_yticks(range(len(cells)), [cell.name for cell in cells])
    grid[0].set_ylim(len(cells) - 0.4, -0.6)
    figure.supxlabel("setfit's processor seconds over this project's: right is better, ≈ is extrapolated", fontsize=10)
    return figure


def write_plots(records: Sequence[Record], setup: Setup, out: Path) -> list[str]:
    """Write the plots into a folder and return the names of their files."""
    cells = summarize(records, setup)
    if not cells:
        return []
    with mpl.rc_context(STYLE):
        figures = {"accuracy.png": accuracy_plot(cells), "ratios.png": ratio_plot(cells)}
        for name, figure in figures.items():
            figure.savefig(out / name, dpi=150)
    return list(figures)
