"""The training examples that a head keeps, in an order that doesn't depend on the one in which they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from setfit_head_prototype.labels import Targets

__all__ = ["Examples", "matrix", "unit"]

#: Far below the largest float64, so that sums of weights stay finite, too.
MOST_WEIGHT: Final = 1e300
#: Beyond it, rounding takes what is left of the mean of a class without its heaviest example.
MOST_RATIO: Final = 1e6


@dataclass(frozen=True)
class Examples:
    """Training examples, each once.

    Attributes:
        rows: Embeddings of length 1 (or 0, where they have no direction), float32 `[num_examples, embedding_size]`.
        weights: What each counts, float64 `[num_examples]`, above 0.
        targets: The position of each one's class, int64 `[num_examples]`, or which labels it has, bool
            `[num_examples, num_labels]`.
        classes: The classes, sorted; the positions of the labels if there are several a text.
    """

    rows: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    targets: Targets
    classes: list[Any]

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels."""
        return self.targets.ndim == 2

    def members(self) -> list[npt.NDArray[np.int64]]:
        """Return, for each class, which examples belong to it; for one label a text."""
        counts = np.bincount(self.targets, minlength=len(self.classes))
        return np.split(np.argsort(self.targets, kind="stable"), np.cumsum(counts)[:-1])

    def joined(self, other: Examples) -> Examples:
        """Return these examples and others.

        Raises:
            ValueError: The others are of another embedding size, or have labels of another kind or number.
        """
        size, others = self.rows.shape[1], other.rows.shape[1]
        if size != others:
            raise ValueError(f"The embeddings have {others} columns, but those before had {size}. Use the same body.")
        if self.multi_label != other.multi_label or (self.multi_label and self.classes != other.classes):
            raise ValueError(
                f"The labels are {_described(other)}, but those before were {_described(self)}. Give labels as before, "
                "or train anew with fit."
            )
        if type(self.classes[0]) is not type(other.classes[0]):
            raise ValueError(
                f"The labels are of the type {type(other.classes[0]).__name__}, but those before were of the type "
                f"{type(self.classes[0]).__name__}. Convert them."
            )
        classes = sorted({*self.classes, *other.classes})
        positions = {label: position for position, label in enumerate(classes)}
        targets = [
            each.targets if each.multi_label else np.array([positions[label] for label in each.classes])[each.targets]
            for each in (self, other)
        ]
        return Examples(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.weights, other.weights]),
            np.concatenate(targets),
            classes,
        ).merged()

    def merged(self) -> Examples:
        """Return the examples in the order of their bytes, equal ones as one with the sum of their weights.

        So the order of batches doesn't matter (but to the rounding of sums of weights), and the copy of an example
        doesn't tell what is known without it.

        Raises:
            ValueError: The weights are too large for their sum, or too different.
        """
        if not len(self.rows):
            return self
        zero = np.float32(0)  # adding it makes -0.0 the same bytes as 0.0
        parts = (np.ascontiguousarray(each) for each in (self.targets, self.rows + zero))
        keys = np.hstack([each.view(np.uint8).reshape(len(each), -1) for each in parts])
        whole = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").ravel()
        _, first, places = np.unique(whole, return_index=True, return_inverse=True)
        weights = np.bincount(places.ravel(), self.weights).astype(np.float64)
        if weights.max() > MOST_WEIGHT / len(weights):
            raise ValueError("The weights of the examples are too large to be added up. Divide them by their mean.")
        ratio = weights.max() / weights.min()
        if ratio > MOST_RATIO:
            raise ValueError(
                f"The weights of the examples differ by a factor of {ratio:.1g}, and {MOST_RATIO:.1g} is the most that "
                "can be told apart from rounding. Leave out the examples of the least weight."
            )
        return Examples(self.rows[first] + zero, weights, self.targets[first], self.classes)


def matrix(embeddings: npt.ArrayLike, width: int | None = None) -> npt.NDArray[Any]:
    """Return embeddings as an array of finite numbers.

    Raises:
        ValueError: They are something else, or have another number of columns than `width`.
    """
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or not rows.shape[1] or rows.dtype.kind not in "fiub":
        raise ValueError(
            f"Embeddings must be an array of numbers [num_inputs, embedding_size], not {rows.dtype} {list(rows.shape)}."
        )
    if width is not None and rows.shape[1] != width:
        raise ValueError(
            f"These embeddings have {rows.shape[1]} columns, but the head was trained on {width}. Use the body that "
            "it was trained with, or train it again."
        )
    if not np.isfinite(rows).all():
        raise ValueError("The embeddings hold NaN or infinity. Look for what the body makes them of.")
    return rows


def unit(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Scale rows to length 1, however long or short they are; rows of zeros stay."""
    wide = rows.astype(np.float64)
    for start in range(0, len(wide), 1024):  # whole copies of all means would be the most memory that a head takes
        part = wide[start : start + 1024]
        peaks = np.abs(part).max(axis=1, keepdims=True)
        part /= np.where(peaks > 0, peaks, 1)
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        part /= np.where(lengths > 0, lengths, 1)
    return wide


def _described(examples: Examples) -> str:
    return f"rows of {len(examples.classes)}" if examples.multi_label else "one a text"
