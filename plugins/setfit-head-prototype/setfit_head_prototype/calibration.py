"""Temperature and threshold, from how similar each training example is to the means of the others.

An example is nearer to a mean that it is part of than a new text would be. So each is compared with the means as they
were without it (leave-one-out). An example that is alone in its class can't be, and doesn't count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from setfit_head_prototype.examples import Examples, unit

__all__ = ["Calibration", "log_odds", "sums"]

#: Examples times classes that are looked at; of more examples, evenly spaced ones.
MOST_SIMILARITIES: Final = 2**21
#: Numbers that are widened to float64 at once.
BLOCK: Final = 2**22
#: What is left of a sum without an example has no direction if its squared length is a smaller part of theirs.
LEAST_REST: Final = 1e-13
#: A prior, normal in the logarithm, because a dozen texts don't tell the temperature. Chosen for the log loss on
#: clinc150, trec, sst2 and ag_news at 2 to 32 texts a class.
USUAL_TEMPERATURE: Final = 0.1
SPREAD: Final = 0.5
BOUNDS: Final = (math.log(0.005), math.log(5.0))

Floats: TypeAlias = npt.NDArray[np.float64]


def sums(examples: Examples) -> tuple[Floats, Floats | None]:
    """Return the weighted sums of the rows of each class, and of those without it if there are several labels a text.

    Each is `[num_classes, embedding_size]`, zeros where there are no rows. Only the directions matter: weights are
    divided by the largest.
    """
    shape = len(examples.classes), examples.rows.shape[1]
    weights = _relative(examples)
    having = np.zeros(shape)
    if not examples.multi_label:
        for own, group in zip(having, examples.members(), strict=True):
            own[:] = weights[group] @ examples.rows[group].astype(np.float64)
        return having, None
    lacking = np.zeros(shape)
    for part in _blocks(np.arange(len(weights)), max(shape)):
        rows, targets, each = examples.rows[part].astype(np.float64), examples.targets[part], weights[part, None]
        having += (targets * each).T @ rows
        lacking += (~targets * each).T @ rows  # the difference to the sum of all would be noise where all have a label
    return having, lacking


def log_odds(examples: Examples) -> npt.NDArray[np.float64]:
    """Return the log odds of each label, `[num_labels]`; infinite for one that no example has, or that all have."""
    having, lacking = examples.weights @ examples.targets, examples.weights @ ~examples.targets
    with np.errstate(divide="ignore"):
        odds: npt.NDArray[np.float64] = np.log(having) - np.log(lacking)
    return odds


class Calibration:
    """The similarities of examples to the means of their and of other classes, without themselves.

    Args:
        examples: The examples.
        having: The first of their `sums`.
        lacking: The second.
    """

    def __init__(self, examples: Examples, having: Floats, lacking: Floats | None) -> None:
        count, num_classes = len(examples.rows), len(examples.classes)
        most = max(1, MOST_SIMILARITIES // num_classes)
        chosen = np.arange(min(count, most)) * count // min(count, most)
        self._targets, self._weights = examples.targets[chosen], examples.weights[chosen]
        self._multi_label = lacking is not None
        if lacking is None:
            counts = np.bincount(examples.targets, minlength=num_classes)
            self._inside = _to_class_means(examples, having, counts, chosen)
        else:
            counts = examples.targets.sum(axis=0)
            self._inside = _to_label_means(examples, having, counts, chosen, having=True)
            self._outside = _to_label_means(examples, lacking, count - counts, chosen, having=False)
            self._log_odds = log_odds(examples)
        self._empty = counts == 0

    def temperature(self) -> float:
        """Return the temperature with the smallest log loss (its mode under the prior).

        A weight multiplies the loss of its example, as so many copies would.
        """
        if self._multi_label:
            gaps = self._inside - self._outside
            asked = np.isfinite(gaps)
            gaps, signs = gaps[asked], np.where(self._targets, 1, -1)[asked]
            odds = np.broadcast_to(self._log_odds, asked.shape)[asked]
            weights = np.broadcast_to(self._weights[:, None], asked.shape)[asked]
            return _likeliest(
                lambda temperature: -float((weights * log_expit(signs * (gaps / temperature + odds))).sum())
            )
        similarities, own = self._inside[:, ~self._empty], (np.cumsum(~self._empty) - 1)[self._targets]
        known = np.isfinite(similarities).all(axis=1)
        similarities, own, weights = similarities[known], own[known, None], self._weights[known, None]

        def loss(temperature: float) -> float:
            likelihoods = np.take_along_axis(log_softmax(similarities / temperature, 1), own, 1)
            return -float((weights * likelihoods).sum())

        return _likeliest(loss)

    def novelty_threshold(self, rate: float) -> float:
        """Return the novelty that at most a share `rate` of new texts of the known classes exceeds.

        The quantile of conformal prediction, of the novelties of the examples without themselves: it holds on average
        over training sets, for texts that are drawn as these were and embedded by a body that has seen neither.
        Infinite if the examples are too few to promise it otherwise.

        Weights make it the quantile of weighted conformal prediction (Tibshirani et al. 2019,
        https://arxiv.org/abs/1904.06019), for new texts that are drawn in proportion to them. The weight of a new text
        isn't known; the mean weight of texts so drawn stands for it. So unless all weights are equal the promise holds
        only approximately, and is the better the more examples there are.
        """
        labelled = self._targets.any(axis=1) if self._multi_label else np.ones(len(self._targets), dtype=bool)
        similarities, weights = self._inside[labelled][:, ~self._empty], self._weights[labelled]
        known = np.isfinite(similarities).all(axis=1)
        if not known.any():
            return math.inf
        novelties, weights = 1 - similarities[known].max(axis=1, initial=-1), weights[known] / weights[known].max()
        order = np.argsort(novelties, kind="stable")
        reached = np.cumsum(weights[order])
        of_new = (weights @ weights) / reached[-1]
        place = np.searchsorted(reached, (1 - rate) * (reached[-1] + of_new))
        return float(novelties[order[place]]) if place < len(order) else math.inf


def _relative(examples: Examples) -> Floats:
    weights: Floats = examples.weights / examples.weights.max()
    return weights


def _blocks(places: npt.NDArray[np.int64], width: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the places of rows in blocks of at most `BLOCK` numbers."""
    step = max(1, BLOCK // width)
    return (places[start : start + step] for start in range(0, len(places), step))


def _to_class_means(
    examples: Examples, sums: Floats, counts: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> Floats:
    """Return the cosine of chosen rows and each class mean without them; NaN where nothing is left."""
    directions, weights, found = unit(sums).T, _relative(examples), []
    for part in _blocks(chosen, max(sums.shape)):
        rows, own = examples.rows[part].astype(np.float64), examples.targets[part]
        similarities = rows @ directions
        rest = unit(sums[own] - weights[part, None] * rows)
        similarities[np.arange(len(part)), own] = np.where(counts[own] > 1, (rows * rest).sum(axis=1), np.nan)
        found.append(similarities)
    all_found: Floats = np.concatenate(found)
    all_found[:, counts == 0] = np.nan
    return all_found


def _to_label_means(
    examples: Examples, sums: Floats, counts: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64], having: bool
) -> Floats:
    """Return the same for the means of the rows that have a label, or of those that lack it.

    A row is part of so many means that what is left of each isn't made, only its length and product with the row.
    """
    weights, squares, found = _relative(examples), np.einsum("ij,ij->i", sums, sums), []
    for part in _blocks(chosen, max(sums.shape)):
        rows, within = examples.rows[part].astype(np.float64), examples.targets[part] == having
        products, removed = rows @ sums.T, within * weights[part, None]
        lengths = np.einsum("ij,ij->i", rows, rows)[:, None]
        left = squares - removed * (2 * products - removed * lengths)
        directed = left > LEAST_REST * (squares + removed**2)
        rest = np.sqrt(np.where(directed, left, 1))
        similarities = np.where(directed, (products - removed * lengths) / rest, 0)
        similarities[within & (counts == 1)] = np.nan
        found.append(similarities)
    all_found: Floats = np.concatenate(found)
    all_found[:, counts == 0] = np.nan
    return all_found


def _likeliest(loss: Callable[[float], float]) -> float:
    usual = math.log(USUAL_TEMPERATURE)
    found = minimize_scalar(
        lambda exponent: loss(math.exp(exponent)) + ((exponent - usual) / SPREAD) ** 2 / 2,
        bounds=BOUNDS,
        method="bounded",
        options={"xatol": 1e-3},
    )
    return math.exp(float(found.x))
