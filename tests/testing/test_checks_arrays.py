"""What the checks of array heads say beyond pass and fail."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from setfit_core.testing import check_head


class CentresTheBatch(LogisticRegression):
    def predict_proba(self, X):
        return super().predict_proba(X - X.mean(axis=0))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class PrefersTheLast(LogisticRegression):
    def predict(self, X):
        probabilities = self.predict_proba(X)
        return np.where(probabilities[:, -1] > 0.48, len(self.classes_) - 1, probabilities.argmax(axis=1))


class ForgetsColumnsOfNothing(LogisticRegression):
    def predict(self, X):
        return super().predict(X) if len(X) else np.zeros(0, dtype=np.int64)

    def predict_proba(self, X):
        return super().predict_proba(X) if len(X) else np.zeros((0, 2))


class ForgetsEarlierBatches(GaussianNB):
    setfit_head = {"api": 1, "partial_fit": True}  # noqa: RUF012  # as the documentation shows it

    def partial_fit(self, X, y, classes=None):
        vars(self).update(vars(GaussianNB().partial_fit(X, y, classes)))
        return self


class AsksOnlyWhetherAWeightIsZero(LogisticRegression):
    setfit_head = {"api": 1, "sample_weight": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, None if sample_weight is None else sample_weight > 0)


class LosesClassesOfNoWeight(LogisticRegression):
    setfit_head = {"api": 1, "sample_weight": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, X, y, sample_weight=None):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        kept = weights > 0
        return super().fit(X[kept], np.asarray(y)[kept], weights[kept])


def outcome(head, check):
    return check_head(head, only=[check]).results[0]


@pytest.mark.parametrize(
    ("head", "check", "texts"),
    [
        (CentresTheBatch, "batch-invariance", ["rows 1 at a time instead of 128", "row 0 is [", "instead of ["]),
        (PrefersTheLast, "argmax-agreement", ["with 2 classes", "for row", "predict gives 1", "0.5"]),
        (ForgetsEarlierBatches, "partial-fit", ["the last of them class by class", "are classified rightly"]),
        (AsksOnlyWhetherAWeightIsZero, "sample-weight", ["two wrong labels of weight 0.01", "0% of the unseen"]),
        (LosesClassesOfNoWeight, "sample-weight", ["examples all have weight 0", "[64, 2] for 64 rows"]),
    ],
)
def test_a_failed_check_says_what_was_done_and_seen(head, check, texts):
    result = outcome(head, check)
    assert result.status == "failed"
    for text in texts:
        assert text in result.seen


def test_columns_of_no_rows_may_be_too_few_and_the_report_says_so():
    result = outcome(ForgetsColumnsOfNothing, "empty-input")
    assert result.status == "passed"
    assert result.seen == "predict_proba gives 2 columns instead of 3"


def test_a_learner_too_weak_for_many_classes_is_let_through_if_its_probabilities_admit_it():
    result = outcome(AdaBoostClassifier, "several-classes")
    assert result.status == "passed"
    assert "With 30 classes, it says itself that it has hardly learned" in result.seen
