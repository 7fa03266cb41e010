"""Calibration: functions that bring a head's probabilities nearer to how often they come true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from setfit_core.evaluation.scores import LEAST_PROBABILITY
from setfit_core.labels import IntArray
from setfit_core.values import is_number

METHODS: Final = ("temperature", "isotonic")
#: The bounds of a temperature. Beyond them, probabilities are 0 and 1, or all alike.
COLDEST, HOTTEST = 0.01, 100.0


class Calibration(Protocol):
    """A function of probabilities, which doesn't know of labels, heads or texts."""

    @property
    def method(self) -> str:
        """One of `METHODS`."""

    def calibrated(self, probabilities: npt.NDArray[Any], *, multi_label: bool) -> npt.NDArray[Any]:
        """Return calibrated probabilities.

        Args:
            probabilities: What a head predicts, `[n, num_classes]`.
            multi_label: Whether each column is a probability of its own; otherwise rows sum to 1.

        Returns:
            Probabilities of the same shape and dtype.
        """

    def order(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return numbers `[n, num_classes]` that rise with each single probability.

        In a row they have the order of the calibrated probabilities.
        """

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as JSON values, which `calibration_from_json` reads."""


@dataclass(frozen=True)
class Temperature:
    """One number that all logits are divided by; the order of the labels stays.

    See Guo et al., "On Calibration of Modern Neural Networks" (2017). The logits are the logarithms of the
    probabilities; for several labels a text, those of their odds. Probabilities below `LEAST_PROBABILITY` count as
    that: a head of few neighbours says 0, which no temperature would change.

    Attributes:
        value: The temperature: over 1 makes probabilities more even, under 1 more decided.
    """

    value: float
    method: ClassVar = "temperature"

    def calibrated(self, probabilities: npt.NDArray[Any], *, multi_label: bool) -> npt.NDArray[Any]:
        """See `Calibration`."""
        from scipy.special import expit, softmax

        logits = _logits(probabilities, multi_label=multi_label) / self.value
        if multi_label:
            return np.asarray(expit(logits), dtype=probabilities.dtype)
        scaled = np.asarray(softmax(logits, axis=1), dtype=probabilities.dtype)
        # Rounding may make the second likeliest as likely as the first, which stays the first.
        rows, first = np.arange(len(scaled)), probabilities.argmax(axis=1)
        tied = scaled.argmax(axis=1) != first
        scaled[rows[tied], first[tied]] = np.nextafter(scaled.max(axis=1), 1, dtype=scaled.dtype)[tied]
        return scaled

    def order(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `Calibration`."""
        return probabilities

    def to_json(self) -> dict[str, Any]:
        """See `Calibration`."""
        return {"method": self.method, "temperature": self.value}


@dataclass(frozen=True)
class Curve:
    """A function that never falls: straight between its points, and constant beyond them.

    Attributes:
        x: Probabilities of a head, rising.
        y: What they are turned into, never falling.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Isotonic:
    """A function for each class that never falls, one class against the rest; rows are then scaled to the sum 1.

    See Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates" (2002). It
    can mend what a temperature can't, needs hundreds of texts for it, and may make another label the likeliest.

    Attributes:
        curves: A function for each class id.
    """

    curves: tuple[Curve, ...]
    method: ClassVar = "isotonic"

    def __repr__(self) -> str:
        return f"Isotonic({len(self.curves)} curves)"

    def calibrated(self, probabilities: npt.NDArray[Any], *, multi_label: bool) -> npt.NDArray[Any]:
        """See `Calibration`. A text for which every class gets 0 keeps the probabilities of the head."""
        turned = self.order(probabilities)
        if not multi_label:
            sums = turned.sum(axis=1, keepdims=True)
            turned = np.divide(turned, sums, out=probabilities.astype(np.float64), where=sums > 0)
        return turned.astype(probabilities.dtype)

    def order(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """See `Calibration`."""
        columns = zip(probabilities.T, self.curves, strict=True)
        return np.stack([np.interp(column, curve.x, curve.y) for column, curve in columns], axis=1)

    def to_json(self) -> dict[str, Any]:
        """See `Calibration`."""
        return {"method": self.method, "curves": [{"x": curve.x, "y": curve.y} for curve in self.curves]}


def fit_calibration(method: str, expected: IntArray, probabilities: npt.NDArray[Any]) -> Calibration:
    """Fit a calibration on texts that the head was not trained on.

    Args:
        method: One of `METHODS`.
        expected: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`. For `"isotonic"`, each class has to be there.
        probabilities: What the head predicts, `[n, num_classes]`.
    """
    probabilities = np.clip(np.asarray(probabilities, dtype=np.float64), 0, 1)  # the contract allows for rounding
    targets = expected if expected.ndim == 2 else np.eye(probabilities.shape[1])[expected]
    if method == "temperature":
        return _fit_temperature(targets, probabilities, multi_label=expected.ndim == 2)
    return _fit_isotonic(targets, probabilities)


def _fit_temperature(
    targets: npt.NDArray[Any], probabilities: npt.NDArray[np.float64], *, multi_label: bool
) -> Temperature:
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit, log_softmax

    logits = _logits(probabilities, multi_label=multi_label)
    # Few texts that are all labelled rightly don't mean that all others are. So each may have another label after all,
    # with the probability by which Platt, "Probabilistic Outputs for Support Vector Machines" (1999), softens labels.
    doubt = 1 / (len(targets) + 2)
    softened = np.where(targets == 1, 1 - doubt, doubt if multi_label else doubt / (targets.shape[1] - 1))

    def log_loss(logarithm: float) -> float:
        scaled = logits / np.exp(logarithm)
        if multi_label:
            return float(-(softened * log_expit(scaled) + (1 - softened) * log_expit(-scaled)).mean())
        return float(-(softened * log_softmax(scaled, axis=1)).sum(axis=1).mean())

    # The loss is convex in 1 / temperature, so on any scale of it there is one minimum.
    found = minimize_scalar(log_loss, bounds=np.log([COLDEST, HOTTEST]), method="bounded", options={"xatol": 1e-6})
    return Temperature(float(np.exp(found.x)))


def _fit_isotonic(targets: npt.NDArray[Any], probabilities: npt.NDArray[np.float64]) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    curves = []
    for column, target in zip(probabilities.T, targets.T, strict=True):
        fitted = IsotonicRegression(y_min=0, y_max=1).fit(column, target)
        curves.append(Curve(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())))
    return Isotonic(tuple(curves))


def _logits(probabilities: npt.NDArray[Any], *, multi_label: bool) -> npt.NDArray[np.float64]:
    from scipy.special import logit

    wide = np.asarray(probabilities, dtype=np.float64)
    if multi_label:
        return np.asarray(logit(np.clip(wide, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)))
    return np.log(np.maximum(wide, LEAST_PROBABILITY))


# Read from a file that anybody may have written


def calibration_from_json(content: Mapping[str, Any], num_classes: int) -> Calibration:
    """Rebuild a calibration from `to_json`.

    Args:
        content: JSON values.
        num_classes: How many classes the head was trained on.

    Raises:
        ValueError: If it is not what `to_json` wrote for so many classes.
    """
    method = content.get("method")
    if method == "temperature":
        value: Any = content.get("temperature")
        if not is_number(value) or not COLDEST <= value <= HOTTEST:
            msg = f"the temperature of the calibration is {value!r} and no number from {COLDEST} to {HOTTEST}"
            raise ValueError(msg)
        return Temperature(float(value))
    if method == "isotonic":
        curves = content.get("curves")
        if not isinstance(curves, list) or len(curves) != num_classes:
            msg = f"the calibration has no list of {num_classes} curves, one a class"
            raise ValueError(msg)
        return Isotonic(tuple(_curve(curve, place) for place, curve in enumerate(curves)))
    msg = f"the method of the calibration is {method!r} and none of {', '.join(METHODS)}"
    raise ValueError(msg)


def _curve(content: Any, place: int) -> Curve:
    x: Any
    y: Any
    x, y = (content.get("x"), content.get("y")) if isinstance(content, dict) else (None, None)
    if not _in_unit_interval(x) or not _in_unit_interval(y) or len(x) != len(y):
        msg = f"curve {place} of the calibration isn't two lists of as many numbers from 0 to 1"
        raise ValueError(msg)
    curve = Curve(tuple(map(float, x)), tuple(map(float, y)))
    if (np.diff(curve.x) <= 0).any() or (np.diff(curve.y) < 0).any():
        msg = f"curve {place} of the calibration falls, or has two points at one place"
        raise ValueError(msg)
    return curve


def _in_unit_interval(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(is_number(v) and 0 <= v <= 1 for v in values)
