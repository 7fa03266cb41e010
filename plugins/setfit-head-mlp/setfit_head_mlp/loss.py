"""Focal loss with class weights and label smoothing; cross-entropy without focus."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import torch
from torch import nn
from torch.nn import functional

__all__ = ["FocalLoss", "Reduction"]

Reduction: TypeAlias = Literal["none", "mean", "sum"]

REDUCTIONS: Final[tuple[Reduction, ...]] = ("none", "mean", "sum")


class FocalLoss(nn.Module):
    """Cross-entropy whose terms are multiplied by `(1 - p) ** gamma`, p being the probability of what is right.

    Examples that are predicted well count for little, so training turns to the others: Lin, Goyal, Girshick, He and
    Dollár, "Focal Loss for Dense Object Detection", ICCV 2017. With `gamma=0` this is `torch.nn.CrossEntropyLoss` or,
    with `multitarget`, `torch.nn.BCEWithLogitsLoss`. Smoothed targets are a mixture of hard ones, and so is their loss.

    Args:
        gamma: How much less well-predicted examples count, at least 0.
        weight: How much each class counts, float `[num_classes]`; None for all alike.
        label_smoothing: Share of a target that is spread over all classes, from 0 to 1.
        multitarget: Whether each label is a yes or no of its own.
        reduction: `"none"` for a loss of each example (with `multitarget`, of each label of each example), `"sum"` for
            their sum, and `"mean"` for their mean: over class ids, weighted by `weight` as torch does it.

    Raises:
        ValueError: If the reduction is none of these.
    """

    weight: torch.Tensor | None

    def __init__(
        self,
        gamma: float = 0.0,
        weight: torch.Tensor | None = None,
        label_smoothing: float = 0.0,
        *,
        multitarget: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, not {reduction!r}")
        self.register_buffer("weight", weight)
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.multitarget = multitarget
        self.reduction: Reduction = reduction

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss of a batch.

        Args:
            logits: Float `[batch_size, num_classes]`.
            targets: Class ids, int64 `[batch_size]`; with `multitarget`, zeros and ones, float
                `[batch_size, num_classes]`.

        Returns:
            A scalar; with `reduction="none"` a tensor of the shape of `targets`.
        """
        losses = self._of_labels(logits, targets) if self.multitarget else self._of_classes(logits, targets)
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        if self.weight is None or self.multitarget:
            return losses.mean()
        return losses.sum() / self.weight[targets].sum()

    def _of_classes(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses = self._focused(-functional.log_softmax(logits, dim=-1))
        if self.weight is not None:
            losses = losses * self.weight
        right = losses.gather(1, targets.unsqueeze(1)).squeeze(1)
        return (1 - self.label_smoothing) * right + self.label_smoothing * losses.mean(dim=1)

    def _of_labels(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        targets = (1 - self.label_smoothing) * targets + self.label_smoothing / 2
        ones, zeros = (self._focused(-functional.logsigmoid(sign)) for sign in (logits, -logits))
        losses = targets * ones + (1 - targets) * zeros
        return losses if self.weight is None else losses * self.weight

    def _focused(self, losses: torch.Tensor) -> torch.Tensor:
        if self.gamma == 0:
            return losses
        # 1 - exp(-loss) without cancellation. At 0 the slope of a root is infinite, just above it is not.
        wrong = -torch.expm1(-losses)
        return losses * wrong.clamp_min(torch.finfo(wrong.dtype).tiny) ** self.gamma
