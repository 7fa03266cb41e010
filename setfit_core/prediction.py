"""Prediction: embeddings as the head gets them, and what the head makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from torch import Tensor

from setfit_core.data import check_texts
from setfit_core.embedding.cache import EmbeddingCache
from setfit_core.embedding.embed import embed
from setfit_core.embedding.precision import Precision
from setfit_core.errors import HeadError
from setfit_core.heads.adapters import adapter_for, to_array
from setfit_core.heads.held import HeldHead
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.values import positive_integer

#: Labels whose probabilities differ by less are a close call. With logistic heads on 8 texts a class of trec and sst2,
#: bfloat16 moves the difference by 0.0009 in 99 of 100 texts, and by 0.0014 at most.
CLOSE: Final = 0.002


@dataclass(frozen=True)
class Prediction:
    """A body and a head, and how the one's embeddings get to the other.

    Attributes:
        body: The body.
        held: The head.
        normalize: Whether embeddings are scaled to length 1.
        precision: What the body computes in.
        cache: Where embeddings of earlier calls are.
    """

    body: SentenceTransformer
    held: HeldHead
    normalize: bool
    precision: Precision
    cache: EmbeddingCache | None

    def embeddings(
        self,
        texts: Sequence[str],
        *,
        batch_size: int | None,
        show_progress_bar: bool | None,
        codec: LabelCodec | None = None,
    ) -> Tensor | npt.NDArray[Any]:
        """Return the embeddings `[n, embedding_size]` of texts: a tensor for a differentiable head, else an array.

        Args:
            texts: The texts.
            batch_size: Texts a forward pass of the body; None for batches of about 1024 tokens.
            show_progress_bar: Whether to show progress.
            codec: The labels, if embeddings of close calls are to be computed in float32.
        """
        if batch_size is not None:
            positive_integer("batch_size", batch_size, ", or None")

        def open_rows(embeddings: Tensor) -> list[int]:
            return [] if codec is None else close_calls(self.held.head, self._placed(embeddings), codec).tolist()

        return self._placed(
            embed(
                self.body,
                check_texts(texts),
                batch_size=batch_size,
                normalize=self.normalize,
                precision=self.precision,
                cache=self.cache,
                open_rows=open_rows,
                show_progress_bar=show_progress_bar,
            )
        )

    def class_ids(
        self, texts: Sequence[str], codec: LabelCodec, *, batch_size: int | None, show_progress_bar: bool | None
    ) -> IntArray:
        """Return the class ids `[n]` of texts; 0/1 indicators `[n, num_classes]` for several labels a text."""
        embeddings = self.embeddings(texts, batch_size=batch_size, show_progress_bar=show_progress_bar, codec=codec)
        return adapter_for(self.held.head).class_ids(embeddings, codec)

    def probabilities(
        self, texts: Sequence[str], codec: LabelCodec, *, batch_size: int | None, show_progress_bar: bool | None
    ) -> npt.NDArray[Any]:
        """Return the probabilities `[n, num_classes]` of texts."""
        embeddings = self.embeddings(texts, batch_size=batch_size, show_progress_bar=show_progress_bar, codec=codec)
        return adapter_for(self.held.head).probabilities(embeddings, codec)

    def _placed(self, embeddings: Tensor) -> Tensor | npt.NDArray[Any]:
        return embeddings if self.held.differentiable else to_array(embeddings)


def close_calls(head: Any, embeddings: Any, codec: LabelCodec) -> IntArray:
    """Return the rows of embeddings `[n, embedding_size]` whose label is a close call, int64 `[m]`.

    For several labels a text, those where a label is about as likely as not. A head without probabilities doesn't say
    how sure it is, and has none.
    """
    try:
        probabilities = adapter_for(head).probabilities(embeddings, codec)
    except HeadError:  # predict says what is wrong, if it needs what failed
        return np.zeros(0, dtype=np.int64)
    if codec.multi_label:
        gaps = np.abs(2 * probabilities - 1).min(axis=1)
    else:
        ordered = np.sort(probabilities, axis=1)
        gaps = ordered[:, -1] - ordered[:, -2]
    return np.flatnonzero(gaps < CLOSE)
