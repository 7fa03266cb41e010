"""What the embedding phase trains on, row by row: labelled texts, pairs and triplets.

Pairs are positive if they share a label, otherwise negative. Only texts are kept: a pair is put together when it is
asked for, so memory is proportional to the number of texts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from setfit_core.errors import InputError
from setfit_core.labels import IntArray
from setfit_core.training.arguments import SamplingStrategy
from setfit_core.training.pair_index import PairIndex
from setfit_core.training.permutation import Permutation, mixed

#: Each is the key of another random choice.
_POSITIVE, _NEGATIVE, _OTHERS = range(3)


class TrainingRows(Dataset[dict[str, Any]], ABC):
    """Rows for sentence-transformers' data collator, which are made when they are asked for.

    Attributes:
        column_names: What each row has. The order of columns of texts is that in which a loss gets them.
    """

    column_names: Sequence[str]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def columns(self, rows: IntArray) -> tuple[Sequence[Any], ...]:
        """Return these rows, column by column."""

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return a row."""
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the rows of a batch, for PyTorch's `DataLoader`."""
        columns = self.columns(np.asarray(rows, dtype=np.int64))
        return [dict(zip(self.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


class LabelledTexts(TrainingRows):
    """Texts and their labels.

    Args:
        texts: The texts.
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
    """

    column_names = ("text", "label")

    def __init__(self, texts: Sequence[str], targets: IntArray) -> None:
        self._texts = texts
        self.targets = targets

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._texts)

    def columns(self, rows: IntArray) -> tuple[Sequence[Any], ...]:
        """Return texts, and class ids or indicators."""
        return _picked(self._texts, rows), self.targets[rows].tolist()


class ScoredPairs(TrainingRows):
    """The pairs of an epoch: first the positive ones, then the negative ones.

    Args:
        texts: The texts.
        targets: Their class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        strategy: See `TrainingArguments.sampling_strategy`.
        num_iterations: See `TrainingArguments.num_iterations`.
        as_classes: Whether the column `label` is 1 or 0, for losses that classify pairs, instead of 1.0 or 0.0.
        seed: Seed of the choice where not all pairs are equally frequent.
        purpose: What the texts are for, for the error.

    Raises:
        InputError: If there is no pair at all.
    """

    column_names = ("sentence_1", "sentence_2", "label")

    def __init__(
        self,
        texts: Sequence[str],
        targets: IntArray,
        *,
        strategy: SamplingStrategy = "oversampling",
        num_iterations: int | None = None,
        as_classes: bool = False,
        seed: int = 42,
        purpose: str = "training",
    ) -> None:
        self._texts = texts
        self._index = PairIndex(targets)
        self._kind = int if as_classes else float
        positive, negative = self._index.positive, self._index.negative
        if num_iterations is not None:
            counts = (num_iterations * len(texts),) * 2
        elif strategy == "unique":
            counts = (positive, negative)
        elif strategy == "undersampling":
            counts = (min(positive, negative),) * 2
        else:
            counts = (max(positive, negative),) * 2
        # Of a kind that has no pairs, none can be repeated.
        self._positive, self._negative = counts[0] if positive else 0, counts[1] if negative else 0
        self._orders = {True: Permutation(positive, seed, _POSITIVE), False: Permutation(negative, seed, _NEGATIVE)}
        if not len(self):
            msg = (
                f"{len(texts)} {purpose} text(s) make no {strategy} pairs. Give more texts a label, or use "
                "sampling_strategy='oversampling'."
            )
            raise InputError(msg)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return self._positive + self._negative

    def columns(self, rows: IntArray) -> tuple[Sequence[Any], ...]:
        """Return both texts of each pair, and its target."""
        first, second = np.empty_like(rows), np.empty_like(rows)
        positive = rows < self._positive
        for alike, chosen in ((True, positive), (False, ~positive)):
            places = rows[chosen] - (0 if alike else self._positive)
            pairs = self._index.positive if alike else self._index.negative
            # Each pair comes as often as the others of its kind, give or take one.
            numbers = self._orders[alike](places % pairs) if pairs else places
            first[chosen], second[chosen] = self._index.rows(numbers, alike=alike)
        return _picked(self._texts, first), _picked(self._texts, second), [self._kind(each) for each in positive]


class PositivePairs(TrainingRows):
    """The positive pairs of an epoch, class by class.

    Attributes:
        sizes: How many pairs each class has, int64 `[num_classes]`.

    Args:
        texts: The texts.
        targets: Their class ids `[n]`.
        num_iterations: If given, a class has this many pairs for each of its texts, drawn at random; otherwise all.
        seed: Seed of the draw.
        purpose: What the texts are for, for the error.

    Raises:
        InputError: If there are no two labels with two texts each: the other label's pair is what these are told from.
    """

    column_names: Sequence[str] = ("anchor", "positive", "label")

    def __init__(
        self, texts: Sequence[str], targets: IntArray, *, num_iterations: int | None, seed: int, purpose: str
    ) -> None:
        self._texts = texts
        self._index = PairIndex(targets)
        self._check(purpose)
        self._pairs = self._index.positive_by_group
        self.sizes = self._pairs
        if num_iterations is not None:
            self.sizes = np.where(self._pairs > 0, num_iterations * self._index.group_sizes, 0)
        self._ends = np.cumsum(self.sizes)
        self._orders = [Permutation(int(pairs), seed, group) for group, pairs in enumerate(self._pairs)]

    def _check(self, purpose: str) -> None:
        there = int((self._index.group_sizes > 1).sum()) > 1
        _needed(there, purpose, "two texts of each of two labels")

    def __len__(self) -> int:
        """Return the number of pairs."""
        return int(self._ends[-1])

    def columns(self, rows: IntArray) -> tuple[Sequence[Any], ...]:
        """Return both texts of each pair, and the number of its class."""
        first, second, group = self._pairs_of(rows)
        return _picked(self._texts, first), _picked(self._texts, second), group.tolist()

    def _pairs_of(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        group = np.searchsorted(self._ends, rows, side="right")
        numbers = rows - (self._ends - self.sizes)[group]
        begin = np.cumsum(self._pairs) - self._pairs
        for each in np.unique(group):
            own = group == each
            numbers[own] = begin[each] + self._orders[each](numbers[own] % self._pairs[each])
        return *self._index.rows(numbers, alike=True), group


class Triplets(PositivePairs):
    """The positive pairs of an epoch, each with a random text of another class.

    Raises:
        InputError: If no two texts share a label, or all do.
    """

    column_names = ("anchor", "positive", "negative")

    def __init__(
        self, texts: Sequence[str], targets: IntArray, *, num_iterations: int | None, seed: int, purpose: str
    ) -> None:
        super().__init__(texts, targets, num_iterations=num_iterations, seed=seed, purpose=purpose)
        self._key = np.random.default_rng((seed, _OTHERS)).integers(2**64, dtype=np.uint64)

    def _check(self, purpose: str) -> None:
        sizes = self._index.group_sizes
        _needed(len(sizes) > 1 and sizes.max() > 1, purpose, "two texts of one label and one of another")

    def columns(self, rows: IntArray) -> tuple[Sequence[Any], ...]:
        """Return the three texts of each triplet."""
        first, second, _ = self._pairs_of(rows)
        other = self._index.row_of_other_group(first, mixed(rows.astype(np.uint64) + self._key))
        return _picked(self._texts, first), _picked(self._texts, second), _picked(self._texts, other)


def _picked(texts: Sequence[str], rows: IntArray) -> list[str]:
    return [texts[row] for row in rows]


def _needed(there: bool, purpose: str, what: str) -> None:
    if not there:
        msg = f"This loss compares {what}, and the {purpose} texts have no such. Add texts, or take another loss."
        raise InputError(msg)
