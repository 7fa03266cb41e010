"""The calibration phase: a trained model's probabilities are fitted to labelled texts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.choosing.out_of_fold import out_of_fold_probabilities
from setfit_core.choosing.task import Task
from setfit_core.data import check_texts, read_examples
from setfit_core.errors import ArgumentError, InputError, LabelError
from setfit_core.evaluation.calibration import METHODS, Calibration, fit_calibration
from setfit_core.heads.held import HeadSetting, HeldHead
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.heads.outputs import head_name
from setfit_core.heads.settings import HeadTraining
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.prediction import Prediction
from setfit_core.values import is_integer, one_of

#: With fewer texts, a single one moves the accuracy among them by over 10 %.
FEWEST_TEXTS: Final = 10


def calibrate(
    prediction: Prediction,
    setting: HeadSetting,
    codec: LabelCodec,
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    method: str,
    cv: int | None,
    seed: int,
) -> Calibration:
    """Fit a calibration, changing nothing; see `SetFitModel.calibrate` for the arguments.

    Raises:
        ArgumentError: If an argument has no meaning, or `cv` needs copies of a head that can't be built anew.
        InputError: If texts or labels can't be used, or are too few.
        NoProbabilitiesError: If the head has no `predict_proba`.
        HeadError: If the head fails.
    """
    one_of("method", method, METHODS)
    if cv is not None and (not is_integer(cv) or cv < 2):
        msg = f"cv is {cv!r}. Give the number of folds, 2 or more; or None if the texts were held out of training."
        raise ArgumentError(msg)
    examples = read_examples((check_texts(texts), labels), what="data for calibration")
    expected = _class_ids(examples.labels, codec)
    if len(expected) < FEWEST_TEXTS:
        msg = f"{len(expected)} texts are too few to calibrate on. Give at least {FEWEST_TEXTS}, better some hundreds."
        raise InputError(msg)
    if cv is not None:
        _check_every_class(expected, codec, 2, f"cv={cv}", "leave cv out")
    elif method == "isotonic":
        _check_every_class(expected, codec, 1, 'method="isotonic"', 'use method="temperature"')
    raw = replace(prediction, calibration=None, thresholds=None)

    def probabilities(some: Sequence[str]) -> npt.NDArray[Any]:
        return raw.probabilities(some, codec, batch_size=None, show_progress_bar=None)

    probabilities(examples.texts[:1])  # a head that has none says so before all texts are embedded
    if cv is None:
        return fit_calibration(method, expected, probabilities(examples.texts))
    found, rows = _out_of_fold(raw, setting, codec, examples.texts, expected, folds=cv, seed=seed)
    return fit_calibration(method, expected[rows], found)


def _out_of_fold(
    prediction: Prediction,
    setting: HeadSetting,
    codec: LabelCodec,
    texts: list[str],
    expected: IntArray,
    *,
    folds: int,
    seed: int,
) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Return probabilities of texts by copies of the head that were trained without them, and the texts' rows."""
    inputs = FrozenInputs.of_texts(
        prediction.body,
        texts,
        normalize=prediction.normalize,
        precision=prediction.precision,
        cache=prediction.cache,
        show_progress_bar=None,
    )
    # The copies are trained on class ids, whatever the classes of a head that was fitted elsewhere are called.
    task = Task(inputs, replace(codec, head_classes=None), expected, setting.multi_target_strategy, texts)
    build = _copies(prediction.held, task, setting.random_state)
    return out_of_fold_probabilities(task, build, HeadTraining(seed=seed), folds=folds, seed=seed)


def _copies(held: HeldHead, task: Task, random_state: int | None) -> Callable[[], HeldHead]:
    """Return what makes heads like this one that have learnt nothing."""
    if (recipe := held.recipe) is not None:
        return lambda: task.build(recipe, random_state)
    if held.differentiable:
        msg = (
            f"The head {head_name(held.head)} was given as an instance, and copies of it know what it has learnt, so "
            "it can't be cross-validated. Leave cv out and give texts that it was not trained on; or give the model "
            "the head's class."
        )
        raise ArgumentError(msg)
    return lambda: HeldHead(copy.deepcopy(held.head))  # fitting it forgets what it has learnt


def _class_ids(labels: Sequence[Any], codec: LabelCodec) -> IntArray:
    class_ids = codec.class_ids(codec.columns(labels))
    unseen = np.flatnonzero(class_ids < 0)
    if unseen.size:
        row = int(unseen[0])
        msg = (
            f"The label {labels[row]!r} in row {row} had no training text, so its probability is always 0 and can't "
            "be calibrated. Leave such texts out, or train the model with texts of this label."
        )
        raise LabelError(msg)
    return class_ids


def _check_every_class(expected: IntArray, codec: LabelCodec, fewest: int, asked: str, otherwise: str) -> None:
    """Make sure that so many texts have, and so many have not, each label that the head was trained on."""
    indicators = expected if codec.multi_label else np.eye(codec.num_classes, dtype=np.int64)[expected]
    counts = indicators.sum(axis=0)
    few = np.flatnonzero(np.minimum(counts, len(expected) - counts) < fewest)
    if few.size:
        label = codec.labels[codec.classes[few[0]]]
        more = f" (and {few.size - 1} more)" if few.size > 1 else ""
        msg = (
            f"{counts[few[0]]} of {len(expected)} texts have the label {label!r}{more}, but {asked} needs {fewest} or "
            f"more with each label, and as many without it. Give further texts, or {otherwise}."
        )
        raise LabelError(msg)
