"""Batches of labelled texts: everything once, company for everyone, and never more than asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from setfit_core.training.batches import ClassAwareBatchSampler

SIZES = {
    "two classes": [8, 8],
    "six classes": [8] * 6,
    "150 classes": [8] * 150,
    "classes of one text": [1] * 70,
    "strong imbalance": [900, 8],
    "two texts against one batch": [61, 2],
    "ten texts against ten batches": [303, 10],
    "a class of one text": [500, 3, 1],
    "all sizes": [3 + 5 * place for place in range(28)],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("batch_size", [4, 32])
def test_batches_hold_every_text_and_company_for_each(sizes, batch_size):
    targets = np.repeat(np.arange(len(sizes)), sizes)
    sampler = ClassAwareBatchSampler(targets, batch_size, 2, passes=1, seed=0)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    seen = Counter(row for batch in batches for row in batch)
    assert set(seen) == set(range(len(targets)))
    if batch_size == 32:
        # Only texts that keep a single large class company come again.
        assert max(seen[row] for row in np.flatnonzero(targets == np.argmax(sizes))) == 1
    for batch in batches:
        assert len(batch) == len(set(batch)) <= batch_size
        counts = Counter(targets[batch].tolist())
        assert len(counts) >= 2
        if batch_size == 32:
            assert all(count >= min(2, sizes[group]) for group, count in counts.items())


def test_no_more_batches_than_asked_for():
    sampler = ClassAwareBatchSampler(np.repeat(np.arange(2), [63, 1]), 32, 2, passes=1, most=2, seed=0)
    assert len(list(sampler)) == len(sampler) == 2
    assert len(ClassAwareBatchSampler(np.repeat(np.arange(2), 8), 32, 2, passes=1, most=2, seed=0)) == 1


def test_the_order_depends_on_seed_and_epoch_alone():
    targets = np.repeat(np.arange(6), 20)
    first, same, other = (ClassAwareBatchSampler(targets, 32, 2, passes=1, seed=seed) for seed in (0, 0, 1))
    assert list(first) == list(same) != list(other)
    first.set_epoch(1)
    assert list(first) != list(same)


def test_each_pass_of_an_epoch_has_all_texts_in_other_company():
    targets = np.repeat(np.arange(6), 8)
    sampler = ClassAwareBatchSampler(targets, 32, 2, passes=3, seed=0)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 6
    assert Counter(row for batch in batches for row in batch) == dict.fromkeys(range(48), 3)
    assert len({frozenset(batch) for batch in batches}) == 6


def test_texts_of_several_labels_are_grouped_by_their_rarest():
    targets = np.zeros((64, 3), dtype=np.int64)
    targets[:, 0] = 1
    targets[::16, 2] = 1
    for batch in ClassAwareBatchSampler(targets, 32, 2, passes=1, seed=0):
        assert targets[batch, 2].sum() == 2


def test_one_class_alone_is_batched_too():
    assert sorted(map(len, ClassAwareBatchSampler(np.zeros(40, dtype=np.int64), 32, 2, passes=1, seed=0))) == [20, 20]
