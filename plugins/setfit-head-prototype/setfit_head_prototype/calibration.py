"""Temperature and threshold, from how similar each training example is to the means of the others.

An example is nearer to a mean that it is part of than a new text would be. So each is compared with the means as they
were without it (leave-one-out). An example that is alone in its class can't be, and doesn't count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from setfit_head_prototype.examples import Examples, unit

__all__ = ["Calibration", "log_odds", "means"]

#: Examples times classes that are looked at; of more examples, evenly spaced ones.
MOST_SIMILARITIES: Final = 2**24
#: A prior, normal in the logarithm, because a dozen texts don't tell the temperature. Chosen for the log loss on
#: clinc150, trec, sst2 and ag_news at 2 to 32 texts a class.
USUAL_TEMPERATURE: Final = 0.1
SPREAD: Final = 0.5
BOUNDS: Final = (math.log(0.005), math.log(5.0))

Floats: TypeAlias = npt.NDArray[np.float64]
Members: TypeAlias = Sequence[npt.NDArray[np.int64]]


def means(rows: Floats, weights: npt.NDArray[np.float64], members: Members) -> Floats:
    """Return the weighted sums of groups of rows, `[num_groups, embedding_size]`; only their directions matter."""
    return np.stack([weights[group] @ rows[group] for group in members])


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
    """

    def __init__(self, examples: Examples) -> None:
        count = len(examples.rows)
        most = max(1, MOST_SIMILARITIES // len(examples.classes))
        self._chosen = np.arange(min(count, most)) * count // min(count, most)
        rows, members = examples.rows.astype(np.float64), examples.members()
        self._targets, self._multi_label = examples.targets[self._chosen], examples.multi_label
        self._empty = np.array([not len(group) for group in members])
        self._inside = _left_out(rows, examples.weights, members, self._chosen)
        if self._multi_label:
            others = [np.flatnonzero(~column) for column in examples.targets.T]
            self._outside = _left_out(rows, examples.weights, others, self._chosen)
            self._log_odds = log_odds(examples)

    def temperature(self) -> float:
        """Return the temperature with the smallest log loss (its mode under the prior)."""
        if self._multi_label:
            gaps = self._inside - self._outside
            asked = np.isfinite(gaps)
            gaps, signs = gaps[asked], np.where(self._targets, 1, -1)[asked]
            odds = np.broadcast_to(self._log_odds, asked.shape)[asked]
            return _likeliest(lambda temperature: -float(log_expit(signs * (gaps / temperature + odds)).sum()))
        similarities, own = self._inside[:, ~self._empty], (np.cumsum(~self._empty) - 1)[self._targets]
        known = np.isfinite(similarities).all(axis=1)
        similarities, own = similarities[known], own[known, None]
        return _likeliest(
            lambda temperature: -float(np.take_along_axis(log_softmax(similarities / temperature, 1), own, 1).sum())
        )

    def novelty_threshold(self, rate: float) -> float:
        """Return the novelty that at most a share `rate` of new texts of the known classes exceeds.

        The quantile of conformal prediction, of the novelties of the examples without themselves: it holds on average
        over training sets, for texts that are drawn as these were and embedded by a body that has seen neither.
        Infinite if the examples are too few to promise it otherwise.
        """
        labelled = self._targets.any(axis=1) if self._multi_label else np.ones(len(self._targets), dtype=bool)
        similarities = self._inside[labelled][:, ~self._empty]
        similarities = similarities[np.isfinite(similarities).all(axis=1)]
        novelties = np.sort(1 - similarities.max(axis=1, initial=-1))
        place = math.ceil((1 - rate) * (len(novelties) + 1))
        return float(novelties[place - 1]) if place <= len(novelties) else math.inf


def _left_out(
    rows: Floats, weights: npt.NDArray[np.float64], members: Members, chosen: npt.NDArray[np.int64]
) -> Floats:
    """Return the cosine of chosen rows and the mean of each group without them; NaN where nothing is left."""
    sums = means(rows, weights, members)
    similarities: Floats = rows[chosen] @ unit(sums).T
    places = np.full(len(rows), -1)
    places[chosen] = np.arange(len(chosen))
    for column, group in enumerate(members):
        if not len(group):
            similarities[:, column] = np.nan
        asked = group[places[group] >= 0]
        if not len(asked):
            continue
        rest = unit(sums[column] - weights[asked, None] * rows[asked])
        similarities[places[asked], column] = (rows[asked] * rest).sum(axis=1) if len(group) > 1 else np.nan
    return similarities


def _likeliest(loss: Callable[[float], float]) -> float:
    usual = math.log(USUAL_TEMPERATURE)
    found = minimize_scalar(
        lambda exponent: loss(math.exp(exponent)) + ((exponent - usual) / SPREAD) ** 2 / 2,
        bounds=BOUNDS,
        method="bounded",
        options={"xatol": 1e-3},
    )
    return math.exp(float(found.x))
