"""Checks of what a head declares beyond its contract, and of the conventions of scikit-learn where it follows them.

A capability is declared, never inferred: declared true it has to work, declared false it has to be refused, and a head
that declares nothing isn't asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from setfit_core.errors import HeadParameterError, NonConformingHeadError
from setfit_core.heads.construction import HeadRecipe
from setfit_core.heads.search_spaces import search_space_of
from setfit_core.search_space import Choices
from setfit_core.testing.answers import answers, asked_rows, difference, require_valid, saying
from setfit_core.testing.check import ARRAYS, CheckFailed, CheckSkipped, check
from setfit_core.testing.problems import ENOUGH_TO_SPLIT, Problem
from setfit_core.testing.trial import Trained, Trial, as_array, asked, body_output, refused, shown


def declared(trial: Trial, capability: str) -> bool:
    """Return what the head declares of a capability; skip the check if it says nothing."""
    claimed = trial.target.capabilities.get(capability)
    if claimed is None:
        raise CheckSkipped(f"it doesn't declare {capability!r}, so nothing is claimed and nothing asked")
    return bool(claimed)


def require_none(trial: Trial, capability: str, method: str) -> None:
    """Fail the check if a head that denies a capability has its method."""
    if callable(getattr(trial.head(), method, None)):
        raise CheckFailed(f"it declares {capability} as False and has a method {method}")


@check(
    "multi-label",
    "Declared, several labels a text work: 0/1 rows in, 0/1 rows and a probability for each label out.",
    remedy="Take labels [num_inputs, num_labels] of 0 and 1, and return rows of the same shape; or declare "
    "setfit_head = {'multi_label': False} and refuse them.",
)
def multi_label(trial: Trial) -> str | None:
    """Independent labels, so that probabilities don't sum to 1."""
    claimed = declared(trial, "multi_label")
    if not claimed and trial.differentiable:  # cross-entropy takes any rows of numbers for shares of the classes
        return "it declares that it takes one label a text, so the core refuses more on its behalf"
    trial.require_any_num_classes()
    problem = trial.problem(4, 16, per_class=30)
    rows, expected = _independent_labels(problem.labels), _independent_labels(problem.unseen_labels)
    if not claimed:
        _check_refused("0/1 rows as labels", functools.partial(_fitted_on_rows, trial, problem, rows))
        return None
    trained = _fitted_on_rows(trial, problem, rows)
    predicted = as_array(trained.raw("predict", problem.unseen))
    probabilities = _per_label(trained.raw("predict_proba", problem.unseen))
    wanted = (len(problem.unseen), 3)
    if predicted.shape != wanted or not np.isin(predicted, (0, 1)).all():
        raise CheckFailed(f"predict returned {shown(predicted)}, not zeros and ones of shape {list(wanted)}")
    if probabilities.shape != wanted or not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise CheckFailed(f"predict_proba returned {shown(probabilities)}, not probabilities of shape {list(wanted)}")
    right = float((predicted == expected).mean())
    if right < 0.9:
        raise CheckFailed(f"{right:.0%} of the entries of three labels are predicted rightly")
    if ((probabilities > 0.5) == predicted).mean() < 0.9:
        raise CheckFailed("predict says 1 where predict_proba is below one half, or 0 where it is above")
    return None


@check(
    "partial-fit",
    "Declared, `partial_fit(embeddings, labels, classes)` trains the head further, a batch at a time.",
    remedy="Take classes in the first call as scikit-learn does and keep what was learned; or declare "
    "setfit_head = {'partial_fit': False} and have no such method.",
    contracts=ARRAYS,
)
def partial_fit(trial: Trial) -> None:
    """The first call names all classes; what an earlier batch taught must not be lost."""
    claimed = declared(trial, "partial_fit")
    if not claimed:
        require_none(trial, "partial_fit", "partial_fit")
        return
    head = trial.head(3, 16)
    problem = trial.problem(3, 16, per_class=60)
    order = np.argsort(problem.labels, kind="stable")
    rng = np.random.default_rng(trial.seed)
    # The last pass goes class by class: a head that remembers its last batch alone then knows one class.
    for rows in (*(rng.permutation(order) for _ in range(9)), order):
        for batch in np.array_split(rows, 6):
            _partly_fitted(head, problem, batch)
    accuracy = Trained(head, trial.contract).accuracy(problem)
    if accuracy < 0.9:
        raise CheckFailed(
            f"after ten passes in batches, the last of them class by class, {accuracy:.0%} of the unseen examples are "
            "classified rightly"
        )
    narrow = trial.head(3, 16)
    _partly_fitted(narrow, problem, order[: len(order) // 3])
    columns = Trained(narrow, trial.contract).probabilities(problem.unseen).shape[1]
    if columns != problem.num_classes:
        raise CheckFailed(f"told of {problem.num_classes} classes and shown one of them, it has {columns} columns")


@check(
    "sample-weight",
    "Declared, `fit(..., sample_weight=...)` weighs the examples: one of weight 0 counts for nothing.",
    remedy="Use the weights in everything that fit estimates; or declare setfit_head = {'sample_weight': False} and "
    "don't take the keyword.",
    contracts=ARRAYS,
)
def sample_weight(trial: Trial) -> None:
    """Each example is there three times, twice with a wrong label, which would prevail if all counted alike.

    A wrong label of weight 0 must not matter, one of a small weight hardly; a class whose examples all weigh 0 remains
    a class.
    """
    claimed = declared(trial, "sample_weight")
    problem = trial.problem(3, 16, per_class=40)
    if not claimed:
        weights = np.ones(len(problem.labels))
        _check_refused("the keyword sample_weight", functools.partial(_weighted, trial.head(3, 16), problem, weights))
        return
    poison = (problem.labels + 1) % problem.num_classes
    order = trial.rng().permutation(3 * len(poison))  # a head that splits its examples finds weights in each part
    poisoned = replace(
        problem,
        embeddings=np.concatenate([problem.embeddings] * 3)[order],
        labels=np.concatenate([problem.labels, poison, poison])[order],
    )
    for weight in (0.0, 0.01):
        weights = np.repeat([1.0, weight, weight], len(poison))[order]
        accuracy = _weighted_fit(trial, poisoned, weights).accuracy(problem)
        if accuracy < 0.9:
            raise CheckFailed(
                f"with two wrong labels of weight {weight:g} for each right one of weight 1, {accuracy:.0%} of the "
                "unseen examples are classified rightly: the weights aren't used"
            )
    with saying("With a class whose examples all have weight 0"):
        trained = _weighted_fit(trial, problem, (problem.labels > 0).astype(np.float64))
        require_valid(trained, problem.unseen, problem.num_classes, "after training")


@check(
    "search-space",
    "Declared, every bound and every choice of the search space builds a head that trains and answers.",
    remedy="Name parameters that the head is built with, and only values that it takes, in setfit_head = "
    "{'search_space': {...}} or in the hook setfit_search_space.",
)
def search_space(trial: Trial) -> str:
    """All parameters at their first values, then all at their second ones, and so on: a search combines them freely."""
    try:
        space = search_space_of(trial.recipe, trial.target.capabilities)
    except NonConformingHeadError as error:
        raise CheckFailed(str(error)) from None
    if not space:
        raise CheckSkipped("neither its class nor a hook of its entry point declares a search space")
    values = {
        name: domain.values if isinstance(domain, Choices) else (domain.low, domain.high)
        for name, domain in space.items()
    }
    problem = trial.problem(3, 16, per_class=ENOUGH_TO_SPLIT)
    for index in range(max(map(len, values.values()))):
        params = {name: each[index % len(each)] for name, each in values.items()}
        described = ", ".join(f"{name}={value!r}" for name, value in params.items())
        try:
            recipe = HeadRecipe(trial.recipe.factory, {**trial.recipe.params, **params}, trial.recipe.info)
        except HeadParameterError as error:
            raise CheckFailed(str(error)) from None
        with saying(f"With {described}"):
            chosen = replace(trial, recipe=recipe)
            head = chosen.head(problem.num_classes, problem.embedding_size)
            chosen.train(head, problem.embeddings, problem.labels, steps=3)
            require_valid(Trained(head, trial.contract), problem.unseen, problem.num_classes, "after training")
    return f"it tries {', '.join(space)}"


@check(
    "params-and-clone",
    "Where the head has get_params and set_params, scikit-learn can clone it: same parameters, nothing learned.",
    remedy="Assign each constructor argument unchanged to the attribute of its name, in __init__, and nothing else; "
    "keep what fit learns or resolves in attributes that end with an underscore.",
    contracts=ARRAYS,
)
def params_and_clone(trial: Trial) -> None:
    """Meta-estimators, among them those for several labels a text, copy a head through its parameters."""
    from sklearn.base import clone

    problem = trial.problem(3, 16)
    trained = trial.trained(problem)
    head = trained.head
    if not (callable(getattr(head, "get_params", None)) and callable(getattr(head, "set_params", None))):
        raise CheckSkipped("it has no get_params and set_params, and needs none")
    _check_numbers_kept(trial.head().get_params(deep=False), head.get_params(deep=False))
    again = asked("sklearn.base.clone(head)", lambda: clone(head))
    before, after = (asked("get_params()", one.get_params) for one in (head, again))
    changed = sorted(name for name in {*before, *after} if not _same(before.get(name), after.get(name)))
    if changed:
        name = changed[0]
        raise CheckFailed(f"a clone has another {name}: {after.get(name)!r} instead of {before.get(name)!r}")
    if refused(lambda: Trained(again, trial.contract).raw("predict", problem.unseen)) is None:
        raise CheckFailed("a clone of a trained head answers without having been trained")
    returned = asked("set_params(...)", lambda: again.set_params(**head.get_params(deep=False)))
    if returned is not again:
        raise CheckFailed(
            f"set_params returned {shown(returned)}, not the head itself", "Set the parameters in place; return self."
        )
    again = clone(head)
    trial.train(again, problem.embeddings, problem.labels)
    rows = asked_rows(problem, trial.seed)
    flaw = difference(answers(trained, rows), answers(Trained(again, trial.contract), rows))
    if flaw:
        raise CheckFailed(f"trained like the original, a clone answers otherwise: {flaw}")


def _check_numbers_kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """A number that fit works out would go from the training data into every clone; options it may resolve."""
    for name, value in before.items():
        if isinstance(after.get(name), (int, float)) and not _same(value, after[name]):
            raise CheckFailed(f"fit changes the parameter {name} from {value!r} to {after[name]!r}")


def _check_refused(what: str, question: Callable[[], object]) -> None:
    if refused(question) is None:
        raise CheckFailed(f"it declares that it doesn't take {what}, and takes them without a word")


def _independent_labels(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the two bits of class ids from 0 to 3 and a third label that is either of them: no row sums to 1 alone."""
    low, high = ids & 1, ids >> 1
    return np.stack([low, high, low | high], axis=1)


def _per_label(output: Any) -> npt.NDArray[Any]:
    """Return probabilities `[num_inputs, num_labels]`; scikit-learn's own multi-label classifiers give a list."""
    if isinstance(output, list) and all(np.ndim(each) == 2 for each in output):
        return np.stack([np.asarray(each)[:, -1] for each in output], axis=1)
    return as_array(output)


def _partly_fitted(head: Any, problem: Problem, batch: npt.NDArray[np.int64]) -> None:
    classes = list(range(problem.num_classes))
    labels = problem.labels[batch].tolist()
    asked(
        "partial_fit(embeddings, labels, classes)",
        lambda: head.partial_fit(problem.embeddings[batch], labels, classes),
    )


def _weighted_fit(trial: Trial, problem: Problem, weights: npt.NDArray[np.float64]) -> Trained:
    head = trial.head(problem.num_classes, problem.embedding_size)
    asked("fit(..., sample_weight=...)", functools.partial(_weighted, head, problem, weights))
    return Trained(head, trial.contract)


def _weighted(head: Any, problem: Problem, weights: npt.NDArray[np.float64]) -> Any:
    return head.fit(problem.embeddings, problem.labels.tolist(), sample_weight=weights)


def _fitted_on_rows(trial: Trial, problem: Problem, rows: npt.NDArray[np.int64]) -> Trained:
    """Train a head that was built for several labels on 0/1 rows, as the core does."""
    head, _ = trial.build(rows.shape[1], problem.embedding_size, multi_label=True)
    if not trial.differentiable:
        trial.fit(head, problem.embeddings, rows)
        return Trained(head, trial.contract)
    loss_function = head.get_loss_fn()
    targets = torch.from_numpy(rows).float()
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-2)
    head.train()
    for _ in range(100):
        optimizer.zero_grad()
        asked(
            "the loss on 0/1 rows",
            lambda: loss_function(trial.logits(head, body_output(problem.embeddings)), targets).backward(),
        )
        optimizer.step()
    head.eval()
    return Trained(head, trial.contract)


def _same(one: object, other: object) -> bool:
    # Estimators among the parameters are compared by what they show of theirs, and NaN equals itself so.
    return one is other or repr(one) == repr(other)
