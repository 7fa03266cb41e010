"""Which rows come together in a batch, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

from setfit_core.labels import IntArray
from setfit_core.training.permutation import Permutation

#: Batches whose rows are found together.
_BATCHES_AT_ONCE: Final = 256


class ClassAwareBatchSampler(DefaultBatchSampler):
    """A batch sampler of sentence-transformers: distinct texts, grouped by class.

    An epoch is `passes` passes, each over all texts in batches of other company. A batch has at least `per_class` texts
    of each of its classes, as far as there are as many, and at least two classes; where one class outnumbers the others
    so much that this takes more, texts of the others come again. The order depends on the seed and the epoch alone.

    Args:
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`; a text with several labels is grouped by
            its rarest.
        batch_size: The most texts a batch, at least twice `per_class`; where sizes of classes are far apart, it may be
            one more.
        per_class: Texts of a class that a batch has at least.
        passes: How often an epoch has each text.
        seed: Seed of the order.
        most: The most batches of an epoch; None for all.
    """

    def __init__(
        self,
        targets: IntArray,
        batch_size: int,
        per_class: int,
        *,
        passes: int,
        seed: int,
        most: int | None = None,
    ) -> None:
        groups = _groups(targets)
        super().__init__(range(len(targets)), batch_size, False)  # only its length is used
        self.seed = seed
        self._passes = passes
        self._per_class = per_class
        self._classes = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        self._count = -(-len(targets) // batch_size)
        # How full the batches get depends on the sizes of the classes, and hardly on what is drawn.
        while max(map(len, dealt := self._dealt(self._count, 0))) > batch_size:
            self._count += 1 + self._count // 50
        self._length = _at_most(most, passes * len(dealt))

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        batches = (batch for turn in range(self._passes) for batch in self._dealt(self._count, turn))
        yield from islice(batches, self._length)

    def _dealt(self, count: int, turn: int) -> list[list[int]]:
        """Deal the parts of each class to the emptiest batches, the large classes first."""
        generator = np.random.default_rng((self.seed, self.epoch, turn))
        batches: list[list[int]] = [[] for _ in range(count)]
        classes: list[set[int]] = [set() for _ in range(count)]
        shuffled = [generator.permutation(rows) for rows in self._classes]
        for group in sorted(generator.permutation(len(shuffled)), key=lambda group: -len(shuffled[group])):
            rows = shuffled[group]
            parts = np.array_split(rows, max(1, min(count, len(rows) // self._per_class)))
            ties = generator.random(count)
            order = sorted(range(count), key=lambda place: (len(batches[place]), len(classes[place]), ties[place]))
            for place, part in zip(order, parts, strict=False):
                batches[place] += part.tolist()
                classes[place].add(int(group))
        if len(shuffled) > 1:
            self._give_company(batches, classes, shuffled)
        return [batches[place] for place in generator.permutation(count) if batches[place]]

    def _give_company(self, batches: list[list[int]], classes: list[set[int]], shuffled: list[Any]) -> None:
        """Add texts of another class, each in its turn, to every batch that has a single class."""
        turns = [0] * len(shuffled)
        others = [0] * len(shuffled)
        for batch, present in zip(batches, classes, strict=True):
            if len(present) != 1:
                continue
            own = next(iter(present))
            other = min((group for group in range(len(shuffled)) if group != own), key=lambda group: others[group])
            rows = shuffled[other]
            count = min(self._per_class, len(rows))
            if len(batch) < 2 * self._per_class:  # more batches wouldn't make it smaller
                count = min(count, max(1, self.batch_size - len(batch)))
            batch += [int(rows[(turns[other] + place) % len(rows)]) for place in range(count)]
            turns[other] += count
            others[other] += 1


def _groups(targets: IntArray) -> IntArray:
    if targets.ndim == 1:
        return targets
    frequency = targets.sum(axis=0)
    # Texts without a label are a group of their own, behind the last label.
    rarest = np.where(targets > 0, frequency, np.iinfo(np.int64).max).argmin(axis=1)
    return np.asarray(np.where(targets.any(axis=1), rarest, targets.shape[1]))


class ShuffledBatchSampler(DefaultBatchSampler):
    """A batch sampler of sentence-transformers: each row once an epoch, in random order.

    The order isn't kept: an epoch may have any number of rows.

    Args:
        rows: How many rows there are.
        batch_size: Rows a batch; the last one may have fewer.
        seed: Seed of the order, together with the epoch.
        most: The most batches of an epoch; None for all.
    """

    def __init__(self, rows: int, batch_size: int, *, seed: int, most: int | None = None) -> None:
        super().__init__(range(rows), batch_size, False)  # only its length is used
        self.seed = seed
        self._rows = rows
        self._length = _at_most(most, -(-rows // batch_size))

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        order = Permutation(self._rows, self.seed, self.epoch)
        for start, stop in _spans(self._length, _BATCHES_AT_ONCE):
            rows = order(np.arange(start * self.batch_size, min(stop * self.batch_size, self._rows)))
            for first in range(0, len(rows), self.batch_size):
                yield rows[first : first + self.batch_size].tolist()


class OnePerClassBatchSampler(DefaultBatchSampler):
    """A batch sampler of sentence-transformers: no class twice in a batch.

    For losses that take the other examples of a batch for negatives. A batch has at most as many examples as there are
    classes. Of a class with more examples than all others together, those that no other is left for are left out of the
    epoch, others in each. Only the sizes of the classes are kept.

    Args:
        sizes: How many examples each class has, int64 `[num_classes]`; they lie class by class.
        batch_size: The most examples a batch, 2 or more.
        seed: Seed of the order, together with the epoch.
        most: The most batches of an epoch; None for all.
    """

    def __init__(self, sizes: IntArray, batch_size: int, *, seed: int, most: int | None = None) -> None:
        super().__init__(range(int(sizes.sum())), batch_size, False)  # only its length is used
        self.seed = seed
        self._sizes = sizes
        largest = int(sizes.argmax())
        self._used = sizes.copy()
        self._used[largest] = min(sizes[largest], sizes.sum() - sizes[largest])
        total = int(self._used.sum())
        # Examples are dealt to so many batches in turn, class by class. No class has more of them than there are
        # batches, so none meets itself.
        self._dealt = max(int(self._used.max()), -(-total // batch_size))
        # Of batches of two, the last one may be left with one example, which has nothing to be told from.
        self._paired = min(self._dealt, total - self._dealt)
        self._length = _at_most(most, self._paired)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        key = (self.seed, self.epoch)
        classes = np.random.default_rng(key).permutation(len(self._sizes))
        ends = np.cumsum(self._used[classes])
        starts = np.cumsum(self._sizes) - self._sizes
        batches = Permutation(self._paired, *key)
        orders = [Permutation(int(size), *key, number) for number, size in enumerate(self._sizes)]
        turns = np.arange(-(-int(ends[-1]) // self._dealt)) * self._dealt
        for start, stop in _spans(self._length, _BATCHES_AT_ONCE):
            places = batches(np.arange(start, stop))[:, None] + turns
            there = places < ends[-1]
            turn = np.searchsorted(ends, np.where(there, places, 0), side="right")
            group = classes[turn]
            rows = places - (ends - self._used[classes])[turn]
            for each in np.unique(group[there]):
                own = there & (group == each)
                rows[own] = starts[each] + orders[each](rows[own])
            yield from (batch[kept].tolist() for batch, kept in zip(rows, there, strict=True))


def _spans(length: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, length)) for start in range(0, length, size))


def _at_most(most: int | None, count: int) -> int:
    return count if most is None else min(count, most)
