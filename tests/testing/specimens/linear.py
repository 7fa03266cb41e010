"""The correct differentiable head that most faulty ones are made of."""

from __future__ import annotations

import torch
from torch import nn

from .registry import correct


@correct()
class Linear(nn.Module):
    """One linear layer, and nothing but the members of the contract."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, features):
        return {"logits": self.logits(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(dim=-1)

    def predict_proba(self, embeddings):
        return torch.softmax(self.logits(embeddings), dim=-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()

    def logits(self, embeddings):
        return self.linear(embeddings)
