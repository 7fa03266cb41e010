"""Training a differentiable head, and rehearsing it, so that one that can't be trained is found out first."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from tqdm.auto import tqdm

from setfit_core.embedding.body import EMBEDDING
from setfit_core.errors import HeadError, HeadOutputError, SetFitError, TooFewOutputsError
from setfit_core.heads.adapters import adapter_for, evaluation_mode
from setfit_core.heads.array_fitting import copied
from setfit_core.heads.inputs import HeadInputs
from setfit_core.heads.outputs import head_name
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import FloatArray, takes_sample_weight
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.randomness import isolated_random_state

logger = logging.getLogger(__name__)

#: From the logits and the targets of a batch and the rows it has, to its loss.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]


def count_outputs(head: nn.Module, inputs: HeadInputs) -> int:
    """Return how many outputs a differentiable head has, by asking a copy of it about the first text.

    Raises:
        HeadOutputError: If `forward` returns no `logits` of shape `[batch_size, num_classes]`.
        HeadError: If `forward` raises.
    """
    twin = copied(head)
    twin = head if twin is None else twin
    try:
        with isolated_random_state(0), evaluation_mode(twin):  # a lazy layer draws its weights here
            return int(_logits(twin, inputs.batch([0], twin), 1).shape[1])
    except SetFitError:
        raise
    except Exception as error:
        msg = (
            f"The head {head_name(head)} failed on the body's output: {type(error).__name__}: {error} Nothing was "
            "trained. Its forward takes the body's dictionary and returns one with the key 'logits'."
        )
        raise HeadError(msg) from error


def rehearse_differentiable_head(
    head: nn.Module,
    inputs: HeadInputs,
    codec: LabelCodec,
    targets: IntArray,
    *,
    outputs: int,
    weights: FloatArray | None = None,
) -> None:
    """Take one training step with a copy of a head, and predict with it.

    Args:
        head: The head.
        inputs: The training texts as the head sees them; two of them are used.
        codec: The labels that the head is to learn.
        targets: Their class ids.
        outputs: How many outputs the head has (`count_outputs`).
        weights: How much each text counts, as in `fit_differentiable_head`.

    Raises:
        TooFewOutputsError: If there are fewer outputs than classes.
        HeadError: If training or prediction fails, or breaks the contract.
    """
    name = head_name(head)
    if outputs < codec.num_classes:
        msg = (
            f"The head {name} has {outputs} outputs, but the training data has {codec.num_classes} classes. Nothing "
            f"was trained. Build the head with {codec.num_classes} outputs (out_features), or leave out_features out."
        )
        raise TooFewOutputsError(msg)
    twin = copied(head)
    if twin is None:
        return
    for parameter in twin.parameters():
        if not isinstance(parameter, UninitializedParameter):  # a lazy one will want a gradient anyway
            parameter.requires_grad_(True)
    rows = list(range(min(2, len(inputs))))
    step = "forward, in training mode,"
    try:
        with isolated_random_state(0):
            twin.train()
            features = inputs.batch(rows, twin)
            logits = _logits(twin, features, len(rows))
            step = "the loss of get_loss_fn"
            loss = _objective(twin, weights)(
                logits, _loss_targets(targets[rows], logits.shape[1], logits), torch.tensor(rows)
            )
            if any(True for _ in twin.parameters()):
                loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
            step = "predict"
            adapter_for(twin.eval()).class_ids(features[EMBEDDING].detach(), codec)
    except SetFitError:
        raise
    except Exception as error:
        msg = (
            f"The head {name} can't be trained on these labels: {step} failed with {type(error).__name__}: {error} "
            "Nothing was trained. get_loss_fn returns a loss such as nn.CrossEntropyLoss(), or nn.BCEWithLogitsLoss() "
            "for several labels a text."
        )
        raise HeadError(msg) from error


def fit_differentiable_head(
    head: nn.Module,
    inputs: HeadInputs,
    targets: IntArray,
    training: HeadTraining,
    *,
    weights: FloatArray | None = None,
) -> None:
    """Train a differentiable head, and the body with it if the inputs have it trained along.

    AdamW; the learning rates halve every five epochs. Head and body are in evaluation mode afterwards. What is frozen
    stays frozen and in evaluation mode. If anything fails, their weights are as they were before.

    Args:
        head: The head.
        inputs: The training texts as the head sees them.
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        training: Epochs, learning rates and the like.
        weights: How much each text counts, floats `[n]` that are 1 on average; ignored if the head's loss has no
            `reduction`.

    Raises:
        HeadOutputError: If the logits have another shape than the contract's, or the loss is not finite.
        HeadError: If the head or its loss raises.
    """
    body = inputs.body
    body_parameters = [] if body is None else [p for p in body.parameters() if p.requires_grad]
    with isolated_random_state(training.seed):
        if any(isinstance(p, UninitializedParameter) for p in head.parameters()):
            with evaluation_mode(head):
                _logits(head, inputs.batch([0], head), 1)
        parameters = [p for p in head.parameters() if p.requires_grad]
        if not parameters and not body_parameters:
            logger.info("The head is frozen (or has no parameters): it is left as it is.")
            return
        trained: list[nn.Module] = [head, body] if body is not None and body_parameters else [head]
        before = [copy.deepcopy(part.state_dict()) for part in trained]
        try:
            head.train(bool(parameters))
            if body is not None:
                body.train(bool(body_parameters))
            groups = [
                {"params": parameters, "lr": training.head_learning_rate},
                {"params": body_parameters, "lr": training.body_learning_rate},
            ]
            optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=training.l2_weight)
            _run_epochs(head, inputs, targets, _objective(head, weights), optimizer, training)
        except BaseException as error:
            for part, state in zip(trained, before, strict=True):
                part.load_state_dict(state)
            if isinstance(error, SetFitError) or not isinstance(error, Exception):
                raise
            msg = (
                f"The training of {head_name(head)} failed: {type(error).__name__}: {error} Its weights are unchanged."
            )
            raise HeadError(msg) from error
        finally:
            for part in trained:
                part.eval()


def _objective(head: nn.Module, weights: FloatArray | None) -> Objective:
    """Return the head's own loss, or the mean of its losses of single texts times their weights."""
    loss_fn = head.get_loss_fn()  # type: ignore[operator]  # the contract asks for this method
    if weights is None or not takes_sample_weight(head):
        return lambda logits, targets, _: loss_fn(logits, targets)
    loss_fn = copy.copy(loss_fn)  # the head may keep its own
    loss_fn.reduction = "none"
    each_weight = torch.from_numpy(weights)

    def weighted(logits: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
        losses: Tensor = loss_fn(logits, targets)
        losses = losses if losses.ndim == 1 else losses.mean(dim=1)
        # Divided by the weights of the batch, as torch's class weights are, they would mean nothing in a batch of one
        # class.
        return (losses * each_weight[rows].to(losses)).mean()

    return weighted


def _run_epochs(
    head: nn.Module,
    inputs: HeadInputs,
    targets: IntArray,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    training: HeadTraining,
) -> None:
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
    order = torch.Generator().manual_seed(training.seed)
    bar = tqdm(range(training.num_epochs), desc="Head epochs", disable=not training.show_progress_bar)
    for epoch in bar:
        total = 0.0
        for rows in _batches(torch.randperm(len(inputs), generator=order), training.batch_size):
            logits = _logits(head, inputs.batch(rows.tolist(), head), len(rows))
            loss = objective(logits, _loss_targets(targets[rows.numpy()], logits.shape[1], logits), rows)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation there
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        scheduler.step()
        mean = total / len(inputs)
        if not math.isfinite(mean):
            msg = (
                f"The loss of {head_name(head)} became {mean} in epoch {epoch + 1}: the training diverged. Its weights "
                "are unchanged. Lower head_learning_rate (and body_learning_rate if end_to_end)."
            )
            raise HeadOutputError(msg)
        bar.set_postfix(loss=f"{mean:.4f}")


def _batches(rows: Tensor, size: int) -> list[Tensor]:
    """Split rows into batches; a last one of a single row joins the one before, since BatchNorm refuses it."""
    batches = list(torch.split(rows, size))
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _logits(head: nn.Module, features: dict[str, Any], rows: int) -> Tensor:
    output = head(features)
    logits = output.get("logits") if isinstance(output, dict) else None
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != rows:
        got = "no tensor" if not isinstance(logits, Tensor) else f"shape {list(logits.shape)}"
        msg = (
            f"{head_name(head)}.forward must return a dictionary whose key 'logits' holds a tensor [{rows}, "
            f"num_classes]; it returned a {type(output).__name__} with {got} there."
        )
        raise HeadOutputError(msg)
    return logits


def _loss_targets(targets: IntArray, outputs: int, logits: Tensor) -> Tensor:
    """Return targets as the losses want them: ids as int64; indicators as floats, zero for surplus outputs."""
    if targets.ndim == 1:
        return torch.from_numpy(targets).to(logits.device)
    padded = np.zeros((len(targets), outputs), dtype=np.float32)
    padded[:, : targets.shape[1]] = targets
    return torch.from_numpy(padded).to(device=logits.device, dtype=logits.dtype)
