"""Searching for a head and its parameters on bodies that were tuned without the texts that they are tested on."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from setfit_core.choosing.folds import Fold, make_folds
from setfit_core.choosing.found import HeadSearch
from setfit_core.choosing.search import SearchedHead, check_search, search_on
from setfit_core.choosing.task import Task, make_task
from setfit_core.data import Examples
from setfit_core.errors import ArgumentError
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import text_weights
from setfit_core.model import SetFitModel
from setfit_core.search_space import SearchSpace, checked_search_space
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.embedding_phase import Targeted, train_body
from setfit_core.training.objective import make_objective

#: Of an embedding phase that is gone after its fold, nothing is written, reported or shown.
_SILENT: Mapping[str, Any] = {
    "eval_strategy": "no",
    "save_strategy": "no",
    "logging_strategy": "no",
    "load_best_model_at_end": False,
    "report_to": "none",
    "show_progress_bar": False,
}


def head_training(args: TrainingArguments) -> HeadTraining:
    """Return how the head phase trains a differentiable head on a body that stays as it is."""
    return HeadTraining(
        num_epochs=args.classifier_num_epochs,
        batch_size=args.classifier_batch_size,
        body_learning_rate=args.body_classifier_learning_rate,
        head_learning_rate=args.head_learning_rate,
        end_to_end=False,
        l2_weight=args.classifier_l2_weight,
        max_length=None,
        show_progress_bar=False,
        seed=args.seed,
    )


def body_space_of(space: Any, args: TrainingArguments) -> SearchSpace:
    """Return the arguments of the body's training that are to be searched for.

    Raises:
        ArgumentError: If one of them is none of `TrainingArguments`, or can't have a value of its space.
    """
    try:
        checked = checked_search_space({} if space is None else space)
    except ValueError as error:
        msg = f"The search space of the training arguments {error}."
        raise ArgumentError(msg) from error
    for name, domain in checked.items():
        for value in domain.extremes:
            args.update({name: value})
    return checked


@dataclass
class TunedFolds:
    """Folds with a body of their own each, tuned on the fold's training texts; tuned once for the same arguments.

    Attributes:
        model: The model whose body is copied and tuned.
        args: The training arguments.
        examples: The texts and labels.
        task: The same, as the body sees them untuned.
        folds: The folds, without bodies.
    """

    model: SetFitModel
    args: TrainingArguments
    examples: Examples
    task: Task
    folds: Sequence[Fold]
    _known: dict[str, Sequence[Fold]] = field(default_factory=dict)

    def __call__(self, arguments: Mapping[str, Any]) -> Sequence[Fold]:
        """Return the folds for some arguments in place of those of `args`."""
        key = json.dumps(arguments, sort_keys=True)
        if key not in self._known:
            args = self.args.update({**arguments, **_SILENT})
            self._known[key] = [replace(fold, inputs=self._inputs(fold, args)) for fold in self.folds]
        return self._known[key]

    def _inputs(self, fold: Fold, args: TrainingArguments) -> FrozenInputs:
        body = copy.deepcopy(self.model.model_body)
        targets = self.task.targets[fold.train]
        objective = make_objective(args, body, targets)
        texts = [self.examples.texts[row] for row in fold.train]
        train_body(body, args, objective, Targeted(texts, targets), None, [])
        return FrozenInputs.of_texts(
            body, self.examples.texts, normalize=self.model.normalize_embeddings, precision=self.model.precision
        )


def search_tuned(
    model: SetFitModel,
    args: TrainingArguments,
    examples: Examples,
    searched: Sequence[SearchedHead],
    body_space: SearchSpace,
    *,
    n_trials: int,
    timeout: float | None,
    metric: Any,
    folds: int,
    repeats: int,
) -> HeadSearch:
    """Search among heads, each fold with a body of its own; see `Trainer.hyperparameter_search`."""
    check_search(searched, n_trials, timeout, metric)
    task = make_task(model, examples.texts, examples.labels)
    weights = text_weights(task.codec, task.targets, class_weight=args.class_weight, sample_weight=args.sample_weight)
    task = replace(task, weights=weights)
    divided = make_folds(task.targets, folds=folds, repeats=repeats, seed=args.seed)
    frozen = not any(parameter.requires_grad for parameter in model.model_body.parameters())
    tuned: Callable[[Mapping[str, Any]], Sequence[Fold]] = TunedFolds(model, args, examples, task, divided)
    return search_on(
        task,
        searched,
        (lambda _: divided) if frozen or not (args.embedding_num_epochs or body_space) else tuned,
        head_training(args),
        body_space=body_space,
        n_trials=n_trials,
        timeout=timeout,
        seed=args.seed,
        metric=metric,
    )
