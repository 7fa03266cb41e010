"""Checks of training: that a head learns, forgets, and does the same again."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import numpy as np

from setfit_core.testing.answers import answers, asked_rows, difference, require_valid
from setfit_core.testing.check import ARRAYS, CheckFailed, check
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Trained, Trial, refused

#: Enough for boosted trees, whose leaves hold at least 20 examples by default.
_ENOUGH: Final = 50
#: What a head has to reach on classes that lie ten times their own extent apart.
_GOOD: Final = 0.9
#: For heads that were made alike, and differ in nothing but rounding.
_SAME: Final = 1e-6


@check(
    "learns-separable",
    "Trained on classes that lie far apart, the head classifies unseen examples rightly.",
    remedy="Check that training uses the embeddings and labels it is given, row by row, and keeps what it learns.",
)
def learns_separable(trial: Trial) -> str:
    """Rows with enough examples for every sensible learner; twice, as wrong labels may be right by luck."""
    reached = []
    for seed in range(2):
        problem = trial.problem(3, 16, per_class=_ENOUGH, seed=seed)
        reached.append(trial.trained(problem).accuracy(problem))
        if reached[-1] < _GOOD:
            raise CheckFailed(
                f"{reached[-1]:.0%} of {len(problem.unseen)} unseen examples are classified rightly after training on "
                f"{_ENOUGH} of each of {problem.num_classes} classes; by guessing it would be "
                f"{1 / problem.num_classes:.0%}"
            )
    return f"{min(reached):.0%} right"


@check(
    "imbalanced-classes",
    "Trained on many examples of one class and few of the others, the head still tells the others apart.",
    remedy="Weigh what is learned about a class by its own examples, and leave no class out because it is rare.",
)
def imbalanced_classes(trial: Trial) -> None:
    """Rare classes lie as far from the frequent one as in the other problems, so none needs to be lost."""
    _check_distribution(trial, (100, 24, 24))


@check(
    "single-example-class",
    "A class with a single training example is a class like the others: training works, and it has its column.",
    remedy="Split, stratify or estimate a spread only where a class has examples enough; fall back on all classes.",
)
def single_example_class(trial: Trial) -> None:
    """The few-shot regime: whoever labels ten texts has classes with one."""
    problem = trial.problem(3, 16, per_class=(12, 12, 1))
    trained = trial.trained(problem)
    _check_outputs(trained, problem)
    usual = problem.unseen_labels < 2
    right = float((trained.ids(problem.unseen)[usual] == problem.unseen_labels[usual]).mean())
    even = trial.problem(3, 16, per_class=(12, 12, 12))
    reached = trial.trained(even).accuracy(even)
    if right < reached - 0.3:
        raise CheckFailed(
            f"with a single example of one class, {right:.0%} of the unseen examples of the other classes are "
            f"classified rightly; with as many examples of each, {reached:.0%} are"
        )


@check(
    "determinism",
    "The same seed gives the same head: built and trained twice, it predicts the same.",
    remedy="Draw only from a generator seeded with random_state, or from the global ones, which the core seeds.",
)
def determinism(trial: Trial) -> None:
    """The core builds and trains under a seed; what depends on time, addresses or hashing shows here."""
    problem = trial.problem(3, 16)
    rows = asked_rows(problem, trial.seed)
    first, second = (answers(trial.trained(problem), rows) for _ in range(2))
    flaw = difference(first, second, _SAME)
    if flaw:
        raise CheckFailed(
            f"of two heads that were built and trained alike, with the same seed, the second differs: {flaw}"
        )


@check(
    "unfitted",
    "Asked before it was fitted, the head raises instead of inventing an answer.",
    remedy="Raise sklearn.exceptions.NotFittedError in predict and predict_proba as long as fit hasn't run.",
    contracts=ARRAYS,
)
def unfitted(trial: Trial) -> None:
    """Any exception will do; the core turns NotFittedError into its own."""
    problem = trial.problem(3, 16)
    for method in ("predict", "predict_proba"):
        trained = Trained(trial.head(), trial.contract)
        if refused(functools.partial(trained.raw, method, problem.unseen)) is None:
            raise CheckFailed(f"{method} of a head that was never fitted returned a result")


@check(
    "refit-forgets",
    "Fitted again, the head is what a new one fitted on the same data would be.",
    remedy="Start fit by resetting what an earlier fit has left; no warm start unless a parameter asks for it.",
    contracts=ARRAYS,
)
def refit_forgets(trial: Trial) -> str | None:
    """On other data of the same shape, and on data with other sizes and another number of classes."""
    for again in (
        trial.problem(4, 16, per_class=12, seed=1),
        trial.problem(3, 16, per_class=12, seed=2),
        trial.problem(6, 24, per_class=12, seed=3),
    ):
        _check_refit(trial, again)
    two = trial.problem(2, 16, per_class=12, seed=4)
    used = trial.trained(trial.problem(4, 16, per_class=12))
    try:
        trial.train(used.head, two.embeddings, two.labels)
    except CheckFailed as failure:
        # XGBClassifier, for one, keeps the objective of several classes. Nobody gets a wrong answer from a refusal.
        return f"after four classes it can't be fitted on two: {failure.seen}"
    _check_refit(trial, two)
    return None


def _check_refit(trial: Trial, again: Problem) -> None:
    first = trial.problem(4, 16, per_class=12)
    used = trial.trained(first)
    trial.train(used.head, again.embeddings, again.labels)
    new = trial.trained(again)
    rows = asked_rows(again, trial.seed)
    found, expected = answers(used, rows), answers(new, rows)
    flaw = difference(expected, found, _SAME)
    if not flaw and (found.ids != expected.ids).any():  # also where the two likeliest classes lie close together
        flaw = "predict gives something else"
    if flaw:
        raise CheckFailed(
            f"fitted on {first.num_classes} classes and {first.embedding_size} features and then on "
            f"{again.num_classes} and {again.embedding_size}, it differs from a new head that was fitted on the latter "
            f"alone: {flaw}"
        )


def _check_distribution(trial: Trial, per_class: Sequence[int]) -> None:
    problem = trial.problem(len(per_class), 16, per_class=per_class)
    trained = trial.trained(problem)
    _check_outputs(trained, problem)
    predicted = trained.ids(problem.unseen)
    for label in range(problem.num_classes):
        of_class = problem.unseen_labels == label
        right = float((predicted[of_class] == label).mean()) if of_class.any() else 1.0
        if right < 0.5:
            raise CheckFailed(
                f"trained on {_counts(problem)} examples a class, {right:.0%} of the unseen examples of class {label} "
                "are classified rightly"
            )


def _check_outputs(trained: Trained, problem: Problem) -> None:
    require_valid(trained, problem.unseen, problem.num_classes, f"trained on {_counts(problem)} examples a class")


def _counts(problem: Problem) -> str:
    return ", ".join(str(int(count)) for count in np.bincount(problem.labels))
