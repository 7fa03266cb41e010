"""Which examples a loss of sentence-transformers takes."""

from __future__ import annotations

from enum import Enum
from typing import Final

from sentence_transformers.sentence_transformer import losses
from torch import nn

from setfit_core.errors import ArgumentError
from setfit_core.losses import AllPairsLoss, SupConLoss


class Examples(Enum):
    """What a loss is given."""

    TEXTS = "labelled texts"
    SCORED_PAIRS = "pairs with a target of 1.0 or 0.0"
    CLASSIFIED_PAIRS = "pairs with a target of 1 or 0, as class ids"
    POSITIVE_PAIRS = "pairs that share a label"
    TRIPLETS = "triplets: two texts that share a label, and one that doesn't"


BATCH_TRIPLET_LOSSES: Final = (
    losses.BatchAllTripletLoss,
    losses.BatchHardSoftMarginTripletLoss,
    losses.BatchHardTripletLoss,
    losses.BatchSemiHardTripletLoss,
)

# Losses that aren't here take scored pairs, which is what most take.
_KINDS: Final[dict[Examples, tuple[type[nn.Module], ...]]] = {
    Examples.TEXTS: (*BATCH_TRIPLET_LOSSES, AllPairsLoss, SupConLoss),
    Examples.CLASSIFIED_PAIRS: (losses.SoftmaxLoss,),
    Examples.POSITIVE_PAIRS: (
        losses.CachedGISTEmbedLoss,
        losses.CachedMultipleNegativesRankingLoss,
        losses.CachedMultipleNegativesSymmetricRankingLoss,
        losses.GISTEmbedLoss,
        losses.MegaBatchMarginLoss,
        losses.MultipleNegativesRankingLoss,
        losses.MultipleNegativesSymmetricRankingLoss,
    ),
    Examples.TRIPLETS: (losses.TripletLoss,),
}

_WITHOUT_LABELS: Final = (
    losses.ContrastiveTensionLoss,
    losses.ContrastiveTensionLossInBatchNegatives,
    losses.DenoisingAutoEncoderLoss,
    losses.DistillKLDivLoss,
    losses.EmbedDistillLoss,
    losses.GlobalOrthogonalRegularizationLoss,
    losses.MarginMSELoss,
    losses.MSELoss,
)


def examples_for(loss: nn.Module) -> Examples:
    """Return what a loss takes; for one that wraps another (`MatryoshkaLoss`), what the inner one takes.

    Raises:
        ArgumentError: If it learns from something else than labels, such as a teacher.
    """
    inner = getattr(loss, "loss", None)
    if isinstance(loss, losses.MatryoshkaLoss | losses.AdaptiveLayerLoss) and isinstance(inner, nn.Module):
        return examples_for(inner)
    if isinstance(loss, _WITHOUT_LABELS):
        msg = (
            f"{type(loss).__name__} does not learn from labels, but from a teacher or from texts alone. Give a loss "
            "for labelled texts or for pairs, such as AllPairsLoss or CosineSimilarityLoss."
        )
        raise ArgumentError(msg)
    return next((kind for kind, known in _KINDS.items() if isinstance(loss, known)), Examples.SCORED_PAIRS)
