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
        micro_f1: F1 over all labels of all texts; with one label a text, that is the accuracy.
        log_loss: Mean negative logarithm (nats) of the probability of what is true; None without probabilities.
        calibration_error: `reliability.calibration_error`, 0 to 1; None without probabilities.
    """

    accuracy: float
    macro_f1: float
    micro_f1: float
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
        macro_f1=_f1(expected, predicted, "macro"),
        micro_f1=_f1(expected, predicted, "micro"),
        log_loss=None if probabilities is None else log_loss(expected, probabilities),
        calibration_error=None if probabilities is None else calibration_error(expected, probabilities),
    )


def _f1(expected: IntArray, predicted: IntArray, average: str) -> float:
    from sklearn.metrics import f1_score

    if expected.ndim == 1:
        return float(f1_score(expected, predicted, average=average, zero_division=0))
    seen = np.flatnonzero(expected.any(axis=0) | predicted.any(axis=0))
    if not seen.size:
        return 1.0  # there was nothing to find, and nothing was found
    expected, predicted = as_indicators(expected), as_indicators(predicted)
    return float(f1_score(expected, predicted, labels=seen, average=average, zero_division=0))


def as_indicators(targets: IntArray) -> IntArray:
    """Return class ids `[n]` or 0/1 indicators `[n, num_labels]` in a form that scikit-learn doesn't mistake.

    It takes a single column of indicators for class ids, which a second column of zeros prevents.
    """
    return np.pad(targets, [(0, 0), (0, 1)]) if targets.shape[1:] == (1,) else targets


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
