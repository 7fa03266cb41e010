"""The head phase: training a model's head on labelled texts, planned and checked before it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import Tensor

from setfit_core.data import check_texts, read_examples
from setfit_core.embedding.body import limited_length
from setfit_core.embedding.cache import EmbeddingCache
from setfit_core.embedding.embed import embed
from setfit_core.embedding.precision import Precision
from setfit_core.heads.adapters import to_array
from setfit_core.heads.fitting import HeadTraining, fit_array_head, fit_differentiable_head, rehearse_array_head
from setfit_core.heads.held import HeadSetting, HeldHead
from setfit_core.labelling import Labelling
from setfit_core.labels import IntArray, LabelCodec


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
    """

    body: SentenceTransformer
    normalize: bool
    precision: Precision
    cache: EmbeddingCache | None
    held: HeldHead
    texts: list[str]
    codec: LabelCodec
    targets: IntArray

    def rehearse(self, seed: int) -> None:
        """Train a copy of a non-differentiable head on the body's embeddings of today.

        A differentiable one was tried when the phase was planned.

        Raises:
            HeadError: If the head does not take these labels.
        """
        if not self.held.differentiable:
            embeddings = to_array(self._embeddings(show_progress_bar=False))
            rehearse_array_head(self.held.head, self.codec, embeddings, self.targets, seed=seed)

    def run(self, training: HeadTraining) -> None:
        """Train the head, in place."""
        head = self.held.head
        if self.held.differentiable:
            fit_differentiable_head(
                head,
                self.body,
                self.texts,
                self.targets,
                normalize=self.normalize,
                precision=self.precision,
                cache=self.cache,
                training=training,
            )
            return
        with limited_length(self.body, training.max_length):
            # None leaves it to the logging level whether a bar is shown.
            bar = None if training.show_progress_bar else False
            embeddings = self._embeddings(show_progress_bar=bar)
        fit_array_head(head, to_array(embeddings), self.targets, seed=training.seed)

    def _embeddings(self, *, show_progress_bar: bool | None) -> Tensor:
        return embed(
            self.body,
            self.texts,
            normalize=self.normalize,
            precision=self.precision,
            cache=self.cache,
            show_progress_bar=show_progress_bar,
        )


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
) -> HeadPhase:
    """Check texts, labels and head, changing none of them.

    Raises:
        InputError: If texts or labels can't be used.
        HeadError: If a differentiable head can't be trained on them.
    """
    examples = read_examples((check_texts(texts), labels), what="training data")
    codec, targets = labelling.learn(examples.labels)
    sized = setting.sized(held, codec, examples.texts, targets, normalize=normalize)
    return HeadPhase(setting.body, normalize, precision, cache, sized, examples.texts, codec, targets)
