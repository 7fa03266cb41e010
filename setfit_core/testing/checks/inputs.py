"""Checks of embeddings as such: how they lie in memory, their precision, what is in them, and their size."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from setfit_core.heads.adapters import evaluation_mode
from setfit_core.testing.answers import (
    HALF_TOLERANCE,
    TOLERANCE,
    Answers,
    answers,
    asked_rows,
    difference,
    given,
    ids_range_flaw,
    ids_shape_flaw,
    probabilities_range_flaw,
    probabilities_shape_flaw,
    probabilities_sum_flaw,
    require_unmoved,
    row_text,
    saying,
    share,
)
from setfit_core.testing.check import ARRAYS, CheckFailed, check
from setfit_core.testing.problems import ENOUGH_TO_SPLIT, Problem
from setfit_core.testing.trial import Array, Trained, Trial, as_array, body_output, refused

_METHODS: Final = ("predict", "predict_proba")


@check(
    "non-contiguous-input",
    "Embeddings may lie in memory in any way: transposed, sliced or reversed.",
    remedy="Use reshape instead of view, and np.ascontiguousarray (or contiguous()) before memory is read directly.",
)
def non_contiguous_input(trial: Trial) -> None:
    """Slices of a larger array are what callers have at hand."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    rows = asked_rows(problem, trial.seed)
    before = answers(trained, rows)
    for what, laid in _layouts(rows).items():
        require_unmoved(trained, given(trained, laid), before, f"asked with {what}")
    if trial.differentiable:
        _check_features(trial, trained, rows[:16])
        return
    for what, laid in [*_layouts(problem.embeddings).items()][::2]:
        with saying(f"fitted on {what}"):
            other = _fitted(trial, laid, problem)
            _require_agreement(trained, other, problem.unseen)


@check(
    "read-only-input",
    "Embeddings may be read-only, as those are that are mapped from a file or shared between processes.",
    remedy="Compute into new arrays; compiled code takes a const memory view.",
    contracts=ARRAYS,
)
def read_only_input(trial: Trial) -> None:
    """In both precisions: a head that converts one of them first writes to a copy of it, and harms none."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    before = answers(trained, problem.unseen)
    for dtype in (np.float32, np.float64):
        embeddings, rows = problem.embeddings.astype(dtype), problem.unseen.astype(dtype)
        embeddings.flags.writeable = rows.flags.writeable = False
        require_unmoved(trained, rows, before, f"asked with a read-only {rows.dtype} array")
        with saying(f"fitted on a read-only {rows.dtype} array"):
            _require_agreement(trained, _fitted(trial, embeddings, problem), problem.unseen)


@check(
    "input-dtypes",
    "float32 and float64 embeddings work and give the same; float16 ones do, too, or raise.",
    remedy="Convert first: np.asarray(embeddings, dtype=np.float32) or float64, in fit, predict and predict_proba.",
    contracts=ARRAYS,
)
def input_dtypes(trial: Trial) -> str | None:
    """The numbers are the same in all three precisions, so that nothing but the type differs."""
    drawn = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    rows, unseen = (_half(values) for values in (asked_rows(drawn, trial.seed), drawn.unseen))
    embeddings = _half(drawn.embeddings)
    single = _fitted(trial, embeddings.astype(np.float32), drawn)
    expected = answers(single, rows.astype(np.float32))
    require_unmoved(single, rows.astype(np.float64), expected, "fitted on float32 and asked with float64")
    with saying("fitted on float64 instead of float32"):
        double = _fitted(trial, embeddings.astype(np.float64), drawn)
        _require_agreement(single, double, unseen.astype(np.float32))
    expected_of_double = answers(double, rows.astype(np.float64))
    require_unmoved(double, rows.astype(np.float32), expected_of_double, "fitted on float64 and asked with float32")
    refusing = []
    try:
        found = answers(single, rows)
    except CheckFailed:
        refusing.append("predictions")
    else:
        flaw = difference(expected, found, HALF_TOLERANCE)
        if flaw:
            raise CheckFailed(f"asked with float16 instead of float32, {flaw}")
    try:
        half = _fitted(trial, embeddings, drawn)
        answers(half, unseen.astype(np.float32))
    except CheckFailed:
        refusing.append("training")
    else:
        with saying("fitted on float16 instead of float32"):
            _require_agreement(single, half, unseen.astype(np.float32))
    return f"{' and '.join(refusing)} with float16 refused" if refusing else None


@check(
    "inputs-unchanged",
    "The head leaves embeddings and labels as they were.",
    remedy="Compute into new arrays: a = a - mean instead of a -= mean, sorted(labels) instead of labels.sort().",
)
def inputs_unchanged(trial: Trial) -> None:
    """In both precisions, because a head that converts one of them first changes a copy of it, and harms none."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    if trial.differentiable:
        _check_tensors_unchanged(trial.trained(problem), problem.unseen)
        return
    for dtype in (np.float32, np.float64):
        embeddings, labels = problem.embeddings.astype(dtype), problem.labels.tolist()
        trained = Trained(trial.head(problem.num_classes, problem.embedding_size), trial.contract)
        trial.fit(trained.head, embeddings, labels)
        _require_unchanged("fit", embeddings, problem.embeddings.astype(dtype))
        if labels != problem.labels.tolist() or {*map(type, labels)} != {int}:
            raise CheckFailed(
                f"fit changed the list of labels that it was given: it had {len(problem.labels)} entries and began "
                f"with {problem.labels[:5].tolist()}, now it has {len(labels)} and begins with {labels[:5]}"
            )
        for method in _METHODS:
            rows = problem.unseen.astype(dtype)
            trained.raw(method, rows)
            _require_unchanged(method, rows, problem.unseen.astype(dtype))


@check(
    "nan-and-infinity",
    "NaN or infinity among the embeddings raises, or spoils nothing but its own row.",
    remedy="Raise a ValueError for embeddings that aren't finite, as scikit-learn does, or compute each row by itself.",
)
def nan_and_infinity(trial: Trial) -> str:
    """Ids stay in range, a row of probabilities is NaN throughout or sums to 1, and a refusal leaves no trace."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    rows = problem.unseen[:12]
    before = answers(trained, rows)
    refusing = set()
    for value in (np.nan, np.inf, -np.inf):
        spoilt = rows.copy()
        spoilt[3, 1] = spoilt[8] = value
        for embeddings, bad in ((spoilt, (3, 8)), (spoilt[8:9], (0,))):
            clean = np.setdiff1d(np.arange(len(embeddings)), bad)
            for method in _METHODS:
                where = f"asked about {share(len(bad), len(embeddings))} with {value:g} (row {bad[-1]} has no others)"
                try:
                    output = trained.raw(method, embeddings.copy())
                except CheckFailed:
                    refusing.add(f"{value:g}")
                    continue
                with saying(where):
                    _check_spoilt(method, output, before, bad, clean, problem.num_classes)
        require_unmoved(trained, rows, before, f"after it was asked about rows with {value:g}")
    return f"it refuses {', '.join(sorted(refusing))}" if refusing else "it takes all of them"


@check(
    "wrong-width",
    "Embeddings of another size than those in training raise.",
    remedy="Remember the number of features in fit, and raise a ValueError in predict and predict_proba if it differs.",
)
def wrong_width(trial: Trial) -> None:
    """A body was exchanged, for instance. One feature isn't asked about: NumPy's own rules stretch it."""
    problem = trial.problem(3, 16, ENOUGH_TO_SPLIT)
    trained = trial.trained(problem)
    rows, size = problem.unseen, problem.embedding_size
    before = answers(trained, rows)
    wide = np.concatenate([rows, rows], axis=1)
    for width in (size + 1, size - 1, 2 * size):
        if width < 2:
            continue
        for method in _METHODS:
            if refused(functools.partial(trained.raw, method, wide[:, :width].copy())) is None:
                raise CheckFailed(f"trained on embeddings of size {size}, {method} answered for some of size {width}")
        require_unmoved(trained, rows, before, f"after it was asked about embeddings of size {width}")


def _layouts(rows: Array) -> dict[str, Array]:
    """Return the same rows, laid out in memory in several ways."""
    count, size = rows.shape
    spaced = np.full((2 * count, size), 7, rows.dtype)
    spaced[::2] = rows
    wide = np.full((count, size + 5), 7, rows.dtype)
    wide[:, 2 : size + 2] = rows
    gaps = np.full((count, 2 * size), 7, rows.dtype)
    gaps[:, ::2] = rows
    return {
        "columns that are stored one after the other": np.asfortranarray(rows),
        "every other row of an array": spaced[::2],
        "a part of the columns of an array": wide[:, 2 : size + 2],
        "every other column of an array": gaps[:, ::2],
        "a reversed view of an array": rows[::-1, ::-1].copy()[::-1, ::-1],
    }


def _check_features(trial: Trial, trained: Trained, rows: Array) -> None:
    """Ask `forward`, too, with every tensor stored the other way round."""
    features = body_output(rows)
    laid = {name: tensor.transpose(0, 1).contiguous().transpose(0, 1) for name, tensor in features.items()}
    with evaluation_mode(trained.head), saying("called with tensors that are not contiguous"):
        expected, found = trial.logits(trained.head, features), trial.logits(trained.head, laid)
        if expected.shape != found.shape or not torch.allclose(expected, found, rtol=1e-3, atol=1e-3):
            raise CheckFailed("forward gives other logits")


def _fitted(trial: Trial, embeddings: Array, problem: Problem) -> Trained:
    head = trial.head(problem.num_classes, problem.embedding_size)
    trial.train(head, embeddings, problem.labels)
    return Trained(head, trial.contract)


def _half(values: Array) -> Array:
    rounded: Array = values.astype(np.float16)
    return rounded


def _require_agreement(one: Trained, other: Trained, rows: Array) -> None:
    """Compare two heads that were fitted on the same numbers, where rounding may have led them a little apart."""
    expected, found = answers(one, rows), answers(other, rows)
    if found.probabilities.shape != expected.probabilities.shape:
        raise CheckFailed(f"predict_proba gives {found.probabilities.shape[1]} columns")
    wrong = np.flatnonzero(expected.ids != found.ids)
    if wrong.size > 0.05 * len(rows):
        row = wrong[0]
        raise CheckFailed(
            f"predict gives something else for {share(wrong.size, len(rows))}; for row {row} it gives "
            f"{found.ids[row]} instead of {expected.ids[row]}"
        )
    apart = np.abs(found.probabilities - expected.probabilities).max(axis=1)
    if not np.median(apart) < 0.05:
        row = int(apart.argmax())
        raise CheckFailed(
            f"predict_proba gives something else; row {row} is {row_text(found.probabilities[row])} instead of "
            f"{row_text(expected.probabilities[row])}"
        )


def _check_tensors_unchanged(trained: Trained, rows: Array) -> None:
    for method in _METHODS:
        tensor = given(trained, rows)
        before = tensor.clone()
        trained.raw(method, tensor)
        if tensor.shape != before.shape or tensor.requires_grad or not torch.equal(tensor, before):
            changed = "" if tensor.shape != before.shape else f", {int((tensor != before).any(1).sum())} rows of them"
            raise CheckFailed(f"{method} changed the embeddings that it was given{changed}")


def _require_unchanged(method: str, rows: Array, before: Array) -> None:
    if rows.shape != before.shape or rows.dtype != before.dtype or not rows.flags.writeable:
        raise CheckFailed(f"{method} changed the shape, type or flags of the embeddings that it was given")
    changed = np.flatnonzero((rows != before).any(axis=1))
    if changed.size:
        row = changed[0]
        raise CheckFailed(
            f"{method} changed the {rows.dtype} embeddings that it was given, {share(changed.size, len(rows))}; row "
            f"{row} began with {row_text(before[row])}, and now with {row_text(rows[row])}"
        )


def _check_spoilt(
    method: str, output: object, before: Answers, bad: Sequence[int], clean: Array, num_classes: int
) -> None:
    """Judge one method's answer for rows of which some have NaN or infinity; `clean` are those that have none."""
    rows = len(bad) + len(clean)
    if method == "predict":
        flaw = ids_shape_flaw(output, rows) or ids_range_flaw(output, num_classes)
        if not flaw and not (as_array(output)[clean] == before.ids[clean]).all():
            flaw = "predict gives something else for a row without it"
    else:
        flaw = probabilities_shape_flaw(output, rows, num_classes)
        flaw = flaw or _spoilt_probabilities(as_array(output), before.probabilities, bad, clean)
    if flaw:
        raise CheckFailed(flaw)


def _spoilt_probabilities(found: Array, before: Array, bad: Sequence[int], clean: Array) -> str:
    changed = clean[~np.isclose(found[clean], before[clean], rtol=0, atol=TOLERANCE).all(axis=1)]
    if changed.size:
        row = changed[0]
        return (
            f"predict_proba gives something else for row {row}, which has none: {row_text(found[row])} instead of "
            f"{row_text(before[row])}"
        )
    for row in bad:
        if np.isnan(found[row]).all():
            continue
        if probabilities_range_flaw(found[row : row + 1]) or probabilities_sum_flaw(found[row : row + 1]):
            return f"the probabilities of row {row} are {row_text(found[row])}, neither NaN throughout nor summing to 1"
    return ""
