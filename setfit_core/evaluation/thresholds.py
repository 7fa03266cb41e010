"""Thresholds: how likely a label has to be for a text to get it, where a text may have several.

A text gets a label whose probability is above the label's threshold. A head's own `predict` stays at 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from setfit_core.errors import ArgumentError
from setfit_core.labels import IntArray, Label, LabelCodec, listed
from setfit_core.values import is_number

#: A number for each label, in the order of `model.labels`, each above 0 and below 1.
Thresholds: TypeAlias = "tuple[float, ...]"
TunedMetric: TypeAlias = Literal["macro_f1", "micro_f1"]

TUNED_METRICS: Final[tuple[TunedMetric, ...]] = ("macro_f1", "micro_f1")
DEFAULT: Final = 0.5


def thresholds_of_classes(thresholds: Thresholds | None, codec: LabelCodec) -> float | npt.NDArray[np.float64]:
    """Return what to compare a head's probabilities `[n, num_classes]` with; None stands for 0.5 for each label."""
    return DEFAULT if thresholds is None else np.asarray(thresholds)[list(codec.classes)]


def read_thresholds(value: Any, labels: Sequence[Label]) -> Thresholds:
    """Read thresholds as a user writes them.

    Args:
        value: A number for all labels, numbers in the order of `labels`, or a mapping from labels to numbers, in which
            a label that is left out gets 0.5.
        labels: The model's labels.

    Raises:
        ArgumentError: If it is none of these, or a number is not above 0 and below 1.
    """
    if isinstance(value, Mapping):
        unknown = [label for label in value if label not in labels]
        if unknown:
            msg = f"thresholds name {listed(unknown)}, but the model's labels are {listed(labels)}. Correct the names."
            raise ArgumentError(msg)
        value = [value.get(label, DEFAULT) for label in labels]
    try:
        numbers = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, a tensor with gradients
        numbers = np.asarray(None)
    numbers = numbers.astype(np.float64) if numbers.dtype.kind == "f" else np.asarray(np.nan)
    if numbers.shape not in ((), (len(labels),)) or not ((numbers > 0) & (numbers < 1)).all():
        msg = (
            f"thresholds are {value!r}. Give a number above 0 and below 1; or {len(labels)} of them, in the order of "
            "model.labels; or a mapping from labels to such numbers."
        )
        raise ArgumentError(msg)
    return tuple(np.broadcast_to(numbers, len(labels)).tolist())


def thresholds_from_json(content: Any, num_labels: int) -> Thresholds:
    """Read thresholds from a file that anybody may have written.

    Raises:
        ValueError: If it is no list of so many numbers above 0 and below 1.
    """
    if (
        not isinstance(content, list)
        or len(content) != num_labels
        or not all(is_number(number) and 0 < number < 1 for number in content)
    ):
        msg = f"the thresholds are no list of {num_labels} numbers above 0 and below 1, one a label"
        raise ValueError(msg)
    return tuple(map(float, content))


# Chosen on texts whose labels are known


@dataclass(frozen=True)
class _Cuts:
    """The thresholds of one label that may be best, and what each would do to the texts.

    Attributes:
        thresholds: The one nearest to 0.5 first, `[m]`.
        hits: Texts above it that have the label, int64 `[m]`.
        sizes: Texts above it, and once more those that have the label, int64 `[m]`: F1 is `2 * hits / sizes`.
    """

    thresholds: npt.NDArray[np.float64]
    hits: IntArray
    sizes: IntArray


def best_thresholds(
    expected: IntArray, probabilities: npt.NDArray[Any], codec: LabelCodec, metric: TunedMetric
) -> Thresholds:
    """Return the thresholds with the highest F1 on these texts.

    Each label is cut where its own F1 is highest, which makes macro-F1 highest (SCut in Yang, "A Study of Thresholding
    Strategies for Text Categorization", 2001; Lipton et al., "Optimal Thresholding of Classifiers to Maximize F1
    Measure", 2014). Micro-F1 is a ratio of two sums over labels, whose maximum the method of Dinkelbach, "On Nonlinear
    Fractional Programming" (1967), finds in a few passes over the labels.

    0.5 stays unless another threshold is better. A better one lies midway between the least likely text that gets the
    label and the next; of equally good ones, the nearest to 0.5 is taken. A label that no text has keeps 0.5: nothing
    says how likely its texts are.

    Args:
        expected: 0/1 indicators `[n, num_classes]`, at least one of them 1.
        probabilities: Of the same shape.
        codec: The labels, of which those that were not learnt keep 0.5, too.
        metric: One of `TUNED_METRICS`.
    """
    # The contract of heads allows for rounding beyond 0 and 1.
    columns = np.clip(np.asarray(probabilities, dtype=np.float64), 0, 1).T
    cuts = [_cuts(column, has_label == 1) for column, has_label in zip(columns, expected.T, strict=True)]
    if metric == "macro_f1":
        best = [int((2 * cut.hits / np.maximum(cut.sizes, 1)).argmax()) for cut in cuts]
    else:
        best = _best_together(cuts)
    thresholds = np.full(len(codec.labels), DEFAULT)
    thresholds[list(codec.classes)] = [cut.thresholds[place] for cut, place in zip(cuts, best, strict=True)]
    return tuple(thresholds.tolist())


def _cuts(probabilities: npt.NDArray[np.float64], has_label: npt.NDArray[np.bool_]) -> _Cuts:
    candidates = np.asarray([DEFAULT])
    of_label = np.sort(probabilities[has_label])
    if of_label.size:
        # A cut is best right below a text that has the label, or above all texts that a threshold can leave out.
        levels = np.unique(probabilities)
        lower, upper = np.append(0, levels), np.append(levels, 1)
        below = np.append(np.searchsorted(levels, np.unique(of_label)), np.searchsorted(levels, 1))
        middles = (lower[below] + upper[below]) / 2
        candidates = np.append(candidates, middles[(middles > 0) & (middles < 1)])
        candidates = candidates[np.argsort(np.abs(candidates - DEFAULT), kind="stable")]
    hits = len(of_label) - np.searchsorted(of_label, candidates, side="right")
    above = len(probabilities) - np.searchsorted(np.sort(probabilities), candidates, side="right")
    return _Cuts(candidates, hits, above + len(of_label))


def _best_together(cuts: Sequence[_Cuts]) -> list[int]:
    """Return the place of a cut for each label, with which F1 over all labels is highest."""
    reached = Fraction(0)
    while True:
        # In integers, so that ties are ties.
        gains = (2 * cut.hits * reached.denominator - cut.sizes * reached.numerator for cut in cuts)
        best = [int(gain.argmax()) for gain in gains]
        chosen = list(zip(cuts, best, strict=True))
        hits = sum(int(cut.hits[place]) for cut, place in chosen)
        ratio = Fraction(2 * hits, sum(int(cut.sizes[place]) for cut, place in chosen))
        if ratio == reached:
            return best
        reached = ratio
