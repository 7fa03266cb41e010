"""Checks of questions: how many rows at a time, which others they come with, and what was asked before."""

from __future__ import annotations

from typing import Final

import numpy as np

from setfit_core.testing.answers import (
    Answers,
    answers,
    asked_rows,
    difference,
    given,
    ids_shape_flaw,
    in_parts,
    probabilities_shape_flaw,
    require_unmoved,
)
from setfit_core.testing.check import CheckFailed, check
from setfit_core.testing.problems import ENOUGH_TO_SPLIT
from setfit_core.testing.trial import Array, Trained, Trial, as_array, shown

#: For answers to the same call, in which nothing can differ in the order of summation.
_EXACT: Final = 1e-6


@check(
    "single-row",
    "A single row is answered like any other: predict gives [1], predict_proba [1, num_classes], with equal values.",
    remedy="Keep the first axis: no squeeze() without an axis, and nothing that takes one row for a vector.",
)
def single_row(trial: Trial) -> None:
    """The most frequent question of all in production."""
    for num_classes in (2, 4) if trial.num_classes is None else (trial.num_classes,):
        problem = trial.problem(num_classes, 16, ENOUGH_TO_SPLIT)
        trained = trial.trained(problem)
        expected = answers(trained, problem.unseen)
        for row in range(5):
            alone = problem.unseen[row : row + 1]
            ids, probabilities = trained.raw("predict", alone), trained.raw("predict_proba", alone)
            flaw = ids_shape_flaw(ids, 1) or probabilities_shape_flaw(probabilities, 1, problem.num_classes)
            flaw = flaw or difference(expected[row : row + 1], Answers(as_array(ids), as_array(probabilities)))
            if flaw:
                raise CheckFailed(
                    f"asked about row {row} alone, of {problem.num_classes} classes, and compared with the answer for "
                    f"{len(problem.unseen)} rows, {flaw}"
                )


@check(
    "empty-input",
    "No rows give no answers: predict gives [0] and predict_proba a matrix without rows, or they raise.",
    remedy="Let the array operations of the other rows run on none, too, or raise a ValueError.",
)
def empty_input(trial: Trial) -> str:
    """A head may refuse, as scikit-learn's do, or forget the number of its columns, as XGBoost's does."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    before = answers(trained, problem.unseen)
    none = problem.unseen[:0]
    notes = []
    for method, dimensions in (("predict", 1), ("predict_proba", 2)):
        try:
            output = trained.raw(method, none)
        except CheckFailed:
            notes.append(f"{method} refuses")
            continue
        shape = as_array(output).shape
        if len(shape) != dimensions or shape[0]:
            wanted = [0, problem.num_classes][:dimensions]
            raise CheckFailed(f"{method} returned {shown(output)} for no rows, not {wanted}")
        if dimensions == 2 and shape[1] != problem.num_classes:
            notes.append(f"{method} gives {shape[1]} columns instead of {problem.num_classes}")
    require_unmoved(trained, problem.unseen, before, "after it was asked about no rows")
    return "; ".join(notes)


@check(
    "many-rows",
    "The head learns from and answers thousands of rows, as it does fewer.",
    remedy="Look for a fixed limit, an index of too few bits, or blocks of rows that are put together wrongly.",
)
def many_rows(trial: Trial) -> None:
    """The same rows are asked at once and in parts, of a size that no block has."""
    problem = trial.problem(2, 6, 1200 // (trial.num_classes or 2), unseen=3001)
    trained = trial.trained(problem)
    at_once = answers(trained, problem.unseen)
    accuracy = float((at_once.ids == problem.unseen_labels).mean())
    if accuracy < 0.85:
        raise CheckFailed(
            f"trained on {len(problem.embeddings)} rows, {accuracy:.0%} of {len(problem.unseen)} unseen ones are "
            "classified rightly",
            "Look for a fixed number of rows, or for a sum or an index that overflows on many.",
        )
    flaw = difference(in_parts(trained, problem.unseen, 271), at_once)
    if flaw:
        raise CheckFailed(f"asked about {len(problem.unseen)} rows at once instead of 271 at a time, {flaw}")


@check(
    "batch-invariance",
    "What a head answers for a row does not depend on the rows that it is asked about together with it.",
    remedy="Normalise by what was seen in training, never by the batch; in torch, evaluate with running statistics.",
)
def batch_invariance(trial: Trial) -> None:
    """The core splits rows into batches, and users ask about one text at a time."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    rows = asked_rows(problem, trial.seed)
    together = answers(trained, rows)
    for size, upto in ((1, 8), (3, 12), (50, len(rows)), (100, len(rows))):
        flaw = difference(together[:upto], in_parts(trained, rows[:upto], size))
        if flaw:
            raise CheckFailed(f"asked about rows {size} at a time instead of {len(rows)} at once, {flaw}")
    few = rows[60:70]
    for company, what in (
        (np.repeat(rows[:1], 90, axis=0), "90 equal rows"),
        (1000 * rows[:5], "5 rows far away"),
        (np.zeros_like(rows[:5]), "5 rows of zeros"),
    ):
        flaw = difference(together[60:70], answers(trained, np.concatenate([few, company]))[:10])
        if flaw:
            raise CheckFailed(f"asked about 10 rows together with {what}, {flaw}")


@check(
    "row-permutation",
    "Rows in another order get the same answers, in that order.",
    remedy="Answer each row by itself; what is sorted for speed has to be put back into the order of the rows.",
)
def row_permutation(trial: Trial) -> None:
    """Reversed, shuffled, and sorted by what is predicted."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    rows = asked_rows(problem, trial.seed)
    before = answers(trained, rows)
    for order, what in (
        (np.arange(len(rows))[::-1], "reversed"),
        (trial.rng().permutation(len(rows)), "shuffled"),
        (np.argsort(before.ids, kind="stable"), "sorted by predicted class"),
    ):
        flaw = difference(before[order], answers(trained, rows[order].copy()))
        if flaw:
            raise CheckFailed(f"asked about the same {len(rows)} rows, {what}, {flaw}")


@check(
    "repeatable-prediction",
    "Asked again, the head answers the same: predictions change nothing, and draw nothing at random.",
    remedy="Keep no answers or inputs between calls, draw nothing while predicting, and return arrays that the head "
    "itself doesn't use again.",
)
def repeatable_prediction(trial: Trial) -> None:
    """In any order of methods and rows, with an array that is filled anew, and after the answers were overwritten."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    rows = asked_rows(problem, trial.seed)
    first, second = rows[::2].copy(), rows[1::2].copy()
    before = answers(trained, first)
    require_unmoved(trained, first, before, "asked the same again", _EXACT)
    # The outputs themselves, not copies: they must outlive the questions that follow.
    kept = Answers(trained.ids(first), trained.probabilities(first))
    trained.ids(second)
    trained.probabilities(second)
    if difference(before, kept, _EXACT):
        raise CheckFailed(
            "arrays that the head had returned before changed when it was asked about other rows",
            "Return a new array each time, not a buffer that the next prediction overwrites.",
        )
    of_second = in_parts(trained, second, 37)
    trained.probabilities(first)
    require_unmoved(trained, second, of_second, "asked about other rows of the same number")
    require_unmoved(trained, first, before, "asked again after other rows", _EXACT)
    _require_fresh(trained, first, second, of_second)
    _overwrite(kept)
    require_unmoved(trained, first, before, "asked again after the arrays that it had returned were changed", _EXACT)


def _require_fresh(trained: Trained, first: Array, second: Array, of_second: Answers) -> None:
    """Ask about an array whose contents were exchanged: nothing may be remembered by its address."""
    outputs = []
    for method in ("predict", "predict_proba"):
        buffer = given(trained, first)
        trained.raw(method, buffer)
        buffer[:] = given(trained, second)
        outputs.append(as_array(trained.raw(method, buffer)))
    flaw = difference(of_second, Answers(*outputs))
    if flaw:
        raise CheckFailed(
            f"asked about other rows that were written into an array that it had been given before, {flaw}",
            "Don't remember answers by the identity or the shape of an array.",
        )


def _overwrite(kept: Answers) -> None:
    for output in (kept.ids, kept.probabilities):
        if output.flags.writeable:
            output[:] = 0
