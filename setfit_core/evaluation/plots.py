"""Plots of reliability, as files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from setfit_core.errors import ArgumentError, SetFitError
from setfit_core.evaluation.reliability import Reliability


def save_reliability_plot(path: str | os.PathLike[str], curves: Mapping[str, Reliability]) -> Path:
    """Plot accuracy over confidence into a file, which is whole or as it was before.

    Args:
        path: The file; its name ends as matplotlib's formats do, such as `.png`, `.svg` or `.pdf`.
        curves: What to plot, by the names that the legend gives.

    Returns:
        The file.

    Raises:
        ArgumentError: If the name ends with no such format.
        SetFitError: If matplotlib isn't installed.
        OSError: If the file can't be written.
    """
    try:
        from matplotlib.figure import Figure  # and not pyplot, whose backend and figures belong to the caller
    except ImportError as error:
        msg = 'Plots need matplotlib, which isn\'t installed. Install it with: pip install "setfit-core[plots]"'
        raise SetFitError(msg) from error
    target = Path(path)
    figure = Figure(figsize=(5, 6), layout="constrained")
    formats = figure.canvas.get_supported_filetypes()
    if target.suffix[1:].lower() not in formats:
        msg = f"{target} doesn't end with a format for plots. Let it end with one of .{', .'.join(sorted(formats))}."
        raise ArgumentError(msg)
    axes = figure.subplots()
    for name, curve in curves.items():
        curve.plot(axes, label=name)
    figure.legend(loc="outside lower center", title="calibration error in brackets")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        written = Path(beside) / target.name
        figure.savefig(written, dpi=120)
        written.replace(target)
    return target
