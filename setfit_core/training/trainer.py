"""`Trainer`: runs the embedding phase and the head phase, and evaluates."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

from transformers import TrainerCallback

from setfit_core import processes
from setfit_core.choosing.candidates import Heads
from setfit_core.choosing.comparison import Comparison, Metric
from setfit_core.choosing.found import HeadSearch, SearchTrial
from setfit_core.choosing.search import searched_heads
from setfit_core.data import Examples, check_texts, read_examples
from setfit_core.embedding.body import is_trainable
from setfit_core.errors import ArgumentError, InputError
from setfit_core.heads.auto import AutoHead
from setfit_core.heads.construction import HeadRecipe
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.model import SetFitModel
from setfit_core.model_card import DataSource, TrainingRecord
from setfit_core.saved import SavedModel
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.checkpoints import Identity, identity_of, starting_point
from setfit_core.training.embedding_phase import EmbeddingWork, Targeted, train_body
from setfit_core.training.metrics import MetricFunction, check_metric, compute_metric
from setfit_core.training.midway import MidwayModel, check_best_metric, fit_head, plain_numbers
from setfit_core.training.objective import make_objective
from setfit_core.training.record import (
    data_source,
    embedding_arguments,
    head_arguments,
    measurements,
    selection_arguments,
)
from setfit_core.training.search import body_space_of, search_tuned, with_body_arguments

logger = logging.getLogger(__name__)

ModelInit = Callable[..., SetFitModel]
#: Where to go on from: a checkpoint, or whether to go on from the last one.
Resume: TypeAlias = "bool | str | os.PathLike[str]"


class Trainer:
    """Trains a `SetFitModel` on labelled texts and evaluates it.

    Data sets may be a `datasets.Dataset`, a pandas frame, a mapping of columns, or a pair `(texts, labels)`.

    What was trained and measured is noted in `model.card_facts`, for the model's card.

    Attributes:
        log_history: What the embedding phase logged.
        embedding_work: What the last embedding phase did, counted: steps, texts, tokens, padded tokens. Each of several
            processes counts its share.

    Args:
        model: The model to train. Either this or `model_init`.
        args: The training arguments; None for the defaults.
        train_dataset: The training data, with the columns `text` and `label`.
        eval_dataset: The evaluation data.
        model_init: Makes the model; takes no argument, or one (None).
        metric: `"accuracy"`, `"balanced_accuracy"`, `"f1"`, `"matthews_correlation"`, `"precision"`, `"recall"`,
            or a function `(y_pred, y_test)` of places in `model.labels` that returns a number or a mapping.
        metric_kwargs: Keyword arguments for the metric, such as `{"average": "macro"}`.
        callbacks: Callbacks of transformers for the embedding phase.
        column_mapping: From the data sets' column names to `"text"` and `"label"`.

    Raises:
        ArgumentError: If an argument has no meaning.
        InputError: If a data set can't be used.
    """

    def __init__(
        self,
        model: SetFitModel | None = None,
        args: TrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        model_init: ModelInit | None = None,
        metric: str | MetricFunction = "accuracy",
        metric_kwargs: Mapping[str, Any] | None = None,
        callbacks: Sequence[TrainerCallback | type[TrainerCallback]] | None = None,
        column_mapping: Mapping[str, str] | None = None,
    ) -> None:
        if args is not None and not isinstance(args, TrainingArguments):
            msg = f"args is a {type(args).__name__}. Pass setfit_core.TrainingArguments(...)."
            raise ArgumentError(msg)
        check_metric(metric)
        self.args = args or TrainingArguments()
        self.column_mapping = column_mapping
        self.metric = metric
        self.metric_kwargs = dict(metric_kwargs or {})
        self.callbacks: list[TrainerCallback] = []
        for callback in callbacks or ():
            self.add_callback(callback)
        self.log_history: list[dict[str, float]] = []
        self.embedding_work: EmbeddingWork | None = None
        self._train = None if train_dataset is None else self._read(train_dataset, "training data set")
        self._eval = None if eval_dataset is None else self._read(eval_dataset, "evaluation data set")
        self._train_source, self._eval_source = data_source(train_dataset), data_source(eval_dataset)
        self._trained_on = self._train
        self._embedding_phase: dict[str, Any] | None = None
        if model is not None and not isinstance(model, SetFitModel):
            msg = f"model is a {type(model).__name__}. Pass a SetFitModel, such as SetFitModel.from_pretrained(...)."
            raise ArgumentError(msg)
        if (model is None) == (model_init is None):
            msg = "Trainer needs a model or a model_init that makes one, and not both."
            raise ArgumentError(msg)
        self.model = _made(model_init) if model is None else model  # type: ignore[arg-type]  # one is not None

    def _read(self, dataset: Any, what: str) -> Examples:
        return read_examples(dataset, self.column_mapping, what=what)

    def train(self, args: TrainingArguments | None = None, *, resume_from_checkpoint: Resume | None = None) -> None:
        """Run both phases: fine-tune the body, then train the head.

        Everything that can be wrong with the data or the head is looked for before the first step. Several processes,
        started by `torchrun` or `accelerate launch`, train together: the body as one process would, the head in the
        main one.

        Args:
            args: Other training arguments for this call.
            resume_from_checkpoint: Where to go on from, to the same model as without the interruption: the folder of a
                checkpoint, or True for the last one in `output_dir`, if there is any. The trainer must be made as it
                was at first. Steps done before are not counted in `embedding_work`. If the body is frozen there is
                nothing to go on with, and it means nothing.

        Raises:
            InputError: If the data can't be used.
            HeadError: If the head can't be trained on it.
            ArgumentError: If there is no such checkpoint, or it belongs to another training.
        """
        args = args or self.args
        examples = self._training_examples()
        self._train_embeddings(examples, self._eval, args, resume_from_checkpoint)
        self.train_classifier(args=args)

    def train_embeddings(
        self,
        x_train: Sequence[str] | None = None,
        y_train: Sequence[Any] | None = None,
        x_eval: Sequence[str] | None = None,
        y_eval: Sequence[Any] | None = None,
        args: TrainingArguments | None = None,
        *,
        resume_from_checkpoint: Resume | None = None,
    ) -> None:
        """Run the embedding phase alone: fine-tune the body.

        A body that is frozen (`model.freeze("body")`) is left as it is.

        Args:
            x_train: Texts; None for the trainer's training data set.
            y_train: Their labels.
            x_eval: Texts for the evaluation loss; None for the trainer's evaluation data set.
            y_eval: Their labels.
            args: Other training arguments for this call.
            resume_from_checkpoint: As in `train`.
        """
        args = args or self.args
        examples = self._given(x_train, y_train) or self._training_examples()
        evaluation = self._given(x_eval, y_eval) or self._eval
        self._train_embeddings(examples, evaluation, args, resume_from_checkpoint)

    def train_classifier(
        self,
        x_train: Sequence[str] | None = None,
        y_train: Sequence[Any] | None = None,
        args: TrainingArguments | None = None,
    ) -> None:
        """Run the head phase alone: train the head on the body as it is.

        Args:
            x_train: Texts; None for the trainer's training data set.
            y_train: Their labels.
            args: Other training arguments for this call.
        """
        args = args or self.args
        given = self._given(x_train, y_train)
        examples = given or self._training_examples()
        self.model.to(processes.joined(self.model.device))
        self._train_head(examples, args)
        self._trained_on = examples
        self._note_training(self.model, args, self._embedding_phase, None if given else self._train_source)

    def _train_head(self, examples: Examples, args: TrainingArguments) -> None:
        """Train the head in the main process, and take it over in the others."""
        along = args.end_to_end and self.model.has_differentiable_head and is_trainable(self.model.model_body)

        def trained() -> tuple[SavedModel, Mapping[str, Any] | None]:
            fit_head(self.model, examples, args)
            learnt = replace(self.model.learnt(), body=None)  # type: ignore[arg-type]  # every process has it
            return learnt, self.model.model_body.state_dict() if along else None

        learnt, body = processes.once(trained)
        if processes.is_main():
            return
        self.model.take_over(learnt)
        if body is not None:
            self.model.model_body.load_state_dict(body)

    def hyperparameter_search(
        self,
        n_trials: int = 50,
        heads: Heads | None = None,
        *,
        spaces: Mapping[str, Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
        metric: Metric = "log_loss",
        folds: int = 3,
        repeats: int = 1,
        timeout: float | None = None,
    ) -> HeadSearch:
        """Search for a head and its parameters by cross-validation, and change nothing; see `setfit_core.search_heads`.

        A head is tested on texts that neither it nor the body has seen. So a copy of the body is tuned for each fold,
        on the fold's training texts: `folds * repeats` times in all, however many trials there are. Only if `arguments`
        of its training are searched for, too, it is tuned that often for each trial that draws new ones.

        Args:
            n_trials: How many trials, the first ones with each head as it is given.
            heads: The heads, as in `setfit_core.compare_heads`; None for all that are installed.
            spaces: By the name of a head, the parameters to try instead of those that the head declares.
            arguments: Which of the `TrainingArguments` of the embedding phase to search for, and between which values,
                such as `{"body_learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}`.
            metric: What is searched for: `"log_loss"`, `"accuracy"` or `"macro_f1"`.
            folds: Into how many folds the training data is divided; fewer if a class has fewer texts.
            repeats: How often it is divided anew.
            timeout: Seconds after which no trial is started any more; None for no limit.

        Returns:
            All trials. `trainer.apply_hyperparameters(found.best)` takes one over.

        Raises:
            SetFitError: If optuna isn't installed.
            InputError: If the data can't be used.
            ArgumentError: If an argument has no meaning.
            HeadParameterError: If a head doesn't take a parameter of `spaces`.
        """
        if processes.launched() > 1:
            msg = "A search runs in one process, and a launcher has started several. Start it with python alone."
            raise ArgumentError(msg)
        searched = searched_heads(heads, spaces)
        body_space = body_space_of(arguments, self.args)
        return search_tuned(
            self.model,
            self.args,
            self._training_examples(),
            searched,
            body_space,
            n_trials=n_trials,
            timeout=timeout,
            metric=metric,
            folds=folds,
            repeats=repeats,
        )

    def apply_hyperparameters(self, trial: SearchTrial) -> None:
        """Take over the head and the arguments of a trial; nothing is trained.

        Args:
            trial: A trial of `hyperparameter_search`, such as its `best`.

        Raises:
            ArgumentError: If it is a trial that failed.
        """
        if trial.recipe is None or trial.error is not None:
            raise ArgumentError(f"There is nothing to apply, for the trial of {trial.head!r} failed: {trial.error}")
        self.model.build_head(trial.recipe)
        self.args = with_body_arguments(self.args, trial.arguments)

    def evaluate(self, dataset: Any = None, metric_key_prefix: str = "") -> dict[str, Any]:
        """Compute the metric on labelled texts, and note its value for the model's card.

        Args:
            dataset: The data; None for the trainer's evaluation data set.
            metric_key_prefix: Put before the names of the metrics, with an underscore.

        Returns:
            The metrics by name, such as `{"accuracy": 0.9}`.

        Raises:
            InputError: If there is no data, or it can't be used.
            LabelError: If a label is not one of the model's.
        """
        examples = self._eval if dataset is None else self._read(dataset, "evaluation data set")
        if examples is None:
            msg = "There is nothing to evaluate on. Pass a data set, or eval_dataset when the Trainer is made."
            raise InputError(msg)
        metrics = self._measured(self.model, examples)
        source = self._eval_source if dataset is None else data_source(dataset)
        measured = measurements(self.metric, metrics, self.metric_kwargs, examples, source, self._trained_on)
        self._note(self._record.with_measurements(measured))
        prefix = f"{metric_key_prefix}_" if metric_key_prefix else ""
        return {f"{prefix}{name}": value for name, value in metrics.items()}

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Save the model to the hub, see `SetFitModel.push_to_hub`, and return the address of the commit."""
        return self.model.push_to_hub(repo_id, **options)

    def add_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Add a callback of transformers, or its class, to the embedding phase."""
        self.callbacks.append(callback() if isinstance(callback, type) else callback)

    def pop_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> TrainerCallback | None:
        """Take out a callback, given itself or by its class, and return it; None if it isn't there."""
        for place, known in enumerate(self.callbacks):
            if known is callback or (isinstance(callback, type) and isinstance(known, callback)):
                return self.callbacks.pop(place)
        return None

    def remove_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Take out a callback, given itself or by its class."""
        self.pop_callback(callback)

    def _train_embeddings(
        self, examples: Examples, evaluation: Examples | None, args: TrainingArguments, resume: Resume | None
    ) -> None:
        if args.eval_strategy != "no" and evaluation is None:
            msg = f"eval_strategy is {args.eval_strategy!r}, but there is no eval_dataset. Pass one, or use 'no'."
            raise ArgumentError(msg)
        self.model.to(processes.joined(self.model.device))
        codec, targets = self._validated(examples, args)
        if isinstance(self.model.model_head, AutoHead):
            self._choose_head(examples, args)
            codec, targets = self._validated(examples, args)
        columns = None if evaluation is None else codec.columns(evaluation.labels, number_unknown=True)
        if not is_trainable(self.model.model_body):
            logger.info("The body is frozen: the embedding phase is left out.")
            return
        objective = make_objective(args, self.model.model_body, targets)
        if objective.num_epochs == 0 and args.max_steps == -1:
            logger.info("num_epochs asks for no embedding phase: it is left out.")
            return
        held_out = None
        if evaluation is not None and columns is not None and args.eval_strategy != "no":
            held_out = Targeted(evaluation.texts, columns)
        phase = embedding_arguments(args, objective)
        identity: Identity = {}
        if resume or args.save_strategy != "no":
            decisive = {**phase, **selection_arguments(args)}
            identity = identity_of(decisive, self.model.model_body, examples.texts, targets)
        checkpoint = starting_point(resume, Path(args.output_dir), identity) if resume else None
        midway = self._midway(examples, targets, evaluation, args, phase, identity)
        # What was measured before holds for the old body, and the new one may stay even if the head phase fails.
        if self._record.measurements:
            self._note(replace(self._record, measurements=()))
        self.log_history, self.embedding_work = train_body(
            self.model.model_body,
            args,
            objective,
            Targeted(examples.texts, targets),
            held_out,
            self.callbacks,
            midway=midway,
            checkpoint=checkpoint,
        )
        self.model.calibration = None  # it was fitted to what the head made of the old body's embeddings
        self._embedding_phase = phase

    def _choose_head(self, examples: Examples, args: TrainingArguments) -> None:
        """Choose a head in the main process, and build the same one in the others."""

        def chosen() -> Comparison:
            return self.model.choose_head(
                examples.texts, examples.labels, seed=args.seed, show_progress_bar=args.show_progress_bar
            )

        choice = processes.once(chosen)
        if not processes.is_main():
            self.model.build_head(cast("HeadRecipe", choice.best.recipe))  # what was tested could be built
            self.model.head_choice = choice

    def _midway(
        self,
        examples: Examples,
        targets: IntArray,
        evaluation: Examples | None,
        args: TrainingArguments,
        phase: Mapping[str, Any],
        identity: Identity,
    ) -> MidwayModel | None:
        """Return the model on the way, if checkpoints or evaluations ask for it, having checked that it can be made."""
        if args.save_strategy == "no" and not args.selects_by_head:
            return None
        self.model.twin()
        if args.save_strategy != "no":
            self.model.check_savable(examples.texts, examples.labels)

        if args.selects_by_head:
            measured = compute_metric(self.metric, targets, targets, self.metric_kwargs)
            check_best_metric(args.best_metric, plain_numbers(measured))
        note = partial(self._note_training, args=args, phase=phase, source=self._train_source)
        held_out = cast("Examples", evaluation)  # nothing is measured without
        return MidwayModel(self.model, examples, args, identity, partial(self._measured, examples=held_out), note)

    def _measured(self, model: SetFitModel, examples: Examples) -> dict[str, Any]:
        expected = model.label_columns(examples.labels)
        predicted = model.predict(examples.texts, use_labels=False, as_numpy=True)
        return compute_metric(self.metric, predicted, expected, self.metric_kwargs)

    def _validated(self, examples: Examples, args: TrainingArguments) -> tuple[LabelCodec, IntArray]:
        return self.model.validate(
            examples.texts,
            examples.labels,
            seed=args.seed,
            class_weight=args.class_weight,
            sample_weight=args.sample_weight,
        )

    def _note_training(
        self,
        model: SetFitModel,
        args: TrainingArguments,
        phase: Mapping[str, Any] | None,
        source: DataSource | None,
    ) -> None:
        record = replace(
            model.card_facts.training or TrainingRecord(),
            source=source,
            embedding_phase=phase,
            head_phase=head_arguments(args, differentiable=model.has_differentiable_head),
        )
        model.card_facts = replace(model.card_facts, training=record)

    @property
    def _record(self) -> TrainingRecord:
        return self.model.card_facts.training or TrainingRecord()

    def _note(self, record: TrainingRecord) -> None:
        self.model.card_facts = replace(self.model.card_facts, training=record)

    def _training_examples(self) -> Examples:
        if self._train is None:
            msg = "There is nothing to train on. Pass train_dataset when the Trainer is made."
            raise InputError(msg)
        return self._train

    def _given(self, texts: Sequence[str] | None, labels: Sequence[Any] | None) -> Examples | None:
        if texts is None and labels is None:
            return None
        if texts is None or labels is None:
            msg = "Texts and labels belong together: give both, or neither."
            raise InputError(msg)
        return read_examples((check_texts(texts), labels))


def _made(model_init: ModelInit) -> SetFitModel:
    takes_argument = len(inspect.signature(model_init).parameters) > 0
    model = model_init(None) if takes_argument else model_init()
    if not isinstance(model, SetFitModel):
        msg = f"model_init returned a {type(model).__name__}. It must return a SetFitModel."
        raise ArgumentError(msg)
    return model
