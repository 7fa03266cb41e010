"""The loss against torch's own, and against the formula of the paper written out."""

import pytest
import torch
from setfit_head_mlp import FocalLoss
from torch import nn
from torch.nn import functional

WEIGHT = torch.tensor([0.2, 1.0, 3.0, 0.5], dtype=torch.float64)
WEIGHTS = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
SMOOTHING = pytest.mark.parametrize("smoothing", [0.0, 0.3])


@pytest.fixture
def logits():
    drawn = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (3 * drawn).requires_grad_()


@pytest.fixture
def ids():
    return torch.tensor([0, 1, 2, 3, 3, 2, 0, 0, 0])


@pytest.fixture
def rows():
    return (torch.rand(9, 4, generator=torch.Generator().manual_seed(1)) < 0.4).double()


def agree(ours, theirs, logits):
    """Compare the values of two losses, and their slopes."""
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


@WEIGHTS
@REDUCTIONS
@SMOOTHING
def test_without_focus_it_is_cross_entropy(logits, ids, weight, reduction, smoothing):
    ours = FocalLoss(0.0, weight, smoothing, reduction=reduction)
    theirs = nn.CrossEntropyLoss(weight, label_smoothing=smoothing, reduction=reduction)
    agree(ours(logits, ids), theirs(logits, ids), logits)


@WEIGHTS
@REDUCTIONS
@SMOOTHING
def test_without_focus_it_is_binary_cross_entropy(logits, rows, weight, reduction, smoothing):
    ours = FocalLoss(0.0, weight, smoothing, multitarget=True, reduction=reduction)
    theirs = nn.BCEWithLogitsLoss(weight, reduction=reduction)
    agree(ours(logits, rows), theirs(logits, rows * (1 - smoothing) + smoothing / 2), logits)


@WEIGHTS
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focus_on_class_ids_is_the_formula(logits, ids, weight, gamma):
    p = functional.softmax(logits, dim=1)[torch.arange(9), ids]
    alpha = torch.ones(9) if weight is None else weight[ids]
    losses = -alpha * (1 - p) ** gamma * p.log()
    agree(FocalLoss(gamma, weight, reduction="none")(logits, ids), losses, logits)
    agree(FocalLoss(gamma, weight)(logits, ids), losses.sum() / alpha.sum(), logits)


@WEIGHTS
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focus_on_rows_is_the_formula(logits, rows, weight, gamma):
    p = logits.sigmoid()
    p_t = p * rows + (1 - p) * (1 - rows)
    losses = functional.binary_cross_entropy_with_logits(logits, rows, reduction="none") * (1 - p_t) ** gamma
    losses = losses if weight is None else losses * weight
    agree(FocalLoss(gamma, weight, multitarget=True, reduction="none")(logits, rows), losses, logits)
    agree(FocalLoss(gamma, weight, multitarget=True)(logits, rows), losses.mean(), logits)


def test_smoothed_focus_is_a_mixture_of_the_losses_of_hard_targets(logits, ids, rows):
    hard, smooth = (FocalLoss(2.0, WEIGHT, share, reduction="none") for share in (0.0, 0.2))
    of_each_class = [hard(logits, torch.full_like(ids, each)) for each in range(4)]
    agree(smooth(logits, ids), 0.8 * hard(logits, ids) + 0.2 * torch.stack(of_each_class).mean(0), logits)
    hard, smooth = (FocalLoss(2.0, WEIGHT, share, multitarget=True, reduction="none") for share in (0.0, 0.2))
    agree(smooth(logits, rows), 0.9 * hard(logits, rows) + 0.1 * hard(logits, 1 - rows), logits)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("multitarget", [False, True])
def test_certain_predictions_have_a_finite_loss_and_slope(gamma, multitarget):
    for size in (20.0, 1e3, 1e30):
        logits = torch.tensor([[size, -size], [-size, size], [0.0, 0.0]], requires_grad=True)
        targets = torch.tensor([[1.0, 0.0]] * 3) if multitarget else torch.tensor([0, 0, 0])
        loss = FocalLoss(gamma, multitarget=multitarget, reduction="none")(logits, targets)
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(logits.grad).all()
        assert loss[0].max() < 1e-7
        assert loss[1].min() >= size


def test_the_reduction_can_be_changed_and_an_unknown_one_is_refused(logits, ids):
    loss_function = FocalLoss(2.0, WEIGHT)
    mean = loss_function(logits, ids)
    loss_function.reduction = "none"
    losses = loss_function(logits, ids)
    assert losses.shape == ids.shape
    torch.testing.assert_close(losses.sum() / WEIGHT[ids].sum(), mean)
    with pytest.raises(ValueError, match="'none', 'mean', 'sum', not 'average'"):
        FocalLoss(reduction="average")
