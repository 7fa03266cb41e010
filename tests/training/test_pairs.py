"""The pairs and triplets of an epoch, against an enumeration."""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from setfit_core.errors import InputError
from setfit_core.training.batches import OnePerClassBatchSampler, ShuffledBatchSampler
from setfit_core.training.pair_index import PairIndex
from setfit_core.training.pairs import PositivePairs, ScoredPairs, Triplets
from setfit_core.training.permutation import Permutation

CLASS_IDS = st.lists(st.integers(0, 3), min_size=2, max_size=12).map(lambda ids: np.array(ids, dtype=np.int64))
INDICATORS = st.tuples(st.integers(2, 10), st.integers(1, 3)).flatmap(
    lambda shape: arrays.arrays(np.int64, shape, elements=st.integers(0, 1))
)
TARGETS = CLASS_IDS | INDICATORS


def texts_for(targets):
    return [str(row) for row in range(len(targets))]


def visited(rows, batch_size=3):
    """Return the rows that one epoch visits."""
    return list(chain(*ShuffledBatchSampler(len(rows), batch_size, seed=0)))


def drawn(targets, **options):
    """Return the pairs that one epoch visits as a count of (smaller row, larger row, label)."""
    pairs = ScoredPairs(texts_for(targets), targets, **options)
    rows = pairs.__getitems__(visited(pairs))
    return Counter((*sorted((int(row["sentence_1"]), int(row["sentence_2"]))), row["label"]) for row in rows)


def enumerated(targets):
    def alike(a, b):
        return targets[a] == targets[b] if targets.ndim == 1 else bool((targets[a] & targets[b]).any())

    pairs = list(combinations(range(len(targets)), 2))
    return [(a, b, 1.0) for a, b in pairs if alike(a, b)], [(a, b, 0.0) for a, b in pairs if not alike(a, b)]


@given(st.integers(0, 400), st.integers(0, 2**32))
def test_a_permutation_has_every_number_once(size, seed):
    assert sorted(Permutation(size, seed)(np.arange(size)).tolist()) == list(range(size))


def test_a_permutation_takes_every_number_to_every_place_about_equally_often():
    size, keys = 6, 3000
    places = np.stack([Permutation(size, key)(np.arange(size)) for key in range(keys)])
    counts = np.stack([np.bincount(column, minlength=size) for column in places.T])
    expected = keys / size
    # 99.9 % of what chance gives, for (6 - 1)^2 degrees of freedom.
    assert ((counts - expected) ** 2 / expected).sum() < 52.6


@given(TARGETS)
def test_every_pair_has_a_number_of_its_own(targets):
    index = PairIndex(targets)
    alike, unlike = enumerated(targets)
    assert (index.positive, index.negative) == (len(alike), len(unlike))
    for kind, expected in ((True, alike), (False, unlike)):
        first, second = index.rows(np.arange(len(expected)), alike=kind)
        found = {tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}
        assert found == {(a, b) for a, b, _ in expected}


def test_numbers_of_very_many_pairs_are_exact():
    targets = np.zeros(3_000_000, dtype=np.int64)
    index = PairIndex(targets)
    last = len(targets) * (len(targets) - 1) // 2 - 1
    first, second = index.rows(np.array([0, last - 1, last]), alike=True)
    assert index.positive == last + 1
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 1),
        (2_999_997, 2_999_999),
        (2_999_998, 2_999_999),
    ]


@given(TARGETS)
def test_unique_is_every_pair_once_and_no_text_with_itself(targets):
    alike, unlike = enumerated(targets)
    assert drawn(targets, strategy="unique") == Counter(alike + unlike)


@given(TARGETS)
def test_oversampling_repeats_the_smaller_kind_evenly(targets):
    alike, unlike = enumerated(targets)
    counts = drawn(targets, strategy="oversampling")
    assert set(counts) == set(alike) | set(unlike)
    for kind in (alike, unlike):
        if kind:
            each = [counts[pair] for pair in kind]
            assert sum(each) == max(len(alike), len(unlike))
            assert max(each) - min(each) <= 1


@given(TARGETS)
def test_undersampling_draws_as_many_of_each(targets):
    alike, unlike = enumerated(targets)
    smaller = min(len(alike), len(unlike))
    if not smaller:
        with pytest.raises(InputError, match="no undersampling pairs"):
            drawn(targets, strategy="undersampling")
        return
    counts = drawn(targets, strategy="undersampling")
    assert sum(counts[pair] for pair in alike) == sum(counts[pair] for pair in unlike) == smaller
    assert set(counts.values()) == {1}


@given(TARGETS, st.integers(1, 4))
def test_num_iterations_sets_the_number_of_pairs(targets, num_iterations):
    alike, unlike = enumerated(targets)
    counts = drawn(targets, num_iterations=num_iterations)
    for kind in (alike, unlike):
        each = [counts[pair] for pair in kind]
        assert sum(each) == (num_iterations * len(targets) if kind else 0)
        assert max(each, default=0) - min(each, default=0) <= 1


def test_the_order_is_random_but_seeded():
    one, again, other, later = (ShuffledBatchSampler(40, 7, seed=seed) for seed in (1, 1, 2, 1))
    later.set_epoch(1)
    assert list(one) == list(again)
    assert len({str(list(sampler)) for sampler in (one, other, later)}) == 3
    pairs = ScoredPairs(texts_for(np.arange(8)), np.arange(8) % 2)
    kinds = [row["label"] for row in pairs.__getitems__(visited(pairs))[:16]]
    assert 0 < sum(kinds) < 16  # positive and negative pairs are mixed


def test_which_pairs_are_left_out_depends_on_the_seed():
    targets = np.array([0] * 6 + [1])
    kept = {seed: frozenset(drawn(targets, strategy="undersampling", seed=seed)) for seed in range(8)}
    assert len(set(kept.values())) > 4


@given(st.integers(1, 60), st.integers(1, 9), st.none() | st.integers(1, 4))
def test_batches_can_be_limited(rows, batch_size, most):
    sampler = ShuffledBatchSampler(rows, batch_size, seed=0, most=most)
    batches = list(sampler)
    whole = -(-rows // batch_size)
    assert len(batches) == len(sampler) == (whole if most is None else min(most, whole))
    assert len(set(chain(*batches))) == sum(map(len, batches)) == min(rows, len(batches) * batch_size)


@given(CLASS_IDS, st.none() | st.integers(1, 3))
def test_positive_pairs_are_all_there_class_by_class(targets, num_iterations):
    alike, _ = enumerated(targets)
    sizes = Counter(targets.tolist())
    if sum(size > 1 for size in sizes.values()) < 2:
        with pytest.raises(InputError, match="two texts of each of two labels"):
            PositivePairs(texts_for(targets), targets, num_iterations=num_iterations, seed=0, purpose="training")
        return
    pairs = PositivePairs(texts_for(targets), targets, num_iterations=num_iterations, seed=0, purpose="training")
    rows = pairs.__getitems__(range(len(pairs)))
    counts = Counter((*sorted((int(row["anchor"]), int(row["positive"]))), 1.0) for row in rows)
    assert set(counts) <= set(alike)
    if num_iterations is None:
        assert counts == Counter(alike)
    for target, size in sizes.items():
        own = [count for (first, *_), count in counts.items() if targets[first] == target]
        if num_iterations is not None:
            assert sum(own) == (num_iterations * size if size > 1 else 0)
        assert max(own, default=0) - min(own, default=0) <= 1
    ids = sorted(sizes)
    assert [ids[row["label"]] for row in rows] == [targets[int(row["anchor"])] for row in rows]


@given(CLASS_IDS)
def test_a_triplets_negative_is_of_another_class(targets):
    alike, unlike = enumerated(targets)
    if not alike or not unlike:
        with pytest.raises(InputError, match="two texts of one label and one of another"):
            Triplets(texts_for(targets), targets, num_iterations=None, seed=0, purpose="training")
        return
    triplets = Triplets(texts_for(targets), targets, num_iterations=None, seed=0, purpose="training")
    rows = [[int(text) for text in row.values()] for row in triplets.__getitems__(range(len(triplets)))]
    assert Counter((*sorted(row[:2]), 1.0) for row in rows) == Counter(alike)
    assert all(targets[anchor] != targets[negative] for anchor, _, negative in rows)


def test_all_texts_of_other_classes_are_negatives_about_equally_often():
    targets = np.repeat(np.arange(3), 20)
    triplets = Triplets(texts_for(targets), targets, num_iterations=None, seed=0, purpose="training")
    negatives = Counter(row["negative"] for row in triplets.__getitems__(range(len(triplets))))
    expected = len(triplets) / len(targets)
    # 99.9 % of what chance gives, for 59 degrees of freedom.
    assert sum((negatives[text] - expected) ** 2 / expected for text in texts_for(targets)) < 98.3


SIZES = st.lists(st.integers(0, 12), min_size=2, max_size=8).filter(lambda sizes: sum(map(bool, sizes)) > 1)


@given(SIZES, st.integers(2, 6), st.integers(0, 3))
def test_positive_pairs_of_one_class_never_meet(sizes, batch_size, epoch):
    sizes = np.array(sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    sampler = OnePerClassBatchSampler(sizes, batch_size, seed=0)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    for batch in batches:
        assert 2 <= len(batch) <= batch_size
        assert len(set(owner[batch])) == len(batch)
    rows = list(chain(*batches))
    assert len(rows) == len(set(rows))
    others = sizes.sum() - sizes.max()
    usable = min(sizes.sum(), 2 * others)
    assert usable - len(rows) in ((0, 1) if batch_size == 2 else (0,))


def test_one_example_a_class_still_makes_pairs():
    assert set(drawn(np.array([0, 1, 2]))) == {(0, 1, 0.0), (0, 2, 0.0), (1, 2, 0.0)}
