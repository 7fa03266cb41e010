"""Folds: like shares of each class, and nothing in training that is then tested."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from setfit_core.choosing.folds import folds_a_repeat, make_folds
from setfit_core.errors import ArgumentError, LabelError


@pytest.mark.parametrize(
    ("counts", "folds"),
    [((8, 8), 4), ((5, 5, 5), 5), ((7, 7), 3), ((32, 32), 5), ((40, 3), 3), ((9, 4), 4), ((2, 30), 2), ((1, 3, 9), 3)],
)
def test_each_fold_tests_the_same_number_of_each_class(counts, folds):
    targets = np.repeat(np.arange(len(counts)), counts)
    made = make_folds(targets)
    assert len(made) == folds_a_repeat(made) == folds
    for fold in made:
        assert np.bincount(targets[fold.test], minlength=len(counts)).tolist() == [n // folds for n in counts]


def test_texts_that_are_left_over_change_with_the_repeats():
    tested = [set(), set()]
    for fold in make_folds(np.arange(14) % 2, repeats=2):
        tested[fold.repeat].update(fold.test.tolist())
    assert len(tested[0]) == len(tested[1]) == 12
    assert tested[0] != tested[1]


def test_the_only_text_of_a_class_is_always_trained_on():
    targets = np.array([0, 0, 0, 1, 1, 1, 2])
    assert all(6 in fold.train and 6 not in fold.test for fold in make_folds(targets, repeats=4))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_each_training_part_has_what_its_test_part_is_about(data):
    if data.draw(st.booleans()):
        targets = data.draw(arrays(np.int64, st.integers(6, 30), elements=st.integers(0, 3)))
        columns = [targets == class_id for class_id in np.unique(targets)]
    else:
        shape = st.tuples(st.integers(6, 30), st.integers(1, 4))
        targets = data.draw(arrays(np.int64, shape, elements=st.integers(0, 1)))
        targets = targets[:, (targets.min(axis=0) == 0) & (targets.max(axis=0) == 1)]
        columns = [column == value for column in targets.T for value in (0, 1)]
    try:
        made = make_folds(targets, folds=4, repeats=2, seed=data.draw(st.integers(0, 99)))
    except LabelError:
        assert targets.ndim == 2 or all(column.sum() == 1 for column in columns)
        return
    for repeat in range(2):
        tested = np.concatenate([fold.test for fold in made if fold.repeat == repeat])
        assert len(set(tested.tolist())) == len(tested)
    for fold in made:
        assert len(fold.test)
        assert sorted([*fold.train, *fold.test]) == list(range(len(targets)))
        assert all(column[fold.train].any() for column in columns)


def test_several_labels_a_text_have_like_shares_in_each_fold():
    generator = np.random.default_rng(0)
    targets = (generator.random((120, 5)) < [0.5, 0.3, 0.15, 0.1, 0.1]).astype(np.int64)
    made = make_folds(targets, folds=4)
    each = np.array([targets[fold.test].sum(axis=0) for fold in made])
    assert np.abs(each - targets.sum(axis=0) / 4).max() <= 1
    assert [len(fold.test) for fold in made] == pytest.approx([30] * 4, abs=5)


def test_the_seed_decides_and_repeats_differ():
    targets = np.arange(20) % 2

    def tests(**options):
        return [fold.test.tolist() for fold in make_folds(targets, repeats=2, **options)]

    assert tests(seed=1) == tests(seed=1) != tests(seed=2)
    assert tests(seed=1)[:5] != tests(seed=1)[5:]


def test_what_has_no_meaning_is_refused():
    with pytest.raises(LabelError, match="two texts or more a class"):
        make_folds(np.arange(4))
    with pytest.raises(ArgumentError, match="folds is 1"):
        make_folds(np.array([0, 0, 1, 1]), folds=1)
    with pytest.raises(ArgumentError, match="repeats is 0"):
        make_folds(np.array([0, 0, 1, 1]), repeats=0)
