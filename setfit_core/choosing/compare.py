"""Comparing heads: all of them on the same folds, the best one first."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.choosing.candidates import Candidate, Heads, one_line, read_candidates
from setfit_core.choosing.comparison import METRIC_NAMES, METRICS, Comparison, Estimate, HeadRow, Metric
from setfit_core.choosing.folds import Fold, check_division, folds_a_repeat, make_folds
from setfit_core.choosing.out_of_fold import FoldResult, cross_fit, embeddings_for, trained_head
from setfit_core.choosing.task import EmbeddingModel, Task, make_task
from setfit_core.errors import ArgumentError, PersistenceError
from setfit_core.evaluation.reliability import calibration_error
from setfit_core.evaluation.scores import Scores, score
from setfit_core.heads.adapters import adapter_for
from setfit_core.heads.held import HeldHead
from setfit_core.heads.settings import HeadTraining
from setfit_core.labels import Label
from setfit_core.persistence.head import write_head
from setfit_core.registry.loading import PASSED_THROUGH
from setfit_core.values import one_of

FOLDS: Final = 5
#: Eight texts a class give a fold of five one or two tests a class; three divisions make a few dozen of them.
REPEATS: Final = 3
#: How far another head has to be ahead of an incumbent. On five data sets with 8 and 16 texts a class, one standard
#: error cost a point of accuracy against always keeping `logistic`; two cost nothing.
INCUMBENT_ERRORS: Final = 2
_PREDICTIONS: Final = 1000


def compare_heads(
    model_or_embeddings: EmbeddingModel | Any,
    texts: Sequence[str] | None,
    labels: Sequence[Any],
    heads: Heads | None = None,
    *,
    metric: Metric = "accuracy",
    incumbent: str | None = None,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = 42,
    training: HeadTraining | None = None,
    multi_target_strategy: str | None = None,
) -> Comparison:
    """Test heads by cross-validation, all on the same folds.

    The texts are embedded once. In each fold a new head is trained as a model would train it. A head that can't be
    loaded, built, trained or asked is a row with its error, and no other head suffers from it.

    Heads whose accuracy (or macro F1) is behind the highest by less than one standard error of the difference can't be
    told apart by it; of these, the one with the lowest log loss comes first, which tells more from few texts. The
    standard error is of the differences by fold, corrected for training sets that overlap (Nadeau & Bengio, "Inference
    for the Generalization Error", 2003). With `metric="log_loss"` the lowest log loss alone decides.

    Args:
        model_or_embeddings: A model, whose body, settings and labels count, and whose own head doesn't; or embeddings,
            floats `[n, embedding_size]`.
        texts: The texts; may be None beside embeddings.
        labels: The labels, one a text.
        heads: The heads: names of installed heads, `"distribution:name"`, `"package.module:Name"`, classes, functions
            that return a head, or pairs of these and parameters, such as `("logistic", {"C": 10.0})`. A mapping gives
            each a name. None for all that are installed.
        metric: What they are compared by: `"accuracy"`, `"macro_f1"` or `"log_loss"`.
        incumbent: The name of a head that stays the first as long as no other is better by more than two standard
            errors: for one that is known to be good elsewhere, since few texts alone often mistake luck for quality.
        folds: Into how many folds the texts are divided; fewer if a class has fewer texts (`folds.make_folds`).
        repeats: How often they are divided anew.
        seed: Seed of the divisions, and of the heads unless `training` has another.
        training: How differentiable heads are trained; None for the defaults of `SetFitModel.fit`.
        multi_target_strategy: For several labels a text, beside embeddings; a model has its own.

    Returns:
        The comparison; the same arguments give the same figures, but for times.

    Raises:
        InputError: If texts, embeddings or labels can't be used.
        ArgumentError: If another argument has no meaning.
    """
    one_of("metric", metric, METRICS)
    check_division(folds, repeats, seed)
    training = checked_training(training, seed)
    candidates = read_candidates(heads)
    names = [candidate.name for candidate in candidates]
    if incumbent is not None and incumbent not in names:
        msg = f"incumbent is {incumbent!r}, but the heads are {names}. Name one of them."
        raise ArgumentError(msg)
    task = make_task(model_or_embeddings, texts, labels, multi_target_strategy)
    divisions = make_folds(task.targets, folds=folds, repeats=repeats, seed=seed)
    tested = [_tested(candidate, task, training, divisions) for candidate in candidates]
    ordered, why = _ranked([entry for entry in tested if entry.scores], metric, divisions, incumbent)
    failed = [entry.row for entry in tested if not entry.scores]
    return Comparison(
        rows=(*(entry.row for entry in ordered), *failed),
        metric=metric,
        why=why,
        texts=len(task),
        folds=folds_a_repeat(divisions),
        repeats=repeats,
        untested=_untested(task, divisions),
    )


def checked_training(training: Any, seed: int) -> HeadTraining:
    """Return how differentiable heads are trained: as `SetFitModel.fit` does it by default, if nothing else is given.

    Raises:
        ArgumentError: If it is no `HeadTraining`.
    """
    if training is None:
        return HeadTraining(seed=seed)
    if not isinstance(training, HeadTraining):
        msg = f"training is a {type(training).__name__}. Give a setfit_core.heads.settings.HeadTraining, or None."
        raise ArgumentError(msg)
    return training


def fold_scores(task: Task, results: Sequence[FoldResult]) -> list[Scores]:
    """Return how good a head is in each fold."""
    return [score(task.targets[result.fold.test], result.class_ids, result.probabilities) for result in results]


@dataclass(frozen=True)
class _Tested:
    """A row, and the scores by fold that it sums up; none for a head that failed."""

    row: HeadRow
    scores: list[Scores] = field(default_factory=list)

    def by_fold(self, metric: Metric) -> npt.NDArray[np.float64]:
        return np.array([getattr(score, metric) for score in self.scores], dtype=np.float64)

    def mean(self, metric: Metric) -> float:
        """Return the mean of a metric; infinite for the log loss of a head without probabilities."""
        estimate: Estimate | None = getattr(self.row, metric)
        return math.inf if estimate is None else estimate.mean


def _tested(candidate: Candidate, task: Task, training: HeadTraining, folds: Sequence[Fold]) -> _Tested:
    recipe = candidate.recipe
    if recipe is None:
        return _Tested(HeadRow(candidate.name, None, error=candidate.error))

    def build() -> HeldHead:
        return task.build(recipe, training.seed)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)  # for the authors of a head, not for its users
        try:
            results = list(cross_fit(task, build, training, folds))
            scores = fold_scores(task, results)
            start = time.perf_counter()
            held = trained_head(task, build, training)
            fit_seconds = time.perf_counter() - start
            predict_seconds = _predict_seconds(held, task)
            size, trouble = _size(held)
        except PASSED_THROUGH:
            raise
        except BaseException as error:  # a plugin may raise or exit in any way
            return _Tested(HeadRow(candidate.name, recipe, error=one_line(error), remarks=_remarks(caught)))
    return _Tested(
        HeadRow(
            name=candidate.name,
            recipe=recipe,
            accuracy=Estimate.of([each.accuracy for each in scores]),
            macro_f1=Estimate.of([each.macro_f1 for each in scores]),
            log_loss=_estimate([each.log_loss for each in scores]),
            calibration_error=_estimate(_calibration_errors(task, results)),
            fit_seconds=fit_seconds,
            predict_seconds=predict_seconds,
            size=size,
            remarks=(*_remarks(caught), *trouble),
        ),
        scores,
    )


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return Estimate.of(known) if known else None


def _calibration_errors(task: Task, results: Sequence[FoldResult]) -> list[float]:
    """Return the calibration error of each repeat; none without probabilities."""
    errors: list[float] = []
    for repeat in sorted({result.fold.repeat for result in results}):
        pooled = [result for result in results if result.fold.repeat == repeat]
        probabilities = [result.probabilities for result in pooled if result.probabilities is not None]
        if probabilities:
            rows = np.concatenate([result.fold.test for result in pooled])
            errors.append(calibration_error(task.targets[rows], np.concatenate(probabilities)))
    return errors


def _predict_seconds(held: HeldHead, task: Task) -> float:
    many = embeddings_for(held, task.part(np.resize(np.arange(len(task)), _PREDICTIONS)))
    start = time.perf_counter()
    adapter_for(held.head).class_ids(many, task.codec)
    return time.perf_counter() - start


def _size(held: HeldHead) -> tuple[int | None, tuple[str, ...]]:
    """Return the bytes of a saved head, or None and why it can't be saved."""
    with tempfile.TemporaryDirectory(prefix="setfit-core-") as directory:
        try:
            write_head(Path(directory), held.head, held.recipe, held.built_with)
        except PersistenceError as error:
            return None, (one_line(error),)
        return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file()), ()


def _remarks(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught))


def _untested(task: Task, folds: Sequence[Fold]) -> tuple[Label, ...]:
    """Return the labels that no test text has."""
    tested = task.targets[np.unique(np.concatenate([fold.test for fold in folds]))]
    seen = tested.any(axis=0) if task.codec.multi_label else np.isin(np.arange(task.codec.num_classes), tested)
    return tuple(task.codec.labels[task.codec.classes[class_id]] for class_id in np.flatnonzero(~seen))


def _ranked(
    tested: list[_Tested], metric: Metric, folds: Sequence[Fold], incumbent: str | None
) -> tuple[list[_Tested], str]:
    """Return heads, best first, and why the first one is the best."""
    if not tested:
        return [], "No head could be tested."
    name = METRIC_NAMES[metric]
    if len(tested) == 1:
        return (
            tested,
            f"{tested[0].row.name} is the only head that could be tested; {name} {_figure(tested[0], metric)}.",
        )
    if metric == "log_loss":
        ordered = sorted(tested, key=lambda entry: (entry.mean("log_loss"), -entry.mean("accuracy")))
        leader = ordered[0]
        reason = f"has the lowest {name} ({_figure(leader, metric)})"
    else:
        leader = max(tested, key=lambda entry: entry.mean(metric))
        ordered, reason = _by_share(tested, leader, metric, folds)
    kept = next((entry for entry in tested if entry.row.name == incumbent), None)
    if kept is not None and kept is not ordered[0] and _is_level(kept, leader, metric, folds, INCUMBENT_ERRORS):
        ordered = [kept, *(entry for entry in ordered if entry is not kept)]
        reason = (
            f"is the incumbent and has the highest {name} ({_figure(kept, metric)})"
            if kept is leader
            else f"is the incumbent, and no head has a better {name} by more than {INCUMBENT_ERRORS} standard errors: "
            f"{_figure(kept, metric)} against {_figure(leader, metric)} of {leader.row.name}"
        )
    return ordered, f"{ordered[0].row.name} was chosen: it {reason}."


def _by_share(
    tested: list[_Tested], leader: _Tested, metric: Metric, folds: Sequence[Fold]
) -> tuple[list[_Tested], str]:
    """Order heads by accuracy or macro F1, and those that these can't tell from the leader by log loss."""
    level = [entry for entry in tested if _is_level(entry, leader, metric, folds)]
    level.sort(key=lambda entry: (entry.mean("log_loss"), -entry.mean(metric)))
    names = {entry.row.name for entry in level}
    others = [entry for entry in tested if entry.row.name not in names]
    others.sort(key=lambda entry: -entry.mean(metric))
    name, best = METRIC_NAMES[metric], level[0]
    highest, behind = f"{name} ({_figure(leader, metric)})", "less than a standard error behind"
    if len(level) == 1:
        reason = f"has the highest {highest}, by more than a standard error"
    elif best.row.log_loss is None:
        reason = f"has the highest {highest}; {len(level) - 1} more are {behind}, and none of them gives probabilities"
    elif best is leader:
        log_loss = f"the lowest log loss ({best.row.log_loss})"
        reason = f"has the highest {highest}, and {log_loss} of it and the {len(level) - 1} more that are {behind}"
    else:
        reason = (
            f"has the lowest log loss ({best.row.log_loss}) of the {len(level)} heads whose {name} is {behind} the "
            f"highest: {_figure(best, metric)} against {_figure(leader, metric)} of {leader.row.name}"
        )
    return [*level, *others], reason


def _is_level(entry: _Tested, leader: _Tested, metric: Metric, folds: Sequence[Fold], errors: int = 1) -> bool:
    """Tell whether the mean difference of two heads by fold is no larger than some corrected standard errors."""
    if len(folds) < 2:
        return True
    differences = leader.by_fold(metric) - entry.by_fold(metric)  # NaN for the log loss of a head without probabilities
    overlap = np.mean([len(fold.test) / len(fold.train) for fold in folds])
    standard_error = math.sqrt((1 / len(folds) + overlap) * differences.var(ddof=1))
    return bool(abs(differences.mean()) <= errors * standard_error)


def _figure(entry: _Tested, metric: Metric) -> str:
    estimate = getattr(entry.row, metric)
    return "unknown" if estimate is None else str(estimate)
