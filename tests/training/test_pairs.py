"""The pairs of an epoch, against an enumeration."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from setfit_core.errors import InputError
from setfit_core.training.pairs import pair_dataset

TARGETS = st.lists(st.integers(0, 3), min_size=2, max_size=12).map(lambda ids: np.array(ids, dtype=np.int64))


def drawn(targets, **options):
    """Return the drawn pairs as a count of (smaller row, larger row, label)."""
    dataset = pair_dataset([str(row) for row in range(len(targets))], targets, **options)
    rows = zip(dataset["sentence_1"], dataset["sentence_2"], dataset["label"], strict=True)
    return Counter((*sorted((int(a), int(b))), label) for a, b, label in rows)


def enumerated(targets):
    pairs = list(combinations(range(len(targets)), 2))
    alike = [(a, b, 1.0) for a, b in pairs if targets[a] == targets[b]]
    unlike = [(a, b, 0.0) for a, b in pairs if targets[a] != targets[b]]
    return alike, unlike


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


def test_num_iterations_sets_the_number_of_pairs():
    counts = drawn(np.array([0, 0, 1, 1]), num_iterations=5)
    labels = Counter(label for *_, label in counts.elements())
    assert labels == {1.0: 20, 0.0: 20}


def test_the_order_is_random_but_seeded():
    targets = np.arange(8) % 2
    texts = [str(row) for row in range(8)]
    one, again, other = (pair_dataset(texts, targets, seed=seed).to_dict() for seed in (1, 1, 2))
    assert one == again != other
    assert 0 < sum(one["label"][:14]) < 14  # the kinds are mixed


def test_one_example_a_class_still_makes_pairs():
    assert set(drawn(np.array([0, 1, 2]))) == {(0, 1, 0.0), (0, 2, 0.0), (1, 2, 0.0)}


def test_rows_that_share_one_of_several_labels_are_positive():
    targets = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0]])
    assert drawn(targets, strategy="unique") == Counter([(0, 1, 1.0), (0, 2, 0.0), (1, 2, 0.0)])


def test_the_number_of_pairs_can_be_limited():
    assert len(pair_dataset(list("abcdef"), np.arange(6) % 2, max_pairs=4)) == 4
