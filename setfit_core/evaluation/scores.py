"""Scores of predictions and of probabilities, for one label a text and for several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.evaluation.reliability import calibration_error
from setfit_core.labels import IntArray

#: A probability of 0 for what happened would make any log loss infinite; the least that is told apart in float32.
LEAST_PROBABILITY: Final = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Scores:
    """How good predictions are.

    Attributes:
        accuracy: Share of texts that are labelled rightly; with several labels a text, in all labels.
        macro_f1: F1 of each label, averaged over the labels that occur or are predicted.
        log_loss: Mean negative logarithm (nats) of the probability of what is true; None without probabilities.
        calibration_error: `reliability.calibration_error`, 0 to 1; None without probabilities.
    """

    accuracy: float
    macro_f1: float
    log_loss: float | None
    calibration_error: float | None


def score(expected: IntArray, predicted: IntArray, probabilities: npt.NDArray[Any] | None) -> Scores:
    """Return the scores of predictions.

    Args:
        expected: The true class ids `[n]`, at least one; or 0/1 indicators `[n, num_labels]`.
        predicted: The predicted ones, of the same shape.
        probabilities: `[n, num_classes]`, a column a class id; None if the head gives none.
    """
    from sklearn.metrics import accuracy_score  # 1 s of import that prediction spares

    return Scores(
        accuracy=float(accuracy_score(expected, predicted)),
        macro_f1=_macro_f1(expected, predicted),
        log_loss=None if probabilities is None else log_loss(expected, probabilities),
        calibration_error=None if probabilities is None else calibration_error(expected, probabilities),
    )


def _macro_f1(expected: IntArray, predicted: IntArray) -> float:
    from sklearn.metrics import f1_score

    if expected.ndim == 1:
        return float(f1_score(expected, predicted, average="macro", zero_division=0))
    seen = np.flatnonzero(expected.any(axis=0) | predicted.any(axis=0))
    if not seen.size:
        return 1.0  # there was nothing to find, and nothing was found
    return float(f1_score(expected, predicted, labels=seen, average="macro", zero_division=0))


def log_loss(expected: IntArray, probabilities: npt.NDArray[Any]) -> float:
    """Return the mean negative logarithm of the probability of what is true, in nats.

    With several labels a text, the mean is over texts and labels. Probabilities below `LEAST_PROBABILITY` count as
    that.

    Args:
        expected: Class ids `[n]`, or 0/1 indicators `[n, num_labels]`.
        probabilities: `[n, num_classes]`.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if expected.ndim == 1:
        of_truth = probabilities[np.arange(len(expected)), expected]
    else:
        of_truth = np.where(expected == 1, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(of_truth, LEAST_PROBABILITY, 1)).mean())
