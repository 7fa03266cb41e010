"""Training a head of either kind on embeddings that are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from setfit_core.heads.adapters import to_array
from setfit_core.heads.array_fitting import fit_array_head
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.heads.module_fitting import fit_differentiable_head
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import FloatArray
from setfit_core.labels import IntArray


def fit_head(
    head: Any,
    inputs: FrozenInputs,
    targets: IntArray,
    training: HeadTraining,
    *,
    weights: FloatArray | None = None,
    texts: Sequence[str] | None = None,
) -> None:
    """Train a head while the body stays as it is.

    Args:
        head: The head, of either kind.
        inputs: The embeddings `[n, embedding_size]`.
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        training: How a differentiable head is trained; others only use the seed.
        weights: How much each text counts, floats `[n]` (`setfit_core.heads.weights.text_weights`).
        texts: The texts, for a head that explains by them.

    Raises:
        HeadError: If the head can't be trained; it is then as it was before.
    """
    if isinstance(head, nn.Module):
        fit_differentiable_head(head, inputs, targets, training, weights=weights)
    else:
        embeddings = to_array(inputs.embeddings)
        fit_array_head(head, embeddings, targets, seed=training.seed, weights=weights, texts=texts)
