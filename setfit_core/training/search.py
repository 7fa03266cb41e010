"""Searching for a head and its parameters on bodies that were tuned without the texts that they are tested on."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from setfit_core.choosing.folds import Fold, make_folds
from setfit_core.choosing.found import HeadSearch
from setfit_core.choosing.search import SearchedHead, check_search, search_on
from setfit_core.choosing.task import Task, make_task
from setfit_core.data import Examples
from setfit_core.embedding.body import is_trainable
from setfit_core.errors import ArgumentError
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.heads.weights import text_weights
from setfit_core.model import SetFitModel
from setfit_core.search_space import SearchSpace, checked_search_space
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.embedding_phase import Targeted, train_body
from setfit_core.training.objective import make_objective

#: What may be searched for: a pair of the two phases, whose first value counts, or an argument of the embedding phase.
_BODY_PAIRS: Final = ("batch_size", "body_learning_rate", "num_epochs")
_BODY_ARGUMENTS: Final = (
    "gradient_accumulation_steps",
    "margin",
    "max_steps",
    "num_iterations",
    "samples_per_label",
    "sampling_strategy",
    "warmup_proportion",
)
#: Of an embedding phase that is gone after its fold, nothing is written, reported or shown.
_SILENT: Mapping[str, Any] = {
    "eval_strategy": "no",
    "save_strategy": "no",
    "logging_strategy": "no",
    "load_best_model_at_end": False,
    "report_to": "none",
    "show_progress_bar": False,
}


def body_space_of(space: Any, args: TrainingArguments) -> SearchSpace:
    """Return the arguments of the body's training that are to be searched for.

    Raises:
        ArgumentError: If one of them is none that the embedding phase alone reads, or can't have a value of its space.
    """
    try:
        checked = checked_search_space({} if space is None else space)
    except ValueError as error:
        msg = f"The search space of the training arguments {error}."
        raise ArgumentError(msg) from error
    for name, domain in checked.items():
        if name not in (*_BODY_PAIRS, *_BODY_ARGUMENTS):
            known = ", ".join(sorted((*_BODY_PAIRS, *_BODY_ARGUMENTS)))
            msg = f"arguments has {name!r}, which the embedding phase alone doesn't read. It may have: {known}."
            raise ArgumentError(msg)
        for value in domain.extremes:
            with_body_arguments(args, {name: value})
    return checked


def with_body_arguments(args: TrainingArguments, arguments: Mapping[str, Any]) -> TrainingArguments:
    """Return training arguments with some changed for the embedding phase; the head phase keeps its own."""
    pairs = {name: (arguments[name], getattr(args, name)[1]) for name in arguments if name in _BODY_PAIRS}
    return args.update({**arguments, **pairs})


@dataclass
class TunedFolds:
    """Folds with a body of their own each, tuned on the fold's training texts.

    Those of the given arguments are kept, and those of the last others: each fold holds on to a body.

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
            args = with_body_arguments(self.args, arguments).update(_SILENT)
            self._known = {given: folds for given, folds in self._known.items() if given == "{}"}
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
    frozen = not is_trainable(model.model_body)
    if frozen and body_space:
        msg = "arguments are those of the body's training, and the body is frozen. Leave them out, or unfreeze it."
        raise ArgumentError(msg)
    task = make_task(model, examples.texts, examples.labels)
    weights = text_weights(task.codec, task.targets, class_weight=args.class_weight, sample_weight=args.sample_weight)
    task = replace(task, weights=weights)
    divided = make_folds(task.targets, folds=folds, repeats=repeats, seed=args.seed)
    trains = args.embedding_num_epochs > 0 or args.max_steps != -1 or body_space
    tuned: Callable[[Mapping[str, Any]], Sequence[Fold]] = TunedFolds(model, args, examples, task, divided)
    return search_on(
        task,
        searched,
        tuned if trains and not frozen else lambda _: divided,
        replace(args.head_training, end_to_end=False, max_length=None, show_progress_bar=False),
        body_space=body_space,
        n_trials=n_trials,
        timeout=timeout,
        seed=args.seed,
        metric=metric,
    )
