"""Batches in which every text has company of its own class and of another one, or none of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler

from setfit_core.labels import IntArray


class ClassAwareBatchSampler(DefaultBatchSampler):
    """A batch sampler of sentence-transformers: distinct texts, grouped by class.

    An epoch is `passes` passes, each over all texts in batches of other company. A batch has at least `per_class` texts
    of each of its classes, as far as there are as many, and at least two classes; where one class outnumbers the others
    so much that this takes more, texts of the others come again. The order depends on the seed and the epoch alone.

    Args:
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`; a text with several labels is grouped by
            its rarest.
        batch_size: The most texts a batch, at least twice `per_class`.
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
        # How full the batches get depends on the sizes of the classes alone, not on what is drawn.
        while max(map(len, dealt := self._dealt(self._count, 0))) > batch_size:
            self._count += 1 + self._count // 50
        whole = passes * len(dealt)
        self._length = whole if most is None else min(whole, most)

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


class OnePerClassBatchSampler(DefaultBatchSampler):
    """A batch sampler of sentence-transformers: no class twice in a batch.

    For losses that take the other examples of a batch for negatives. A batch has at most as many examples as there are
    classes. What is left of the most frequent class when the others are used up is left out of the epoch.

    Args:
        targets: Class ids `[n]`.
        batch_size: The most examples a batch.
        seed: Seed of the order, together with the epoch.
    """

    def __init__(self, targets: IntArray, batch_size: int, *, seed: int) -> None:
        super().__init__(range(len(targets)), batch_size, False)  # only its length is used
        self.seed = seed
        self._classes = [np.flatnonzero(targets == target) for target in np.unique(targets)]
        self._length = len(self._dealt())  # the sizes of the classes decide it, not what is drawn

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of each batch."""
        yield from self._dealt()

    def _dealt(self) -> list[list[int]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        left = [generator.permutation(rows).tolist() for rows in self._classes]
        batches = []
        # The classes with most examples first, so that few are left alone in the end.
        while len(order := sorted((rows for rows in left if rows), key=len, reverse=True)) > 1:
            batches.append([rows.pop() for rows in order[: self.batch_size]])
        return batches
