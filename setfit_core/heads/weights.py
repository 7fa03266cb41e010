"""How much each training text counts: weights of classes and of texts, made into one weight a text."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import nn

from setfit_core.conformance import declared_capabilities
from setfit_core.errors import ArgumentError, LabelError
from setfit_core.labels import IntArray, LabelCodec, label_rows, listed
from setfit_core.values import is_number

FloatArray: TypeAlias = npt.NDArray[np.float64]
ClassWeight: TypeAlias = Literal["balanced"] | Mapping[Any, float]

#: Weights beyond this are mistakes, and their sums would leave the range of floats.
MOST_WEIGHT: Final = 1e30
#: What torch's losses and those made like them can be told to do instead of averaging.
_REDUCTIONS: Final = ("none", "mean", "sum")


def checked_class_weight(class_weight: Any) -> ClassWeight | None:
    """Return weights of classes, or say what they may be.

    Raises:
        ArgumentError: If they are not `"balanced"`, a mapping from labels to numbers above 0, or None.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        return "balanced"
    if not isinstance(class_weight, Mapping):
        msg = f"class_weight is {class_weight!r}. Give 'balanced', a mapping such as {{'spam': 5.0}}, or None."
        raise ArgumentError(msg)
    for label, weight in class_weight.items():
        if not is_number(weight) or not 0 < weight < MOST_WEIGHT:
            msg = f"class_weight has {weight!r} for {label!r}. Give a number above 0 (and below {MOST_WEIGHT:g})."
            raise ArgumentError(msg)
    return dict(class_weight)


def checked_sample_weight(sample_weight: Any) -> FloatArray | None:
    """Return weights of texts as floats `[n]`, or say what they may be.

    Raises:
        ArgumentError: If they are not a column of finite numbers of 0 or more, one of them at least above 0, or None.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.array([float(weight) for weight in label_rows(sample_weight)])
    except (TypeError, ValueError, OverflowError):
        weights = np.zeros(0)
    if not ((weights >= 0) & (weights < MOST_WEIGHT)).all() or not weights.any():
        msg = (
            "sample_weight is no list of weights. Give a number of 0 or more for each training text (and below "
            f"{MOST_WEIGHT:g}), not all of them 0."
        )
        raise ArgumentError(msg)
    return weights


def text_weights(
    codec: LabelCodec,
    targets: IntArray,
    *,
    class_weight: ClassWeight | None = None,
    sample_weight: Sequence[float] | FloatArray | None = None,
) -> FloatArray | None:
    """Return how much each text counts, its own weight times that of its class; 1 on average.

    `"balanced"` gives each class the same sum of weights. A text with several labels has the mean weight of them, and
    one without any has the weight 1.

    Args:
        codec: The labels.
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        class_weight: `"balanced"`, or weights by label; labels that aren't named have the weight 1.
        sample_weight: A weight of 0 or more for each text.

    Returns:
        Floats `[n]`; None if nothing was asked for.

    Raises:
        ArgumentError: If a weight has no meaning, or there isn't one for each text.
        LabelError: If `class_weight` names a label that the model doesn't have.
    """
    class_weight, of_texts = checked_class_weight(class_weight), checked_sample_weight(sample_weight)
    if class_weight is None and of_texts is None:
        return None
    if of_texts is not None and len(of_texts) != len(targets):
        msg = f"sample_weight has {len(of_texts)} weights, but there are {len(targets)} training texts."
        raise ArgumentError(msg)
    weights: FloatArray = np.ones(len(targets)) if of_texts is None else of_texts
    if class_weight is not None:
        weights = weights * _of_members(_class_weights(codec, targets, class_weight), targets)
    scaled: FloatArray = weights / weights.mean()
    return scaled


def takes_sample_weight(head: Any) -> bool:
    """Tell whether a head can be trained with weights.

    A head says so in its declaration. Of a head that declares nothing of it, as those of scikit-learn can't, the
    signature of `fit` tells, as it does for scikit-learn; of a differentiable one, that its loss has a `reduction`.
    """
    if isinstance(head, nn.Module):
        return getattr(head.get_loss_fn(), "reduction", None) in _REDUCTIONS  # type: ignore[operator]  # the contract asks for this method
    declared = declared_capabilities(head).get("sample_weight")
    return bool(_names_sample_weight(head) if declared is None else declared)


def ignored(name: str) -> str:
    """Return the message for a head that can't use the weights that were asked for."""
    return (
        f"The head {name} ignores class_weight and sample_weight: to it, every text counts alike. A head that can use "
        "them takes sample_weight in fit (and declares it) or, as a torch module, has a loss with 'reduction'."
    )


def _names_sample_weight(head: Any) -> bool:
    try:
        return "sample_weight" in inspect.signature(head.fit).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        return False


def _class_weights(codec: LabelCodec, targets: IntArray, class_weight: ClassWeight) -> FloatArray:
    if class_weight == "balanced":
        counts = targets.sum(axis=0) if targets.ndim == 2 else np.bincount(targets, minlength=codec.num_classes)
        balanced: FloatArray = counts.sum() / (codec.num_classes * np.maximum(counts, 1))
        return balanced
    named = {codec.labels[column]: class_id for class_id, column in enumerate(codec.classes)}
    unknown = [label for label in class_weight if label not in codec.labels]
    if unknown:
        known = listed(codec.labels)
        raise LabelError(f"class_weight names {listed(unknown)}, but the labels are {known}. Correct it.")
    weights = np.ones(codec.num_classes)
    for label, weight in class_weight.items():
        if label in named:
            weights[named[label]] = weight
    return weights


def _of_members(weights: FloatArray, targets: IntArray) -> FloatArray:
    if targets.ndim == 1:
        return weights[targets]
    each = targets.sum(axis=1)
    means: FloatArray = np.where(each > 0, targets @ weights / np.maximum(each, 1), 1.0)
    return means
