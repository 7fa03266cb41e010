"""Pairs and triplets of training texts: pairs are positive if they share a label, otherwise negative."""

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
    as_classes: bool = False,
    seed: int = 42,
    purpose: str = "training",
) -> Dataset:
    """Return the pairs of one epoch, in random order.

    Memory grows with the square of the number of texts.

    Args:
        texts: The texts.
        targets: Their class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        strategy: See `TrainingArguments.sampling_strategy`.
        num_iterations: See `TrainingArguments.num_iterations`.
        max_pairs: The most pairs that are wanted; None for all.
        as_classes: Whether targets are class ids, for losses that classify pairs.
        seed: Seed of the order.
        purpose: What the texts are for, for the error.

    Returns:
        A data set with the columns `sentence_1`, `sentence_2` and `label` (1.0 or 0.0, or 1 or 0).

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
            f"{len(texts)} {purpose} text(s) make no {strategy} pairs. Give more texts a label, or use "
            "sampling_strategy='oversampling'."
        )
        raise InputError(msg)
    drawn = generator.permutation(drawn)[:max_pairs]
    return Dataset.from_dict(
        {
            "sentence_1": [texts[row] for row in first[drawn]],
            "sentence_2": [texts[row] for row in second[drawn]],
            "label": alike[drawn].astype(np.int64 if as_classes else np.float32),
        }
    )


def positive_pairs(
    texts: Sequence[str], targets: IntArray, *, num_iterations: int | None, most: int | None, seed: int, purpose: str
) -> Dataset:
    """Return the positive pairs of one epoch, in random order.

    Args:
        texts: The texts.
        targets: Their class ids `[n]`.
        num_iterations: If given, there are as many for each text, drawn at random.
        most: The most pairs that are wanted; None for all.
        seed: Seed of the order.
        purpose: What the texts are for, for the error.

    Returns:
        A data set with the columns `anchor`, `positive` and `label` (their class id).

    Raises:
        InputError: If there are no two labels with two texts each: the other label's pair is what these are told from.
    """
    counts = np.unique(targets, return_counts=True)[1]
    _needed(int((counts > 1).sum()) > 1, purpose, "two texts of each of two labels")
    anchors, positives = _positive_rows(targets, num_iterations, np.random.default_rng(seed), most)
    return Dataset.from_dict(
        {
            "anchor": [texts[row] for row in anchors],
            "positive": [texts[row] for row in positives],
            "label": targets[anchors],
        }
    )


def triplets(
    texts: Sequence[str], targets: IntArray, *, num_iterations: int | None, most: int | None, seed: int, purpose: str
) -> Dataset:
    """Return the positive pairs of one epoch, each with a random text of another class.

    Arguments are those of `positive_pairs`; the columns are `anchor`, `positive` and `negative`.

    Raises:
        InputError: If no two texts share a label, or all do.
    """
    counts = np.unique(targets, return_counts=True)[1]
    _needed(len(counts) > 1 and counts.max() > 1, purpose, "two texts of one label and one of another")
    generator = np.random.default_rng(seed)
    anchors, positives = _positive_rows(targets, num_iterations, generator, most)
    others = {target: np.flatnonzero(targets != target) for target in np.unique(targets)}
    negatives = [generator.choice(others[target]) for target in targets[anchors]]
    rows = (("anchor", anchors), ("positive", positives), ("negative", np.asarray(negatives)))
    return Dataset.from_dict({name: [texts[row] for row in column] for name, column in rows})


def _needed(there: bool, purpose: str, what: str) -> None:
    if not there:
        msg = f"This loss compares {what}, and the {purpose} texts have no such. Add texts, or take another loss."
        raise InputError(msg)


def _positive_rows(
    targets: IntArray, num_iterations: int | None, generator: np.random.Generator, most: int | None
) -> tuple[IntArray, IntArray]:
    first, second = np.triu_indices(len(targets), k=1)
    pairs = generator.permutation(np.flatnonzero(_share_label(targets, first, second)))
    drawn = pairs if num_iterations is None else _repeated(pairs, num_iterations * len(targets))
    drawn = drawn[:most]
    return first[drawn], second[drawn]


def _share_label(targets: IntArray, first: IntArray, second: IntArray) -> npt.NDArray[np.bool_]:
    if targets.ndim == 1:
        return np.asarray(targets[first] == targets[second])
    return np.asarray((targets @ targets.T > 0)[first, second])


def _repeated(pairs: IntArray, count: int) -> IntArray:
    """Return `count` of the pairs, each as often as the others give or take one; none if there are none."""
    return np.resize(pairs, count) if len(pairs) else pairs
