"""The training examples that a head keeps: what was checked and encoded, before it is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from setfit_head_knn.labels import check_labels, encode, is_rows, label_rows, plain
from setfit_head_knn.neighbours import unit_rows

__all__ = ["Examples", "directions"]


@dataclass(frozen=True)
class Examples:
    """Training examples; those of weight 0 are left out.

    Attributes:
        vectors: Embeddings of length 1, float32 `[num_examples, embedding_size]`.
        targets: Class ids, int64 `[num_examples]`; for several labels a text, rows of zeros and ones, uint8
            `[num_examples, num_classes]`.
        weights: What the votes are multiplied by, float64 `[num_examples]`, all above 0.
        texts: The texts, None where one is not known; None if none is.
        classes: The labels, sorted, those without an example too; numbers from 0 for several labels a text.
    """

    vectors: npt.NDArray[np.float32]
    targets: npt.NDArray[Any]
    weights: npt.NDArray[np.float64]
    texts: list[str | None] | None
    classes: list[Any]

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels."""
        return self.targets.ndim == 2

    @classmethod
    def checked(
        cls,
        embeddings: npt.ArrayLike,
        labels: Sequence[Any],
        classes: Sequence[Any] | None,
        sample_weight: npt.ArrayLike | None,
        texts: Sequence[str | None] | None,
    ) -> Examples:
        """Return examples of what a user gave.

        Raises:
            ValueError: Something can't be used, or the numbers of rows don't agree.
        """
        vectors = directions(embeddings).astype(np.float32)
        labels = labels if isinstance(labels, np.ndarray) else list(labels)
        weights = _weights(sample_weight, len(vectors))
        for name, number in (("labels", len(labels)), ("texts", len(vectors) if texts is None else len(texts))):
            if number != len(vectors):
                raise ValueError(f"There are {len(vectors)} embeddings but {number} {name}. Give one for each row.")
        kept_texts = None if texts is None else _texts(texts)
        if is_rows(labels):
            targets: npt.NDArray[Any] = label_rows(labels)
            known = [*range(targets.shape[1])]
            if classes is not None and len(classes) != len(known):
                raise ValueError(f"There are {len(classes)} classes, but rows of {len(known)} labels.")
        else:
            given = plain(labels)
            every = given if classes is None else [*given, *plain(classes)]
            check_labels(every)
            known = sorted(set(every))
            if classes is not None and len(set(plain(classes))) < len(known):
                raise ValueError("A label is none of `classes`, which must name all that are to come, too.")
            targets = encode(given, known)
        keep = weights > 0
        return cls(
            vectors[keep],
            targets[keep],
            weights[keep],
            None if kept_texts is None else [text for text, kept in zip(kept_texts, keep, strict=True) if kept],
            known,
        )

    def joined(self, later: Examples) -> Examples:
        """Return these examples and the later ones, as if they had been given together.

        Raises:
            ValueError: They are of another embedding size, or their labels of another kind.
        """
        size = self.vectors.shape[1]
        if later.vectors.shape[1] != size:
            raise ValueError(f"These embeddings have {later.vectors.shape[1]} columns, but the earlier ones {size}.")
        if self.multi_label != later.multi_label or (self.multi_label and self.classes != later.classes):
            raise ValueError(
                "Labels that are rows and labels that are not, or rows of several lengths, can't be learned together."
            )
        classes = self.classes
        if not self.multi_label:
            check_labels([*self.classes, *later.classes])
            classes = sorted({*self.classes, *later.classes})
        texts = None
        if self.texts is not None or later.texts is not None:
            texts = [*(self.texts or [None] * len(self.vectors)), *(later.texts or [None] * len(later.vectors))]
        return Examples(
            np.concatenate([self.vectors, later.vectors]),
            np.concatenate([self._targets_among(classes), later._targets_among(classes)]),
            np.concatenate([self.weights, later.weights]),
            texts,
            classes,
        )

    def _targets_among(self, classes: list[Any]) -> npt.NDArray[Any]:
        if self.multi_label:
            return self.targets
        targets: npt.NDArray[np.int64] = encode(self.classes, classes)[self.targets]
        return targets


def directions(embeddings: npt.ArrayLike, *, size: int | None = None) -> npt.NDArray[np.float64]:
    """Return embeddings scaled to length 1, float64 `[num_inputs, embedding_size]`.

    Args:
        embeddings: Numbers `[num_inputs, embedding_size]`.
        size: The embedding size that they must have; None for any.

    Raises:
        ValueError: They are no such numbers, or not finite.
    """
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub" or not rows.shape[1]:
        raise ValueError(
            f"Embeddings must be an array of numbers [num_inputs, embedding_size], not {rows.dtype} {list(rows.shape)}."
        )
    if size is not None and rows.shape[1] != size:
        raise ValueError(
            f"These embeddings have {rows.shape[1]} columns, but the head was trained on {size}. Use the body that "
            "it was trained with, or train it again."
        )
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all():
        raise ValueError("The embeddings hold NaN or infinity, which have no direction. Look for what made them.")
    return unit_rows(rows)


def _weights(sample_weight: npt.ArrayLike | None, rows: int) -> npt.NDArray[np.float64]:
    weights = np.ones(rows) if sample_weight is None else np.array(sample_weight, dtype=np.float64)
    if weights.shape != (rows,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"sample_weight must hold one finite number from 0 on for each of the {rows} embeddings.")
    return weights


def _texts(texts: Sequence[str | None]) -> list[str | None]:
    wrong = [type(text).__name__ for text in texts if not (text is None or isinstance(text, str))]
    if wrong:
        raise ValueError(f"The texts hold {wrong[0]}. Give strings, and None where there is no text.")
    return [text if text is None else str(text) for text in texts]
