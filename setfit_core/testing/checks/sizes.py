"""Checks of problems of many sizes: from two classes to 150, from embeddings of one number to 1024."""

from __future__ import annotations

from typing import Final

import numpy as np

from setfit_core.testing.answers import admits_ignorance, require_valid
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.problems import ENOUGH_TO_SPLIT, Problem, around, on_a_sphere
from setfit_core.testing.trial import Array, Trained, Trial

#: Enough of each class for boosted trees, if what they need is needed of each class.
_PLENTY: Final = 45
_GOOD: Final = 0.85
#: The same with 30 classes, on 300 examples in all.
_GOOD_OF_MANY: Final = 0.6

_MANY: Final = 150
_FEWER: Final = 30
_SIZES: Final = (1, 2, 3, 5, 17, 64)
_LARGE_SIZES: Final = (256, 384, 768, 1024)


@check(
    "two-classes",
    "With two classes the head returns two columns, in the order of the ids, and learns.",
    remedy="Treat two classes like several, or turn the one score p of a binary head into the columns [1 - p, p].",
)
def two_classes(trial: Trial) -> str:
    """Many heads have a way of their own for two classes."""
    if trial.num_classes not in (None, 2):
        trial.require_any_num_classes()
    problem = trial.problem(2, 16, _PLENTY)
    return _learned(trial.trained(problem), problem, "With 2 classes", _GOOD)


@check(
    "several-classes",
    "With 3, 6 and 30 classes the head learns all of them.",
    remedy="Look for a number of classes, or of digits of a class id, that is written into the head somewhere.",
)
def several_classes(trial: Trial) -> str:
    """With 30 classes few examples are enough for most heads; those that they are not enough for get more."""
    trial.require_any_num_classes()
    notes = []
    for num_classes, good in ((3, _GOOD), (6, _GOOD), (_FEWER, _GOOD_OF_MANY)):
        where = f"With {num_classes} classes"
        per_class = ENOUGH_TO_SPLIT if num_classes < _FEWER else 10
        try:
            problem = trial.problem(num_classes, 16, per_class, unseen=10 * num_classes + 40)
            notes.append(_learned(trial.trained(problem), problem, where, good))
        except CheckFailed:
            problem = trial.problem(num_classes, 16, _PLENTY, unseen=10 * num_classes + 40)
            notes.append(_learned(trial.trained(problem), problem, where, good))
    return "; ".join(notes)


@check(
    "many-classes",
    f"With {_MANY} classes outputs are as promised, and the head learns about as well as with {_FEWER}.",
    remedy="Look for class ids kept in 8 bits, which end at 127, and for tables or loops of a fixed size.",
)
def many_classes(trial: Trial) -> str:
    """Few examples a class: what a head makes of them with fewer classes is what it is measured by."""
    trial.require_any_num_classes()
    per_class = 2
    try:
        reached = _reached(trial, _FEWER, per_class)
    except CheckFailed:  # a head that cross-validates needs more than two examples of each class
        per_class = 6
        reached = _reached(trial, _FEWER, per_class)
    problem = _problem_of_many(trial, _MANY, per_class)
    trained = trial.trained(problem)
    found = require_valid(trained, problem.unseen, _MANY, f"With {_MANY} classes")
    right = found.ids == problem.unseen_labels
    accuracy = float(right.mean())
    note = f"{accuracy:.0%} right with {_MANY} classes, {reached:.0%} with {_FEWER}"
    if reached < 0.5:
        return f"{note}: too little to compare"
    if accuracy < 0.5 * reached:
        raise CheckFailed(
            f"trained on {per_class} examples of each of {_MANY} classes, {accuracy:.0%} of {len(right)} unseen "
            f"examples are classified rightly; with {_FEWER} classes and as many examples of each, {reached:.0%} are"
        )
    # Neighbours that are tied go to the lower id, so that without enough of them the higher ids lose by themselves.
    for first in (140, 128, 100) if reached > 0.95 else ():
        high = problem.unseen_labels >= first
        above, below = float(right[high].mean()), float(right[~high].mean())
        if above < 0.3 * below:
            raise CheckFailed(
                f"trained on {_MANY} classes, {above:.0%} of the unseen examples of the classes from {first} on are "
                f"classified rightly, and {below:.0%} of the others"
            )
    return note


@check(
    "embedding-sizes",
    f"The head takes embeddings of any size: {', '.join(map(str, _SIZES))}.",
    remedy="Take the size from embeddings.shape[1] (or from in_features), and keep both axes where it is 1.",
)
def embedding_sizes(trial: Trial) -> None:
    """Two opposite classes where there is room for no more; what removes the mean of a row finds them, too."""
    trial.require_any_embedding_size()
    for size in _SIZES:
        where = f"With embeddings of size {size}"
        if size > 2 or trial.num_classes is not None:
            problem = trial.problem(3, size, ENOUGH_TO_SPLIT)
            learnable = size >= 2 * problem.num_classes - 1  # also on the sphere, by a head that normalises rows
        else:
            sides = np.array([[1.0, -1.0][:size]])
            problem = around(np.concatenate([sides, -sides]), ENOUGH_TO_SPLIT, trial.rng(size))
            learnable = size == 2 or not trial.differentiable  # a layer norm leaves nothing of one number
        trained = trial.trained(problem)
        if learnable:
            _learned(trained, problem, where, _GOOD)
        else:
            require_valid(trained, problem.unseen, problem.num_classes, where)


@check(
    "large-embeddings",
    f"The head learns from embeddings as large as those of real bodies: {', '.join(map(str, _LARGE_SIZES))}.",
    remedy="Read all features, count them in more than 8 bits, and scale what is summed over them.",
)
def large_embeddings(trial: Trial) -> str:
    """Some classes differ in an eighth of the features alone, at the one end or at the other."""
    sizes: tuple[int, ...] = _LARGE_SIZES
    if trial.embedding_size is not None:
        if trial.embedding_size < min(_LARGE_SIZES):
            raise CheckSkipped(f"the head is built for embeddings of size {trial.embedding_size} only")
        sizes = (trial.embedding_size,)
    for index, size in enumerate(sizes):
        problem = _large_problem(trial, size, last=bool(index % 2) or size == max(sizes))
        _learned(trial.trained(problem), problem, f"With embeddings of size {size}", _GOOD)
    return f"it learns from embeddings of size {', '.join(map(str, sizes))}"


def _large_problem(trial: Trial, size: int, *, last: bool) -> Problem:
    """Draw long embeddings: their features are as large as ever, and examples of a class as close as ever."""
    rng = trial.rng(size)
    num_classes = trial.num_classes or 3
    centres = rng.normal(0, 1, (num_classes, size))
    part = slice(size - size // 8, size) if last else slice(0, size // 8)
    centres[0, part] = rng.choice([-2.0, 2.0], size // 8)
    centres[1] = centres[0]
    centres[1, part] = -centres[0, part]
    if num_classes > 2:
        centres[2] = -centres[0]
    return around(centres, ENOUGH_TO_SPLIT, rng, unseen=96, noise=0.8 / size**0.5)


def _learned(trained: Trained, problem: Problem, where: str, good: float) -> str:
    """Fail the check unless outputs are as promised and the classes were learned, all of them."""
    found = require_valid(trained, problem.unseen, problem.num_classes, where)
    right = found.ids == problem.unseen_labels
    accuracy = float(right.mean())
    if accuracy < good and admits_ignorance(found.probabilities):
        return f"{where}, it says itself that it has hardly learned, by probabilities that are nearly even"
    lost = _lost_classes(right, problem.unseen_labels)
    if accuracy >= good and not lost.size:
        return f"{where}, {accuracy:.0%} right"
    seen = (
        f"{where} and {len(problem.embeddings)} examples, {accuracy:.0%} of {len(right)} unseen examples are "
        f"classified rightly; by guessing it would be {1 / problem.num_classes:.0%}"
    )
    if lost.size and lost.size < problem.num_classes:
        seen += f". None of those of the classes {', '.join(map(str, lost[:5].tolist()))} is"
    raise CheckFailed(seen)


def _lost_classes(right: Array, labels: Array) -> Array:
    """Return the classes with at least four unseen examples of which none is classified rightly."""
    totals, hits = np.bincount(labels), np.bincount(labels, weights=right)
    lost: Array = np.flatnonzero((totals >= 4) & (hits == 0))
    return lost


def _problem_of_many(trial: Trial, num_classes: int, per_class: int) -> Problem:
    rng = trial.rng(num_classes)
    size = trial.embedding_size or 8
    return around(on_a_sphere(num_classes, size, rng), per_class, rng, unseen=4 * num_classes)


def _reached(trial: Trial, num_classes: int, per_class: int) -> float:
    problem = _problem_of_many(trial, num_classes, per_class)
    return trial.trained(problem).accuracy(problem)
