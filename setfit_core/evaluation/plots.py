"""Plots of reliability, as files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from setfit_core.evaluation.reliability import Reliability
from setfit_core.plotting import new_figure, save_figure


def save_reliability_plot(path: str | os.PathLike[str], curves: Mapping[str, Reliability]) -> Path:
    """Plot accuracy over confidence into a file, which is whole or as it was before.

    Args:
        path: The file; its name ends as matplotlib's formats do, such as `.png`, `.svg` or `.pdf`.
        curves: What to plot, by the names that the legend gives.

    Returns:
        The file.

    Raises:
        ArgumentError: If the name ends with no such format.
        SetFitError: If matplotlib isn't installed, or the file can't be written.
    """
    figure = new_figure(5, 6)
    axes = figure.subplots()
    for name, curve in curves.items():
        curve.plot(axes, label=name)
    figure.legend(loc="outside lower center", title="calibration error in brackets")
    return save_figure(figure, path)
