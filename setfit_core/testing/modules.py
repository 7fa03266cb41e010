"""What the checks of differentiable heads do again and again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from setfit_core.heads.adapters import evaluation_mode
from setfit_core.randomness import isolated_random_state
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Trial, as_array, asked, body_output, shown
from setfit_core.testing.verdicts import CheckFailed

__all__ = [
    "FEW_STEPS",
    "Features",
    "Step",
    "attached",
    "call",
    "copied_state",
    "evaluated",
    "gap",
    "initialised",
    "leaves",
    "listed",
    "loss_function",
    "loss_of",
    "place",
    "training_steps",
]

Features: TypeAlias = dict[str, torch.Tensor]

#: Of training, where a head has only to prefer some classes.
FEW_STEPS: Final = 25
_ATTEMPTS: Final = 4
_STEPS: Final = 6
_ROWS: Final = 8
#: What the embeddings of a batch are multiplied by, one after the other: a unit that is dead for one is alive for
#: another, and so is a branch that depends on values.
_SCALES: Final = (1.0, -1.0, 5.0)


def initialised(trial: Trial, problem: Problem, *, seed: int = 0) -> nn.Module:
    """Build a head; one that takes its size from the first batch is shown one, as the core does before training."""
    head: nn.Module = trial.head(problem.num_classes, problem.embedding_size, seed=seed)
    if any(nn.parameter.is_lazy(tensor) for tensor in (*head.parameters(), *head.buffers())):
        with evaluation_mode(head):
            trial.logits(head, body_output(problem.embeddings[:2]))
    return head


def evaluated(trial: Trial, head: nn.Module, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the logits of a head in evaluation mode, without gradients, and with the same random state each time."""
    with evaluation_mode(head), isolated_random_state(0):
        return trial.logits(head, features)


def loss_function(head: nn.Module) -> Callable[[torch.Tensor, torch.Tensor], Any]:
    """Return a head's own loss."""
    function: Callable[[torch.Tensor, torch.Tensor], Any] = asked(
        "get_loss_fn()",
        head.get_loss_fn,  # type: ignore[arg-type]  # the contract asks for this method
    )
    return function


def loss_of(
    function: Callable[[torch.Tensor, torch.Tensor], Any], logits: torch.Tensor, ids: torch.Tensor
) -> torch.Tensor:
    """Return the loss of logits `[batch_size, num_classes]` for class ids `[batch_size]`, one number."""
    call = f"the loss of {shown(logits)} for the class ids {shown(ids)}"
    loss = asked(call, lambda: function(logits, ids))
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise CheckFailed(
            f"{call} is {shown(loss)}, not one number",
            "Let the loss that get_loss_fn returns reduce the batch to one tensor without dimensions, as "
            "nn.CrossEntropyLoss() with reduction='mean' does.",
        )
    return loss


def attached(embeddings: npt.NDArray[np.float32]) -> tuple[Features, torch.Tensor]:
    """Return a body's output with gradients, and the leaf `[batch_size, embedding_size]` that they arrive at.

    Token embeddings and sentence embedding both depend on the leaf, so it doesn't matter which of them a head reads.
    """
    features = body_output(embeddings)
    leaf = features["sentence_embedding"].requires_grad_()
    offsets = features["token_embeddings"] - leaf.detach()[:, None, :]
    return {**features, "token_embeddings": leaf[:, None, :] + offsets, "sentence_embedding": leaf * 1.0}, leaf


@dataclass(frozen=True)
class Step:
    """One step of training, after `loss.backward()`.

    Attributes:
        attempt: Number of the head that is trained, from 0.
        head: The head, in training mode.
        features: What it was given.
        embeddings: The leaf that the features depend on, with its gradient.
        logits: What it returned.
    """

    attempt: int
    head: nn.Module
    features: Features
    embeddings: torch.Tensor
    logits: torch.Tensor


def training_steps(trial: Trial, problem: Problem) -> Iterator[Step]:
    """Train several heads for a few steps on unlike batches, and show every step.

    Zeros in one gradient prove nothing: a ReLU may be dead, a layer may start at zero, a branch may not be taken.
    """
    for attempt in range(_ATTEMPTS):
        head = initialised(trial, problem, seed=attempt)
        head.train()
        parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-2) if parameters else None
        function = loss_function(head)
        rng = trial.rng(attempt)
        for step in range(_STEPS):
            rows = rng.permutation(len(problem.labels))[:_ROWS]
            features, leaf = attached(problem.embeddings[rows] * np.float32(_SCALES[step % len(_SCALES)]))
            logits = trial.logits(head, features)
            loss = loss_of(function, logits, torch.from_numpy(problem.labels[rows]))
            if not loss.requires_grad:
                raise CheckFailed(
                    "the loss depends on neither the embeddings nor the parameters: no gradient leads back from it",
                    "Compute the logits in forward with torch operations alone: no .detach(), .data, .item(), "
                    "torch.no_grad(), torch.tensor(...) or NumPy on the way.",
                )
            head.zero_grad(set_to_none=True)
            asked("loss.backward()", loss.backward)
            yield Step(attempt, head, features, leaf, logits)
            if optimizer is not None:
                asked("the optimiser's step", optimizer.step)


def copied_state(head: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of all parameters and buffers, by name."""
    return {
        name: tensor.detach().clone()
        for name, tensor in (*head.named_parameters(), *head.named_buffers())
        if not nn.parameter.is_lazy(tensor)
    }


def gap(expected: Any, actual: Any) -> float:
    """Return the largest difference of two outputs, as a share of the largest expected value where that is above 1.

    Infinite if they differ in shape, or if one isn't finite where the other is.
    """
    first, second = as_array(expected), as_array(actual)
    if first.shape != second.shape or object in (first.dtype, second.dtype):
        return float("inf")
    if not first.size:
        return 0.0
    first, second = first.astype(np.float64), second.astype(np.float64)
    if not np.isfinite(second).all():
        return 0.0 if np.array_equal(first, second, equal_nan=True) else float("inf")
    difference = np.abs(first - second).max() / max(1.0, np.abs(first).max())
    return float(difference) if np.isfinite(difference) else float("inf")


def listed(names: Iterable[str], limit: int = 5) -> str:
    """Return names as text, the first few of them."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def call(head: nn.Module, method: str, given: Any) -> Callable[[], Any]:
    """Return the question that a method asks, ready for `asked`; `forward` is called as a module is."""
    return functools.partial(head if method == "forward" else getattr(head, method), given)


def leaves(*outputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensors that a backward pass from these would leave a gradient in."""
    found = [output for output in outputs if output.requires_grad and output.grad_fn is None]
    waiting: list[Any] = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            found.append(node.variable)
        following = {function for function, _ in node.next_functions if function is not None} - seen
        seen |= following
        waiting.extend(following)
    return found


def place(head: nn.Module, tensor: torch.Tensor) -> str:
    """Return how a head gets at a tensor, such as `layers[0].weight`; empty if that isn't found."""
    waiting: list[tuple[str, Any]] = [("", head)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if value is tensor:
            return name
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            parts = {
                **vars(value),
                **dict(value.named_parameters(recurse=False)),
                **dict(value.named_children()),
            }
            waiting.extend((f"{name}.{key}".lstrip("."), part) for key, part in parts.items())
        elif isinstance(value, Mapping):
            waiting.extend((f"{name}[{key!r}]", part) for key, part in value.items())
        elif isinstance(value, (list, tuple)):
            waiting.extend((f"{name}[{index}]", part) for index, part in enumerate(value))
    return ""
