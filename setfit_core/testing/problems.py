"""Small classification problems whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["ENOUGH_TO_SPLIT", "IntArray", "Problem", "around", "on_a_sphere", "separable"]

IntArray: TypeAlias = npt.NDArray[np.int64]

#: Examples a class: enough in all for boosted trees, whose leaves hold at least 20 by default, to split.
ENOUGH_TO_SPLIT: Final = 24
#: Standard deviation of the examples of a class in each dimension; that of the centres is 1.
_NOISE = 0.2


@dataclass(frozen=True)
class Problem:
    """Labelled embeddings, and further ones of the same classes.

    Attributes:
        embeddings: float32 `[num_inputs, embedding_size]`.
        labels: int64 `[num_inputs]`, the class ids `0..num_classes-1`, each at least once, in no order.
        unseen: float32 `[num_unseen, embedding_size]`, further examples.
        unseen_labels: int64 `[num_unseen]`.
        centres: float32 `[num_classes, embedding_size]`.
    """

    embeddings: npt.NDArray[np.float32]
    labels: IntArray
    unseen: npt.NDArray[np.float32]
    unseen_labels: IntArray
    centres: npt.NDArray[np.float32]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.centres)

    @property
    def embedding_size(self) -> int:
        """Size of one embedding."""
        return int(self.embeddings.shape[1])

    def between(self, rows: int, seed: int) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, embedding_size]` on the lines between centres, where classes meet."""
        rng = np.random.default_rng(seed)
        ends = rng.integers(0, self.num_classes, size=(2, rows))
        weight = rng.uniform(0, 1, size=(rows, 1))
        points = weight * self.centres[ends[0]] + (1 - weight) * self.centres[ends[1]]
        noisy: npt.NDArray[np.float32] = (points + rng.normal(0, _NOISE, size=points.shape)).astype(np.float32)
        return noisy


def separable(
    num_classes: int,
    embedding_size: int,
    per_class: int | Sequence[int] = 16,
    *,
    seed: int,
    unseen: int = 64,
) -> Problem:
    """Draw classes that lie far apart from one another, compared with their extent.

    Args:
        num_classes: Number of classes.
        embedding_size: Size of one embedding.
        per_class: Training examples of each class, or of all of them alike.
        seed: Seed of what is drawn.
        unseen: Number of further examples.
    """
    rng = np.random.default_rng((seed, num_classes, embedding_size))
    return around(_spread(num_classes, embedding_size, rng), per_class, rng, unseen=unseen)


def around(
    centres: npt.NDArray[np.floating[Any]],
    per_class: int | Sequence[int],
    rng: np.random.Generator,
    *,
    unseen: int = 64,
    noise: float = _NOISE,
) -> Problem:
    """Draw classes around given centres.

    Args:
        centres: Float `[num_classes, embedding_size]`.
        per_class: Training examples of each class, or of all of them alike.
        rng: What draws.
        unseen: Number of further examples.
        noise: Standard deviation of the examples of a class in each dimension.
    """
    counts = [per_class] * len(centres) if isinstance(per_class, int) else list(per_class)
    labels = rng.permutation(np.repeat(np.arange(len(centres)), counts))
    unseen_labels = rng.integers(0, len(centres), size=unseen)

    def draw(ids: IntArray) -> npt.NDArray[np.float32]:
        drawn = rng.normal(0, noise, size=(len(ids), centres.shape[1]))
        return (centres[ids] + drawn).astype(np.float32)

    return Problem(draw(labels), labels, draw(unseen_labels), unseen_labels, centres.astype(np.float32))


def on_a_sphere(num_classes: int, embedding_size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw centres of equal length for `around`, which differ in their direction alone, as cosines need it."""
    candidates = rng.normal(0, 1, size=(20 * num_classes, embedding_size))
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    return _widened(_far_apart(candidates, num_classes))


def _spread(num_classes: int, embedding_size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw centres that keep a distance; many of them in few dimensions need more room than the unit normal has."""
    if embedding_size == 1:
        return 2.0 * rng.permutation(num_classes)[:, None].astype(np.float64) - (num_classes - 1)
    return _widened(_far_apart(rng.normal(0, 1, size=(20 * num_classes, embedding_size)), num_classes))


def _far_apart(candidates: npt.NDArray[np.float64], number: int) -> npt.NDArray[np.float64]:
    chosen = [0]
    distance = np.linalg.norm(candidates - candidates[0], axis=1)
    while len(chosen) < number:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(candidates - candidates[chosen[-1]], axis=1))
    return candidates[chosen]


def _widened(centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keep ten times the noise between any two neighbours."""
    scale = max(1.0, 10 * _NOISE / max(_nearest(centres), 1e-9))
    widened: npt.NDArray[np.float64] = np.multiply(centres, scale, dtype=np.float64)
    return widened


def _nearest(centres: npt.NDArray[np.float64]) -> float:
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    return float(distances[~np.eye(len(centres), dtype=bool)].min())
