"""What a model's probabilities are worth, on labelled texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from setfit_core.errors import InputError
from setfit_core.evaluation.reliability import Reliability, reliability
from setfit_core.evaluation.scores import Scores, score
from setfit_core.evaluation.thresholds import DEFAULT
from setfit_core.labels import IntArray, Label


class ProbabilisticModel(Protocol):
    """What is asked of a model, such as `SetFitModel`."""

    @property
    def thresholds(self) -> Mapping[Label, float] | None:
        """Return how likely each of several labels has to be, in the order of the columns; None for 0.5."""

    def label_columns(self, labels: Sequence[Any]) -> IntArray:
        """Return the columns `[n]` of labels, or 0/1 indicators `[n, num_labels]`."""

    def predict_proba(self, inputs: Sequence[str], *, as_numpy: bool) -> Any:
        """Return probabilities `[n, num_labels]`."""


@dataclass(frozen=True)
class Evaluation:
    """What a model's probabilities are worth.

    Attributes:
        scores: Accuracy, macro-F1, micro-F1, log loss and calibration error.
        reliability: How often predictions come true, by how sure the model is.
    """

    scores: Scores
    reliability: Reliability


def evaluate_probabilities(model: ProbabilisticModel, texts: Sequence[str], labels: Sequence[Any]) -> Evaluation:
    """Return what a model's probabilities are worth on labelled texts, in one pass over them.

    A label that the model doesn't know counts as one that it gave no probability.

    Args:
        model: A trained model.
        texts: At least one text, none of which the model was trained or calibrated on.
        labels: Their labels.

    Raises:
        InputError: If there are no texts, more or fewer than labels, or they can't be used.
        LabelError: If no label is one of the model's.
        NoProbabilitiesError: If the model's head has no `predict_proba`.
    """
    expected = model.label_columns(labels)
    if not len(texts) or len(texts) != len(expected):
        msg = f"There are {len(texts)} texts and {len(expected)} labels. Give at least one text, and a label for each."
        raise InputError(msg)
    probabilities = model.predict_proba(texts, as_numpy=True)
    if expected.ndim == 2:
        bounds = DEFAULT if model.thresholds is None else np.fromiter(model.thresholds.values(), np.float64)
        predicted = (probabilities > bounds).astype(np.int64)
    else:
        predicted = probabilities.argmax(axis=1)
        probabilities = with_unknown_labels(expected, probabilities)
    return Evaluation(score(expected, predicted, probabilities), reliability(expected, probabilities))


def with_unknown_labels(expected: IntArray, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return probabilities with a column of zeros for each label that the model doesn't know.

    Args:
        expected: Columns `[n]`, at least one; those from `num_labels` on are of labels that the model doesn't know.
        probabilities: `[n, num_labels]`.
    """
    unknown = max(0, int(expected.max()) + 1 - probabilities.shape[1])
    return np.pad(probabilities, [(0, 0), (0, unknown)])
