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
from setfit_core.evaluation.calibration import Calibration
from setfit_core.evaluation.thresholds import Thresholds, thresholds_of_classes
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
        calibration: What is done to the head's probabilities; None for nothing.
        thresholds: How likely each of several labels has to be; None leaves that to the head.
    """

    body: SentenceTransformer
    held: HeldHead
    normalize: bool
    precision: Precision
    cache: EmbeddingCache | None
    calibration: Calibration | None = None
    thresholds: Thresholds | None = None

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
            head, placed = self.held.head, self._placed(embeddings)
            if codec is None:
                return []
            rows: list[int] = close_calls(head, placed, codec, self.calibration, self.thresholds).tolist()
            return rows

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

    def class_ids_of(self, embeddings: Any, codec: LabelCodec) -> IntArray:
        """Return the class ids `[n]` of what `embeddings` returned; 0/1 indicators `[n, num_classes]` for several."""
        if self.calibration is None and self.thresholds is None:
            return adapter_for(self.held.head).class_ids(embeddings, codec)
        return _likeliest(self._probabilities(embeddings, codec), codec, self.thresholds)

    def probabilities(
        self, texts: Sequence[str], codec: LabelCodec, *, batch_size: int | None, show_progress_bar: bool | None
    ) -> npt.NDArray[Any]:
        """Return the probabilities `[n, num_classes]` of texts."""
        embeddings = self.embeddings(texts, batch_size=batch_size, show_progress_bar=show_progress_bar, codec=codec)
        return self._probabilities(embeddings, codec)

    def _probabilities(self, embeddings: Any, codec: LabelCodec) -> npt.NDArray[Any]:
        probabilities = adapter_for(self.held.head).probabilities(embeddings, codec)
        if self.calibration is None:
            return probabilities
        return self.calibration.calibrated(probabilities, multi_label=codec.multi_label)

    def _placed(self, embeddings: Tensor) -> Tensor | npt.NDArray[Any]:
        return embeddings if self.held.differentiable else to_array(embeddings)


def _likeliest(probabilities: npt.NDArray[Any], codec: LabelCodec, thresholds: Thresholds | None) -> IntArray:
    """Return the class ids `[n]` that probabilities `[n, num_classes]` stand for, or indicators."""
    if codec.multi_label:
        return (probabilities > thresholds_of_classes(thresholds, codec)).astype(np.int64)
    # Of labels that are as likely as each other the first one wins, as in the argmax of `SetFitModel.predict_proba`.
    order = np.argsort(codec.classes)
    return np.asarray(order[probabilities[:, order].argmax(axis=1)])


def close_calls(
    head: Any,
    embeddings: Any,
    codec: LabelCodec,
    calibration: Calibration | None = None,
    thresholds: Thresholds | None = None,
) -> IntArray:
    """Return the rows of embeddings `[n, embedding_size]` whose label is a close call, int64 `[m]`.

    It is one if the label may be another when each probability of the head changes by half of `CLOSE`. A head without
    probabilities doesn't say how sure it is, and has no close calls.
    """
    try:
        probabilities = adapter_for(head).probabilities(embeddings, codec)
    except HeadError:  # predict says what is wrong, if it needs what failed
        return np.zeros(0, dtype=np.int64)
    low, high = probabilities - CLOSE / 2, probabilities + CLOSE / 2
    if codec.multi_label:
        if calibration is not None:
            low, high = (calibration.calibrated(bound, multi_label=True) for bound in (low, high))
        bounds = thresholds_of_classes(thresholds, codec)
        return np.flatnonzero(((low <= bounds) & (high > bounds)).any(axis=1))
    if calibration is not None:
        low, high = calibration.order(low), calibration.order(high)
    rows, first = np.arange(len(low)), low.argmax(axis=1)
    high[rows, first] = -np.inf
    # A calibration may leave nothing of all of a text's probabilities, and then the head's own count.
    return np.flatnonzero((high.max(axis=1) > low[rows, first]) | (low[rows, first] == 0))
