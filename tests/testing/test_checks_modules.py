"""The checks of differentiable heads: what they say about a fault, and what they don't hold against a head."""

import re

import numpy as np
import pytest
import torch
from setfit_head_linear import SetFitHead
from torch import nn

from setfit_core.testing import check_head, list_checks

EMBEDDING = "sentence_embedding"


class Plain(nn.Module):
    """A linear layer."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def logits(self, embeddings):
        return self.linear(embeddings)

    def forward(self, features):
        return {"logits": self.logits(features[EMBEDDING])}

    def predict_proba(self, embeddings):
        return self.logits(embeddings).softmax(-1)

    def predict(self, embeddings):
        return self.logits(embeddings).argmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


class UsesHalfOfItsLayers(Plain):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.spare = nn.Linear(in_features, 2, bias=False)
        self.scale = nn.Parameter(torch.ones(()))

    def logits(self, embeddings):
        return self.linear(embeddings) + 0.0 * self.scale


class DrawsWithNumPy(UsesHalfOfItsLayers):
    """NumPy's older generators take seeds below 2**32 only."""

    def __init__(self, in_features, out_features, random_state):
        super().__init__(in_features, out_features)
        self.linear.bias.data = torch.from_numpy(np.random.RandomState(random_state).normal(size=out_features)).float()


class HidesItsLayers(Plain):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.hidden = {"first": [nn.Linear(in_features, in_features, bias=False)]}

    def logits(self, embeddings):
        return self.linear(self.hidden["first"][0](embeddings).tanh())


class StartsAtZero(Plain):
    """No gradient passes the last layer in the first step, and hardly any ReLU is alive."""

    def __init__(self, in_features, out_features):
        super().__init__(3, out_features)
        self.first = nn.Linear(in_features, 3)
        nn.init.zeros_(self.linear.weight)

    def logits(self, embeddings):
        return self.linear(self.first(embeddings).relu())


class BranchesOnValues(Plain):
    def logits(self, embeddings):
        return self.linear(embeddings) if float(embeddings.sum()) > 0 else self.linear(embeddings) * 1.0


class ReadsTokensInTurn(Plain):
    """An LSTM over the tokens; their numbers have to be on the CPU."""

    def __init__(self, in_features, out_features):
        super().__init__(8, out_features)
        self.reader = nn.LSTM(in_features, 8, batch_first=True)

    def forward(self, features):
        lengths = features["attention_mask"].sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            features["token_embeddings"], lengths, batch_first=True, enforce_sorted=False
        )
        return {"logits": self.linear(self.reader(packed)[1][0][-1])}

    def logits(self, embeddings):
        return self.linear(self.reader(embeddings[:, None])[1][0][-1])


class AddsTokens(Plain):
    def forward(self, features):
        return {"logits": self.logits(features[EMBEDDING]) + self.linear(features["token_embeddings"][:, 0]).flip(-1)}


class MakesParametersInForward(Plain):
    def __init__(self, out_features, in_features=None):
        nn.Module.__init__(self)
        self.out_features = out_features
        self.linear = None

    def logits(self, embeddings):
        if self.linear is None:
            self.linear = nn.Linear(embeddings.shape[1], self.out_features)
        return self.linear(embeddings)


class NothingToTrain(Plain):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.requires_grad_(False)


class Probabilities(Plain):
    def forward(self, features):
        return {"logits": super().forward(features)["logits"].softmax(-1)}


class LogProbabilities(Plain):
    """log_softmax changes nothing that a loss sees."""

    def logits(self, embeddings):
        return self.linear(embeddings).log_softmax(-1)

    def get_loss_fn(self):
        return nn.NLLLoss()


class ScoresAsLogProbabilities(Plain):
    def get_loss_fn(self):
        return nn.NLLLoss()


class KeepsAMean(Plain):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.mean = torch.zeros(in_features)

    def forward(self, features):
        if self.training:
            self.mean = features[EMBEDDING].detach().mean(0)
        return super().forward(features)

    def logits(self, embeddings):
        return self.linear(embeddings - self.mean)


class WorksOnTheCpu(Plain):
    def logits(self, embeddings):
        return self.linear(embeddings.cpu())


class MultipliesWithAConstant(Plain):
    """On the meta device, torch itself lets this pass."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.turn = torch.eye(in_features)

    def logits(self, embeddings):
        return self.linear(embeddings @ self.turn)


class Inverts(Plain):
    """torch has this operation in single and double precision only."""

    def logits(self, embeddings):
        return self.linear(embeddings) @ torch.linalg.inv(torch.eye(self.linear.out_features).to(embeddings.dtype))


class KeepsWhatItMade(Plain):
    """What is made in inference mode can't be trained through."""

    ones = None

    def logits(self, embeddings):
        if self.ones is None or torch.is_inference_mode_enabled():
            self.ones = torch.ones(embeddings.shape[1])
        return self.linear(embeddings * self.ones)


class StaysWithoutGradients(Plain):
    def predict_proba(self, embeddings):
        torch.set_grad_enabled(False)
        return super().predict_proba(embeddings)


class MasksWithInfinity(Plain):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def logits(self, embeddings):
        return self.linear(embeddings) * self.mask.exp()[0]


def result(make_head, check, **options):
    return check_head(make_head, only=[check], **options).results[0]


@pytest.mark.parametrize(
    ("make_head", "check", "seen", "remedy"),
    [
        (
            UsesHalfOfItsLayers,
            "gradient-to-parameters",
            r"of 4 trainable parameters, 2 never .*scale \[\] \(always zero\), spare.weight \[2, 16\] \(not used\)",
            "requires_grad_\\(False\\)",
        ),
        (HidesItsLayers, "gradient-to-parameters", r"hidden\['first'\]\[0\]\.weight", "nn.ModuleDict"),
        (MakesParametersInForward, "loss-falls", "linear.weight, linear.bias come into being in forward", "LazyLinear"),
        (Probabilities, "logits", "probabilities, whose rows sum to 1", "softmax itself belongs into predict_proba"),
        (ScoresAsLogProbabilities, "loss-function", "NLLLoss, which takes log-probabilities", "CrossEntropyLoss"),
        (KeepsAMean, "state-dict", "not in the state dict: mean$", "register_buffer"),
        (WorksOnTheCpu, "device-move", "linear was given tensors of the devices cpu and meta", "device=x.device"),
        (
            MultipliesWithAConstant,
            "device-move",
            r"matmul was given tensors of the devices cpu and meta \(test_checks_modules.py, line \d+, in logits\)",
            "as buffers",
        ),
        (MultipliesWithAConstant, "dtype-moves", r"after head.double\(\), forward\(features\) raised", "as buffers"),
        (KeepsWhatItMade, "no-grad", "can't be trained any further", "Keep no tensor from a call for the next one"),
        (StaysWithoutGradients, "no-grad", "predict_proba leaves gradients switched off", "with torch.no_grad"),
    ],
)
def test_a_fault_is_named_with_its_place_and_its_remedy(make_head, check, seen, remedy):
    found = result(make_head, check)
    assert found.status == "failed"
    assert re.search(seen, found.seen)
    assert re.search(remedy, found.remedy)


@pytest.mark.parametrize(
    ("make_head", "check", "reason"),
    [
        (NothingToTrain, "loss-falls", "no parameters to train"),
        (NothingToTrain, "gradient-to-parameters", "no parameters to train"),
        (AddsTokens, "logits-agree", "forward reads token_embeddings, too"),
        pytest.param(
            BranchesOnValues,
            "device-move",
            r"which has no values, .* \(test_checks_modules.py, line \d+, in logits\)",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA has values"),
        ),
    ],
)
def test_what_can_not_be_tried_is_skipped_with_the_reason(make_head, check, reason):
    found = result(make_head, check)
    assert found.status == "skipped"
    assert re.search(reason, found.seen)


@pytest.mark.parametrize(
    ("make_head", "check", "note"),
    [
        (SetFitHead, "missing-keys", "it needs sentence_embedding$"),
        (ReadsTokensInTurn, "missing-keys", "it needs attention_mask, token_embeddings$"),
        (ReadsTokensInTurn, "logits-agree", "texts of one token, because forward reads .*token_embeddings"),
        (ReadsTokensInTurn, "device-move", ""),
        (BranchesOnValues, "gradient-to-parameters", "^$"),
        (LogProbabilities, "loss-function", "it returns NLLLoss"),
        (LogProbabilities, "logits", "^$"),
        (NothingToTrain, "gradient-to-embeddings", "^$"),
        (Inverts, "dtype-moves", "torch can't compute it in bfloat16 on the CPU; torch can't compute it in half"),
        (MasksWithInfinity, "state-dict", "^$"),
    ],
)
def test_what_is_no_fault_passes(make_head, check, note):
    found = result(make_head, check)
    assert found.status == "passed", found.seen
    assert re.search(note, found.seen)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("make_head", [StartsAtZero, ReadsTokensInTurn, LogProbabilities, NothingToTrain])
def test_no_seed_accuses_a_correct_module(make_head, seed):
    theirs = {check.id for check in list_checks("non-differentiable")}
    only = [check.id for check in list_checks("differentiable") if check.id not in theirs]
    assert len(only) >= 16
    report = check_head(make_head, seed=seed, only=only)
    assert report.ok, str(report)


def test_the_largest_seed_gives_heads_seeds_that_numpy_takes():
    """The check builds several heads, with one seed after the other, because it finds no use of the spare layer."""
    report = check_head(DrawsWithNumPy, seed=2**32 - 1, only=["gradient-to-parameters"])
    assert "spare.weight" in report.results[0].seen
