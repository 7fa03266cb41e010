"""How a model's head is trained, chosen and calibrated, and how its thresholds are."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from tqdm.auto import tqdm
from typing_extensions import Self

from setfit_core.calibration_phase import FEWEST_TEXTS, calibrate
from setfit_core.choosing.candidates import Heads, read_candidates
from setfit_core.choosing.compare import compare_heads
from setfit_core.choosing.comparison import Comparison, Metric
from setfit_core.data import check_texts, read_examples
from setfit_core.errors import ArgumentError, InputError, LabelError
from setfit_core.evaluation.thresholds import TUNED_METRICS, TunedMetric, best_thresholds
from setfit_core.head_phase import HeadPhase, plan_head_phase
from setfit_core.heads.array_fitting import copied, extend_array_head
from setfit_core.heads.auto import AutoHead
from setfit_core.heads.construction import HeadRecipe
from setfit_core.heads.outputs import head_name
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import ClassWeight
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.model.parts import DEFAULT_HEAD
from setfit_core.model.predicting import PredictingModel
from setfit_core.model_card import record_training
from setfit_core.values import one_of

logger = logging.getLogger(__name__)


class TrainableModel(PredictingModel):
    """A model whose head learns from labelled texts."""

    def validate(
        self,
        x_train: Sequence[str],
        y_train: Sequence[Any],
        *,
        seed: int = 42,
        class_weight: ClassWeight | None = None,
        sample_weight: Sequence[float] | None = None,
    ) -> tuple[LabelCodec, IntArray]:
        """Find out what would keep the model from being trained on this data, without training or changing it.

        Texts and labels are checked, and a copy of the head is trained: a differentiable one for a single step, any
        other on the embeddings of all texts, or of about 2,000 of them that have every label.

        Returns:
            How labels will map to class ids, and the class ids `[n]` that the head will be trained on; 0/1
            indicators `[n, num_classes]` for several labels a text.

        Raises:
            InputError: If texts or labels can't be used.
            HeadError: If the head can't be trained on them.
        """
        phase = self._head_phase(x_train, y_train, class_weight, sample_weight)
        if not isinstance(self.model_head, AutoHead):  # every head is tried when one is chosen
            phase.rehearse(seed)
        return phase.codec, phase.targets

    def fit(
        self,
        x_train: Sequence[str],
        y_train: Sequence[Any],
        num_epochs: int = 16,
        batch_size: int = 2,
        body_learning_rate: float = 1e-5,
        head_learning_rate: float = 1e-2,
        end_to_end: bool = False,
        l2_weight: float = 0.01,
        max_length: int | None = None,
        show_progress_bar: bool = True,
        *,
        seed: int = 42,
        class_weight: ClassWeight | None = None,
        sample_weight: Sequence[float] | None = None,
    ) -> None:
        """Train the head on texts; the body stays as it is unless `end_to_end`.

        A non-differentiable head is fitted on the embeddings of all texts and uses only `max_length`, `seed` and the
        weights of the arguments. See `setfit_core.heads.settings.HeadTraining` for their meaning, and
        `setfit_core.TrainingArguments` for that of the weights.

        Raises:
            InputError: If texts or labels can't be used.
            ArgumentError: If an argument has no meaning.
            HeadError: If the head can't be trained on them.
        """
        training = HeadTraining(
            num_epochs=num_epochs,
            batch_size=batch_size,
            body_learning_rate=body_learning_rate,
            head_learning_rate=head_learning_rate,
            end_to_end=end_to_end,
            l2_weight=l2_weight,
            max_length=max_length,
            show_progress_bar=show_progress_bar,
            seed=seed,
        )
        phase = self._head_phase(x_train, y_train, class_weight, sample_weight)
        if isinstance(self.model_head, AutoHead):
            self.choose_head(x_train, y_train, seed=seed, show_progress_bar=show_progress_bar)
            phase = self._head_phase(x_train, y_train, class_weight, sample_weight)
        phase.run(training)
        self._held, self._labelling.codec, self.calibration = phase.held, phase.codec, None
        columns = phase.codec.expand_class_ids(phase.targets)
        record = record_training(phase.texts, columns, len(phase.codec.labels))
        self.card_facts = replace(self.card_facts, training=record)

    def twin(self) -> Self:
        """Return a model with the same body and a copy of the head, which can be trained without this one's changing.

        Raises:
            ArgumentError: If the head can't be copied.
        """
        twin = copy.copy(self)
        head = copied(self.model_head)
        if head is None:
            msg = (
                f"The head {head_name(self.model_head)} can't be copied (copy.deepcopy fails), so no copy can be "
                "trained for a checkpoint or an evaluation of the embedding phase. Give it as a class or by its name, "
                "or leave out save_strategy and metric_for_best_model."
            )
            raise ArgumentError(msg)
        vars(twin).update(_held=replace(self._held, head=head), _labelling=copy.copy(self._labelling))
        return twin

    def partial_fit(self, texts: Sequence[str], labels: Sequence[Any], *, seed: int = 42) -> None:
        """Train the head further on more texts, of new labels too, without those it knows already.

        The body stays as it is. New labels are put behind the others in `model.labels`. `prototype` and `knn` are then
        what they would be if trained on all texts at once; other heads may take no new labels. A calibration and
        thresholds are removed. A model that isn't trained yet is trained with `fit`.

        Args:
            texts: Further texts.
            labels: Their labels.
            seed: Seed of what the head draws at random.

        Raises:
            InputError: If texts or labels can't be used.
            LabelError: If a label is new although the labels were named, or for several labels a text.
            HeadError: If the head can't be trained further, or not on new labels; it is then as it was.
            ArgumentError: If the head was fitted elsewhere, on labels of its own.
        """
        codec = self._labelling.codec or self._adopted_codec()
        if codec is None:
            self.fit(texts, labels, show_progress_bar=False, seed=seed)
            return
        if codec.head_classes is not None:
            msg = (
                "The head was fitted elsewhere, on labels of its own. Call its own partial_fit, or train it here first."
            )
            raise ArgumentError(msg)
        examples = read_examples((check_texts(texts), labels), what="training data")
        extended, targets = codec.extended(examples.labels)
        embeddings = self._prediction().embeddings(examples.texts, batch_size=None, show_progress_bar=False)
        extend_array_head(self.model_head, embeddings, targets, seed=seed, texts=examples.texts)
        self._labelling.codec, self.calibration = extended, None
        further = record_training(examples.texts, extended.expand_class_ids(targets), len(extended.labels))
        record = self.card_facts.training
        self.card_facts = replace(self.card_facts, training=None if record is None else record.joined(further))

    def choose_head(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        heads: Heads | None = None,
        *,
        metric: Metric | None = None,
        seed: int = 42,
        show_progress_bar: bool = False,
    ) -> Comparison:
        """Compare heads on the body as it is (`setfit_core.compare_heads`), and take the best one, untrained.

        With `head="auto"`, training does this by itself, before the body is tuned. A tuned body has seen the texts, and
        on its embeddings of them all heads look alike. Among the heads, `logistic` stays unless another is better by
        more than two standard errors: a few texts often mistake luck for quality. Weights of classes and texts don't
        count in the comparison.

        Args:
            texts: The training texts.
            labels: Their labels.
            heads: The heads to choose from; None for those that `head="auto"` was given, or all that are installed.
            metric: What they are compared by; None for what `head="auto"` was given, or `"accuracy"`.
            seed: Seed of the folds and of the heads.
            show_progress_bar: Whether to print what was chosen and why.

        Returns:
            The comparison, which is `model.head_choice` from now on. Its `why` says what was chosen and why.

        Raises:
            InputError: If texts or labels can't be used.
            HeadError: If no head could be tested.
        """
        asked = self.model_head if isinstance(self.model_head, AutoHead) else AutoHead()
        heads = asked.heads if heads is None else heads
        named = [candidate.name for candidate in read_candidates(heads)]
        comparison = compare_heads(
            self,
            texts,
            labels,
            heads,
            metric=metric or asked.metric,
            incumbent=DEFAULT_HEAD if DEFAULT_HEAD in named else None,
            seed=seed,
        )
        self.build_head(cast("HeadRecipe", comparison.best.recipe))  # what was tested could be built
        self.head_choice = comparison
        logger.info(comparison.why)
        if show_progress_bar:
            tqdm.write(comparison.why, file=sys.stderr)
        return comparison

    def _head_phase(
        self,
        x_train: Sequence[str],
        y_train: Sequence[Any],
        class_weight: ClassWeight | None,
        sample_weight: Sequence[float] | None,
    ) -> HeadPhase:
        return plan_head_phase(
            self._setting,
            self._held,
            self._labelling,
            x_train,
            y_train,
            normalize=self.normalize_embeddings,
            precision=self.precision,
            cache=self.embedding_cache,
            class_weight=class_weight,
            sample_weight=sample_weight,
        )

    def calibrate(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        method: Literal["temperature", "isotonic"] = "temperature",
        *,
        cv: int | None = None,
        seed: int = 42,
    ) -> None:
        """Fit the probabilities of the trained model to labelled texts that it was not trained on.

        From then on `predict_proba` returns calibrated probabilities, and `predict` the likeliest label by these.
        What was fitted is `model.calibration`. It is saved with the model. Thresholds are removed.

        Args:
            texts: At least 10 texts, better some hundreds, which neither body nor head was trained on.
            labels: Their labels, each of which had texts in training.
            method: `"temperature"` divides all logits by one number, so that labels stay what they are (Guo et al.
                2017). `"isotonic"` fits a function for each class, of which it needs a text at least, and changes
                labels (Zadrozny and Elkan 2002). It is for many texts: with 100, the log loss of most heads got worse
                (`benchmarks/calibration.py`).
            cv: Instead of asking the head, train copies of it on so many folds of the texts, as `fit` does by default
                and without weights, and fit to what each says about the texts that it has not seen. This is for the
                texts that the head was trained on, when there are no others. If the body was tuned on them, too, it
                separates them better than other texts, and the probabilities come out too sure. A label needs two
                texts.
            seed: Seed of the folds and of the copies.

        Raises:
            NoProbabilitiesError: If the head has no `predict_proba`.
            UnfittedHeadError: If the model has not been trained.
            InputError: If the texts are too few or can't be used, or a label is unknown or missing (`LabelError`).
            ArgumentError: If an argument has no meaning, or `cv` can't make untrained copies of the head.
        """
        self.calibration = calibrate(
            self._prediction(), self._setting, self._fitted_codec(), texts, labels, method=method, cv=cv, seed=seed
        )

    def tune_thresholds(self, texts: Sequence[str], labels: Sequence[Any], metric: TunedMetric = "macro_f1") -> None:
        """Choose `model.thresholds` on labelled texts that the model was not trained on, where a text may have several.

        A head that has seen few texts with a label rarely gives it more than 0.5, however well it tells them from
        others; on the texts that it was trained on it is surer than on any other. A calibrated model's thresholds are
        for its calibrated probabilities. See `setfit_core.evaluation.thresholds.best_thresholds` for how they are
        chosen: among others, 0.5 stays where nothing is better, and for a label that none of the texts has.

        Args:
            texts: At least 10 texts, better some with each label, which neither body nor head was trained on.
            labels: Their labels, written as in training.
            metric: What is to be highest on the texts: `"macro_f1"`, the F1 of each label by itself (Yang 2001; Lipton
                et al. 2014), or `"micro_f1"`, F1 over all labels of all texts, for which frequent labels count more.

        Raises:
            ArgumentError: If the model is for one label a text, or `metric` is none of these.
            NoProbabilitiesError: If the head has no `predict_proba`.
            UnfittedHeadError: If the model has not been trained.
            InputError: If the texts are too few or can't be used, or no text has a label that was learnt
                (`LabelError`).
        """
        one_of("metric", metric, TUNED_METRICS)
        codec = self._codec_for_thresholds()
        examples = read_examples((check_texts(texts), labels), what="data for thresholds")
        expected = codec.class_ids(codec.columns(examples.labels))
        if len(expected) < FEWEST_TEXTS:
            msg = f"{len(expected)} texts are too few to choose thresholds on. Give at least {FEWEST_TEXTS}."
            raise InputError(msg)
        if not expected.any():
            msg = "No text has a label that the head has learnt, so no threshold is better than another. Give others."
            raise LabelError(msg)
        # The texts next to a threshold are close calls, which "auto" asks about in float32.
        precision = "float32" if self.precision == "auto" else self.precision
        prediction = replace(self._prediction(), precision=precision, thresholds=None)
        probabilities = prediction.probabilities(examples.texts, codec, batch_size=None, show_progress_bar=None)
        self._thresholds = best_thresholds(expected, probabilities, codec, metric)
