"""All classifiers of scikit-learn, and what the suite says about each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import all_estimators

from setfit_core.testing import list_checks

__all__ = ["ESTIMATORS", "TRAINING", "Estimator", "Reason"]


#: Checks that ask nothing of a trained head.
_BEFORE_TRAINING = {
    "contract",
    "declaration",
    "import-time",
    "unfitted",
    "multi-label",
    "partial-fit",
    "sample-weight",
    "explain",
    "open-set",
    "search-space",
}

#: Checks that train an array head; one that can't be trained fails them all.
TRAINING = frozenset(check.id for check in list_checks("non-differentiable")) - _BEFORE_TRAINING


@dataclass(frozen=True)
class Reason:
    """Why some checks fail.

    Attributes:
        why: The reason, in one sentence.
        checks: Their ids.
    """

    why: str
    checks: frozenset[str]


@dataclass(frozen=True)
class Estimator:
    """One classifier of scikit-learn.

    Attributes:
        name: Its name.
        make_head: What `check_head` is given.
        arguments: The arguments that it is built with, as text; empty for its defaults.
        reasons: Why checks fail; empty if the classifier conforms.
        options: Further keyword arguments for `check_head`.
    """

    name: str
    make_head: Any
    arguments: str = ""
    reasons: tuple[Reason, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failing(self) -> frozenset[str]:
        """The ids of the checks that fail."""
        return frozenset(check for reason in self.reasons for check in reason.checks)


def _because(why: str, *checks: str) -> Reason:
    return Reason(why, frozenset(checks))


def _untrainable(why: str, *but: str) -> Reason:
    """Every check that trains a head fails, but for some."""
    return Reason(why, TRAINING - set(but))


_MEMBERS = [("bayes", GaussianNB()), ("logistic", LogisticRegression())]

#: Arguments of those that can't be built without.
_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "ClassifierChain": {"estimator": LogisticRegression()},
    "FixedThresholdClassifier": {"estimator": LogisticRegression()},
    "MultiOutputClassifier": {"estimator": LogisticRegression()},
    "OneVsOneClassifier": {"estimator": LogisticRegression()},
    "OneVsRestClassifier": {"estimator": LogisticRegression()},
    "OutputCodeClassifier": {"estimator": LogisticRegression()},
    "SelfTrainingClassifier": {"estimator": LogisticRegression()},
    "StackingClassifier": {"estimators": _MEMBERS},
    "TunedThresholdClassifierCV": {"estimator": LogisticRegression()},
    "VotingClassifier": {"estimators": _MEMBERS, "voting": "soft"},
}

_NO_PROBABILITIES = _because("It has no `predict_proba`; `CalibratedClassifierCV` gives it one.", "contract")
_NOT_NEGATIVE = _untrainable("It refuses negative numbers, and embeddings have them.")
_SEVERAL_LABELS = _untrainable("It takes rows of several labels only.")
_NAN_IN_SINGLE_PRECISION = _because(
    "Far from all examples, the weights of all classes are 0 in single precision, and their shares NaN.",
    "proba-range",
    "input-dtypes",
    "few-shot-problems",
)

_REASONS: Mapping[str, tuple[Reason, ...]] = {
    "CategoricalNB": (_NOT_NEGATIVE,),
    "ClassifierChain": (_SEVERAL_LABELS,),
    "ComplementNB": (_NOT_NEGATIVE,),
    "DummyClassifier": (
        _because(
            "It doesn't look at the embeddings, and predicts the largest class.",
            "two-classes",
            "several-classes",
            "embedding-sizes",
            "large-embeddings",
            "wrong-width",
            "fit-takes-a-list",
            "string-labels",
            "sparse-integer-labels",
            "boolean-labels",
            "learns-separable",
            "imbalanced-classes",
            "many-rows",
        ),
    ),
    "FixedThresholdClassifier": (
        _untrainable("It takes two classes only.", "two-classes", "boolean-labels", "many-rows"),
    ),
    "LabelPropagation": (_NAN_IN_SINGLE_PRECISION,),
    "LabelSpreading": (_NAN_IN_SINGLE_PRECISION,),
    "LinearSVC": (_NO_PROBABILITIES,),
    "MultiOutputClassifier": (_SEVERAL_LABELS,),
    "MultinomialNB": (_NOT_NEGATIVE,),
    "NearestCentroid": (
        _because(
            "`predict` takes the nearest mean, and `predict_proba` scales features by their deviation before.",
            "argmax-agreement",
        ),
        _because("The deviation is 0 where each class has one example, and probabilities NaN.", "few-shot-problems"),
    ),
    "NuSVC": (
        _because("There is no `predict_proba` unless `probability=True`.", "contract"),
        _because(
            "`nu=0.5` can't be reached with classes of very unequal size.", "imbalanced-classes", "single-example-class"
        ),
    ),
    "OneVsOneClassifier": (_NO_PROBABILITIES,),
    "OutputCodeClassifier": (_NO_PROBABILITIES,),
    "PassiveAggressiveClassifier": (_NO_PROBABILITIES,),
    "Perceptron": (_NO_PROBABILITIES,),
    "QuadraticDiscriminantAnalysis": (
        _because(
            "It needs more examples of each class than there are features.",
            "fresh-heads",
            "many-classes",
            "embedding-sizes",
            "large-embeddings",
            "fit-takes-a-list",
            "string-labels",
            "sparse-integer-labels",
            "single-example-class",
            "determinism",
            "refit-forgets",
            "random-state",
            "global-state",
            "quiet",
            "thread-safety",
            "save-load",
            "no-pickle",
            "few-shot-problems",
            "state-machine",
            "params-and-clone",
        ),
    ),
    "RadiusNeighborsClassifier": (
        _untrainable(
            "It refuses rows that have no example within a distance of 1.", "nan-and-infinity", "no-pickle", "many-rows"
        ),
    ),
    "RidgeClassifier": (_NO_PROBABILITIES,),
    "RidgeClassifierCV": (_NO_PROBABILITIES,),
    "SGDClassifier": (_because("There is no `predict_proba` for its default loss.", "contract"),),
    "SVC": (_because("There is no `predict_proba` unless `probability=True`.", "contract"),),
    "SelfTrainingClassifier": (
        _because("It refuses strings after it has replaced the estimator that was trained before.", "string-labels"),
    ),
    "TunedThresholdClassifierCV": (
        _untrainable("It takes two classes only.", "two-classes", "boolean-labels", "many-rows", "argmax-agreement"),
        _because("`predict` uses the threshold that it has tuned.", "argmax-agreement"),
    ),
}


def _built_with(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


ESTIMATORS: dict[str, Estimator] = {
    name: Estimator(
        name,
        functools.partial(cls, **_ARGUMENTS[name]) if name in _ARGUMENTS else cls,
        _built_with(_ARGUMENTS.get(name, {})),
        _REASONS.get(name, ()),
    )
    for name, cls in all_estimators(type_filter="classifier")
}
