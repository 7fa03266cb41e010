"""Plots as files, drawn by matplotlib: the extra `plots`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from setfit_core.errors import ArgumentError, SetFitError

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

NO_MATPLOTLIB: Final = 'Plots need matplotlib. Install it: pip install "setfit-core[plots]"'


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, which belongs to nobody else: no backend, no global state.

    Raises:
        SetFitError: If matplotlib isn't installed.
    """
    try:
        from matplotlib.figure import Figure  # and not pyplot, whose backend and figures belong to the caller
    except ImportError as error:
        raise SetFitError(NO_MATPLOTLIB) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure into a file, which is whole or as it was before, and return its path.

    Args:
        figure: The figure.
        path: The file; its name ends as matplotlib's formats do, such as `.png`, `.svg` or `.pdf`.

    Raises:
        ArgumentError: If the name ends with no such format.
        SetFitError: If the file can't be written.
    """
    target = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    if target.suffix[1:].lower() not in formats:
        msg = (
            f"{str(path)!r} doesn't end with a format for plots. Let it end with one of .{', .'.join(sorted(formats))}."
        )
        raise ArgumentError(msg)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
            written = Path(beside) / target.name
            figure.savefig(written, dpi=120)
            written.replace(target)
    except OSError as error:
        raise SetFitError(f"The plot {str(path)!r} can't be written: {error}. Give another file.") from error
    return target
