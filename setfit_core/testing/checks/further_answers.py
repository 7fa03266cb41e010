"""Checks of further questions that a head may answer: whether it knows texts like these, and why it answers so."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from setfit_core.testing.answers import share
from setfit_core.testing.check import ARRAYS, CheckFailed, check
from setfit_core.testing.checks.capabilities import declared, require_none
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Array, Trained, Trial, as_array, asked, shown

#: Share of texts of the classes that a head may take for strange, and of strange ones that it may take for its own.
_MISTAKEN: Final = 0.2
_LIMIT: Final = 4
_ROWS: Final = 16
_ROUNDING: Final = 1e-5


@check(
    "open-set",
    "Declared, `is_known(embeddings)` tells texts of the classes from those that belong to none of them.",
    remedy="Return booleans [num_inputs], with a threshold that training sets so that most texts of the classes pass; "
    "or declare setfit_head = {'open_set': False} and have no such method.",
)
def open_set(trial: Trial) -> str | None:
    """Strange examples lie in directions that no class has, and farther out than any: strange to every distance."""
    if not declared(trial, "open_set"):
        require_none(trial, "open_set", "is_known")
        return None
    problem = trial.problem(3, 16, per_class=40)
    trained = trial.trained(problem)
    own, strange = (_known(trained, rows) for rows in (problem.unseen, _strange(problem, trial)))
    if own.mean() < 1 - _MISTAKEN:
        raise CheckFailed(f"of unseen examples of the classes, it doesn't know {share(int((~own).sum()), len(own))}")
    if strange.mean() > _MISTAKEN:
        raise CheckFailed(f"of examples far from all classes, it knows {share(int(strange.sum()), len(strange))}")
    return f"it knows {own.mean():.0%} of unseen examples, and {strange.mean():.0%} of strange ones"


@check(
    "explain",
    "Declared, `explain(embeddings, limit)` names the training examples that a prediction rests on.",
    remedy="Keep the texts that fit gets, and return for each input at most `limit` mappings with the keys 'text', "
    "'label', 'similarity' and 'weight', the weightiest first; or declare setfit_head = {'explain': False} and have no "
    "such method.",
    contracts=ARRAYS,
)
def explain(trial: Trial) -> None:
    """Fitted with texts and then without, so that no explanation quotes the texts of an earlier training."""
    if not declared(trial, "explain"):
        require_none(trial, "explain", "explain")
        return
    problem = trial.problem(3, 16)
    head = trial.head(problem.num_classes, problem.embedding_size)
    labels = problem.labels.tolist()
    label_of: dict[Any, int] = {f"text {row}": label for row, label in enumerate(labels)}
    for texts in ([*label_of], None):
        fit = functools.partial(head.fit, problem.embeddings, labels, texts=texts)
        asked(f"fit(..., texts={'a list of strings' if texts else None})", fit)
        reasons = _reasons(head, problem.unseen[:_ROWS])
        for reason in (reason for row in reasons for reason in row):
            _check_source(reason, label_of if texts else None, set(labels))
        _check_support(reasons, Trained(head, trial.contract).ids(problem.unseen[:_ROWS]))


def _known(trained: Trained, rows: Array) -> Array:
    output = trained.raw("is_known", rows)
    known = as_array(output)
    if known.shape != (len(rows),) or known.dtype != np.bool_:
        raise CheckFailed(f"is_known returned {shown(output)}, not booleans of shape [{len(rows)}]")
    return known


def _strange(problem: Problem, trial: Trial) -> Array:
    """Return as many rows as there are unseen ones."""
    lengths = np.linalg.norm(problem.centres, axis=1, keepdims=True)
    directions = trial.rng().normal(size=(4096, problem.embedding_size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    nearest = (directions @ (problem.centres / lengths).T).max(axis=1)
    strange: Array = 5 * lengths.max() * directions[nearest.argsort()[: len(problem.unseen)]]
    return strange.astype(np.float32)


def _reasons(head: Any, rows: Array) -> list[list[Mapping[str, Any]]]:
    """Ask for explanations, and check their form, the order and the sum of their weights."""
    call = f"explain({shown(rows)}, {_LIMIT})"
    explained: list[list[Mapping[str, Any]]] = asked(
        call, lambda: [list(reasons) for reasons in head.explain(rows, _LIMIT)]
    )
    if len(explained) != len(rows):
        raise CheckFailed(f"{call} returned {len(explained)} explanations for {len(rows)} inputs")
    for reasons in explained:
        if not 0 < len(reasons) <= _LIMIT:
            raise CheckFailed(f"{call} names {len(reasons)} examples for an input")
        for reason in reasons:
            if not isinstance(reason, Mapping) or not {"text", "label", "similarity", "weight"} <= set(reason):
                raise CheckFailed(f"{call} explains by {shown(reason)}")
        numbers = np.array([[reason["weight"], reason["similarity"]] for reason in reasons], dtype=np.float64)
        weights = numbers[:, 0]
        if not np.isfinite(numbers).all() or weights.min() <= 0 or weights.sum() > 1 + _ROUNDING:
            raise CheckFailed(f"the weights {weights.round(4).tolist()} are no shares of one vote")
        if (np.diff(weights) > 0).any():
            raise CheckFailed(f"the weights {weights.round(4).tolist()} don't fall")
    return explained


def _check_source(reason: Mapping[str, Any], label_of: Mapping[Any, int] | None, labels: set[int]) -> None:
    text, label = reason["text"], reason["label"]
    if label_of is None:
        if text is not None or label not in labels:
            raise CheckFailed(f"fitted without texts, it explains by the text {text!r} with the label {label!r}")
    elif text not in label_of:
        raise CheckFailed(f"it explains by the text {text!r}, which it was not given")
    elif label != label_of[text]:
        raise CheckFailed(f"it gives the label {label!r} to a text that was labelled {label_of[text]!r}")


def _check_support(explained: list[list[Mapping[str, Any]]], predicted: Array) -> None:
    """Far from all boundaries, the weightiest label among the reasons is the predicted one."""
    against = 0
    for reasons, label in zip(explained, predicted.tolist(), strict=True):
        votes: defaultdict[Any, float] = defaultdict(float)
        for reason in reasons:
            votes[reason["label"]] += reason["weight"]
        against += max(votes, key=votes.__getitem__) != label
    if against > 0.1 * len(explained):
        raise CheckFailed(f"for {share(against, len(explained))}, what it names speaks for another class")
