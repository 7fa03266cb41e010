"""The checks of what heads return, which stay on in every training and prediction."""

from __future__ import annotations

import numpy as np
import pytest

from setfit_core.errors import HeadOutputError
from setfit_core.heads.outputs import check_class_ids, check_probabilities


class Head:
    """Only lends its name to messages."""


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_integer_ids_of_any_width_pass(dtype):
    ids = check_class_ids(np.array([0, 2, 1], dtype=dtype), Head(), (3,), 3)
    assert ids.dtype == np.int64
    assert ids.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([0, 1], r"shape \[2\] for \[3\]"),
        ([[0], [1], [2]], "shape"),
        ([0.0, 1.0, 2.0], "dtype float64; class ids are integers"),
        (["a", "b", "c"], "dtype"),
        (np.array([0, 1, 2], dtype=object), "dtype object"),
        ([True, False, True], "dtype bool"),
        ([0, 1, 3], r"from 0 to 3, but they must lie in \[0, 3\)"),
        ([0, -1, 2], "from -1 to 2"),
    ],
)
def test_wrong_ids_are_named(ids, words):
    with pytest.raises(HeadOutputError, match=rf"Head\.predict returned.*{words}"):
        check_class_ids(ids, Head(), (3,), 3)


def test_indicators_are_zeros_and_ones():
    assert check_class_ids([[0, 1, 1]], Head(), (1, 3), 3).tolist() == [[0, 1, 1]]
    with pytest.raises(HeadOutputError, match=r"lie in \[0, 2\)"):
        check_class_ids([[0, 1, 2]], Head(), (1, 3), 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 150, 5000])
def test_softmax_passes_in_any_precision(dtype, classes):
    logits = np.random.default_rng(0).normal(size=(20, classes)) * 5
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exp / exp.sum(axis=1, keepdims=True)).astype(dtype)
    assert check_probabilities(probabilities, Head(), 20, classes) is probabilities


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0.5, 0.5, 0.0]], r"shape \[1, 3\]; expected \[1, 2\]"),
        ([0.5, 0.5], "shape"),
        ([[0.5, 0.6]], "row 0 sums to 1.1"),
        ([[0.5, 0.498]], "row 0 sums to 0.998"),
        ([[1.5, -0.5]], "from -0.5 to 1.5"),
        ([[np.nan, 1.0]], "NaN or infinity .first in row 0"),
        ([[np.inf, 0.0]], "NaN or infinity"),
        ([[1, 0]], "dtype int64; probabilities are floats"),
    ],
)
def test_wrong_probabilities_are_named(rows, words):
    with pytest.raises(HeadOutputError, match=words):
        check_probabilities(np.asarray(rows), Head(), 1, 2)


def test_with_several_labels_a_text_rows_need_not_sum_to_one():
    rows = np.array([[0.9, 0.9]])
    assert check_probabilities(rows, Head(), 1, 2, multi_label=True) is rows
    with pytest.raises(HeadOutputError, match="probabilities lie in"):
        check_probabilities(np.array([[0.9, 1.1]]), Head(), 1, 2, multi_label=True)


def test_no_rows_are_fine():
    assert check_class_ids(np.zeros(0, dtype=np.int64), Head(), (0,), 3).shape == (0,)
    assert check_probabilities(np.zeros((0, 3)), Head(), 0, 3).shape == (0, 3)
