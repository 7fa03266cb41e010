"""Cross-fitting: each text is predicted by a head that was trained without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from setfit_core.choosing.folds import Fold, make_folds
from setfit_core.choosing.task import Task
from setfit_core.errors import InputError, NoProbabilitiesError
from setfit_core.heads.adapters import HeadAdapter, adapter_for, to_array
from setfit_core.heads.fitting import fit_head
from setfit_core.heads.held import HeldHead
from setfit_core.heads.settings import HeadTraining
from setfit_core.labels import IntArray


@dataclass(frozen=True)
class FoldResult:
    """What a head that was trained on a fold says about the fold's test rows.

    Attributes:
        fold: The fold.
        class_ids: Class ids `[m]`, or 0/1 indicators `[m, num_classes]`, for the `m` test rows.
        probabilities: Floats `[m, num_classes]`; None if the head gives none.
    """

    fold: Fold
    class_ids: IntArray
    probabilities: npt.NDArray[Any] | None


def trained_head(task: Task, build: Callable[[], HeldHead], training: HeadTraining) -> HeldHead:
    """Build a head and train it on a task, as a model would.

    Raises:
        HeadError: If it can't be built or trained.
        InputError: If no text has a weight above 0.
    """
    held = build()
    if task.weights is not None and not task.weights.any():
        raise InputError("All texts that a head is to be trained on have the weight 0. Give more of them a weight.")
    fit_head(held.head, task.inputs, task.targets, training, weights=task.weights, texts=task.texts)
    return held


def cross_fit(
    task: Task, build: Callable[[], HeldHead], training: HeadTraining, folds: Iterable[Fold]
) -> Iterator[FoldResult]:
    """Train a new head on each fold, as a model would, and ask it about the fold's test rows.

    Args:
        task: The labelled embeddings.
        build: Returns a new head that has seen none of them, each time it is called.
        training: How a differentiable head is trained; others only use the seed.
        folds: The folds.

    Yields:
        The result of each fold, in their order.

    Raises:
        HeadError: If a head can't be built or trained, or predicts against its contract.
    """
    for fold, adapter, asked in _trained_on(folds, task, build, training):
        class_ids = adapter.class_ids(asked, task.codec)
        try:
            probabilities = adapter.probabilities(asked, task.codec)
        except NoProbabilitiesError:
            probabilities = None
        yield FoldResult(fold, class_ids, probabilities)


def out_of_fold_probabilities(
    task: Task, build: Callable[[], HeldHead], training: HeadTraining, *, folds: int = 5, seed: int = 42
) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Return probabilities of texts by heads that were trained without them.

    Args:
        task: The labelled embeddings.
        build: Returns a new head that has seen none of them, such as `lambda: task.build(recipe, None)`.
        training: How a differentiable head is trained; others only use the seed.
        folds: Into how many folds the texts are divided at most; see `folds.make_folds`.
        seed: Seed of the division.

    Returns:
        Probabilities `[m, num_classes]`, a column a class id, and the rows `[m]` that they belong to, ascending. Texts
        that can't be held back from training, as the only one of a class, aren't among them.

    Raises:
        NoProbabilitiesError: If the head has no `predict_proba`.
        HeadError: If a head can't be built or trained, or predicts against its contract.
        LabelError: If no class has two texts.
    """
    rows: list[IntArray] = []
    probabilities: list[npt.NDArray[Any]] = []
    for fold, adapter, asked in _trained_on(make_folds(task.targets, folds=folds, seed=seed), task, build, training):
        probabilities.append(adapter.probabilities(asked, task.codec))
        rows.append(fold.test)
    order = np.concatenate(rows)
    return np.concatenate(probabilities)[np.argsort(order)].astype(np.float64), np.sort(order)


def _trained_on(
    folds: Iterable[Fold], task: Task, build: Callable[[], HeldHead], training: HeadTraining
) -> Iterator[tuple[Fold, HeadAdapter, Any]]:
    """Train a new head on each fold, and yield it with the embeddings of the fold's test rows, as it takes them."""
    for fold in folds:
        seen = task if fold.inputs is None else replace(task, inputs=fold.inputs)
        held = trained_head(seen.part(fold.train), build, training)
        yield fold, adapter_for(held.head), embeddings_for(held, seen.part(fold.test))


def embeddings_for(held: HeldHead, task: Task) -> Any:
    """Return the embeddings of a task as a head takes them: a tensor if it is differentiable, else an array."""
    return task.inputs.embeddings if held.differentiable else to_array(task.inputs.embeddings)
