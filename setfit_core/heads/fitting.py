"""Training a head, and rehearsing it beforehand so that a head that can't be trained is found out first."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from tqdm.auto import tqdm

from setfit_core.embedding import EMBEDDING, FrozenFeatures, body_output, embed, limited_length
from setfit_core.errors import HeadError, HeadOutputError, SetFitError, TooFewOutputsError
from setfit_core.heads.adapters import adapter_for, evaluation_mode
from setfit_core.heads.outputs import head_name
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.randomness import isolated_random_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadTraining:
    """How a differentiable head is trained; other heads only use `seed` and `max_length`.

    Attributes:
        num_epochs: Passes over the training texts.
        batch_size: Texts a step.
        body_learning_rate: Learning rate of the body, used only if `end_to_end`.
        head_learning_rate: Learning rate of the head.
        end_to_end: Whether the body is trained along. Otherwise its embeddings are computed once.
        l2_weight: AdamW's weight decay, for head and body.
        max_length: Longest text in tokens; None for the body's own limit.
        show_progress_bar: Whether to show progress.
        seed: Seed of the order of texts and of dropout.
    """

    num_epochs: int = 16
    batch_size: int = 2
    body_learning_rate: float = 1e-5
    head_learning_rate: float = 1e-2
    end_to_end: bool = False
    l2_weight: float = 0.01
    max_length: int | None = None
    show_progress_bar: bool = True
    seed: int = 42


# Heads that take arrays


def fit_array_head(head: Any, embeddings: npt.NDArray[Any], targets: IntArray, *, seed: int) -> None:
    """Fit a non-differentiable head on embeddings `[n, embedding_size]` and class ids `[n]` (or indicators)."""
    with isolated_random_state(seed):
        head.fit(embeddings, targets if targets.ndim == 2 else targets.tolist())


def rehearse_array_head(head: Any, codec: LabelCodec, targets: IntArray, *, features: int, seed: int) -> None:
    """Fit a copy of a head on random embeddings with the real labels, and predict with it.

    A parameter out of range, more neighbours than texts or a class too small for cross-validation show here,
    before the body is trained for minutes. A head that can't be copied is not rehearsed.

    Raises:
        HeadError: If the head refuses the labels, or predicts against its contract.
    """
    twin = _copied(head)
    if twin is None:
        return
    rows = np.random.default_rng(seed).standard_normal((len(targets), features)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # noise need not converge
            fit_array_head(twin, rows, targets, seed=seed)
            adapter_for(twin).class_ids(rows, codec)
    except SetFitError:
        raise
    except Exception as error:
        counts = ", ".join(str(count) for count in np.unique(targets, return_counts=True)[1])
        what = f"{len(targets)} texts" if codec.multi_label else f"{len(targets)} texts ({counts} a class)"
        msg = (
            f"The head {head_name(head)} can't be trained on these labels, {what}: "
            f"{type(error).__name__}: {error} Nothing was trained. Change the head's parameters or the data."
        )
        raise HeadError(msg) from error


def _copied(head: Any) -> Any:
    try:
        return copy.deepcopy(head)
    except Exception:  # a foreign object may refuse in any way
        logger.debug("%s can't be copied, so its training is not rehearsed.", head_name(head))
        return None


# Differentiable heads


def count_outputs(head: nn.Module, body: SentenceTransformer, text: str, *, normalize: bool) -> int:
    """Return how many outputs a differentiable head has, by asking it about one text.

    Raises:
        HeadOutputError: If `forward` returns no `logits` of shape `[batch_size, num_classes]`.
        HeadError: If `forward` raises.
    """
    try:
        with evaluation_mode(head):
            features = FrozenFeatures(
                _like(embed(body, [text], normalize=normalize, show_progress_bar=False), head),
                lambda: _frozen_output(body, [text], normalize=normalize),
            )
            return int(_logits(head, features, 1).shape[1])
    except SetFitError:
        raise
    except Exception as error:
        msg = (
            f"The head {head_name(head)} failed on the body's output: {type(error).__name__}: {error} Nothing was "
            "trained. Its forward takes the body's dictionary and returns one with the key 'logits'."
        )
        raise HeadError(msg) from error


def rehearse_differentiable_head(head: nn.Module, codec: LabelCodec, targets: IntArray, outputs: int) -> None:
    """Check that a head has an output for each class and a loss that takes its logits.

    Args:
        head: The head.
        codec: The labels it is to learn.
        targets: The class ids.
        outputs: How many outputs it has (`count_outputs`).

    Raises:
        TooFewOutputsError: If there are fewer outputs than classes.
        HeadError: If the loss does not take the logits and targets.
    """
    name = head_name(head)
    if outputs < codec.num_classes:
        msg = (
            f"The head {name} has {outputs} outputs, but the training data has {codec.num_classes} classes. Nothing "
            f"was trained. Build the head with {codec.num_classes} outputs (out_features), or leave out_features out."
        )
        raise TooFewOutputsError(msg)
    parameter = next(head.parameters(), None)
    device = None if parameter is None else parameter.device
    logits = torch.zeros((min(2, len(targets)), outputs), device=device, requires_grad=True)
    try:
        loss_fn = head.get_loss_fn()  # type: ignore[operator]  # the contract asks for this method
        loss = loss_fn(logits, _loss_targets(targets[:2], outputs, logits))
        loss.backward()
    except Exception as error:
        msg = (
            f"The loss of {name} (get_loss_fn) does not take logits {list(logits.shape)} and these labels: "
            f"{type(error).__name__}: {error} Nothing was trained. Return a loss such as nn.CrossEntropyLoss(), or "
            "nn.BCEWithLogitsLoss() for several labels a text."
        )
        raise HeadError(msg) from error


def fit_differentiable_head(
    head: nn.Module,
    body: SentenceTransformer,
    texts: Sequence[str],
    targets: IntArray,
    *,
    normalize: bool,
    training: HeadTraining,
) -> None:
    """Train a differentiable head, and the body with it if `training.end_to_end`.

    AdamW; the learning rates halve every five epochs. Modes (train or eval) of head and body and which
    parameters are frozen are as before afterwards.

    Raises:
        HeadOutputError: If the logits have another shape than the contract's, or the loss is not finite.
    """
    parameters = [p for p in head.parameters() if p.requires_grad]
    body_parameters = [p for p in body.parameters() if p.requires_grad] if training.end_to_end else []
    if not parameters and not body_parameters:
        logger.info("The head is frozen (or has no parameters): it is left as it is.")
        return
    groups = [
        {"params": parameters, "lr": training.head_learning_rate},
        {"params": body_parameters, "lr": training.body_learning_rate},
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=training.l2_weight)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
    loss_fn = head.get_loss_fn()  # type: ignore[operator]  # the contract asks for this method
    modes = [(module, module.training) for part in (head, body) for module in part.modules()]
    order = torch.Generator().manual_seed(training.seed)
    try:
        with isolated_random_state(training.seed), limited_length(body, training.max_length):
            frozen = None if training.end_to_end else embed(body, texts, normalize=normalize, show_progress_bar=False)
            head.train()
            body.train(training.end_to_end)
            bar = tqdm(range(training.num_epochs), desc="Head epochs", disable=not training.show_progress_bar)
            for epoch in bar:
                total = 0.0
                for rows in torch.split(torch.randperm(len(texts), generator=order), training.batch_size):
                    features = _features(head, body, texts, rows, frozen, normalize=normalize)
                    logits = _logits(head, features, len(rows))
                    loss = loss_fn(logits, _loss_targets(targets[rows.numpy()], logits.shape[1], logits))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += float(loss.detach()) * len(rows)
                scheduler.step()
                mean = total / len(texts)
                if not math.isfinite(mean):
                    msg = (
                        f"The loss of {head_name(head)} became {mean} in epoch {epoch + 1}: the training diverged. "
                        "Lower head_learning_rate (and body_learning_rate if end_to_end)."
                    )
                    raise HeadOutputError(msg)
                bar.set_postfix(loss=f"{mean:.4f}")
    finally:
        for module, mode in modes:
            module.training = mode


def _features(
    head: nn.Module,
    body: SentenceTransformer,
    texts: Sequence[str],
    rows: Tensor,
    frozen: Tensor | None,
    *,
    normalize: bool,
) -> dict[str, Any]:
    batch = [texts[row] for row in rows.tolist()]
    if frozen is None:
        output = body_output(body, batch, normalize=normalize)
        output[EMBEDDING] = _like(output[EMBEDDING], head)
        return output
    return FrozenFeatures(
        _like(frozen[rows.to(frozen.device)], head), lambda: _frozen_output(body, batch, normalize=normalize)
    )


def _frozen_output(body: SentenceTransformer, texts: Sequence[str], *, normalize: bool) -> dict[str, Any]:
    with evaluation_mode(body):
        return body_output(body, texts, normalize=normalize)


def _like(embeddings: Tensor, head: nn.Module) -> Tensor:
    parameter = next(head.parameters(), None)
    return embeddings if parameter is None else embeddings.to(device=parameter.device, dtype=parameter.dtype)


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
