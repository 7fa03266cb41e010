"""Thresholds as numbers: the best ones against all that there are, and what is read from users and files."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from setfit_core.errors import ArgumentError
from setfit_core.evaluation.thresholds import best_thresholds, read_thresholds, thresholds_from_json
from setfit_core.labels import LabelCodec

LABELS = ("joy", "anger", "fear")
CODEC = LabelCodec(LABELS, (0, 1, 2), multi_label=True)


def counts(has_label, probabilities, threshold):
    """Texts that rightly get a label, those that get it and those that have it: F1 is 2 * hits / sizes."""
    gets_it = probabilities > threshold
    return int((gets_it & (has_label == 1)).sum()), int(gets_it.sum() + has_label.sum())


def f1_of(metric, cuts):
    if metric == "macro_f1":
        return np.mean([2 * hits / (sizes or 1) for hits, sizes in cuts])
    return 2 * sum(hits for hits, _ in cuts) / sum(sizes for _, sizes in cuts)


#: Few probabilities, many of them alike and some of them bounds, and labels.
probabilities_of_texts = st.integers(1, 5).flatmap(
    lambda texts: arrays(
        np.float64, (texts, 3), elements=st.sampled_from([0, 1e-300, 0.2, 0.49999, 0.5, 0.6, 0.9999, 1])
    )
)


@settings(deadline=None)
@given(probabilities_of_texts, st.data(), st.sampled_from(["macro_f1", "micro_f1"]))
def test_no_other_thresholds_are_better(probabilities, data, metric):
    expected = data.draw(arrays(np.int64, probabilities.shape, elements=st.integers(0, 1)).filter(np.any))
    found = best_thresholds(expected, probabilities, CODEC, metric)
    assert all(0 < threshold < 1 for threshold in found)
    labels = list(zip(expected.T, probabilities.T, strict=True))
    reached = f1_of(metric, [counts(*label, threshold) for label, threshold in zip(labels, found, strict=True)])
    # Each way of cutting a column, but for labels without texts, which keep 0.5.
    levels = (1e-310, 0.1, 0.3, 0.49999, 0.5, 0.7, 0.99999)
    tried = [{counts(*label, level) for level in levels if label[0].any() or level == 0.5} for label in labels]
    assert reached == pytest.approx(max(f1_of(metric, cuts) for cuts in itertools.product(*tried)))


def cut(has_label, probabilities, metric="macro_f1"):
    """The threshold of a label beside others that are told apart by 0.5."""
    expected = np.column_stack([has_label, has_label, np.ones_like(has_label)])
    columns = np.column_stack([probabilities, has_label, np.ones_like(probabilities)])
    first, *others = best_thresholds(expected, columns, CODEC, metric)
    assert others == [0.5, 0.5]
    return first


def test_a_text_that_no_threshold_leaves_out_does_not_hide_another():
    expected = np.array([[1, 0, 1], [0, 0, 0], [0, 0, 0]])
    probabilities = np.array([[0.4, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.6]])
    assert best_thresholds(expected, probabilities, CODEC, "micro_f1") == pytest.approx((0.2, 0.5, 0.8))


@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1"])
def test_which_of_equally_good_ones(metric):
    # 0.5 stays, also where it is not in the middle.
    assert cut([1, 1, 0, 0], [0.9, 0.501, 0.5, 0.1], metric) == 0.5
    # Otherwise midway to the next text, or to 0 or 1.
    assert cut([1, 1, 0, 0], [0.4, 0.3, 0.2, 0.1], metric) == pytest.approx(0.25)
    assert cut([1, 1], [0.4, 0.3], metric) == pytest.approx(0.15)
    # Cuts at 0.35 and at 0.1 have an F1 of 2/3; the one nearer to 0.5 is taken.
    assert cut([1, 0, 0, 1], [0.4, 0.3, 0.3, 0.2], metric) == pytest.approx(0.35)


def test_more_certainty_is_wanted_where_other_labels_are_told_apart_well():
    # F1 of this label is 2/3 with and without its second text, which costs two mistakes among all labels.
    assert cut([1, 0, 0, 1], [0.9, 0.8, 0.8, 0.6], "macro_f1") == 0.5
    assert cut([1, 0, 0, 1], [0.9, 0.8, 0.8, 0.6], "micro_f1") == pytest.approx(0.85)


def test_a_label_without_texts_or_training_keeps_the_half():
    codec = LabelCodec(("absent", *LABELS, "always"), (3, 1, 2), multi_label=True, always=(4,))
    expected = np.array([[1, 0, 1], [0, 0, 0]])
    probabilities = np.array([[0.3, 0.9, 0.8], [0.1, 0.8, 0.9]])
    assert best_thresholds(expected, probabilities, codec, "macro_f1") == (0.5, 0.5, 0.5, pytest.approx(0.2), 0.5)


def test_a_threshold_lies_between_neighbours_of_single_precision():
    low = np.float32(0.3)
    probabilities = np.array([[low], [np.nextafter(low, np.float32(1))]], dtype=np.float32)
    codec = LabelCodec(("joy",), (0,), multi_label=True)
    (found,) = best_thresholds(np.array([[0], [1]]), probabilities, codec, "macro_f1")
    assert (probabilities > np.array([found])).tolist() == [[False], [True]]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0.3, (0.3, 0.3, 0.3)),
        (np.float64(0.3), (0.3, 0.3, 0.3)),
        ([0.1, 0.2, 0.3], (0.1, 0.2, 0.3)),
        (np.array([0.25, 0.5, 0.75], dtype=np.float32), (0.25, 0.5, 0.75)),
        (torch.tensor([0.25, 0.5, 0.75]), (0.25, 0.5, 0.75)),
        ({"fear": 0.3, "joy": np.float32(0.25)}, (0.25, 0.5, 0.3)),
        ({}, (0.5, 0.5, 0.5)),
    ],
)
def test_what_users_write(value, read):
    assert read_thresholds(value, LABELS) == read
    assert thresholds_from_json(json.loads(json.dumps(read)), 3) == read


@pytest.mark.parametrize(
    "value",
    [
        *(0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), True, "0.5", b"0.5", 10**400, {0.5}, object()),
        *([0.5, 0.5], [0.5] * 4, [], [0.5, 0.5, 1.0], [0.5, None, 0.5], ["0.5"] * 3, [[0.5] * 3], [[0.5], [0.5, 0.5]]),
        *({"joy": 1.0}, {"joy": "0.5"}, {"joy": None}, {"joy": [0.5]}),
        torch.tensor([0.5, 0.5, 0.5], requires_grad=True),
        np.longdouble(1) - np.finfo(np.longdouble).eps,
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:20]}" if type(value) is not object else "object",
)
def test_what_is_no_threshold(value):
    with pytest.raises(ArgumentError, match=r"above 0 and below 1; or 3 of them, in the order of model\.labels"):
        read_thresholds(value, LABELS)


def test_a_label_that_the_model_does_not_have():
    with pytest.raises(ArgumentError, match="thresholds name 'envy', but the model's labels are 'joy', 'anger'"):
        read_thresholds({"envy": 0.5}, LABELS)


@pytest.mark.parametrize(
    "content",
    [
        *(None, 0.5, "0.5", {"joy": 0.5}, [], [0.5] * 2, [0.5] * 4),
        *([0.5, 0.5, value] for value in (0, 1, True, "0.5", None, [0.5], -0.1, 10**400, float("nan"), float("inf"))),
    ],
    ids=repr,
)
def test_what_nobody_wrote_is_refused(content):
    with pytest.raises(ValueError, match="no list of 3 numbers above 0 and below 1"):
        thresholds_from_json(content, 3)
