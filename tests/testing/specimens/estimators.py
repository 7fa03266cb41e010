"""All classifiers of scikit-learn, and what the suite says about each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import all_estimators

__all__ = ["ESTIMATORS", "Estimator"]


@dataclass(frozen=True)
class Estimator:
    """One classifier of scikit-learn.

    Attributes:
        name: Its name.
        make_head: What `check_head` is given.
        arguments: The arguments that it is built with, as text; empty for its defaults.
        reasons: Why checks fail, a sentence for each group of their ids; empty if the classifier conforms.
        options: Further keyword arguments for `check_head`.
    """

    name: str
    make_head: Any
    arguments: str = ""
    reasons: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failing(self) -> frozenset[str]:
        """The ids of the checks that fail."""
        return frozenset(check for checks in self.reasons for check in checks)


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

_REASONS: Mapping[str, Mapping[tuple[str, ...], str]] = {}


def _built_with(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


ESTIMATORS: dict[str, Estimator] = {
    name: Estimator(
        name,
        functools.partial(cls, **_ARGUMENTS[name]) if name in _ARGUMENTS else cls,
        _built_with(_ARGUMENTS.get(name, {})),
        _REASONS.get(name, {}),
    )
    for name, cls in all_estimators(type_filter="classifier")
}
