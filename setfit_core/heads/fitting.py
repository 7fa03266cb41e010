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
from torch.nn.parameter import UninitializedParameter
from tqdm.auto import tqdm

from setfit_core.embedding.body import EMBEDDING, FrozenFeatures, body_output, limited_length
from setfit_core.embedding.cache import EmbeddingCache
from setfit_core.embedding.embed import embed
from setfit_core.embedding.precision import Precision
from setfit_core.errors import HeadError, HeadOutputError, SetFitError, TooFewOutputsError
from setfit_core.heads.adapters import adapter_for, evaluation_mode
from setfit_core.heads.outputs import head_name
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.randomness import isolated_random_state
from setfit_core.values import count, positive_integer, rate, seed_value

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

    Raises:
        ArgumentError: If a value has no meaning.
    """

    num_epochs: int
    batch_size: int
    body_learning_rate: float
    head_learning_rate: float
    end_to_end: bool
    l2_weight: float
    max_length: int | None
    show_progress_bar: bool
    seed: int

    def __post_init__(self) -> None:
        count("num_epochs", self.num_epochs)
        positive_integer("batch_size", self.batch_size)
        for name in ("body_learning_rate", "head_learning_rate", "l2_weight"):
            rate(name, getattr(self, name))
        if self.max_length is not None:
            positive_integer("max_length", self.max_length)
        seed_value(self.seed)


# Heads that take arrays


def fit_array_head(head: Any, embeddings: npt.NDArray[Any], targets: IntArray, *, seed: int) -> None:
    """Fit a non-differentiable head on embeddings `[n, embedding_size]` and class ids `[n]` (or indicators).

    Raises:
        HeadError: If the head refuses them; it is then as it was before.
    """
    before = _copied(vars(head)) if hasattr(head, "__dict__") else None
    try:
        with isolated_random_state(seed):
            head.fit(embeddings, targets if targets.ndim == 2 else targets.tolist())
    except BaseException as error:
        if before is not None:
            vars(head).clear()
            vars(head).update(before)
        if isinstance(error, SetFitError) or not isinstance(error, Exception):
            raise
        each = np.unique(targets, return_counts=True)[1] if targets.ndim == 1 else targets.sum(axis=0)
        msg = (
            f"The head {head_name(head)} can't be trained on these labels, {len(targets)} texts "
            f"({', '.join(map(str, each[:10]))}{', …' if len(each) > 10 else ''} a class): "
            f"{type(error).__name__}: {error} Change the head's parameters or the data."
        )
        raise HeadError(msg) from error


def rehearse_array_head(
    head: Any, codec: LabelCodec, embeddings: npt.NDArray[Any], targets: IntArray, *, seed: int
) -> None:
    """Fit a copy of a head and predict with it, before the body is trained for minutes.

    A parameter out of range, more neighbours than texts or a class too small for cross-validation show here. A
    head that can't be copied is not rehearsed.

    Raises:
        HeadError: If the head refuses the labels, or predicts against its contract.
    """
    twin = _copied(head)
    if twin is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters will be said again after the body is trained
        fit_array_head(twin, embeddings, targets, seed=seed)
        adapter_for(twin).class_ids(embeddings, codec)


def _copied(thing: Any) -> Any:
    try:
        return copy.deepcopy(thing)
    except Exception:  # a foreign object may refuse in any way
        logger.debug("%s can't be copied.", type(thing).__name__)
        return None


# Differentiable heads


def count_outputs(head: nn.Module, body: SentenceTransformer, text: str, *, normalize: bool) -> int:
    """Return how many outputs a differentiable head has, by asking a copy of it about one text.

    Raises:
        HeadOutputError: If `forward` returns no `logits` of shape `[batch_size, num_classes]`.
        HeadError: If `forward` raises.
    """
    twin = _copied(head)
    twin = head if twin is None else twin
    try:
        with isolated_random_state(0), evaluation_mode(twin):  # a lazy layer draws its weights here
            return int(_logits(twin, _probe(twin, body, [text], normalize=normalize), 1).shape[1])
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
    body: SentenceTransformer,
    codec: LabelCodec,
    texts: Sequence[str],
    targets: IntArray,
    *,
    outputs: int,
    normalize: bool,
) -> None:
    """Take one training step with a copy of a head, and predict with it.

    Args:
        head: The head.
        body: The body, which is left as it is.
        codec: The labels that the head is to learn.
        texts: The training texts; two of them are used.
        targets: Their class ids.
        outputs: How many outputs the head has (`count_outputs`).
        normalize: Whether embeddings are scaled to length 1.

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
    twin = _copied(head)
    if twin is None:
        return
    for parameter in twin.parameters():
        if not isinstance(parameter, UninitializedParameter):  # a lazy one will want a gradient anyway
            parameter.requires_grad_(True)
    batch, rows = list(texts[:2]), targets[:2]
    step = "forward, in training mode,"
    try:
        with isolated_random_state(0):
            twin.train()
            features = _probe(twin, body, batch, normalize=normalize)
            logits = _logits(twin, features, len(batch))
            step = "the loss of get_loss_fn"
            loss = twin.get_loss_fn()(logits, _loss_targets(rows, logits.shape[1], logits))
            if any(True for _ in twin.parameters()):
                loss.backward()
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


def _probe(head: nn.Module, body: SentenceTransformer, texts: list[str], *, normalize: bool) -> FrozenFeatures:
    return FrozenFeatures(
        _like(embed(body, texts, normalize=normalize, show_progress_bar=False), head),
        lambda: _frozen_output(body, texts, normalize=normalize),
    )


def fit_differentiable_head(
    head: nn.Module,
    body: SentenceTransformer,
    texts: Sequence[str],
    targets: IntArray,
    *,
    normalize: bool,
    precision: Precision,
    cache: EmbeddingCache | None,
    training: HeadTraining,
) -> None:
    """Train a differentiable head, and the body with it if `training.end_to_end`.

    A frozen body computes in `precision`. AdamW; the learning rates halve every five epochs. Head and body are in
    evaluation mode afterwards. What is frozen stays frozen and in evaluation mode. If anything fails, their weights
    are as they were before.

    Raises:
        HeadOutputError: If the logits have another shape than the contract's, or the loss is not finite.
        HeadError: If the head or its loss raises.
    """
    body_parameters = [p for p in body.parameters() if p.requires_grad] if training.end_to_end else []
    with isolated_random_state(training.seed), limited_length(body, training.max_length):
        if any(isinstance(p, UninitializedParameter) for p in head.parameters()):
            with evaluation_mode(head):
                _logits(head, _probe(head, body, [texts[0]], normalize=normalize), 1)
        parameters = [p for p in head.parameters() if p.requires_grad]
        if not parameters and not body_parameters:
            logger.info("The head is frozen (or has no parameters): it is left as it is.")
            return
        trained = [head, body] if body_parameters else [head]
        before = [copy.deepcopy(part.state_dict()) for part in trained]
        try:
            frozen = None
            if not body_parameters:
                frozen = embed(
                    body, texts, normalize=normalize, precision=precision, cache=cache, show_progress_bar=False
                )
            head.train(bool(parameters))
            body.train(bool(body_parameters))
            groups = [
                {"params": parameters, "lr": training.head_learning_rate},
                {"params": body_parameters, "lr": training.body_learning_rate},
            ]
            optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=training.l2_weight)
            _run_epochs(head, body, texts, targets, frozen, optimizer, normalize=normalize, training=training)
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
            head.eval()
            body.eval()


def _run_epochs(
    head: nn.Module,
    body: SentenceTransformer,
    texts: Sequence[str],
    targets: IntArray,
    frozen: Tensor | None,
    optimizer: torch.optim.Optimizer,
    *,
    normalize: bool,
    training: HeadTraining,
) -> None:
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
    loss_fn = head.get_loss_fn()  # type: ignore[operator]  # the contract asks for this method
    order = torch.Generator().manual_seed(training.seed)
    bar = tqdm(range(training.num_epochs), desc="Head epochs", disable=not training.show_progress_bar)
    for epoch in bar:
        total = 0.0
        for rows in _batches(torch.randperm(len(texts), generator=order), training.batch_size):
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
