"""Differentiable heads whose outputs are wrong, or that are wrong for some inputs."""

from __future__ import annotations

import random

import torch
from torch import nn

from .linear import Linear
from .registry import faulty


@faulty("contract")
class NoLoss(nn.Module):
    """There is no `get_loss_fn`."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, features):
        return {"logits": self.linear(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(dim=-1)

    def predict_proba(self, embeddings):
        return torch.softmax(self.linear(embeddings), dim=-1)


@faulty("declaration")
class WrittenForAnotherApi(Linear):
    """The head declares its version of the head API as text."""

    setfit_head = {"api": "1.0"}  # noqa: RUF012  # as the documentation shows it


@faulty("predict-shape")
class KeepsTheLastDimension(Linear):
    """`predict` keeps the last dimension, `[n, 1]`."""

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(dim=-1, keepdim=True)


@faulty("predict-dtype")
class PredictsArrays(Linear):
    """`predict` returns a NumPy array instead of a tensor."""

    def predict(self, embeddings):
        return super().predict(embeddings).cpu().numpy()


@faulty("proba-dtype")
class ProbabilitiesAsLists(Linear):
    """`predict_proba` returns lists."""

    def predict(self, embeddings):
        return self.logits(embeddings).argmax(dim=-1)

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).tolist()


@faulty("proba-range")
class LogSoftmax(Linear):
    """`predict_proba` returns the logarithms of the probabilities."""

    def predict_proba(self, embeddings):
        return torch.log_softmax(self.logits(embeddings), dim=-1)


@faulty("proba-sums")
class SoftmaxOverRows(Linear):
    """The softmax runs over the rows of the batch instead of the classes."""

    def predict_proba(self, embeddings):
        return torch.softmax(self.logits(embeddings), dim=0)


@faulty("two-classes")
class OneLogitForTwo(Linear):
    """Two classes get one logit and a sigmoid, so that there is one column."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        if out_features == 2:
            self.linear = nn.Linear(in_features, 1)

    def predict(self, embeddings):
        logits = self.logits(embeddings)
        return (logits[:, 0] > 0).long() if self.out_features == 2 else logits.argmax(dim=-1)

    def predict_proba(self, embeddings):
        logits = self.logits(embeddings)
        return torch.sigmoid(logits) if self.out_features == 2 else torch.softmax(logits, dim=-1)

    def get_loss_fn(self):
        return _OneLogitLoss() if self.out_features == 2 else nn.CrossEntropyLoss()


class _OneLogitLoss(nn.Module):
    def forward(self, logits, ids):
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], ids.to(logits.dtype))


@faulty("two-classes")
class BestThree(Linear):
    """Probabilities below the third are cut off with `topk(3)`, which fails for two classes."""

    def predict_proba(self, embeddings):
        logits = self.logits(embeddings)
        third = logits.topk(3, dim=-1).values[:, -1:]
        return torch.softmax(logits.masked_fill(logits < third, -1e4), dim=-1)


@faulty("many-classes")
class EightBitTensors(Linear):
    """Ids are returned in 8 bits, so that those above 127 become negative."""

    def predict(self, embeddings):
        return super().predict(embeddings).to(torch.int8)


@faulty("embedding-sizes")
class TwoGroups(Linear):
    """The normalisation works on two groups of features, which an odd number of them doesn't have."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.norm = nn.GroupNorm(2, in_features)

    def logits(self, embeddings):
        return self.linear(embeddings + self.norm(embeddings) / 10)


@faulty("embedding-sizes")
class SizeOfMiniLM(Linear):
    """The layer is made for embeddings of 384 features, whatever `in_features` says."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.linear = nn.Linear(384, out_features)


@faulty("large-embeddings")
class UnderflowingKernel(Linear):
    """`predict_proba` divides powers of the squared distances, all of which are zero where distances are long."""

    def forward(self, features):
        return {"logits": -self._distances(features["sentence_embedding"])}

    def predict_proba(self, embeddings):
        powers = torch.exp(-self._distances(embeddings))
        return powers / powers.sum(dim=-1, keepdim=True)

    def _distances(self, embeddings):
        prototypes = self.linear.weight
        squares = (embeddings**2).sum(dim=-1, keepdim=True) + (prototypes**2).sum(dim=-1)
        return (squares - 2 * embeddings @ prototypes.T + self.linear.bias) / 2


@faulty("single-row")
class SqueezesLogits(Linear):
    """The probabilities of one row lose their first dimension."""

    def predict(self, embeddings):
        return self.logits(embeddings).argmax(dim=-1)

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).squeeze(0)


@faulty("empty-input")
class StacksRows(Linear):
    """Rows are predicted one by one and stacked; of no rows an empty vector is made."""

    def predict_proba(self, embeddings):
        rows = [torch.softmax(self.logits(row), dim=-1) for row in embeddings]
        return torch.stack(rows) if rows else torch.tensor([])

    def predict(self, embeddings):
        return self.logits(embeddings).argmax(dim=-1)


@faulty("many-rows")
class LimitsRows(Linear):
    """Only the first 1024 rows are predicted, as many as fit on the device."""

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings[:1024])


@faulty("batch-invariance")
class BatchStatisticsInEvaluation(Linear):
    """The normalisation keeps no running statistics and takes those of the batch when predicting, too."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.norm = nn.BatchNorm1d(in_features, track_running_stats=False)

    def logits(self, embeddings):
        return self.linear(self.norm(embeddings) if len(embeddings) > 1 else embeddings)


@faulty("batch-invariance")
class AttendsToTheBatch(Linear):
    """Self-attention takes the rows of the batch for the tokens of one text."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.attention = nn.MultiheadAttention(in_features, 1, batch_first=True)

    def logits(self, embeddings):
        attended, _ = self.attention(embeddings[None], embeddings[None], embeddings[None], need_weights=False)
        return self.linear(embeddings + attended[0])


@faulty("row-permutation")
class PositionsOfRows(Linear):
    """Rows get a little of a position embedding, by their place in the batch."""

    def predict_proba(self, embeddings):
        logits = self.logits(embeddings)
        places = torch.arange(len(logits), dtype=logits.dtype, device=logits.device)
        return torch.softmax(logits + 0.3 * torch.sin(places[:, None] + torch.arange(logits.shape[1]).to(logits)), -1)

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(dim=-1)


@faulty("repeatable-prediction")
class DropsOutInPrediction(Linear):
    """Dropout is called as a function, which is active in evaluation mode, too."""

    def logits(self, embeddings):
        return self.linear(nn.functional.dropout(embeddings, 0.2))


@faulty("non-contiguous-input")
class ViewsEmbeddings(Linear):
    """Embeddings are reshaped with `view`, which a transposed or sliced tensor doesn't allow."""

    def logits(self, embeddings):
        return self.linear(embeddings.view(-1).view(embeddings.shape))


@faulty("inputs-unchanged")
class ScalesTensorsInPlace(Linear):
    """`predict` and `predict_proba` scale the caller's rows to one length."""

    def predict_proba(self, embeddings):
        with torch.no_grad():
            embeddings.div_(embeddings.norm(dim=-1, keepdim=True).clamp_min(1e-9)).mul_(3)
        return super().predict_proba(embeddings)


@faulty("nan-and-infinity")
class ScalesByTheLargest(Linear):
    """NaN in one row reaches all, because the logits are bounded by the largest of the batch."""

    def predict_proba(self, embeddings):
        logits = self.logits(embeddings)
        bound = logits.abs().amax().clamp_min(100) if len(logits) else 100
        return torch.softmax(logits / bound * bound, dim=-1)


@faulty("nan-and-infinity")
class ReplacesNan(Linear):
    """NaN among the probabilities is replaced by 0, so that such a row sums to 0."""

    def predict_proba(self, embeddings):
        return torch.nan_to_num(super().predict_proba(embeddings))


@faulty("wrong-width")
class PadsTensors(Linear):
    """Embeddings of another width are cropped, or filled up with zeros, without a word."""

    def logits(self, embeddings):
        return self.linear(nn.functional.pad(embeddings, (0, self.in_features - embeddings.shape[-1])))


@faulty("logits-agree")
class SoftmaxOfTheOpposite(Linear):
    """`predict_proba` takes the logits with the wrong sign, so that the least likely class wins."""

    def predict_proba(self, embeddings):
        return torch.softmax(-self.logits(embeddings), dim=-1)


@faulty("several-classes")
class IgnoresThePadding(Linear):
    """The loss ignores class 0, as if it were the padding of a sequence."""

    def get_loss_fn(self):
        return nn.CrossEntropyLoss(ignore_index=0)


@faulty("imbalanced-classes")
class LeavesOutRareClasses(Linear):
    """The loss takes classes with less than a third of the examples of the largest for noise."""

    def get_loss_fn(self):
        return _MajorityLoss()


class _MajorityLoss(nn.Module):
    def forward(self, logits, ids):
        counts = torch.bincount(ids, minlength=logits.shape[1]).to(logits)
        return nn.functional.cross_entropy(logits, ids, weight=(3 * counts >= counts.max()).to(logits))


@faulty("determinism")
class StartsFromTheSystem(Linear):
    """The weights start from random numbers of the operating system, which no seed reaches."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        generator = torch.Generator().manual_seed(random.SystemRandom().getrandbits(40))
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(self.linear.weight.shape, generator=generator) / 2)


@faulty("random-state")
class SeedsTorch(Linear):
    """`predict_proba` seeds torch's global generator."""

    def predict_proba(self, embeddings):
        torch.manual_seed(0)
        return super().predict_proba(embeddings)


@faulty("random-state")
class DrawsUnusedNoise(Linear):
    """`predict` draws numbers in evaluation mode that it multiplies by zero."""

    def predict(self, embeddings):
        logits = self.logits(embeddings)
        return (logits + 0.0 * torch.rand_like(logits)).argmax(dim=-1)
