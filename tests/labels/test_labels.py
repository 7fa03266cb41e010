"""Labels of every kind to class ids and back."""

from __future__ import annotations

import enum
import json
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from setfit_core.errors import LabelError
from setfit_core.labels import LabelCodec, adopt_labels, check_label_names, learn_labels

LABELS = st.one_of(
    st.lists(st.text(max_size=5), min_size=2, max_size=30),
    st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=30),
    st.lists(st.booleans(), min_size=2, max_size=30),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30),
).filter(lambda values: len(set(values)) > 1)


@given(LABELS)
def test_whatever_is_encoded_is_decoded_again(values):
    codec, targets = learn_labels(values)
    assert targets.dtype == np.int64
    assert sorted(set(targets.tolist())) == list(range(len(set(values))))  # contiguous, every class seen
    decoded = codec.decode(codec.expand_class_ids(targets))
    assert list(decoded) == values
    assert list(codec.labels) == sorted(set(values))


@given(LABELS)
def test_a_codec_survives_json(values):
    codec, _ = learn_labels(values)
    assert LabelCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, 1, 3]),
        np.array(["b", "a", "b"]),
        [np.int64(3), np.int64(1), np.int64(3)],
        [np.str_("b"), np.str_("a"), np.str_("b")],
        [np.bool_(True), np.bool_(False), np.bool_(True)],
        torch.tensor([3, 1, 3]),
    ],
)
def test_numpy_and_torch_scalars_are_labels(values):
    codec, targets = learn_labels(values)
    assert targets.tolist() == [1, 0, 1]
    assert all(type(label) in (int, str, bool) for label in codec.labels)


class Topic(str, enum.Enum):
    A = "a"
    B = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 3


class Whole(int):
    """An integer of a foreign library."""


@pytest.mark.parametrize(
    ("values", "kind", "labels"),
    [
        ([Topic.B, Topic.A], str, ("a", "b")),
        ([Level.HIGH, Level.LOW], int, (1, 3)),
        ([Whole(7), 5], int, (5, 7)),
        ([np.float64(1.5), 2], float, (1.5, 2.0)),
        ([np.float64(1.5), 2.5], float, (1.5, 2.5)),
        ([np.float32(1.5), np.float64(0.5)], float, (0.5, 1.5)),
        ([True, np.bool_(False)], bool, (False, True)),
        ([-(2**63), 2**63 - 1], int, (-(2**63), 2**63 - 1)),
    ],
)
def test_subclasses_become_the_plain_type(values, kind, labels):
    codec, _ = learn_labels(values)
    assert codec.labels == labels
    assert {type(label) for label in codec.labels} == {kind}
    assert LabelCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec
    if kind is int:
        assert codec.decode(np.array([0, 1])).dtype == np.int64


def test_many_label_names_are_checked_in_linear_time():
    names = [f"label {number}" for number in range(30_000)]
    start = time.process_time()
    assert len(check_label_names(names)) == 30_000
    assert time.process_time() - start < 2  # milliseconds; comparing each with each takes many seconds


def test_named_labels_keep_their_order_and_strings_find_their_column():
    codec, targets = learn_labels(["neg", "pos", "neg"], names=["pos", "neg", "mid"])
    assert codec.columns(["pos", "neg"]).tolist() == [0, 1]
    assert codec.classes == (0, 1)
    assert codec.decode(codec.expand_class_ids(targets)) == ["neg", "pos", "neg"]


def test_an_unseen_class_is_a_column_of_zeros():
    codec, _ = learn_labels([0, 2, 2], names=["a", "b", "c"])
    full = codec.expand_probabilities(np.array([[0.25, 0.75]], dtype=np.float32))
    assert full.tolist() == [[0.25, 0.0, 0.75]]
    assert full.dtype == np.float32


def test_integers_from_one_are_refused_for_named_labels_and_not_shifted():
    with pytest.raises(LabelError, match=r"row 2 is 3.*places 0 to 2.*count from 0"):
        learn_labels([1, 2, 3], names=["a", "b", "c"])


def test_integers_that_are_names_are_members_not_places():
    codec, targets = learn_labels([1, 2, 3], names=[3, 2, 1])
    assert codec.columns([1, 2, 3]).tolist() == [2, 1, 0]
    assert codec.decode(codec.expand_class_ids(targets)).tolist() == [1, 2, 3]


def test_booleans_may_be_places():
    codec, _ = learn_labels([True, False], names=["no", "yes"])
    assert codec.columns([True, False]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "empty"),
        (["a", "a"], "at least two classes"),
        (["a", None], "row 1 is None"),
        ([1.0, float("nan")], "row 1 is nan"),
        (["a", 1], "mix types: strings .row 0., integers .row 1."),
        ([["a"], ["b"]], "for several labels a text, set multi_target_strategy"),
        ([b"a", b"b"], "row 0 is b'a'"),
        ([np.float64(1.5), "a"], "mix types: numbers .row 0., strings .row 1."),
        ([1, 2**63], "row 1 is 9223372036854775808, which does not fit into 64 bits. Use strings"),
        ([-(2**63) - 1, 1], "row 0 is -9223372036854775809"),
        (None, "The labels are a NoneType, not a list"),
        (5, "The labels are a int, not a list"),
        ("ab", "The labels are a str, not a list"),
        (np.array("ab"), "The labels are a ndarray, not a list"),
        ({"a", "b"}, "The labels are a set, not a list"),
        ({"a": 0, "b": 1}, "The labels are a dict, not a list"),
        (pd.DataFrame({"a": [0, 1]}), "The labels are a DataFrame, not a list"),
    ],
)
def test_unusable_labels_say_where_and_why(values, words):
    with pytest.raises(LabelError, match=words):
        learn_labels(values)


def test_an_unknown_label_gets_a_suggestion():
    with pytest.raises(LabelError, match="row 1 is 'postive'.*Did you mean 'positive'"):
        learn_labels(["negative", "postive"], names=["negative", "positive"])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "at least two"),
        (["a", "b", "a"], "'a' more than once"),
        ("ab", "is the string 'ab'"),
        (["a", None], "row 1"),
        ({0: "a", 1: "b"}, r"list\(labels.values\(\)\)"),
        ({"a", "b"}, "is a set, which has no order. Give a list"),
        (frozenset("ab"), "has no order"),
        (5, "is the int 5. Give a list"),
        (None, "is the NoneType None. Give a list"),
        (b"ab", "is the bytes b'ab'"),
        (np.array("ab"), "is the ndarray"),
        ([1, 2**64], "Use strings"),
    ],
)
def test_label_names_are_checked(names, words):
    with pytest.raises(LabelError, match=words):
        check_label_names(names)


def test_one_label_is_enough_where_a_text_may_have_none():
    assert check_label_names(["a"], multi_label=True) == ("a",)
    with pytest.raises(LabelError, match="at least one"):
        check_label_names([], multi_label=True)


def test_evaluation_numbers_unknown_labels_apart_from_all_columns():
    codec, _ = learn_labels(["a", "b"])
    assert codec.columns(["b", "z", "a", "y", "z"], number_unknown=True).tolist() == [1, 3, 0, 2, 3]
    with pytest.raises(LabelError, match="row 0 is 'y'"):
        codec.columns(["y", "z"], number_unknown=True)
    with pytest.raises(LabelError, match="row 1 is 'z'"):
        codec.columns(["a", "z"])


@pytest.mark.parametrize("labels", [[1, 2, 3], [0, 1, -1], [0, 3]])
def test_evaluation_does_not_take_wrong_places_for_unknown_labels(labels):
    codec, _ = learn_labels([0, 1, 2], names=["a", "b", "c"])
    assert codec.columns([0, 2], number_unknown=True).tolist() == [0, 2]
    with pytest.raises(LabelError, match=r"places 0 to 2\. Integers count from 0"):
        codec.columns(labels, number_unknown=True)


@pytest.mark.parametrize("labels", [None, 5, "ab"])
@pytest.mark.parametrize("number_unknown", [True, False])
def test_evaluation_labels_that_are_no_list_are_refused(labels, number_unknown):
    codec, _ = learn_labels(["a", "b"])
    with pytest.raises(LabelError, match="not a list"):
        codec.columns(labels, number_unknown=number_unknown)


def test_labels_of_another_type_than_the_models_say_so():
    codec, _ = learn_labels(["a", "b"])
    with pytest.raises(LabelError, match="row 0 is 7, but the model's labels are strings: 'a', 'b'.*convert"):
        codec.columns([7, 9])


# Several labels a text


def test_indicator_rows_come_back_as_indicators():
    rows = [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    codec, targets = learn_labels(rows, multi_label=True)
    assert codec.classes == (0, 1)  # column 2 is never set: nothing to learn
    assert targets.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert codec.decode(codec.expand_class_ids(targets)).tolist() == rows


def test_name_rows_come_back_as_names():
    rows = [["b"], ["a", "b"], []]
    codec, targets = learn_labels(rows, multi_label=True)
    assert codec.labels == ("a", "b")
    assert codec.decode(codec.expand_class_ids(targets)) == rows


def test_a_label_on_every_text_is_always_predicted():
    codec, targets = learn_labels([[1, 1], [0, 1]], multi_label=True)
    assert targets.tolist() == [[1], [0]]
    assert codec.expand_class_ids(targets).tolist() == [[1, 1], [0, 1]]
    assert codec.expand_probabilities(np.array([[0.3]])).tolist() == [[0.3, 1.0]]
    assert LabelCodec.from_json(codec.to_json()) == codec


@pytest.mark.parametrize(
    ("rows", "names", "words"),
    [
        ([[1, 0], [1]], None, "neither 0/1 indicators of one length nor lists"),
        ([[1, 0], [0, 2]], None, "neither 0/1 indicators"),
        (["a", "b"], None, "also for a single label"),
        ([[1, 0], [0, 1]], ["a", "b", "c"], "2 columns but the model has 3 labels"),
        ([["a"], ["x"]], ["a", "b"], "row 1 is 'x'"),
        ([[1, 1], [1, 1]], None, "No label sets some training texts apart"),
    ],
)
def test_unusable_label_rows_say_why(rows, names, words):
    with pytest.raises(LabelError, match=words):
        learn_labels(rows, names=names, multi_label=True)


# Heads that were fitted elsewhere, and damaged files


def test_the_classes_of_a_fitted_head_become_the_labels():
    codec = adopt_labels(np.array(["x", "y"]), None)
    assert codec.labels == ("x", "y")
    renamed = adopt_labels(np.array([0, 1]), ["no", "yes"])
    assert renamed.decode(np.array([1])) == ["yes"]
    reordered = adopt_labels(np.array(["x", "y"]), ["y", "x"])
    assert reordered.expand_probabilities(np.array([[0.2, 0.8]])).tolist() == [[0.8, 0.2]]


@pytest.mark.parametrize(
    ("classes", "names", "columns", "rows"),
    [
        (["x", "y"], ["no", "yes"], (0, 1), "members"),  # new names, in the order of the classes
        ([3, 7, 9], ["a", "b", "c"], (0, 1, 2), "members"),
        ([1, 2], ["no", "yes"], (0, 1), "members"),
        ([0, 1], [10, 20], (0, 1), "members"),
        ([0, 1, 2], ["a", "b", "c"], (0, 1, 2), "columns"),  # places
        ([0, 2], ["a", "b", "c"], (0, 2), "columns"),
        ([False, True], ["no", "yes"], (0, 1), "columns"),
        (["x", "y"], ["y", "x"], (1, 0), "members"),  # the classes, in another order
        (["x", "y"], ["y", "z", "x"], (2, 0), "members"),
        ([1, 0], [0, 1], (1, 0), "members"),
    ],
)
def test_names_for_a_fitted_head_are_its_classes_places_or_new_names(classes, names, columns, rows):
    codec = adopt_labels(np.array(classes), names)
    assert codec.labels == tuple(names)
    assert codec.classes == columns
    assert codec.rows == rows
    assert codec.head_classes == tuple(classes)


@pytest.mark.parametrize(
    ("classes", "names"),
    [(["x", "y"], ["a", "b", "c"]), (["x", "y"], ["x", "z"]), ([1, 3], ["a", "b", "c"]), ([0, 1], [1, 2])],
)
def test_names_that_do_not_fit_a_fitted_head_are_refused(classes, names):
    with pytest.raises(LabelError, match="The head was fitted with the 2 classes .*or give 2 new names"):
        adopt_labels(np.array(classes), names)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": [0, 5]},
        {"classes": [0, 0]},
        {"classes": []},
        {"classes": ["a"]},
        {"names": None},
        {"rows": "names"},
        {"always": [0]},
    ],
)
def test_damaged_saved_labels_are_refused(change):
    codec, _ = learn_labels(["a", "b"])
    with pytest.raises(LabelError, match="damaged"):
        LabelCodec.from_json({**codec.to_json(), **change})
