"""Reading data sets of every kind, and drawing few-shot samples."""

from __future__ import annotations

import enum

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from setfit_core import sample_dataset
from setfit_core.data import check_texts, read_examples
from setfit_core.errors import ArgumentError, InputError, LabelError

COLUMNS = {"text": ["a", "b", "c"], "label": [0, 1, 0]}
FRAME = pd.DataFrame(COLUMNS)


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
        (([["a"], ["b"]], [0, 1]), None, "row 0 is a list"),
        ((np.array([["a"], ["b"]]), [0, 1]), None, "row 0 is a ndarray"),
        ((["a", pd.NA], [0, 1]), None, "row 1 is missing"),
        ([{"text": "a", "label": 0}, {"text": "b", "label": 1}], None, r"list of rows.*Dataset\.from_list\(rows\)"),
        ([{"text": "a", "label": 0}] * 3, None, "list of rows"),
        ((FRAME, FRAME), None, "is a tuple. Pass a datasets.Dataset"),
        ((["a", "b"], "xy"), None, "The labels of the data set are a str, not a list"),
        ((["a", "b"], None), None, "are a NoneType, not a list"),
        ((["a", "b"], 5), None, "are a int, not a list"),
        ((["a", "b"], {0: "x", 1: "y"}), None, "are a dict, not a list"),
        ((["a", "b", "c"], FRAME), None, "are a DataFrame, not a list"),
        ((None, [0, 1]), None, "Expected a list of texts, but got NoneType"),
        ({"text": ["a", "b"], "label": "xy"}, None, "are a str, not a list"),
        (Dataset.from_dict(COLUMNS).to_iterable_dataset(), None, "IterableDataset, which has no length"),
        (iter([1, 2]), None, "which has no length"),
        (COLUMNS, {"text": "sentence"}, r"maps to \['sentence'\]. Only 'text' and 'label'"),
        ({"a": ["x"], "b": ["y"], "label": [0]}, {"a": "text", "b": "text"}, "maps both 'a' and 'b' to 'text'"),
        (COLUMNS, ["text", "label"], "column_mapping is .*not a dict"),
        (COLUMNS, "text", "column_mapping is 'text', not a dict"),
    ],
)
def test_unusable_data_says_why(dataset, mapping, words):
    with pytest.raises(InputError, match=words):
        read_examples(dataset, mapping)


def test_numpy_strings_are_texts_and_a_single_string_is_not_a_list():
    assert check_texts(np.array(["a", "b"])) == ["a", "b"]
    with pytest.raises(InputError, match="Put the text into a list"):
        check_texts("a")


class Phrase(str, enum.Enum):
    HELLO = "hello world"


def test_a_str_enum_is_its_value():
    texts = check_texts([Phrase.HELLO])
    assert texts == ["hello world"]
    assert type(texts[0]) is str


@pytest.mark.parametrize("columns", [COLUMNS, FRAME, pd.DataFrame({"text": ["a"]})])
def test_columns_are_not_texts(columns):
    with pytest.raises(InputError, match=r"Pass its text column, such as data\['text'\]"):
        check_texts(columns)


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


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_the_seed_is_checked(seed):
    with pytest.raises(ArgumentError, match="seed is"):
        sample_dataset((TEXTS, LABELS), seed=seed)


def test_series_are_drawn_from_by_row_whatever_their_index():
    index = list(reversed(range(len(TEXTS))))
    series = {"text": pd.Series(TEXTS, index=index), "label": pd.Series(LABELS, index=index)}
    expected = sample_dataset((TEXTS, LABELS), num_samples=5)
    sample = sample_dataset(series, num_samples=5)
    assert (sample["text"], sample["label"]) == expected
    shifted = pd.Series(TEXTS, index=range(100, 100 + len(TEXTS)))
    assert sample_dataset((shifted, pd.Series(LABELS, index=index)), num_samples=5) == expected


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ((["a", "b", "c"], [0, 1]), "'texts' has 3 rows, but there are 2 labels"),
        ((["a"], [0, 1]), "'texts' has 1 rows, but there are 2 labels"),
        ({"text": ["a"], "label": [0, 1]}, "'text' has 1 rows, but there are 2 labels"),
        (("ab", [0, 1]), "is a tuple. Pass"),
        ((None, [0, 1]), "'texts' is a NoneType, not a list"),
        ({"text": "ab", "label": [0, 1]}, "'text' is a str, not a list"),
        ((["a", "b"], "xy"), "The labels are a str, not a list"),
        ([{"text": "a", "label": 0}, {"text": "b", "label": 1}], "list of rows"),
        (Dataset.from_dict(COLUMNS).to_iterable_dataset(), "which has no length"),
    ],
)
def test_data_that_cannot_be_sampled_say_why(dataset, words):
    with pytest.raises(InputError, match=words):
        sample_dataset(dataset)
