"""Plots, which need matplotlib: the extra `plots`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from setfit_core.errors import NoProbabilitiesError, SetFitError
from setfit_core.tables import check_place, written_whole

if TYPE_CHECKING:
    from pathlib import Path


def check_plot(file: Path, *, overwrite: bool) -> None:
    """Make sure that a plot can be drawn and written, before anything is computed.

    Raises:
        SetFitError: If it can't.
    """
    if find_spec("matplotlib") is None:
        raise SetFitError('Plots need matplotlib. Install it: pip install "setfit-core[plots]"')
    if file.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SetFitError(f"A plot can't be written as {file.name!r}. Name a .png, .svg or .pdf file.")
    check_place(file, overwrite=overwrite)


def plot_reliability(file: Path, expected: Any, probabilities: Any, *, name: str) -> None:
    """Draw how often predictions come true, over how sure the model was.

    Args:
        file: The file.
        expected: Columns of the true labels `[n]`, or indicators `[n, num_labels]`.
        probabilities: `[n, num_labels]`; None if the head gives none.
        name: The name of the curve.
    """
    from matplotlib.figure import Figure

    from setfit_core.evaluation.reliability import reliability

    if probabilities is None:
        raise NoProbabilitiesError("The head gives no probabilities, so there is no reliability to draw.")
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    reliability(expected, probabilities).plot(axes, label=name)
    axes.legend(loc="upper left")
    with written_whole(file) as beside:
        figure.savefig(beside)
