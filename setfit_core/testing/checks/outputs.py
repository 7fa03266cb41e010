"""Checks of what `predict` and `predict_proba` return: shapes, types, values, and that they agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from setfit_core.testing.answers import (
    Answers,
    answers,
    ids_range_flaw,
    ids_shape_flaw,
    ids_type_flaw,
    probabilities_range_flaw,
    probabilities_shape_flaw,
    probabilities_sum_flaw,
    probabilities_type_flaw,
    winner_flaw,
)
from setfit_core.testing.check import CheckFailed, check
from setfit_core.testing.problems import ENOUGH_TO_SPLIT, Problem
from setfit_core.testing.trial import Array, Trained, Trial, shown

#: How often a line between two rows is halved to find where the predicted class changes.
_HALVINGS: Final = 12
#: What overlapping classes are made with: noise as large as the differences between their centres.
_OVERLAP: Final = 2.0


@check(
    "predict-shape",
    "`predict` returns one class id a row, an array of the shape [num_inputs].",
    remedy="Return a vector of class ids, for example predict_proba(embeddings).argmax(-1), without further axes.",
)
def predict_shape(trial: Trial) -> None:
    """Asked of several numbers of rows, none of which is the number of classes or of features."""
    for trained, problem in _trained(trial):
        for rows in (7, 64):
            _require(ids_shape_flaw(trained.raw("predict", problem.unseen[:rows]), rows))


@check(
    "predict-dtype",
    "`predict` returns integers, in an array (of a differentiable head: in a tensor).",
    remedy="Return the class ids as integers, such as those that argmax gives, and not as floats, booleans or a list.",
)
def predict_dtype(trial: Trial) -> None:
    """Two classes as well, where a threshold is tempting: its result is an array of booleans."""
    for trained, problem in _trained(trial):
        _require(ids_type_flaw(trained.raw("predict", problem.unseen), trained))


@check(
    "predict-range",
    "`predict` returns nothing but the class ids 0 to num_classes - 1, whatever it is asked.",
    remedy="Predict one of the classes for every row. A head can't abstain; low probabilities say that it is unsure.",
)
def predict_range(trial: Trial) -> None:
    """Rows between the classes and far from all of them are those for which a head might abstain."""
    for trained, problem in _trained(trial):
        _require(ids_range_flaw(trained.raw("predict", _odd_rows(problem, trial)), problem.num_classes))


@check(
    "proba-shape",
    "`predict_proba` returns a row for each input and a column for each class, [num_inputs, num_classes].",
    remedy="Return one column a class seen in training: two for two classes, and none for anything else.",
)
def proba_shape(trial: Trial) -> None:
    """Asked of several numbers of rows, as `predict-shape` does."""
    for trained, problem in _trained(trial):
        for rows in (7, 64):
            output = trained.raw("predict_proba", problem.unseen[:rows])
            _require(probabilities_shape_flaw(output, rows, problem.num_classes))


@check(
    "proba-dtype",
    "`predict_proba` returns floats, in an array (of a differentiable head: in a tensor).",
    remedy="Return the probabilities as an array or tensor of floats, not as integers, objects or lists.",
)
def proba_dtype(trial: Trial) -> None:
    """Two classes as well, which many heads treat apart."""
    for trained, problem in _trained(trial):
        _require(probabilities_type_flaw(trained.raw("predict_proba", problem.unseen), trained))


@check(
    "proba-range",
    "`predict_proba` returns finite values in [0, 1] for all finite embeddings.",
    remedy="Return probabilities, not scores, logits or logarithms; a softmax stays finite if the largest logit of a "
    "row is subtracted before exp, as torch.softmax and scipy.special.softmax do.",
)
def proba_range(trial: Trial) -> None:
    """Rows far from all that was seen in training make a careless softmax overflow."""
    for trained, problem in _trained(trial):
        _require(probabilities_range_flaw(trained.raw("predict_proba", _odd_rows(problem, trial))))


@check(
    "proba-sums",
    "Each row of `predict_proba` sums to 1.",
    remedy="Use a softmax over the classes of a row, or divide each row by its sum, and round nothing.",
)
def proba_sums(trial: Trial) -> None:
    """Rows between the classes have sums of many digits."""
    for trained, problem in _trained(trial):
        rows = np.concatenate([problem.unseen, problem.between(128, trial.seed)])
        _require(probabilities_sum_flaw(trained.raw("predict_proba", rows)))


@check(
    "argmax-agreement",
    "`predict` returns the class with the largest probability, near the boundaries between classes, too.",
    remedy="Let predict return predict_proba(embeddings).argmax(-1), so that both come from the same scores; a "
    "calibration or a threshold that only one of them knows makes them differ.",
)
def argmax_agreement(trial: Trial) -> str | None:
    """Classes that overlap, and rows on both sides of each place where the predicted class changes."""
    asked = 0
    for num_classes in (2, 5):
        problem = _overlapping(trial, num_classes)
        trained = trial.trained(problem)
        rows = np.concatenate([problem.unseen, problem.between(96, trial.seed)])
        rows = np.concatenate([rows, _around_boundaries(trained, rows, trial)])
        found = answers(trained, rows)
        _require_shape(found, problem.num_classes)
        flaw = winner_flaw(found)
        if flaw:
            raise CheckFailed(f"with {problem.num_classes} classes, {flaw}")
        asked += len(rows)
        if trial.num_classes is not None:
            break
    return f"they agree on {asked} rows"


def _trained(trial: Trial) -> Iterator[tuple[Trained, Problem]]:
    """Yield heads that were trained on two classes and on several, or on the only number of classes they have."""
    for num_classes in (2, 4) if trial.num_classes is None else (trial.num_classes,):
        problem = trial.problem(num_classes, 16, ENOUGH_TO_SPLIT)
        yield trial.trained(problem), problem


def _odd_rows(problem: Problem, trial: Trial) -> Array:
    """Return rows of the classes, between them, in the middle of all, at the origin, and far away."""
    middle = problem.centres.mean(axis=0, keepdims=True)
    far = 1000 * problem.unseen[:16]
    between = problem.between(64, trial.seed)
    return np.concatenate([problem.unseen, between, middle, np.zeros_like(middle), far, 10 * between[:16]])


def _overlapping(trial: Trial, num_classes: int) -> Problem:
    problem = trial.problem(num_classes, 16, 40, unseen=160)
    rng = trial.rng(num_classes)
    spread = _OVERLAP * (problem.centres.std(axis=0).mean() if problem.num_classes > 1 else 1.0)
    return replace(
        problem,
        embeddings=problem.embeddings + rng.normal(0, spread, problem.embeddings.shape).astype(np.float32),
        unseen=problem.unseen + rng.normal(0, spread, problem.unseen.shape).astype(np.float32),
    )


def _around_boundaries(trained: Trained, rows: Array, trial: Trial) -> Array:
    """Return rows close to each other for which `predict` gives different classes, found by halving lines."""
    ids = trained.ids(rows)
    partners = trial.rng(1).permutation(len(rows))
    apart = np.flatnonzero(ids != ids[partners])[:64]
    one, other, kept = rows[apart], rows[partners[apart]], ids[apart]
    for _ in range(_HALVINGS if apart.size else 0):
        middle = (one + other) / 2
        same = (trained.ids(middle) == kept)[:, None]
        one, other = np.where(same, middle, one), np.where(same, other, middle)
    return np.concatenate([one, other])


def _require_shape(found: Answers, num_classes: int) -> None:
    if found.probabilities.shape[1] != num_classes:
        raise CheckFailed(
            f"predict_proba returned {shown(found.probabilities)} for {num_classes} classes, so its argmax is no "
            "class id"
        )


def _require(flaw: str) -> None:
    if flaw:
        raise CheckFailed(flaw)
