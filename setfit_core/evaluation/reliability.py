"""Reliability: among the texts that a model is 80 % sure of, are 80 % labelled rightly?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.labels import IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: As in Guo et al., "On Calibration of Modern Neural Networks" (2017).
BINS: Final = 15


@dataclass(frozen=True)
class Reliability:
    """Predictions sorted into bins of equal width by their confidence.

    Attributes:
        edges: Bounds of the bins, from 0 to 1, `[bins + 1]`.
        counts: Predictions in each bin, int64 `[bins]`.
        confidence: Their mean confidence, `[bins]`; NaN in an empty bin.
        accuracy: The share of them that came true, `[bins]`; NaN in an empty bin.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: the mean gap of confidence and accuracy, weighted by counts; 0 to 1."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float(np.average(gaps, weights=self.counts[filled]))

    def plot(self, axes: Axes, *, label: str | None = None) -> None:
        """Draw the accuracy of each filled bin over its confidence; the first curve gets the diagonal of a perfect one.

        Args:
            axes: Where to draw, of matplotlib.
            label: The name of this curve in a legend; the calibration error is put behind it.
        """
        filled = self.counts > 0
        if not axes.lines:
            axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
        name = f"{label or 'calibration error'} ({self.calibration_error:.3f})"
        axes.plot(self.confidence[filled], self.accuracy[filled], marker="o", label=name)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")


def reliability(expected: IntArray, probabilities: npt.NDArray[Any], *, bins: int = BINS) -> Reliability:
    """Sort predictions into bins by their confidence.

    With one label a text, the confidence is the largest probability, and it comes true if that label is right. With
    several, each label of each text is a prediction of its own: its probability comes true if the label is there.

    Args:
        expected: Class ids `[n]`, at least one; or 0/1 indicators `[n, num_labels]`.
        probabilities: `[n, num_classes]`.
        bins: How many bins of equal width.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if expected.ndim == 1:
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == expected
    else:
        confidence, right = probabilities.ravel(), expected.ravel() == 1
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            edges=np.linspace(0, 1, bins + 1),
            counts=counts,
            confidence=np.bincount(places, confidence, bins) / counts,
            accuracy=np.bincount(places, right, bins) / counts,
        )


def calibration_error(expected: IntArray, probabilities: npt.NDArray[Any]) -> float:
    """Return the expected calibration error, 0 to 1, with 15 bins of equal width (Guo et al. 2017)."""
    return reliability(expected, probabilities).calibration_error
