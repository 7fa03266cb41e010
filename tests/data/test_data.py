"""Reading data sets of every kind, and drawing few-shot samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from setfit_core import sample_dataset
from setfit_core.data import check_texts, read_examples
from setfit_core.errors import ArgumentError, InputError, LabelError

COLUMNS = {"text": ["a", "b", "c"], "label": [0, 1, 0]}


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset.from_dict(COLUMNS),
        pd.DataFrame(COLUMNS),
        COLUMNS,
        (["a", "b", "c"], [0, 1, 0]),
        [["a", "b", "c"], [0, 1, 0]],
        (pd.Series(["a", "b", "c"]), np.array([0, 1, 0])),
    ],
    ids=["dataset", "frame", "mapping", "tuple", "list", "series"],
)
def test_every_kind_of_data_set_is_read(dataset):
    examples = read_examples(dataset)
    assert examples.texts == ["a", "b", "c"]
    assert all(type(text) is str for text in examples.texts)
    assert list(examples.labels) == [0, 1, 0]


def test_columns_are_mapped():
    frame = pd.DataFrame({"sentence": ["a"], "label": [7], "gold": [1]})
    examples = read_examples(frame, {"sentence": "text", "gold": "label"})
    assert (examples.texts, examples.labels) == (["a"], [1])
    only_text = read_examples(frame, {"sentence": "text"})
    assert only_text.labels == [7]


@pytest.mark.parametrize(
    ("dataset", "mapping", "words"),
    [
        (DatasetDict(train=Dataset.from_dict(COLUMNS)), None, r"several splits \('train'\).*dataset\['train'\]"),
        ({"text": ["a"]}, None, "nothing says which holds the label"),
        ({"txt": ["a"], "lbl": [1]}, None, "nothing says which holds the text and the label"),
        (COLUMNS, {"sentence": "text"}, r"column_mapping names \['sentence'\]"),
        ((["a", "b"], [1]), None, "2 texts but 1 labels"),
        (([], []), None, "has no rows"),
        ((["a", None], [0, 1]), None, "row 1 is missing"),
        ((["a", float("nan")], [0, 1]), None, "row 1 is missing"),
        ((["a", 5], [0, 1]), None, "row 1 is a int .5."),
        ((["a", b"b"], [0, 1]), None, "row 1 is a bytes"),
        (7, None, "is a int. Pass a datasets.Dataset"),
    ],
)
def test_unusable_data_says_why(dataset, mapping, words):
    with pytest.raises(InputError, match=words):
        read_examples(dataset, mapping)


def test_numpy_strings_are_texts_and_a_single_string_is_not_a_list():
    assert check_texts(np.array(["a", "b"])) == ["a", "b"]
    with pytest.raises(InputError, match="Put the text into a list"):
        check_texts("a")


LABELS = [0] * 10 + [1] * 3 + [2] * 20
TEXTS = [f"text {row}" for row in range(len(LABELS))]


@pytest.mark.parametrize("kind", ["dataset", "frame", "mapping", "pair"])
def test_a_sample_has_at_most_n_rows_a_class_and_is_of_the_same_kind(kind):
    source = {
        "dataset": Dataset.from_dict({"text": TEXTS, "label": LABELS}),
        "frame": pd.DataFrame({"text": TEXTS, "label": LABELS}),
        "mapping": {"text": TEXTS, "label": LABELS},
        "pair": (TEXTS, LABELS),
    }[kind]
    sample = sample_dataset(source, label_column="label", num_samples=5)
    assert type(sample) is type(source)
    examples = read_examples(sample)
    assert np.bincount(examples.labels).tolist() == [5, 3, 5]
    assert all(LABELS[TEXTS.index(text)] == label for text, label in zip(examples.texts, examples.labels, strict=True))
    # The draw depends on labels and seed alone, whatever holds them.
    assert examples.texts == read_examples(sample_dataset((TEXTS, LABELS), num_samples=5)).texts


def test_another_seed_draws_another_sample_and_the_same_seed_the_same():
    draws = [sample_dataset((TEXTS, LABELS), num_samples=5, seed=seed)[0] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_the_default_is_eight_a_class():
    assert np.bincount(sample_dataset((TEXTS, LABELS))[1]).tolist() == [8, 3, 8]


def test_rows_with_several_labels_are_drawn_label_by_label():
    rows = [[1, 0], [1, 1], [0, 1], [1, 0], [0, 0]]
    texts, labels = sample_dataset((list("abcde"), rows), num_samples=1)
    assert 1 <= len(texts) <= 2
    assert np.asarray(labels).sum(axis=0).min() >= 1
    names = sample_dataset((list("abc"), [["x"], ["x", "y"], ["y"]]), num_samples=2)
    assert names[0] == ["a", "b", "c"]


@pytest.mark.parametrize("number", [0, -1, 2.5, True, None])
def test_the_number_of_samples_is_checked(number):
    with pytest.raises(ArgumentError, match="num_samples"):
        sample_dataset((TEXTS, LABELS), num_samples=number)


def test_a_missing_label_or_column_is_named():
    with pytest.raises(InputError, match="no column 'topic'"):
        sample_dataset({"text": ["a"], "label": [1]}, label_column="topic")
    with pytest.raises(LabelError, match="row 1"):
        sample_dataset((["a", "b"], ["x", None]))
