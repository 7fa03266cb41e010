"""A head is rehearsed on an excerpt of many texts, and refused only for what it does to all of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from setfit_core import SetFitModel
from setfit_core.errors import HeadError
from setfit_core.head_phase import EXCERPT_TEXTS, EXCERPT_TEXTS_A_CLASS, excerpt_rows

TEXTS = [f"text {number}" for number in range(3000)]
SIZES = {"many": 2900, "few": 93, "fewest": 7}
LABELS = [label for label, size in SIZES.items() for _ in range(size)]
fitted: list[np.ndarray] = []


class Noted(ClassifierMixin, BaseEstimator):
    """Logistic regression that notes the labels that it is fitted on."""

    def fit(self, embeddings, labels):
        fitted.append(np.asarray(labels))
        self.model_ = LogisticRegression(max_iter=5).fit(embeddings, labels)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, embeddings):
        return self.model_.predict(embeddings)

    def predict_proba(self, embeddings):
        return self.model_.predict_proba(embeddings)


@pytest.fixture
def body(static_body_factory):
    fitted.clear()
    return static_body_factory()


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_many_texts_are_rehearsed_on_an_excerpt_with_every_class(body):
    SetFitModel(body, Noted()).validate(TEXTS, LABELS)
    (labels,) = fitted
    counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    assert EXCERPT_TEXTS <= len(labels) <= EXCERPT_TEXTS + len(SIZES) * EXCERPT_TEXTS_A_CLASS
    assert counts[1] == 7
    assert counts[0] >= EXCERPT_TEXTS_A_CLASS


def test_up_to_so_many_are_rehearsed_on_all(body):
    SetFitModel(body, Noted()).validate(TEXTS[-EXCERPT_TEXTS:], LABELS[-EXCERPT_TEXTS:])
    assert [len(labels) for labels in fitted] == [EXCERPT_TEXTS]


def test_several_labels(body):
    draw = np.random.default_rng(1)
    rows = np.zeros((3000, 40), dtype=int)
    rows[np.arange(3000), draw.integers(0, 38, 3000)] = 1
    rows[17, 38] = rows[2017, 38] = 1
    rows[:, 39] = 1
    picked = excerpt_rows(rows)
    assert (np.diff(picked) > 0).all()
    assert np.array_equal(picked, excerpt_rows(rows))
    assert {17, 2017} <= set(picked.tolist())
    assert (rows[picked].sum(axis=0) >= np.minimum(rows.sum(axis=0), EXCERPT_TEXTS_A_CLASS)).all()
    assert len(picked) <= EXCERPT_TEXTS + 40 * EXCERPT_TEXTS_A_CLASS


def test_what_an_excerpt_is_too_small_for_is_not_refused(body):
    SetFitModel(body, KNeighborsClassifier(n_neighbors=2500)).validate(TEXTS, LABELS)
    with pytest.raises(HeadError, match="3001"):
        SetFitModel(body, KNeighborsClassifier(n_neighbors=3001)).validate(TEXTS, LABELS)
