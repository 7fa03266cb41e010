"""Plots, which need matplotlib: the extra `plots`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from setfit_core.errors import SetFitError
from setfit_core.plotting import NO_MATPLOTLIB
from setfit_core.tables import check_place

if TYPE_CHECKING:
    from pathlib import Path


def check_plot(file: Path, *, overwrite: bool) -> None:
    """Make sure that a plot can be drawn and written, before anything is computed.

    Raises:
        SetFitError: If it can't.
    """
    if find_spec("matplotlib") is None:
        raise SetFitError(NO_MATPLOTLIB)
    if file.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SetFitError(f"A plot can't be written as {file.name!r}. Name a .png, .svg or .pdf file.")
    check_place(file, overwrite=overwrite)
