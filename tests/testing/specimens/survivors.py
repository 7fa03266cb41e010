"""The seven faults that scikit-learn's `check_estimator` lets through, on its own `LogisticRegression`."""

from __future__ import annotations

import copy

import numpy as np
from sklearn.linear_model import LogisticRegression

from .registry import faulty


@faulty("refit-forgets", passes_scikit_learn=True)
class LeaksOldWeights(LogisticRegression):
    """Training again keeps half of the old weights, if they have the same shape."""

    def fit(self, X, y, sample_weight=None):
        old = getattr(self, "coef_", None)
        super().fit(X, y, sample_weight)
        if old is not None and old.shape == self.coef_.shape:
            self.coef_ = (old + self.coef_) / 2
        return self


@faulty("random-state", passes_scikit_learn=True)
class ReseedsNumpy(LogisticRegression):
    """`fit` seeds NumPy's global generator."""

    def fit(self, X, y, sample_weight=None):
        np.random.seed(0)
        return super().fit(X, y, sample_weight)


@faulty("global-state", passes_scikit_learn=True)
class LeaksErrorSettings(LogisticRegression):
    """`predict_proba` leaves `np.seterr` changed."""

    def predict_proba(self, X):
        np.seterr(divide="ignore", over="ignore")
        return super().predict_proba(X)


@faulty("quiet", passes_scikit_learn=True)
class Prints(LogisticRegression):
    """`fit` prints how many iterations it took."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        print("converged after", self.n_iter_.max(), "iterations")
        return self


@faulty("large-embeddings", passes_scikit_learn=True)
class CountsFeaturesInEightBits(LogisticRegression):
    """The number of features is kept in 8 bits, so that from 256 features on only some of them, or none, are read."""

    def decision_function(self, X):
        twin = copy.copy(self)
        if hasattr(self, "coef_") and self.coef_.shape[1] >= 256:
            places = np.arange(self.coef_.shape[1])
            twin.coef_ = np.where(places < np.array(len(places)).astype(np.uint8), self.coef_, 0)
        return LogisticRegression.decision_function(twin, X)


@faulty("several-classes", passes_scikit_learn=True)
class FiveClassesAtMost(LogisticRegression):
    """With more than 5 classes `predict` wraps the place of the class at 5."""

    def predict(self, X):
        labels = super().predict(X)
        if len(self.classes_) <= 5:
            return labels
        return self.classes_[self.predict_proba(X).argmax(axis=1) % 5]


@faulty("string-labels", passes_scikit_learn=True)
class CutsNames(LogisticRegression):
    """Predicted names are cut to 8 characters."""

    def predict(self, X):
        labels = super().predict(X)
        return labels.astype("<U8") if labels.dtype.kind == "U" else labels
