"""Pairs of training texts for the embedding phase: positive if they share a label, otherwise negative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from setfit_core.errors import InputError
from setfit_core.labels import IntArray
from setfit_core.training.arguments import SamplingStrategy


def pair_dataset(
    texts: Sequence[str],
    targets: IntArray,
    *,
    strategy: SamplingStrategy = "oversampling",
    num_iterations: int | None = None,
    max_pairs: int | None = None,
    seed: int = 42,
) -> Dataset:
    """Return the pairs of one epoch, in random order.

    Memory grows with the square of the number of texts.

    Args:
        texts: The training texts.
        targets: Their class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        strategy: See `TrainingArguments.sampling_strategy`.
        num_iterations: See `TrainingArguments.num_iterations`.
        max_pairs: The most pairs that are wanted; None for all.
        seed: Seed of the order.

    Returns:
        A data set with the columns `sentence_1`, `sentence_2` and `label` (1.0 or 0.0).

    Raises:
        InputError: If there is no pair at all.
    """
    generator = np.random.default_rng(seed)
    first, second = np.triu_indices(len(targets), k=1)
    alike = _share_label(targets, first, second)
    positive = generator.permutation(np.flatnonzero(alike))
    negative = generator.permutation(np.flatnonzero(~alike))
    if num_iterations is not None:
        counts = (num_iterations * len(texts),) * 2
    elif strategy == "unique":
        counts = (len(positive), len(negative))
    elif strategy == "undersampling":
        counts = (min(len(positive), len(negative)),) * 2
    else:
        counts = (max(len(positive), len(negative)),) * 2
    drawn = np.concatenate([_repeated(positive, counts[0]), _repeated(negative, counts[1])])
    if not len(drawn):
        msg = (
            f"{len(texts)} training texts make no {strategy} pairs. Give more texts a label, or use "
            "sampling_strategy='oversampling'."
        )
        raise InputError(msg)
    drawn = generator.permutation(drawn)[:max_pairs]
    return Dataset.from_dict(
        {
            "sentence_1": [texts[row] for row in first[drawn]],
            "sentence_2": [texts[row] for row in second[drawn]],
            "label": alike[drawn].astype(np.float32),
        }
    )


def _share_label(targets: IntArray, first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
    if targets.ndim == 1:
        return np.asarray(targets[first] == targets[second])
    return np.asarray((targets @ targets.T > 0)[first, second])


def _repeated(pairs: IntArray, count: int) -> IntArray:
    """Return `count` of the pairs, each as often as the others give or take one; none if there are none."""
    return np.resize(pairs, count) if len(pairs) else pairs
