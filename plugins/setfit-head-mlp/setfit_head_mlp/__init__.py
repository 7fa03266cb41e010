"""The head `mlp`: a multilayer perceptron over the embeddings, trained by gradient descent."""

from setfit_head_mlp.head import MLPHead
from setfit_head_mlp.loss import FocalLoss

__all__ = ["FocalLoss", "MLPHead"]
