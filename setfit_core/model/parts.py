"""What a model is made of: a body, a head, and the labels between them and the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Literal

import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from typing_extensions import Self

from setfit_core.choosing.comparison import Comparison
from setfit_core.embedding.body import is_trainable
from setfit_core.embedding.cache import EmbeddingCache, checked_cache
from setfit_core.embedding.precision import Precision, checked_precision
from setfit_core.errors import ArgumentError, NoProbabilitiesError, UnfittedHeadError
from setfit_core.evaluation.calibration import Calibration
from setfit_core.evaluation.thresholds import Thresholds, read_thresholds
from setfit_core.heads.adapters import no_probabilities, unfitted
from setfit_core.heads.construction import HeadRecipe
from setfit_core.heads.held import HeadSetting, HeldHead
from setfit_core.heads.multilabel import STRATEGIES
from setfit_core.labelling import Labelling
from setfit_core.labels import IntArray, Label, LabelCodec
from setfit_core.model_card import CardFacts, ModelCardData, base_model_of

DEFAULT_HEAD: Final = "logistic"

Component = Literal["body", "head"]


class ModelParts:
    """The parts of a `SetFitModel`, whose docstring has the arguments."""

    def __init__(
        self,
        model_body: SentenceTransformer,
        model_head: Any = None,
        multi_target_strategy: str | None = None,
        normalize_embeddings: bool = False,
        labels: Sequence[Any] | None = None,
        *,
        head_params: Mapping[str, Any] | None = None,
        random_state: int | None = None,
        model_card_data: ModelCardData | None = None,
        precision: Precision = "auto",
        embedding_cache: EmbeddingCache | None = None,
    ) -> None:
        if not isinstance(model_body, SentenceTransformer):
            msg = (
                f"model_body is a {type(model_body).__name__}, not a SentenceTransformer. Pass "
                "SentenceTransformer(...), or use SetFitModel.from_pretrained(id or folder)."
            )
            raise ArgumentError(msg)
        if multi_target_strategy is not None and multi_target_strategy not in STRATEGIES:
            msg = f"multi_target_strategy is {multi_target_strategy!r}. It is one of {', '.join(STRATEGIES)}, or None."
            raise ArgumentError(msg)
        check_card(model_card_data)
        self.precision = precision
        self.embedding_cache = embedding_cache
        self.normalize_embeddings = bool(normalize_embeddings)
        self.card_facts = CardFacts(card=model_card_data, base_model=base_model_of(None, model_body))
        self.calibration = None
        self.head_choice: Comparison | None = None
        self._labelling = Labelling(labels, multi_label=multi_target_strategy is not None)
        self._setting = HeadSetting(model_body, multi_target_strategy, random_state)
        self._held = self._taken(DEFAULT_HEAD if model_head is None else model_head, head_params)

    def __repr__(self) -> str:
        parts = [f"head={self.model_head!r}", f"labels={self.labels!r}", f"device='{self.device}'"]
        if self.calibration is not None:
            parts.append(f"calibration={self.calibration!r}")
        if self._thresholds is not None:
            parts.append(f"thresholds={[round(threshold, 4) for threshold in self._thresholds]}")
        return f"SetFitModel({', '.join(parts)})"

    @property
    def model_body(self) -> SentenceTransformer:
        """The body."""
        return self._setting.body

    @property
    def multi_target_strategy(self) -> str | None:
        """How several labels a text are predicted; None for one label a text."""
        return self._setting.multi_target_strategy

    @property
    def precision(self) -> Precision:
        """What the body computes in when it predicts, and when it is frozen in training; embeddings are float32.

        `"float32"`, `"bfloat16"`, or `"auto"`: bfloat16 where the processor multiplies it (CPUs with AVX512-BF16 or
        AMX-BF16, GPUs without emulation), float32 elsewhere and for calls of so few tokens that it takes longer.
        With `"auto"`, a text whose two likeliest labels are nearer than bfloat16 can tell apart is embedded again in
        float32 before it is labelled; a head without `predict_proba` doesn't say which texts those are.
        """
        return self._precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        self._precision = checked_precision(precision)

    @property
    def embedding_cache(self) -> EmbeddingCache | None:
        """Where embeddings are kept on disk for texts that come again; None keeps none."""
        return self._embedding_cache

    @embedding_cache.setter
    def embedding_cache(self, cache: EmbeddingCache | None) -> None:
        self._embedding_cache = checked_cache(cache)

    # Head

    @property
    def model_head(self) -> Any:
        """The head. Assigning another one starts it untrained (unless it was fitted elsewhere)."""
        return self._held.head

    @model_head.setter
    def model_head(self, head: Any) -> None:
        self._replace_head(self._taken(head, None))

    def build_head(self, recipe: HeadRecipe) -> None:
        """Put an untrained head into the place of the model's, built as a recipe says; a frozen one stays frozen.

        Raises:
            HeadError: If it can't be built.
        """
        frozen = isinstance(self.model_head, nn.Module) and not is_trainable(self.model_head)
        self._replace_head(self._setting.build(recipe, self._num_named()))
        if frozen:
            self.freeze("head")

    def _replace_head(self, held: HeldHead) -> None:
        self._held = held
        self._labelling.codec = self.calibration = self.head_choice = None
        self.card_facts = replace(self.card_facts, training=None)

    @property
    def has_differentiable_head(self) -> bool:
        """Whether the head is trained with torch."""
        return self._held.differentiable

    def _taken(self, head: Any, params: Mapping[str, Any] | None) -> HeldHead:
        return self._setting.take(head, params, self._num_named())

    def _num_named(self) -> int | None:
        names = self._labelling.names
        return len(names) if names else None

    # Labels

    @property
    def labels(self) -> list[Label] | None:
        """The labels in the order of the columns of `predict_proba`; None before they are named or learnt.

        Assigning renames them: the list must have as many entries as before.
        """
        return self._labelling.labels

    @labels.setter
    def labels(self, labels: Sequence[Any] | None) -> None:
        self._labelling.rename(labels)

    @property
    def named_labels(self) -> list[Label] | None:
        """The labels as far as the user named them; None if they are learnt from the training data."""
        names = self._labelling.names
        return None if names is None else list(names)

    @property
    def id2label(self) -> dict[int, Label]:
        """From the place of a column to its label; empty before the labels are known."""
        return dict(enumerate(self.labels or ()))

    @property
    def label2id(self) -> dict[Label, int]:
        """From a label to the place of its column; empty before the labels are known."""
        return {label: column for column, label in self.id2label.items()}

    def label_columns(self, labels: Sequence[Any]) -> IntArray:
        """Return the columns of labels, as `predict(..., use_labels=False)` gives them: for computing metrics.

        Returns:
            int64 `[n]`, or 0/1 indicators `[n, len(model.labels)]` for several labels a text. Labels that were
            not in the training data are numbered from `len(model.labels)` on, with a warning in the log.

        Raises:
            LabelError: If no label is one of the model's.
            UnfittedHeadError: If the model has not been trained.
        """
        return self._fitted_codec().columns(labels, number_unknown=True)

    def _adopted_codec(self) -> LabelCodec | None:
        """Return the labels of an instance that was fitted elsewhere; a head that was built here was not."""
        if self._held.recipe is not None:
            return None
        return self._labelling.known_to(self._held.head, differentiable=self._held.differentiable)

    def _fitted_codec(self) -> LabelCodec:
        codec = self._labelling.codec or self._adopted_codec()
        if codec is None:
            raise UnfittedHeadError(unfitted(self.model_head))
        return codec

    # Probabilities and what follows from them

    @property
    def calibration(self) -> Calibration | None:
        """What `calibrate` found; None if the probabilities are the head's own.

        Assigning None removes it. Training the head or replacing it does so, too. With every change of the calibration,
        the thresholds go: they were for other probabilities.
        """
        return self._calibration

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        self._calibration = calibration
        self._thresholds: Thresholds | None = None

    @property
    def thresholds(self) -> Mapping[Label, float] | None:
        """How likely each label has to be for a text to get it, where a text may have several; None for 0.5.

        `predict` gives a text the labels whose probabilities are above their thresholds. `predict_proba` is the same
        with and without, but for rounding: with `precision="auto"`, other calls are close, and asked about in float32.

        Assign a number for all labels, numbers in the order of `model.labels`, or a mapping from labels to numbers, in
        which a label that is left out gets 0.5; each above 0 and below 1. `tune_thresholds` chooses them. They are
        saved with the model. Training the head, replacing it, or calibrating removes them.

        Raises:
            ArgumentError: If what is assigned is none of these, or the model is for one label a text.
            UnfittedHeadError: If the model has not been trained.
            NoProbabilitiesError: If the head has no `predict_proba`.
        """
        if self._thresholds is None:
            return None
        return MappingProxyType(dict(zip(self.labels or (), self._thresholds, strict=True)))

    @thresholds.setter
    def thresholds(self, thresholds: float | Sequence[float] | Mapping[Label, float] | None) -> None:
        if thresholds is not None:
            thresholds = read_thresholds(thresholds, self._codec_for_thresholds().labels)
        self._thresholds = thresholds

    def _codec_for_thresholds(self) -> LabelCodec:
        if self.multi_target_strategy is None:
            msg = (
                "Thresholds are for several labels a text, and this model gives each text the likeliest one. Make it "
                'with multi_target_strategy, such as "one-vs-rest".'
            )
            raise ArgumentError(msg)
        codec = self._fitted_codec()
        if not callable(getattr(self.model_head, "predict_proba", None)):
            raise NoProbabilitiesError(no_probabilities(self.model_head))
        return codec

    # Freezing

    def freeze(self, component: Component | None = None) -> None:
        """Keep the body's and/or the head's parameters from being trained; None means both.

        A frozen body skips the embedding phase of `Trainer.train`. A non-differentiable head has nothing to freeze.
        """
        self._require_grad(component, requires_grad=False)

    def unfreeze(self, component: Component | None = None) -> None:
        """Let the body's and/or the head's parameters be trained again; None means both."""
        self._require_grad(component, requires_grad=True)

    def _require_grad(self, component: Component | None, *, requires_grad: bool) -> None:
        if component not in (None, "body", "head"):
            msg = f"component is {component!r}. It is 'body', 'head', or None for both."
            raise ArgumentError(msg)
        if component in (None, "body"):
            self.model_body.requires_grad_(requires_grad)
        if component in (None, "head") and isinstance(self.model_head, nn.Module):
            self.model_head.requires_grad_(requires_grad)

    # Device

    @property
    def device(self) -> torch.device:
        """The torch device of the body, and of a differentiable head."""
        return self.model_body.device

    def to(self, device: str | torch.device) -> Self:
        """Move body and differentiable head to a device, and return the model."""
        self.model_body.to(device)
        self._held.placed(device)
        return self


def check_card(data: Any) -> None:
    """Raise `ArgumentError` unless this is what a user says about a model for its card, or None."""
    if data is not None and not isinstance(data, ModelCardData):
        msg = f"model_card_data is a {type(data).__name__}. Pass ModelCardData(...), or leave it out."
        raise ArgumentError(msg)
