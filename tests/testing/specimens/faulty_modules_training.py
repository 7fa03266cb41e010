"""Differentiable heads that go wrong on another device or in another precision, or with the body's dictionary."""

from __future__ import annotations

import torch
from torch import nn

from .linear import Linear
from .registry import faulty


@faulty("device-move")
class ScaleStaysBehind(Linear):
    """A constant is a plain tensor, which `to` doesn't move."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.scale = torch.full((out_features,), 2.0)

    def logits(self, embeddings):
        return self.linear(embeddings) * self.scale


@faulty("device-move")
class WorksOnTheCpu(Linear):
    """Embeddings are moved to the CPU, where the weights no longer are once the head was moved."""

    def logits(self, embeddings):
        return self.linear(embeddings.to("cpu"))


@faulty("dtype-moves")
class SinglePrecisionInside(Linear):
    """Embeddings are turned into single precision, which doesn't fit the weights of a head in double."""

    def logits(self, embeddings):
        return self.linear(embeddings.float())


@faulty("dtype-moves")
class SinglePrecisionConstants(Linear):
    """`predict_proba` collects its result in single precision and mixes it with the head's own."""

    def predict_proba(self, embeddings):
        logits = self.logits(embeddings)
        probabilities = torch.zeros(logits.shape, dtype=torch.float32, device=logits.device)
        return probabilities.index_add_(
            0, torch.arange(len(logits), device=logits.device), torch.softmax(logits, dim=-1)
        )


@faulty("frozen-head")
class DecaysItsWeights(Linear):
    """`forward` lets the weights decay a little in training mode, in a frozen head, too."""

    def forward(self, features):
        if self.training:
            with torch.no_grad():
                self.linear.weight.mul_(0.999)
        return super().forward(features)


@faulty("frozen-head")
class GradientsOnlyIfTrained(Linear):
    """`forward` computes without gradients if the head itself is frozen."""

    def forward(self, features):
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.linear.weight.requires_grad):
            return super().forward(features)


@faulty("no-grad")
class NeedsGradients(Linear):
    """Embeddings are moved along a gradient before they are classified, which `no_grad` forbids."""

    def logits(self, embeddings):
        embeddings = embeddings if embeddings.requires_grad else embeddings.detach().requires_grad_()
        scores = self.linear(embeddings)
        (slope,) = torch.autograd.grad(scores.logsumexp(dim=-1).sum(), embeddings, create_graph=True)
        return self.linear(embeddings - 0.01 * slope)


@faulty("no-grad")
class FasterWithoutGradients(Linear):
    """Without gradients, the products are computed with weights of one digit."""

    def logits(self, embeddings):
        if torch.is_grad_enabled():
            return self.linear(embeddings)
        weight = self.linear.weight
        step = weight.abs().amax().clamp_min(1e-6) / 4
        return nn.functional.linear(embeddings, (weight / step).round() * step, self.linear.bias)


@faulty("autocast")
class CollectsInSinglePrecision(Linear):
    """Logits are added into a tensor of the embeddings' precision, and autocast gives another one."""

    def logits(self, embeddings):
        scores = self.linear(embeddings)
        total = torch.zeros(scores.shape, dtype=embeddings.dtype, device=scores.device)
        return total.index_add(0, torch.arange(len(scores), device=scores.device), scores)


@faulty("autocast")
class ReturnsThroughNumpy(Linear):
    """`predict_proba` turns logits into an array on the way, and NumPy has no bfloat16."""

    def predict_proba(self, embeddings):
        logits = self.logits(embeddings)
        if logits.device.type == "meta":
            return torch.softmax(logits, dim=-1)
        # Half precision exists in NumPy, bfloat16 doesn't.
        return torch.softmax(torch.from_numpy(logits.detach().cpu().numpy().copy()).to(logits.device), dim=-1)


@faulty("extra-keys")
class TakesTheLastValue(Linear):
    """`forward` takes the last value of the dictionary for the embeddings."""

    def forward(self, features):
        return {"logits": self.logits(list(features.values())[-1])}


@faulty("extra-keys")
class KnowsItsKeys(Linear):
    """`forward` hands the dictionary to a function whose parameters are the keys known today."""

    def forward(self, features):
        return self._forward(**features)

    def _forward(
        self, sentence_embedding, input_ids=None, token_type_ids=None, attention_mask=None, token_embeddings=None
    ):
        return {"logits": self.logits(sentence_embedding)}


@faulty("missing-keys")
class WantsTokenTypes(Linear):
    """`forward` takes the token types out of its way, and not every body gives them."""

    def forward(self, features):
        others = dict(features)
        del others["token_type_ids"]
        return {"logits": self.logits(others["sentence_embedding"])}


@faulty("missing-keys")
class InventsEmbeddings(Linear):
    """Without an embedding of the sentence, `forward` makes one of zeros."""

    def forward(self, features):
        embeddings = features.get("sentence_embedding")
        if embeddings is None:
            rows = len(next(iter(features.values()), torch.zeros(1)))
            embeddings = torch.zeros(rows, self.in_features, dtype=self.linear.weight.dtype)
        return {"logits": self.logits(embeddings)}


@faulty("features-unchanged")
class ReturnsTheSameDictionary(Linear):
    """`forward` writes the logits into the body's own dictionary."""

    def forward(self, features):
        features.update(super().forward(features))
        return features


@faulty("features-unchanged")
class NormalisesTheBodysOutput(Linear):
    """`forward` scales the body's embeddings in place."""

    def forward(self, features):
        embeddings = features["sentence_embedding"]
        with torch.no_grad():
            embeddings.div_(embeddings.norm(dim=-1, keepdim=True).clamp_min(1e-9)).mul_(3)
        return {"logits": self.logits(embeddings)}


@faulty("features-unchanged")
class WritesOverTheEmbeddings(Linear):
    """Without gradients, the logits are written over the embeddings to save memory."""

    def forward(self, features):
        embeddings = features["sentence_embedding"]
        logits = self.logits(embeddings)
        if torch.is_grad_enabled() or logits.shape[1] > embeddings.shape[1]:
            return {"logits": logits}
        room = embeddings[:, : logits.shape[1]]
        return {"logits": room.copy_(logits)}


@faulty("quiet")
class ShowsShapes(Linear):
    """`forward` prints the shape of the embeddings, a forgotten line of debugging."""

    def forward(self, features):
        print("forward", tuple(features["sentence_embedding"].shape))
        return super().forward(features)


@faulty("multi-label")
class SoftmaxForSeveralLabels(Linear):
    """Several labels a text are declared, but the loss and the softmax are those for one."""

    setfit_head = {"api": 1, "multi_label": True}  # noqa: RUF012  # as the documentation shows it

    def __init__(self, in_features, out_features, multitarget=False):
        super().__init__(in_features, out_features)
        self.multitarget = multitarget

    def predict(self, embeddings):
        if not self.multitarget:
            return super().predict(embeddings)
        return (self.predict_proba(embeddings) >= 0.5).long()


@faulty("state-machine")
class FusesItsWeights(Linear):
    """Prediction uses a fused copy of the weights, made at the first question and never again."""

    def predict_proba(self, embeddings):
        if self.training:
            return super().predict_proba(embeddings)
        if getattr(self, "fused", None) is None:
            self.fused = [self.linear.weight.detach().clone(), self.linear.bias.detach().clone()]
        return torch.softmax(nn.functional.linear(embeddings, *(each.to(embeddings) for each in self.fused)), dim=-1)


@faulty("few-shot-problems")
class DividesByTheLength(Linear):
    """The direction of an embedding is its quotient by its length, which is not a number for zeros."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.direction = nn.Linear(in_features, out_features, bias=False)

    def logits(self, embeddings):
        return self.linear(embeddings) + self.direction(embeddings / embeddings.norm(dim=-1, keepdim=True)) / 10
