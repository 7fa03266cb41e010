"""The head phase: training a model's head on labelled texts, planned and checked before it is run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from sentence_transformers import SentenceTransformer

from setfit_core.data import check_texts, read_examples
from setfit_core.embedding.body import is_trainable, limited_length
from setfit_core.embedding.cache import EmbeddingCache
from setfit_core.embedding.precision import Precision
from setfit_core.errors import HeadError
from setfit_core.heads.adapters import to_array
from setfit_core.heads.array_fitting import rehearse_array_head
from setfit_core.heads.fitting import fit_head
from setfit_core.heads.held import HeadSetting, HeldHead
from setfit_core.heads.inputs import FrozenInputs, TrainedInputs
from setfit_core.heads.module_fitting import fit_differentiable_head
from setfit_core.heads.multilabel import weighs
from setfit_core.heads.outputs import head_name
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import ClassWeight, FloatArray, ignored, text_weights
from setfit_core.labelling import Labelling
from setfit_core.labels import IntArray, LabelCodec

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: A head is rehearsed on about so many texts at most.
EXCERPT_TEXTS: Final = 2048
#: So many of each class are among them, or all there are. Few heads cross-validate in more folds.
EXCERPT_TEXTS_A_CLASS: Final = 16


@dataclass(frozen=True)
class HeadPhase:
    """A head phase that can be run: checked texts and targets, and a head of the right size.

    Attributes:
        body: The body.
        normalize: Whether embeddings are scaled to length 1.
        precision: What the frozen body computes in.
        cache: Where embeddings of earlier calls are, or None.
        held: The head that will be trained; the model's own, or a new one of the right size.
        texts: The training texts.
        codec: How their labels map to class ids.
        targets: The class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        weights: How much each text counts, floats `[n]`; None for all alike.
    """

    body: SentenceTransformer
    normalize: bool
    precision: Precision
    cache: EmbeddingCache | None
    held: HeldHead
    texts: list[str]
    codec: LabelCodec
    targets: IntArray
    weights: FloatArray | None

    def rehearse(self, seed: int) -> None:
        """Train a copy of a non-differentiable head on the body's embeddings of today, of all texts or of an excerpt.

        A parameter out of range shows, and so does a class too small for cross-validation. What the head does only with
        more texts than the excerpt has does not, nor how much time and memory it takes for all. What the head refuses
        is refused only if it refuses all texts, too: an excerpt may have fewer than the neighbours or folds asked for.
        A differentiable head was tried when the phase was planned.

        Raises:
            HeadError: If the head does not take these labels.
        """
        if not self.held.differentiable:
            self.on_excerpt(lambda phase: phase.rehearse_all(seed))

    def on_excerpt(self, do: Callable[[HeadPhase], T]) -> T:
        """Do something with an excerpt of the texts if there are many; with all of them, if the head refuses it."""
        excerpt = self.excerpt()
        try:
            return do(excerpt)
        except HeadError:
            if excerpt is self:
                raise
            return do(self)

    def excerpt(self) -> HeadPhase:
        """Return the phase on some of its texts if there are many: about `EXCERPT_TEXTS`, and some of each class."""
        if len(self.texts) <= EXCERPT_TEXTS:
            return self
        rows = excerpt_rows(self.targets)
        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            targets=self.targets[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def rehearse_all(self, seed: int) -> None:
        """Train a copy of a non-differentiable head on the embeddings of all texts."""
        rehearse_array_head(
            self.held.head,
            self.codec,
            to_array(self._frozen_inputs(show_progress_bar=False).embeddings),
            self.targets,
            seed=seed,
            weights=self.weights,
            texts=self.texts,
        )

    def run(self, training: HeadTraining) -> None:
        """Train the head, in place."""
        head = self.held.head
        if self.weights is not None and not weighs(head):
            logger.warning(ignored(head_name(head)))
        with limited_length(self.body, training.max_length):
            if self.held.differentiable and training.end_to_end and is_trainable(self.body):
                inputs = TrainedInputs(self.body, self.texts, self.normalize)
                fit_differentiable_head(head, inputs, self.targets, training, weights=self.weights)
                return
            # None leaves it to the logging level whether a bar is shown.
            bar = None if training.show_progress_bar and not self.held.differentiable else False
            frozen = self._frozen_inputs(show_progress_bar=bar)
            fit_head(head, frozen, self.targets, training, weights=self.weights, texts=self.texts)

    def _frozen_inputs(self, *, show_progress_bar: bool | None) -> FrozenInputs:
        return FrozenInputs.of_texts(
            self.body,
            self.texts,
            normalize=self.normalize,
            precision=self.precision,
            cache=self.cache,
            show_progress_bar=show_progress_bar,
        )


def excerpt_rows(targets: IntArray) -> IntArray:
    """Return rows that stand for all, int64 `[m]`, ascending.

    They are `EXCERPT_TEXTS` rows at random, always the same, and `EXCERPT_TEXTS_A_CLASS` of each class, or all it has.

    Args:
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
    """
    order = np.random.default_rng(0).permutation(len(targets))  # files are often sorted by label
    drawn = targets[order]
    members = (drawn == class_id for class_id in np.unique(drawn)) if drawn.ndim == 1 else drawn.T == 1
    needed = [np.flatnonzero(rows)[:EXCERPT_TEXTS_A_CLASS] for rows in members]
    return np.sort(order[np.unique(np.concatenate([np.arange(min(EXCERPT_TEXTS, len(order))), *needed]))])


def plan_head_phase(
    setting: HeadSetting,
    held: HeldHead,
    labelling: Labelling,
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    normalize: bool,
    precision: Precision,
    cache: EmbeddingCache | None,
    class_weight: ClassWeight | None,
    sample_weight: Sequence[float] | None,
) -> HeadPhase:
    """Check texts, labels, weights and head, changing none of them.

    Raises:
        InputError: If texts or labels can't be used.
        ArgumentError: If weights have no meaning.
        HeadError: If a differentiable head can't be trained on them.
    """
    examples = read_examples((check_texts(texts), labels), what="training data")
    codec, targets = labelling.learn(examples.labels)
    weights = text_weights(codec, targets, class_weight=class_weight, sample_weight=sample_weight)
    sized = setting.sized(held, codec, examples.texts, targets, normalize=normalize, weights=weights)
    return HeadPhase(setting.body, normalize, precision, cache, sized, examples.texts, codec, targets, weights)
