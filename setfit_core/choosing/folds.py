"""Folds: which texts a head is trained on, and which it is then tested on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from setfit_core.errors import ArgumentError, LabelError
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.labels import IntArray
from setfit_core.values import positive_integer, seed_value

#: The share of texts that may be left over by folds of equal shares.
_FEW: Final = 0.1


@dataclass(frozen=True)
class Fold:
    """One split of the texts.

    Attributes:
        repeat: Which of the repeated divisions it belongs to, from 0.
        train: Rows that a head is trained on, in their order, int64.
        test: Rows that it is tested on, in their order, int64. The test rows of a repeat don't overlap.
        inputs: All texts as a body sees them that was tuned on the training rows; None for the body of the task.
    """

    repeat: int
    train: IntArray
    test: IntArray
    inputs: FrozenInputs | None = None


def make_folds(targets: IntArray, *, folds: int = 5, repeats: int = 1, seed: int = 42) -> tuple[Fold, ...]:
    """Divide texts into folds with the same share of each class, several times over.

    With one label a text, each fold tests equally many texts of a class. If folds of few texts differed in that, each
    would be tested on more of the classes that it was trained on less, and heads that learn how frequent classes are
    would seem worse than they are. So texts that are left over stay in training in this repeat. There are as many folds
    as leave few over, and no more than the rarest class has texts; a class with a single text, which stays in training
    always, doesn't count.

    With several labels a text, the shares are about the same, and a text that is needed so that every training part has
    texts with and without each label stays in training.

    Args:
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_labels]`, each label set in some rows and not in others.
        folds: Into how many folds at most, 2 or more.
        repeats: How often the texts are divided anew.
        seed: Seed of the divisions.

    Returns:
        The folds, those of a repeat side by side.

    Raises:
        LabelError: If there is nothing to test: no class has two texts.
        ArgumentError: If a number has no meaning.
    """
    check_division(folds, repeats, seed)
    generator = np.random.default_rng(seed)
    groups = _groups(targets)
    counts = [len(rows) for rows in groups if len(rows) > 1]
    number = min([folds, *counts])
    if targets.ndim == 1:
        number = _number(counts, number)
    divide = _divided if targets.ndim == 1 else _divided_rows
    made: list[Fold] = []
    for repeat in range(repeats):
        fold_of = divide(targets, number, generator)
        for rows in groups:
            if len(set(fold_of[rows].tolist())) == 1:
                fold_of[rows[0]] = -1
        made += (
            Fold(repeat, np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold))
            for fold in range(number)
            if (fold_of == fold).any()
        )
    if not made:
        msg = "Each class has a single text, so none can be held back for testing. Give two texts or more a class."
        raise LabelError(msg)
    return tuple(made)


def check_division(folds: Any, repeats: Any, seed: Any) -> None:
    """Raise `ArgumentError` unless texts can be divided in this way; see `make_folds`."""
    if positive_integer("folds", folds) < 2:
        msg = "folds is 1. Give an integer of 2 or more: what a head is tested on has to be held back from training."
        raise ArgumentError(msg)
    positive_integer("repeats", repeats)
    seed_value(seed)


def folds_a_repeat(folds: Sequence[Fold]) -> int:
    """Return into how many folds the texts were divided each time."""
    return max(Counter(fold.repeat for fold in folds).values())


def _groups(targets: IntArray) -> list[IntArray]:
    """Return the rows of each class; for several labels a text, the rows with each label and those without."""
    if targets.ndim == 1:
        return [np.flatnonzero(targets == class_id) for class_id in np.unique(targets)]
    return [np.flatnonzero(column == value) for column in targets.T for value in (0, 1)]


def _number(counts: Sequence[int], most: int) -> int:
    """Return the largest number of equal folds that leaves few texts over; if each leaves many, the one with least."""

    def left_over(number: int) -> int:
        return sum(count % number for count in counts)

    numbers = range(most, 1, -1)
    fitting = (number for number in numbers if left_over(number) <= _FEW * sum(counts))
    return next(fitting, min(numbers, key=left_over))


def _divided(targets: IntArray, number: int, generator: np.random.Generator) -> IntArray:
    """Return the fold of each row, -1 for those that are left over."""
    fold_of = np.full(len(targets), -1, dtype=np.int64)
    for class_id in np.unique(targets):
        rows = generator.permutation(np.flatnonzero(targets == class_id))
        dealt = len(rows) - len(rows) % number
        fold_of[rows[:dealt]] = np.arange(dealt) % number
    return fold_of


def _divided_rows(targets: IntArray, number: int, generator: np.random.Generator) -> IntArray:
    """Return the fold of each row of indicators.

    The rarest label that is left is dealt out first, each of its rows to the fold that lacks it most; see Sechidis et
    al., "On the Stratification of Multi-Label Data" (2011).
    """
    fold_of = np.full(len(targets), -1, dtype=np.int64)
    # Rows without any label are dealt out last, by this column.
    columns = np.column_stack([targets, targets.sum(axis=1) == 0])
    lacking = np.tile(columns.sum(axis=0) / number, (number, 1))
    room = np.full(number, len(targets) / number)
    order = generator.permutation(len(targets))
    while (fold_of < 0).any():
        left = columns[fold_of < 0].sum(axis=0)
        label = np.where(left > 0, left, len(targets) + 1).argmin()
        for row in order[(fold_of[order] < 0) & (columns[order, label] > 0)]:
            fold = np.lexsort((-room, -lacking[:, label]))[0]
            fold_of[row] = fold
            lacking[fold] -= columns[row]
            room[fold] -= 1
    return fold_of
