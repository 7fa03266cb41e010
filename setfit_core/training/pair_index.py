"""All pairs of texts, numbered, so that none has to be kept."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from setfit_core.labels import IntArray

#: Entries of the largest table that is kept while pairs of several labels are counted.
_ENTRIES: Final = 2**22


class PairIndex:
    """The pairs of different texts, those with a common label and the others numbered from 0 on.

    Texts with the same labels are a group. Memory is proportional to the number of texts: what is kept are the sizes of
    groups and how many pairs each has, not the pairs.

    Attributes:
        positive: How many pairs have a label in common.
        negative: How many have none.

    Args:
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
    """

    def __init__(self, targets: IntArray) -> None:
        groups, group_of = np.unique(targets, axis=0, return_inverse=True)
        self._rows = np.argsort(group_of.reshape(-1), kind="stable")
        self._sizes = np.bincount(group_of.reshape(-1), minlength=len(groups)).astype(np.int64)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._labels = groups.astype(np.float32) if groups.ndim == 2 else None
        own = self._sizes * (self._sizes - 1) // 2
        labelled = np.ones(len(groups), dtype=bool) if self._labels is None else self._labels.any(axis=1)
        alike = self._alike_later()
        unlike = len(targets) - self._starts - self._sizes - alike
        self._kinds = {
            True: _Kind(np.where(labelled, own, 0), alike, self._sizes),
            False: _Kind(np.where(labelled, 0, own), unlike, self._sizes),
        }
        self.positive, self.negative = self._kinds[True].pairs, self._kinds[False].pairs

    @property
    def positive_by_group(self) -> IntArray:
        """How many pairs with a common label each group begins, int64 `[groups]`; their numbers follow each other."""
        return self._kinds[True].totals

    @property
    def group_sizes(self) -> IntArray:
        """How many texts each group has, int64 `[groups]`."""
        return self._sizes

    def rows(self, numbers: IntArray, *, alike: bool) -> tuple[IntArray, IntArray]:
        """Return the rows of both texts of pairs, int64 `[n]` each.

        Args:
            numbers: Numbers `[n]` of pairs.
            alike: Whether these are pairs with a common label.
        """
        kind = self._kinds[alike]
        group = np.searchsorted(kind.ends, numbers, side="right")
        rest = numbers - (kind.ends - kind.totals)[group]
        within = rest < kind.own[group]
        low, high = _triangle(np.where(within, rest, 0))
        others = np.where(within, 1, np.maximum(kind.others[group], 1))
        first, offset = np.divmod(np.where(within, 0, rest - kind.own[group]), others)
        start = self._starts[group]
        one = start + np.where(within, low, first)
        other = np.where(within, start + high, self._later_place(group, offset, within, alike=alike))
        return self._rows[one], self._rows[other]

    def row_of_other_group(self, rows: IntArray, numbers: npt.NDArray[np.uint64]) -> IntArray:
        """Return for each text, by its row, one of another group: the one that a number `[n]` falls on."""
        place = np.empty_like(self._rows)
        place[self._rows] = np.arange(len(self._rows))
        group = np.searchsorted(self._starts, place[rows], side="right") - 1
        others = len(self._rows) - self._sizes[group]
        chosen = (numbers % others.astype(np.uint64)).astype(np.int64)
        return self._rows[np.where(chosen < self._starts[group], chosen, chosen + self._sizes[group])]

    def _alike_later(self) -> IntArray:
        """Return how many texts of later groups have a label in common with each group's, int64 `[groups]`."""
        counts = np.zeros(len(self._sizes), dtype=np.int64)
        if self._labels is None:
            return counts
        step = max(1, _ENTRIES // len(counts))
        for start in range(0, len(counts), step):
            alike = self._labels[start : start + step] @ self._labels[start:].T > 0
            counts[start : start + step] = np.triu(alike, k=1) @ self._sizes[start:]
        return counts

    def _later_place(
        self, group: IntArray, offset: IntArray, skipped: npt.NDArray[np.bool_], *, alike: bool
    ) -> IntArray:
        """Return the place of the text that is `offset` texts into the later groups that are alike, or that aren't."""
        if self._labels is None:  # groups are classes, and all others are unlike
            return np.asarray(self._starts[group] + self._sizes[group] + offset)
        places = np.zeros_like(offset)
        for number in np.flatnonzero(~skipped):
            later = slice(int(group[number]) + 1, None)
            wanted = (self._labels[later] @ self._labels[group[number]] > 0) == alike
            ends = np.cumsum(np.where(wanted, self._sizes[later], 0))
            found = int(np.searchsorted(ends, offset[number], side="right"))
            before = ends[found] - self._sizes[later][found]
            places[number] = self._starts[later][found] + offset[number] - before
        return places


class _Kind:
    """How pairs of one kind are numbered: group by group, first those within it, then those with later groups.

    Args:
        own: Pairs within each group.
        others: Texts of later groups that make such a pair with each text of a group.
        sizes: Texts of each group.
    """

    def __init__(self, own: IntArray, others: IntArray, sizes: IntArray) -> None:
        self.own, self.others = own, others
        self.totals = own + sizes * others
        self.ends = np.cumsum(self.totals)
        self.pairs = int(self.ends[-1]) if len(self.ends) else 0


def _triangle(numbers: IntArray) -> tuple[IntArray, IntArray]:
    """Return the pairs `low < high` at these numbers in the order (0, 1), (0, 2), (1, 2), (0, 3), ..."""
    high = ((1 + np.sqrt(1 + 8.0 * numbers)) / 2).astype(np.int64)
    # The root of a large number may be off by one.
    high -= high * (high - 1) // 2 > numbers
    high += high * (high + 1) // 2 <= numbers
    return numbers - high * (high - 1) // 2, high
