"""Correct heads that are other libraries' estimators, or little more than these, and the first-party heads by name."""

from __future__ import annotations

import functools

from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data
from xgboost import XGBClassifier

from .centroids import Centroids
from .registry import add_correct, correct


@correct()
class PlainLogisticRegression(LogisticRegression):
    """A plain subclass of `LogisticRegression` that declares nothing."""


@correct()
class PlainGaussianNB(GaussianNB):
    """A plain subclass of `GaussianNB` that declares nothing."""


@correct()
class DocumentedGaussianNB(GaussianNB):
    """A subclass of `GaussianNB` that declares what it can do beyond its contract."""

    setfit_head = {  # noqa: RUF012  # as the documentation shows it
        "api": 1,
        "partial_fit": True,
        "sample_weight": True,
        "multi_label": False,
    }


@correct()
class OfScikitLearnsBases(ClassifierMixin, BaseEstimator):
    """An estimator of one's own, written with scikit-learn's base classes and helpers."""

    def __init__(self, sharpness=1.0):
        self.sharpness = sharpness

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        self.inner_ = Centroids().fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        powers = self.inner_.predict_proba(X) ** self.sharpness
        return powers / powers.sum(axis=1, keepdims=True)


@correct()
def scaled_logistic_regression():
    """A pipeline that is made by a function."""
    return make_pipeline(StandardScaler(), LogisticRegression())


add_correct("PipelineInstance", make_pipeline(Normalizer(), LogisticRegression()), "A pipeline, as an instance.")
add_correct(
    "PartialLogisticRegression", functools.partial(LogisticRegression, C=10.0), "A class with a parameter bound."
)
add_correct("GaussianNBInstance", GaussianNB(var_smoothing=1e-6), "An instance with a parameter.")
add_correct(
    "GaussianNBWithCapabilities",
    GaussianNB,
    "A foreign class whose capabilities are given as an argument.",
    capabilities={"partial_fit": True, "sample_weight": True},
)
add_correct(
    "LogisticRegressionWithWeights",
    LogisticRegression,
    "A foreign class that is said to take sample weights.",
    capabilities={"sample_weight": True},
)
add_correct(
    "VotingInstance",
    VotingClassifier([("bayes", GaussianNB()), ("means", LinearDiscriminantAnalysis())], voting="soft"),
    "An ensemble of two estimators, as an instance.",
)
add_correct("XGBoost", XGBClassifier, "XGBoost's own classifier as it is.")
add_correct(
    "LightGBM",
    functools.partial(LGBMClassifier, n_estimators=20, min_child_samples=1, verbose=-1, n_jobs=1),
    "LightGBM's classifier, with leaves as small as few examples need.",
)
add_correct("logistic", "logistic", "The first-party head, by its name.")
add_correct("linear", "linear", "The first-party head, by its name.")
add_correct("xgboost", "xgboost", "The outside head of this repository, by its name.")
add_correct("LogisticByPath", "sklearn.linear_model:LogisticRegression", "A class by the path to import it from.")
