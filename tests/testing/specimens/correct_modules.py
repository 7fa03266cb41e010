"""Correct differentiable heads, as unlike one another as they can be."""

from __future__ import annotations

import functools

import torch
from torch import nn
from torch.nn.utils import parametrizations

from .linear import Linear
from .registry import add_correct, correct


@correct()
class Perceptron(Linear):
    """A multilayer perceptron with layer normalisation and dropout."""

    def __init__(self, in_features, out_features, hidden=32):
        super().__init__(in_features, out_features)
        self.hidden = hidden
        self.linear = nn.Sequential(
            nn.Linear(in_features, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(hidden, out_features),
        )


@correct()
class WithBatchNorm(Linear):
    """A batch normalisation before the linear layer, with running statistics, which one row leaves alone."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.norm = nn.BatchNorm1d(in_features)

    def logits(self, embeddings):
        if self.training and len(embeddings) < 2:
            norm = self.norm
            rows = nn.functional.batch_norm(
                embeddings, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
            )
            return self.linear(rows)
        return self.linear(self.norm(embeddings))


@correct()
class PoolsTokens(Linear):
    """`forward` takes the mean of the tokens by their mask where the body gives them, else the sentence."""

    def forward(self, features):
        if "token_embeddings" not in features or "attention_mask" not in features:
            return super().forward(features)
        tokens = features["token_embeddings"]
        mask = features["attention_mask"].to(tokens.dtype)[..., None]
        # As the body itself does it, so that `predict` sees what was trained.
        return {"logits": self.logits((tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1))}


@correct()
class Lazy(nn.Module):
    """The size of an embedding is taken from the first batch."""

    def __init__(self, out_features=2):
        super().__init__()
        self.out_features = out_features
        self.layer = nn.LazyLinear(out_features)

    def forward(self, features):
        return {"logits": self.layer(features["sentence_embedding"])}

    @torch.no_grad()
    def predict(self, embeddings):
        return self.layer(embeddings).argmax(-1)

    @torch.no_grad()
    def predict_proba(self, embeddings):
        return self.layer(embeddings).softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()

    def get_config_dict(self):
        return {"out_features": self.out_features}


@correct(embedding_size=24, num_classes=4)
def fixed_sizes():
    """A factory without parameters: 24 features, 4 classes."""
    return Linear(24, 4)


add_correct(
    "LinearInstance",
    Linear(16, 3),
    "An instance, which was built before the suite saw it.",
    embedding_size=16,
    num_classes=3,
)


@correct()
class WithTemperature(Linear):
    """Logits are divided by a temperature, a buffer that is saved along."""

    def __init__(self, in_features, out_features, temperature=0.5):
        super().__init__(in_features, out_features)
        self.temperature_at_start = temperature
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def logits(self, embeddings):
        return self.linear(embeddings) / self.temperature

    def get_config_dict(self):
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "temperature": self.temperature_at_start,
        }


add_correct(
    "PartialOfAModule",
    functools.partial(WithTemperature, temperature=2.0),
    "`functools.partial` of a class, with a parameter of its own.",
)


@correct()
class RandomFeatures(Linear):
    """A random projection that is never trained and is saved along comes before the trained layer."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("projection", torch.randn(in_features, 48) / in_features**0.5)
        self.linear = nn.Linear(48 + in_features, out_features)

    def logits(self, embeddings):
        return self.linear(torch.cat([embeddings, torch.cos(embeddings @ self.projection)], dim=-1))


@correct()
class FrozenLayer(Linear):
    """A layer of its own that is frozen from the start."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.frozen = nn.Linear(in_features, in_features).requires_grad_(False)

    def logits(self, embeddings):
        return self.linear(embeddings + torch.tanh(self.frozen(embeddings)))


@correct()
class Cosine(Linear):
    """Cosines with a prototype for each class, times a learned sharpness."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        # A constant feature more, as a cosine alone can't tell two classes of one direction apart.
        self.linear = nn.Linear(in_features + 1, out_features, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(10.0))

    def logits(self, embeddings):
        rows = torch.cat([embeddings, torch.ones_like(embeddings[:, :1])], dim=-1)
        rows = nn.functional.normalize(rows, dim=-1)
        return self.sharpness * rows @ nn.functional.normalize(self.linear.weight, dim=-1).T


@correct()
class Prototypes(Linear):
    """Squared distances to learned prototypes."""

    def logits(self, embeddings):
        prototypes = self.linear.weight
        lengths = (prototypes**2).sum(dim=-1)
        return (2 * embeddings @ prototypes.T - lengths) / 2 + self.linear.bias


@correct()
class KeepsTheOtherKeys(Linear):
    """`forward` returns a new dictionary that holds the body's output as well."""

    def forward(self, features):
        return {**features, **super().forward(features)}


@correct()
class Ensemble(Linear):
    """Three layers in a `ModuleList` whose logits are averaged."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.linear = nn.ModuleList(nn.Linear(in_features, out_features) for _ in range(3))

    def logits(self, embeddings):
        return torch.stack([layer(embeddings) for layer in self.linear]).mean(dim=0)


@correct()
class LowRank(Linear):
    """A residual block of low rank before the layer, and a loss with smoothed labels."""

    def __init__(self, in_features, out_features, rank=4):
        super().__init__(in_features, out_features)
        self.rank = rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, in_features, bias=False)

    def logits(self, embeddings):
        return self.linear(embeddings + self.up(torch.relu(self.down(embeddings) + 0.1)))

    def get_loss_fn(self):
        return nn.CrossEntropyLoss(label_smoothing=0.1)


@correct()
class WeightNorm(Linear):
    """The layer's weight is parametrised as direction and length."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.linear = parametrizations.weight_norm(nn.Linear(in_features, out_features))


@correct()
class OneLogitAndZero(nn.Module):
    """The first class's logit is fixed at zero, as in textbooks, and the loss is a margin."""

    def __init__(self, in_features: int, out_features: int, device: str | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.layer = nn.Linear(in_features, max(1, out_features - 1), device=device)

    def forward(self, features):
        return {"logits": self._logits(features["sentence_embedding"])}

    def predict(self, embeddings, batch_size=None):
        return self._logits(embeddings).argmax(dim=1).to(torch.int32)

    def predict_proba(self, embeddings, batch_size=None):
        return self._logits(embeddings).softmax(dim=1)

    def get_loss_fn(self):
        return nn.MultiMarginLoss(margin=2.0)

    def _logits(self, embeddings):
        others = self.layer(embeddings)
        return torch.cat([torch.zeros_like(others[:, :1]), others], dim=1)


@correct()
class TrainableAndFittable(Linear):
    """The head has a `fit`, too, and declares which contract counts; predictions run without gradients."""

    setfit_head = {"api": 1, "contract": "differentiable"}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels):
        raise NotImplementedError("this one is trained by gradients")

    @torch.inference_mode()
    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings)


@correct()
class SeveralLabelsInTorch(Linear):
    """Several labels a text are declared and kept with sigmoids and a threshold."""

    setfit_head = {"api": 1, "multi_label": True}  # noqa: RUF012  # as the documentation shows it

    def __init__(self, in_features, out_features, multi_label=False):
        super().__init__(in_features, out_features)
        self.multi_label = multi_label

    def predict(self, embeddings):
        if not self.multi_label:
            return super().predict(embeddings)
        return (self.predict_proba(embeddings) >= 0.5).long()

    def predict_proba(self, embeddings):
        return torch.sigmoid(self.logits(embeddings)) if self.multi_label else super().predict_proba(embeddings)

    def get_loss_fn(self):
        return nn.BCEWithLogitsLoss() if self.multi_label else nn.CrossEntropyLoss()
