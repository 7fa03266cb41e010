"""Labels that are given new names, and those of heads that were fitted elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from setfit_core import SetFitModel
from setfit_core.errors import LabelError

NAMES = ["Sport", "Essen", "Technik"]


def fitted_elsewhere(body, texts, targets):
    return LogisticRegression(C=100).fit(SetFitModel(body).encode(texts), targets)


def trained(body, texts, targets, **options):
    model = SetFitModel(body, **options)
    model.fit(texts, targets, show_progress_bar=False)
    return model


def test_places_end_when_the_new_names_are_numbers(body, texts, ids, new_texts):
    model = trained(body, texts, ids, labels=NAMES)
    assert model.label_columns([2, 0]).tolist() == [2, 0]
    model.labels = [10, 20, 30]
    assert model.predict(new_texts).tolist() == [10, 20, 30]
    assert model.label_columns([30, 10]).tolist() == [2, 0]
    with pytest.raises(LabelError, match="row 0 is 2, which is not one"):
        model.label_columns([2, 0])


def test_numbers_that_are_renamed_to_the_places_in_another_order_are_names(body, texts, ids, new_texts):
    model = trained(body, texts, ids, labels=NAMES)
    model.labels = [2, 1, 0]
    assert model.predict(new_texts).tolist() == [2, 1, 0]
    assert model.label_columns([2, 1, 0]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("numbers", [[3, 7, 9], [1, 2, 3]])
def test_other_integers_than_places_lose_their_meaning_under_new_names(body, texts, ids, new_texts, numbers):
    targets = [numbers[number] for number in ids]
    model = trained(body, texts, targets)
    model.labels = NAMES
    assert model.predict(new_texts) == NAMES
    assert model.label_columns(NAMES).tolist() == [0, 1, 2]
    with pytest.raises(
        LabelError, match=f"row 0 is {numbers[0]}, but the model's labels are strings: 'Sport'.*new names"
    ):
        model.label_columns(targets)


@pytest.mark.parametrize("labels", [[1, 2, 3], [0, 1, -1]])
def test_evaluation_labels_that_do_not_count_from_0_are_refused(body, texts, ids, labels):
    model = trained(body, texts, ids, labels=NAMES)
    with pytest.raises(LabelError, match=r"places 0 to 2\. Integers count from 0"):
        model.label_columns(labels)


def test_integers_are_places_in_the_names_of_a_differentiable_head_from_elsewhere(body, minimal_head):
    named = SetFitModel(body, minimal_head(), labels=NAMES)
    assert named.label_columns([2, 0]).tolist() == [2, 0]
    assert named.label_columns(["Technik", "Sport"]).tolist() == [2, 0]
    numbered = SetFitModel(body, minimal_head(), labels=[3, 7, 9])
    assert numbered.label_columns([9, 3]).tolist() == [2, 0]


def test_a_head_from_elsewhere_takes_new_names_in_the_order_of_its_classes(body, texts, topics, new_texts):
    head = fitted_elsewhere(body, texts, topics)  # food, sport, tech
    renamed = SetFitModel(body, head)
    assert renamed.predict(new_texts) == ["sport", "food", "tech"]
    renamed.labels = ["Essen", "Sport", "Technik"]
    named = SetFitModel(body, head, labels=["Essen", "Sport", "Technik"])
    for model in (renamed, named):
        assert model.labels == ["Essen", "Sport", "Technik"]
        assert model.predict(new_texts) == ["Sport", "Essen", "Technik"]
        assert model.predict_proba(new_texts).argmax(dim=-1).tolist() == [1, 0, 2]
        assert model.label_columns(["Technik", "Essen"]).tolist() == [2, 0]


def test_the_classes_of_a_head_from_elsewhere_in_another_order_reorder_the_columns(body, texts, topics, new_texts):
    model = SetFitModel(body, fitted_elsewhere(body, texts, topics))
    model.labels = ["tech", "sport", "other", "food"]
    assert model.predict(new_texts) == ["sport", "food", "tech"]
    assert model.predict_proba(new_texts).argmax(dim=-1).tolist() == [1, 3, 0]


def test_sparse_integers_of_a_head_from_elsewhere_take_names(body, texts, ids, new_texts):
    head = fitted_elsewhere(body, texts, [[3, 7, 9][number] for number in ids])
    model = SetFitModel(body, head, labels=NAMES)
    assert model.predict(new_texts) == NAMES


def test_names_that_do_not_fit_a_head_from_elsewhere_are_refused(body, texts, topics, new_texts):
    model = SetFitModel(body, fitted_elsewhere(body, texts, topics), labels=["sport", "essen", "tech"])
    with pytest.raises(LabelError, match="The head was fitted with the 3 classes 'food', 'sport', 'tech'"):
        model.predict(new_texts)


def test_a_multi_label_head_fitted_elsewhere_wants_a_name_for_each_label(static_body_factory):
    body = static_body_factory()
    rows = np.random.default_rng(0).normal(size=(8, 256))
    head = OneVsRestClassifier(LogisticRegression()).fit(rows, np.eye(4, dtype=int)[[0, 1, 2, 3] * 2])
    model = SetFitModel(body, head, multi_target_strategy="one-vs-rest", labels=["a", "b", "c"])
    with pytest.raises(LabelError, match="knows 4 labels, but labels names 3"):
        model.predict(["text"])
    assert SetFitModel(body, head, multi_target_strategy="one-vs-rest").predict(["text"]).shape == (1, 4)
