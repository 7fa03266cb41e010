"""Losses of the embedding phase that look at all pairs of a batch; ordinary losses of sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from setfit_core.embedding.body import EMBEDDING
from setfit_core.errors import ArgumentError
from setfit_core.values import is_number

#: What a forward pass costs apart from its tokens, in tokens. Measured with all-MiniLM-L6-v2 on one core.
_PASS_COST: Final = 32

# Passes come in few shapes: oneDNN keeps a prepared kernel, with its own memory, for each shape that it has met. With
# passes of any shape a training run of 128 texts held 900 MB more.
_ROWS: Final = 8
_WIDTHS: Final = 4


class AllPairsLoss(nn.Module):
    """Brings texts of one class together and others apart, over all pairs of a batch.

    The mean of `(1 - cos)²` over the pairs that share a label plus the mean of `cos²` over the others, halved: what
    `CosineSimilarityLoss` computes for single pairs with both kinds equally weighted, at the cost of encoding each text
    of the batch once. No text is paired with itself.

    Args:
        model: The body.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            sentence_features: The body's input, for one column of texts.
            labels: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        """
        cosines, alike, different = _pairs(self.model, sentence_features, labels)
        terms = []
        if bool(alike.any()):
            terms.append((1 - cosines[alike]).square().mean())
        if bool(different.any()):
            terms.append(cosines[different].square().mean())
        # A lone text has no pairs; the zero still has a gradient.
        return torch.stack(terms).sum() / 2 if terms else cosines.sum() * 0


class SupConLoss(nn.Module):
    """Supervised contrastive loss over a batch.

    For each text that shares a label with another: the mean negative log-probability of those others among all other
    texts, a softmax over cosines divided by the temperature. Source: Khosla et al., "Supervised Contrastive Learning",
    2020, equation 2 (`L_out`).

    Args:
        model: The body.
        temperature: What cosines are divided by; positive.

    Raises:
        ArgumentError: If the temperature is not positive.
    """

    def __init__(self, model: SentenceTransformer, temperature: float = 0.07) -> None:
        super().__init__()
        if not is_number(temperature) or temperature <= 0:
            msg = f"temperature is {temperature!r}. Cosines are divided by it: give a positive number, such as 0.07."
            raise ArgumentError(msg)
        self.model = model
        self.temperature = temperature

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Tensor) -> Tensor:
        """Return the loss, a scalar; arguments as for `AllPairsLoss.forward`."""
        cosines, alike, different = _pairs(self.model, sentence_features, labels)
        logits = (cosines / self.temperature).masked_fill(~(alike | different), -torch.inf)
        log_probabilities = logits - logits.logsumexp(dim=1, keepdim=True)
        counts = alike.sum(dim=1)
        anchors = counts > 0
        if not bool(anchors.any()):
            return cosines.sum() * 0
        sums = log_probabilities.masked_fill(~alike, 0.0).sum(dim=1)
        return -(sums[anchors] / counts[anchors]).mean()


def _pairs(
    model: nn.Module, sentence_features: Iterable[dict[str, Any]], labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosines, and which pairs share a label and which don't, each `[n, n]`; no text is its own pair."""
    (features,) = sentence_features
    embeddings = nn.functional.normalize(_embeddings(model, features).float(), dim=1)
    if labels.ndim == 1:
        alike = labels[:, None] == labels
    else:
        indicators = labels.float()
        alike = indicators @ indicators.T > 0
    different = ~alike
    alike = alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    different.fill_diagonal_(fill_value=False)
    return embeddings @ embeddings.T, alike, different


def _embeddings(model: nn.Module, features: dict[str, Any]) -> Tensor:
    """Return embeddings `[n, embedding_size]`, from several passes where these have less padding than one.

    Only right padding of a transformer's input is cut off; other inputs pass in one piece.
    """
    mask = features.get("attention_mask")
    per_token = [key for key, value in features.items() if isinstance(value, Tensor)]
    if not isinstance(mask, Tensor) or mask.ndim != 2 or any(features[key].shape != mask.shape for key in per_token):
        return _pass(model, features)
    columns = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    lengths = (mask * columns).amax(dim=1)
    order = lengths.argsort(stable=True)
    parts = []
    for part in torch.split(order, _sizes(lengths[order].tolist())):
        width = min(-(-int(lengths[part].max()) // _WIDTHS) * _WIDTHS, mask.shape[1])
        cut = {key: features[key][part, :width] for key in per_token}
        parts.append(_pass(model, {**features, **cut}))
    return torch.cat(parts)[order.argsort()]


def _pass(model: nn.Module, features: dict[str, Any]) -> Tensor:
    output: dict[str, Tensor] = model(features)
    return output[EMBEDDING]


def _sizes(lengths: list[int]) -> list[int]:
    """Return the sizes of the cheapest split of ascending lengths into passes that are padded to their longest.

    All sizes but the last are multiples of `_ROWS`.
    """
    costs, starts = [0.0], [0]
    for end, width in enumerate(lengths, start=1):
        cost, start = min((costs[start] + width * (end - start) + _PASS_COST, start) for start in range(0, end, _ROWS))
        costs.append(cost)
        starts.append(start)
    sizes, end = [], len(lengths)
    while end:
        sizes.append(end - starts[end])
        end = starts[end]
    return sizes[::-1]
