"""Checks of labels: the class ids that the core gives, and other labels, which a head may refuse or learn."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from setfit_core.randomness import isolated_random_state
from setfit_core.testing.answers import (
    TOLERANCE,
    admits_ignorance,
    answers,
    probabilities_shape_flaw,
    require_unmoved,
    require_valid,
    row_text,
    saying,
    share,
)
from setfit_core.testing.check import ARRAYS, CheckFailed, check
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Array, Trained, Trial, as_array, refused, shown

Labels: TypeAlias = Sequence[Any]

#: Enough in all for boosted trees, whose leaves hold at least 20 examples by default, to split.
_PER_CLASS: Final = 16
_GOOD: Final = 0.8

#: Names that a head may take for equal, for numbers, for nothing, or that it may cut.
_STRINGS: Final[tuple[tuple[str, ...], ...]] = (
    ("negative", "ok", "positive, or nearly so"),
    tuple(f"a category whose name is longer than thirty-two characters, number {letter}" for letter in "bca"),
    ("10", "9", "2", "-1", "0.5"),
    (" spam", "spam", "spam ", "Spam", "SPAM"),
    ("", "nan", "None", "True", "0"),
    ("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}", "\u65e5\u672c", "\N{GRINNING FACE}"),
)
#: Whole numbers that are no class ids. Those in the first place are small, because a head may count up to them.
_INTEGERS: Final[tuple[tuple[int, ...], ...]] = ((3, 7, 11), (1, 2, 3), (0, 2, 5, 1), (-7, 0, 4))
#: Tried only where the others were learned: what has room for these has no table of all numbers.
_HUGE_INTEGERS: Final = (70_000, 10**12, 2**53 + 1)


@check(
    "fit-takes-a-list",
    "`fit` takes the class ids as a plain list of integers, which is what the core gives it.",
    remedy="Begin fit with labels = numpy.asarray(labels): a list has no dtype, and list == 1 compares no elements.",
    contracts=ARRAYS,
)
def fit_takes_a_list(trial: Trial) -> str:
    """A list that is compared with a number gives False, and nothing is learned."""
    problem = trial.problem(3, 16, _PER_CLASS)
    head = trial.head(problem.num_classes, problem.embedding_size)
    labels = problem.labels.tolist()
    refusal = refused(functools.partial(trial.fit, head, problem.embeddings, labels))
    if refusal is not None:
        raise CheckFailed(f"{_text(refusal)}{_with_an_array(trial, problem)}")
    trained = Trained(head, trial.contract)
    found = require_valid(trained, problem.unseen, problem.num_classes, "fitted on a list of labels")
    accuracy = float((found.ids == problem.unseen_labels).mean())
    if accuracy < _GOOD:
        raise CheckFailed(
            f"fitted on a list of labels, it classifies {accuracy:.0%} of {len(found.ids)} unseen examples of classes "
            f"that lie far apart rightly{_with_an_array(trial, problem)}"
        )
    return f"{accuracy:.0%} right"


@check(
    "column-order",
    "Columns of `predict_proba` follow the class ids, in whatever order the classes appear in training.",
    remedy="Sort the classes, as numpy.unique does, rather than keep them as they appear, by frequency or as text.",
    contracts=ARRAYS,
)
def column_order(trial: Trial) -> None:
    """Twelve classes, of which 10 and 11 come before 2 as text; the frequent ones are in no order, either."""
    counts = (20, 23, 19, 24, 22, 18, 25, 20, 23, 19, 24, 21)
    problem = trial.problem(len(counts), 16, counts)
    ids = np.arange(len(counts))
    for order, what in ((ids[::-1], "from the last to the first"), (np.roll(ids, 5), "from class 7 on")):
        rows = _led_by(problem, order)
        head = trial.head(problem.num_classes, problem.embedding_size)
        trial.train(head, problem.embeddings[rows], problem.labels[rows])
        probabilities = Trained(head, trial.contract).probabilities(problem.unseen)
        flaw = probabilities_shape_flaw(probabilities, len(problem.unseen), problem.num_classes)
        if flaw:
            raise CheckFailed(flaw)
        right = probabilities.argmax(axis=1) == problem.unseen_labels
        if right.mean() < 0.6 and not admits_ignorance(probabilities):
            row = int(np.flatnonzero(~right)[0])
            raise CheckFailed(
                f"fitted on {problem.num_classes} classes that appear {what}, the largest probability is in the column "
                f"of the right class for {share(int(right.sum()), len(right))}; for row {row}, of class "
                f"{problem.unseen_labels[row]}, it is in column {probabilities[row].argmax()}"
            )


@check(
    "string-labels",
    "Given strings as labels, `fit` raises and leaves the head as it was, or the head predicts these strings.",
    remedy="Raise a ValueError before anything is changed, or keep the sorted labels in classes_ and predict "
    "classes_[probabilities.argmax(-1)], without cutting, stripping or converting a label.",
    contracts=ARRAYS,
)
def string_labels(trial: Trial) -> str:
    """Long names, names that look like numbers or like nothing, and names that differ in a space or a capital."""
    return _tried(trial, (*_STRINGS, _random_strings(trial)))


@check(
    "sparse-integer-labels",
    "Given integers that are not 0 to num_classes - 1, `fit` raises and leaves the head as it was, or the head "
    "predicts these integers.",
    remedy="Raise a ValueError before anything is changed, or keep the sorted labels in classes_ and predict "
    "classes_[probabilities.argmax(-1)]; a label is no index and no count.",
    contracts=ARRAYS,
)
def sparse_integer_labels(trial: Trial) -> str:
    """With gaps, from 1 on, negative, and at last too large for a table."""
    note = _tried(trial, _INTEGERS)
    if note != _LEARNED:
        return note
    try:
        return _tried(trial, (_HUGE_INTEGERS,))
    except MemoryError:  # which a check otherwise never keeps from anybody
        raise CheckFailed(f"given the labels {_listed(_HUGE_INTEGERS)}, the head ran out of memory") from None


@check(
    "boolean-labels",
    "Given False and True as labels, `fit` raises and leaves the head as it was, or the head predicts them or 0 and 1.",
    remedy="Treat False and True as the class ids 0 and 1, or as classes_ of their own, or raise a ValueError before "
    "anything is changed.",
    contracts=ARRAYS,
)
def boolean_labels(trial: Trial) -> str:
    """They equal the class ids, so that a head without classes_ can take them, too."""
    return _tried(trial, ((False, True),))


_LEARNED: Final = "it learns them"
_REFUSED: Final = "it refuses them"


def _tried(trial: Trial, sets: Sequence[Labels]) -> str:
    notes = []
    for names in sets:
        problem = trial.problem(len(names), 16, max(_PER_CLASS, 48 // len(names)))
        with saying(f"given the labels {_listed(names)}"):
            notes.append(_judged(trial, problem, names))
    return notes[0] if len({*notes}) == 1 else f"it learns {notes.count(_LEARNED)} of {len(notes)} sets of labels"


def _judged(trial: Trial, problem: Problem, names: Labels) -> str:
    trained = Trained(trial.head(problem.num_classes, problem.embedding_size), trial.contract)
    if _refusal(trial, trained, problem, names) is None:
        _check_members(trained, problem, names)
        return _LEARNED
    used = trial.trained(problem)
    before = answers(used, problem.unseen)
    other = trial.problem(problem.num_classes, problem.embedding_size, len(problem.labels) // len(names), seed=1)
    if _refusal(trial, used, other, names) is None:
        _check_members(used, other, names)
        return _LEARNED
    require_unmoved(used, problem.unseen, before, "after fit refused them, a head that was fitted on class ids before")
    return _REFUSED


def _refusal(trial: Trial, trained: Trained, problem: Problem, names: Labels) -> BaseException | None:
    labels = [names[each] for each in problem.labels]
    with isolated_random_state(trial.seed):
        return refused(functools.partial(trial.fit, trained.head, problem.embeddings, labels))


def _check_members(trained: Trained, problem: Problem, names: Labels) -> None:
    """Judge a head that took the labels: by design it predicts members of `classes_`, in the order of its columns."""
    rows = len(problem.unseen)
    output = trained.raw("predict", problem.unseen)
    predicted = as_array(output)
    if not isinstance(output, np.ndarray) or predicted.shape != (rows,):
        raise CheckFailed(f"fit took them, and predict returned {shown(output)} for {rows} rows")
    probabilities = trained.raw("predict_proba", problem.unseen)
    flaw = probabilities_shape_flaw(probabilities, rows, len(names))
    if flaw:
        raise CheckFailed(f"fit took them, and {flaw}")
    given = predicted.tolist()
    classes = _classes(trained.head, names)
    strangers = [label for label in given if not _among(label, classes)]
    if strangers:
        raise CheckFailed(
            f"fit took them, and predict gives {_listed(list(dict.fromkeys(strangers)))} for "
            f"{share(len(strangers), rows)}"
        )
    columns = np.asarray([classes.index(label) for label in given])
    lacking = probabilities.max(axis=1) - probabilities[np.arange(rows), columns] > TOLERANCE
    if lacking.any():
        row = int(np.flatnonzero(lacking)[0])
        raise CheckFailed(
            "fit took them, and predict is not the member of classes_ with the largest probability in "
            f"{share(int(lacking.sum()), rows)}; for row {row} predict gives {given[row]!r}, and the probabilities of "
            f"{_listed(classes)} are {row_text(probabilities[row])}"
        )
    wanted = [names[each] for each in problem.unseen_labels]
    wrong = [row for row in range(rows) if given[row] != wanted[row]]
    if len(wrong) > (1 - _GOOD) * rows and not admits_ignorance(probabilities):
        raise CheckFailed(
            f"fit took them, and predict is wrong for {share(len(wrong), rows)} of classes that lie far apart; for row "
            f"{wrong[0]} it gives {given[wrong[0]]!r} instead of {wanted[wrong[0]]!r}"
        )


def _classes(head: Any, names: Labels) -> list[Any]:
    """Return a head's classes, which must be the labels that were given; booleans may be the ids 0 and 1."""
    stored = getattr(head, "classes_", None)
    if stored is None:
        if set(names) == {False, True}:
            return [False, True]
        raise CheckFailed("fit took them, and there is no classes_ that says which column is which label")
    classes = as_array(stored).tolist()
    if not isinstance(classes, list) or len(classes) != len(names) or not all(_among(name, classes) for name in names):
        listed = _listed(classes) if isinstance(classes, list) else shown(stored)
        raise CheckFailed(f"fit took them, and classes_ is {listed}")
    return classes


def _among(label: Any, classes: Labels) -> bool:
    """Tell whether a label is one of the classes; text is compared with text, and numbers with numbers."""
    return any(label == each for each in classes)


def _led_by(problem: Problem, order: Array) -> Array:
    """Return all rows, so that the classes appear for the first time in an order."""
    first = np.asarray([np.flatnonzero(problem.labels == each)[0] for each in order])
    return np.concatenate([first, np.setdiff1d(np.arange(len(problem.labels)), first)])


def _with_an_array(trial: Trial, problem: Problem) -> str:
    """Say whether the head does better with an array of labels, which tells the author where to look."""
    head = trial.head(problem.num_classes, problem.embedding_size)
    try:
        trial.fit(head, problem.embeddings, problem.labels)
        accuracy = Trained(head, trial.contract).accuracy(problem)
    except CheckFailed:
        return ""
    return f"; fitted on an array of the same labels, it gets {accuracy:.0%} right"


def _random_strings(trial: Trial) -> tuple[str, ...]:
    """Draw twelve names of letters, digits and signs, of any length up to 20."""
    rng = trial.rng()
    signs = list("abcxyzABCXYZ0123456789 _-.,:;/()#+*'\"%&@!?\u00e4\u00f6\u00df\u03a9\u0436\u6f22")
    names: dict[str, None] = {}
    while len(names) < 12:
        names["".join(rng.choice(signs, size=int(rng.integers(1, 21))))] = None
    return tuple(names)


def _listed(labels: Labels) -> str:
    shortened = [
        repr(label) if len(repr(label)) <= 30 else f"{repr(label)[:12]}...{repr(label)[-12:]}" for label in labels
    ]
    return ", ".join(shortened[:6]) + (", ..." if len(shortened) > 6 else "")


def _text(refusal: BaseException) -> str:
    return refusal.seen if isinstance(refusal, CheckFailed) else repr(refusal)
