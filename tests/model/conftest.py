"""Further texts in the three topics, and custom heads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

NEW_TEXTS = [
    "The referee showed a red card to the goalkeeper in the match",
    "Chop the onions and melt the butter for the soup",
    "The network server lost its database log",
]


class MinimalHead(nn.Module):
    """A differentiable head with what the contract asks for and nothing else."""

    def __init__(self, in_features: int = 256, out_features: int = 3) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, features):
        return {"logits": self.layer(features["sentence_embedding"])}

    def predict_proba(self, embeddings):
        return torch.softmax(self.layer(embeddings), dim=-1)

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(dim=-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


@pytest.fixture(scope="session")
def ids():
    return [0] * 4 + [1] * 4 + [2] * 4


@pytest.fixture(scope="session")
def new_texts():
    return list(NEW_TEXTS)


@pytest.fixture(scope="session")
def minimal_head():
    return MinimalHead


@pytest.fixture
def body(static_body_factory):
    return static_body_factory()
