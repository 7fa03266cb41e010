"""Checks of what a head returns, cheap enough to stay on in every training and prediction.

They judge shape, dtype, range, finiteness and row sums. Whether `predict` is the argmax of `predict_proba` needs a
second pass over the data and is left to the conformance suite.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.errors import HeadOutputError

# A softmax over thousands of float32 classes is off by less than 1e-5; half precision by less than 1e-2.
SUM_TOLERANCE: Final = 1e-3
HALF_SUM_TOLERANCE: Final = 2e-2


def head_name(head: Any) -> str:
    """Return how messages name a head: its class."""
    return type(head).__name__


def check_class_ids(raw: Any, head: Any, shape: tuple[int, ...], num_classes: int) -> npt.NDArray[np.int64]:
    """Check what `predict` returned.

    Args:
        raw: The head's output, as a NumPy array.
        head: The head, for the message.
        shape: `(n,)`, or `(n, num_classes)` for 0/1 indicators.
        num_classes: How many classes the head was trained on.

    Returns:
        The class ids (or indicators) as int64.

    Raises:
        HeadOutputError: If shape, dtype or range break the contract.
    """
    ids = np.asarray(raw)
    name = head_name(head)
    if ids.shape != shape:
        msg = f"{name}.predict returned shape {list(ids.shape)} for {list(shape)}. It must return one class id a row."
        raise HeadOutputError(msg)
    if ids.dtype.kind not in "iu":
        msg = (
            f"{name}.predict returned dtype {ids.dtype}; class ids are integers in [0, {num_classes}). "
            "Return an integer array, such as probabilities.argmax(-1)."
        )
        raise HeadOutputError(msg)
    high = 2 if len(shape) == 2 else num_classes
    if ids.size and (ids.min() < 0 or ids.max() >= high):
        msg = (
            f"{name}.predict returned values from {ids.min()} to {ids.max()}, but they must lie in [0, {high}): it was "
            f"trained on {num_classes} classes with the ids 0 to {num_classes - 1}."
        )
        raise HeadOutputError(msg)
    return ids.astype(np.int64, copy=False)


def check_probabilities(
    raw: Any, head: Any, rows: int, num_classes: int, *, multi_label: bool = False, at_least: bool = False
) -> npt.NDArray[Any]:
    """Check what `predict_proba` returned.

    Args:
        raw: The head's output, as a NumPy array.
        head: The head, for the message.
        rows: How many rows were asked for.
        num_classes: How many columns are expected.
        multi_label: Whether each column is a probability of its own, so that rows need not sum to 1.
        at_least: Whether further columns are allowed (a differentiable head with surplus outputs).

    Raises:
        HeadOutputError: If shape, dtype, range or row sums break the contract.
    """
    probabilities = np.asarray(raw)
    name = head_name(head)
    fits = probabilities.ndim == 2 and len(probabilities) == rows
    wide_enough = fits and (
        probabilities.shape[1] >= num_classes if at_least else probabilities.shape[1] == num_classes
    )
    if not wide_enough:
        msg = (
            f"{name}.predict_proba returned shape {list(probabilities.shape)}; expected [{rows}, {num_classes}], one "
            "column a class seen in training."
        )
        raise HeadOutputError(msg)
    if probabilities.dtype.kind != "f":
        msg = f"{name}.predict_proba returned dtype {probabilities.dtype}; probabilities are floats."
        raise HeadOutputError(msg)
    half = probabilities.dtype.itemsize < 4
    tolerance = HALF_SUM_TOLERANCE if half else SUM_TOLERANCE
    # One reduction finds NaN and infinity as well: they make the sum non-finite.
    sums = probabilities.sum(axis=1, dtype=np.float32 if half else None)
    if not np.isfinite(sums).all():
        row = int(np.flatnonzero(~np.isfinite(sums))[0])
        msg = f"{name}.predict_proba returned NaN or infinity (first in row {row}). Check the head's weights and scale."
        raise HeadOutputError(msg)
    if probabilities.size and (probabilities.min() < -tolerance or probabilities.max() > 1 + tolerance):
        msg = (
            f"{name}.predict_proba returned values from {probabilities.min():.4g} to {probabilities.max():.4g}; "
            "probabilities lie in [0, 1]. Return probabilities, not scores or logits."
        )
        raise HeadOutputError(msg)
    if not multi_label and sums.size and np.abs(sums - 1).max() > tolerance:
        row = int(np.abs(sums - 1).argmax())
        msg = f"{name}.predict_proba: row {row} sums to {sums[row]:.6g}; every row must sum to 1. Normalise the rows."
        raise HeadOutputError(msg)
    return probabilities
