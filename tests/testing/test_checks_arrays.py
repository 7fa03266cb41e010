"""What the checks of array heads say beyond pass and fail."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression

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


def outcome(head, check):
    return check_head(head, only=[check]).results[0]


@pytest.mark.parametrize(
    ("head", "check", "texts"),
    [
        (CentresTheBatch, "batch-invariance", ["rows 1 at a time instead of 128", "row 0 is [", "instead of ["]),
        (PrefersTheLast, "argmax-agreement", ["with 2 classes", "for row", "predict gives 1", "0.5"]),
    ],
)
def test_a_failed_check_names_a_row_and_its_values(head, check, texts):
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
