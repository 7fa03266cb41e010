"""Plots are files that are whole, and touch nothing of matplotlib's that others use."""

import sys

import pytest

from setfit_core.errors import ArgumentError, SetFitError
from setfit_core.evaluation.plots import save_reliability_plot
from setfit_core.evaluation.reliability import reliability


@pytest.fixture
def curves(draw):
    pytest.importorskip("matplotlib")
    probabilities, expected = draw(100)
    return {"before": reliability(expected, probabilities), "after": reliability(expected, probabilities**0.5)}


def test_a_plot_has_the_curves_by_their_names(curves, tmp_path):
    (tmp_path / "plot.SVG").write_text("an older one")
    assert save_reliability_plot(tmp_path / "plot.SVG", curves) == tmp_path / "plot.SVG"
    assert [path.name for path in tmp_path.iterdir()] == ["plot.SVG"]
    text = (tmp_path / "plot.SVG").read_text()
    for name, curve in curves.items():
        assert f"<!-- {name} ({curve.calibration_error:.3f}) -->" in text
    assert "matplotlib.pyplot" not in sys.modules


def test_the_diagonal_is_drawn_once(curves):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    for name, curve in curves.items():
        curve.plot(axes, label=name)
    assert len(axes.lines) == 3


@pytest.mark.parametrize("name", ["plot", "plot.txt"])
def test_a_format_that_matplotlib_does_not_write(curves, tmp_path, name):
    with pytest.raises(ArgumentError, match=r"format for plots.*\.png"):
        save_reliability_plot(tmp_path / name, curves)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetFitError, match=r'pip install "setfit-core\[plots\]"'):
        save_reliability_plot(tmp_path / "plot.png", {})
