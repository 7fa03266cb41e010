"""Checks of how a differentiable head learns: its loss, and where gradients arrive."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from setfit_core.randomness import isolated_random_state
from setfit_core.testing.check import MODULES, CheckFailed, CheckSkipped, check
from setfit_core.testing.modules import (
    FEW_STEPS,
    attached,
    call,
    copied_state,
    evaluated,
    gap,
    initialised,
    leaves,
    listed,
    loss_function,
    loss_of,
    place,
    training_steps,
)
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Trial, as_array, as_tensor, asked, body_output, refused, shown

_EPOCHS: Final = 30
_BATCH: Final = 16
#: A head that one rate is too high for gets a second chance.
_RATES: Final = (2e-2, 2e-3)
#: The share of the loss by which it has to fall: even half of it smoothed away leaves a fifth.
_FALL: Final = 0.1


@check(
    "loss-function",
    "`get_loss_fn` returns an initialised loss module, which rates logits for class ids with one number.",
    remedy="Return an instance of a loss module, such as nn.CrossEntropyLoss().",
    contracts=MODULES,
)
def loss_function_(trial: Trial) -> str:
    """Right answers must cost less than wrong ones; the logits tried are the head's own, as a loss may want cosines."""
    function = None
    for problem in (trial.problem(3), trial.problem(2, seed=1), trial.problem(10, seed=2)):
        head = initialised(trial, problem)
        function = _loss_module(head)
        logits = evaluated(trial, head, body_output(problem.embeddings))
        if float(logits.max() - logits.min()) < 1e-3:  # a head that starts at zero prefers no class yet
            logits = logits + torch.from_numpy(trial.rng(1).normal(0, 0.1, logits.shape).astype(np.float32))
        _check_values(function, logits, torch.from_numpy(problem.labels))
        _check_order(function, logits)
        _check_log_probabilities(function, logits)
    return f"it returns {type(function).__name__}"


def _loss_module(head: nn.Module) -> nn.Module:
    first, second = loss_function(head), loss_function(head)
    for function in (first, second):
        if isinstance(function, type):
            raise CheckFailed(
                f"get_loss_fn() returned the class {function.__name__}, not an instance of it",
                f"Call it: return {function.__name__}().",
            )
        if not isinstance(function, nn.Module):
            raise CheckFailed(
                f"get_loss_fn() returned {shown(function)}, not an nn.Module",
                "Return a loss module such as nn.CrossEntropyLoss(). A function of your own becomes one as the "
                "forward(self, logits, ids) of a class derived from nn.Module.",
            )
    if type(first) is not type(second):
        raise CheckFailed(
            f"get_loss_fn() returned a {type(first).__name__} the first time and a {type(second).__name__} the second",
            "Return a loss of the same kind each time.",
        )
    return first  # type: ignore[return-value]  # it is a module, as seen above


def _check_values(function: nn.Module, logits: torch.Tensor, ids: torch.Tensor) -> None:
    reached = False
    for rows in (1, 2, 5, len(ids)):
        leaf = logits[:rows].clone().requires_grad_()
        loss = loss_of(function, leaf, ids[:rows])
        called = f"the loss of {shown(leaf)} for class ids"
        if not bool(torch.isfinite(loss).all()):
            raise CheckFailed(f"{called} is {float(loss)}", "Let the loss be finite for any finite logits.")
        if not loss.requires_grad:
            raise CheckFailed(
                f"{called} has no gradient with respect to the logits",
                "Compute the loss from the logits with torch operations alone: no .detach(), .item(), argmax or NumPy.",
            )
        (gradient,) = asked(
            "the gradient of the loss with respect to the logits",
            functools.partial(torch.autograd.grad, loss, leaf, allow_unused=True),
        )
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            raise CheckFailed(
                f"the gradient of {called} with respect to the logits is not finite",
                "Use the stable forms of functions, such as log_softmax instead of the logarithm of softmax.",
            )
        reached = reached or (gradient is not None and bool(gradient.ne(0).any()))
    if not reached:
        raise CheckFailed(
            "the loss has the gradient zero with respect to the logits, whatever the class ids are",
            "Compute the loss from the logits that it is given.",
        )


def _check_order(function: nn.Module, logits: torch.Tensor) -> None:
    right = float(loss_of(function, logits, logits.argmax(-1)).detach())
    wrong = float(loss_of(function, logits, logits.argmin(-1)).detach())
    if not right < wrong:
        raise CheckFailed(
            f"the loss is {right:.4g} if the class of the highest logit is the right one, and {wrong:.4g} if that of "
            "the lowest is",
            "Return a loss that falls as the logit of the right class rises, such as nn.CrossEntropyLoss(); mind its "
            "sign, and that it uses the class ids it is given.",
        )


def _check_log_probabilities(function: nn.Module, logits: torch.Tensor) -> None:
    """nn.NLLLoss takes any numbers, and then has no lower bound."""
    off = float(logits.logsumexp(-1).abs().max())
    if isinstance(function, nn.NLLLoss) and off > 1e-2:
        raise CheckFailed(
            "the loss is nn.NLLLoss, which takes log-probabilities, but the logits of forward are none: the "
            f"logarithm of the sum of their exponentials is off zero by up to {off:.3g}",
            "Return nn.CrossEntropyLoss() from get_loss_fn, or log_softmax of the logits from forward.",
        )


@check(
    "loss-falls",
    "Trained with its own loss through `forward`, as a trainer does, the head's loss falls clearly.",
    remedy="Compute the logits from the embeddings and the head's registered parameters, with torch operations alone, "
    "in training mode, too.",
    contracts=MODULES,
)
def loss_falls(trial: Trial) -> str:
    """The optimiser gets the parameters that are there before the first step, as a trainer's does."""
    problem = trial.problem()
    outcomes = []
    for rate in _RATES:
        head = initialised(trial, problem)
        names = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
        if not names:
            _check_late_parameters(trial, head, problem, names)
            raise CheckSkipped("the head has no parameters to train")
        first, last = _train(trial, head, problem, rate)
        _check_late_parameters(trial, head, problem, names)
        shuffled = _shuffled(trial, head, problem)
        if last <= first - _FALL * abs(first) and last <= shuffled - _FALL * abs(shuffled):
            return f"from {first:.3g} to {last:.3g}"
        outcomes.append(
            f"from {first:.3g} to {last:.3g} with the learning rate {rate:g}, and is {shuffled:.3g} if the same class "
            "ids are given to other embeddings"
        )
    raise CheckFailed(
        f"on {len(problem.labels)} separable examples, in {_EPOCHS} epochs, the loss went {'; it went '.join(outcomes)}"
    )


def _train(trial: Trial, head: nn.Module, problem: Problem, rate: float) -> tuple[float, float]:
    """Return the mean loss before the first step and that of the last epoch."""
    head.train()
    function = loss_function(head)
    optimizer = torch.optim.AdamW([p for p in head.parameters() if p.requires_grad], lr=rate)
    rng = trial.rng()
    first, last = None, float("inf")
    for epoch in range(_EPOCHS + 1):
        losses = []
        for rows in np.split(rng.permutation(len(problem.labels)), range(_BATCH, len(problem.labels) - 1, _BATCH)):
            logits = trial.logits(head, body_output(problem.embeddings[rows]))
            loss = loss_of(function, logits, torch.from_numpy(problem.labels[rows]))
            losses.append(float(loss.detach()))
            if not np.isfinite(losses[-1]):
                raise CheckFailed(f"the loss became {losses[-1]} in epoch {epoch} (learning rate {rate:g})")
            if epoch:
                optimizer.zero_grad()
                _backward(loss)
                optimizer.step()
        last = float(np.mean(losses))
        first = last if first is None else first
        # Large logits shrink first, which makes the loss fall before anything is learned from the embeddings.
        if last < 0.5 * first and last < 0.5 * _shuffled(trial, head, problem):
            break
    return float("nan") if first is None else first, last


def _shuffled(trial: Trial, head: nn.Module, problem: Problem) -> float:
    """Return the loss for labels that belong to other rows, which a head that learned from embeddings finds worse."""
    logits = trial.logits(head, body_output(problem.embeddings)).detach()
    rows = trial.rng(3).permutation(len(problem.labels))
    return float(loss_of(loss_function(head), logits, torch.from_numpy(problem.labels[rows])).detach())


def _backward(loss: torch.Tensor) -> None:
    if not loss.requires_grad:
        raise CheckFailed("no gradient leads from the loss back to the parameters: the head can't be trained")
    asked("loss.backward()", loss.backward)


def _check_late_parameters(trial: Trial, head: nn.Module, problem: Problem, known: set[str]) -> None:
    if not known:
        evaluated(trial, head, body_output(problem.embeddings[:2]))
    late = [name for name, parameter in head.named_parameters() if parameter.requires_grad and name not in known]
    if late:
        raise CheckFailed(
            f"the parameters {listed(late)} come into being in forward, after an optimiser was given the others",
            "Create all parameters in __init__; where the size is known only later, use nn.LazyLinear or another "
            "lazy module.",
        )


@check(
    "gradient-to-embeddings",
    "The loss has a gradient with respect to the embeddings, so that the body can be trained through the head.",
    remedy="Compute the logits from the embeddings with torch operations alone: no .detach(), .data, torch.no_grad(), "
    "torch.tensor(...) or NumPy in forward.",
    contracts=MODULES,
)
def gradient_to_embeddings(trial: Trial) -> None:
    """A row without a gradient in one step may have met dead units only; one that never has any is cut off."""
    reached: torch.Tensor | None = None
    for step in training_steps(trial, trial.problem()):
        gradient = step.embeddings.grad
        if gradient is None:
            continue
        if not bool(torch.isfinite(gradient).all()):
            raise CheckFailed(
                "the gradient with respect to the embeddings is not finite",
                "Look for divisions by zero and for roots and logarithms of zero in forward.",
            )
        rows = gradient.ne(0).any(1)
        reached = rows if reached is None else reached | rows
        if bool(reached.all()):
            return
    if reached is None:
        raise CheckFailed("no gradient arrives at the embeddings: forward cuts them off")
    missed = reached.logical_not().nonzero().flatten().tolist()
    raise CheckFailed(
        f"the gradient with respect to the embeddings is always zero in {len(missed)} of {len(reached)} rows of the "
        f"batch (rows {listed(map(str, missed))})"
    )


@check(
    "gradient-to-parameters",
    "Every trainable parameter gets a gradient, and whatever is trained is a registered parameter.",
    remedy="Compute the logits from every parameter with torch operations alone; freeze what isn't meant to be trained "
    "with requires_grad_(False), or register it as a buffer.",
    contracts=MODULES,
)
def gradient_to_parameters(trial: Trial) -> None:
    """A parameter counts as reached if any of its elements has a gradient in any of several steps and heads."""
    wanted: dict[str, list[int]] | None = None
    used: set[str] = set()
    reached: set[str] = set()
    for step in training_steps(trial, trial.problem()):
        trainable = {name: parameter for name, parameter in step.head.named_parameters() if parameter.requires_grad}
        if wanted is None:
            _check_registered(trial, step.head, step.features)
            wanted = {name: list(parameter.shape) for name, parameter in trainable.items()}
            if not wanted:
                raise CheckSkipped("the head has no parameters to train")
        for name, parameter in trainable.items():
            if parameter.grad is None:
                continue
            gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
            if not bool(torch.isfinite(gradient).all()):
                raise CheckFailed(
                    f"the gradient of the parameter {name} is not finite",
                    "Look for divisions by zero and for roots and logarithms of zero in forward.",
                )
            used.add(name)
            if bool(gradient.ne(0).any()):
                reached.add(name)
        if reached >= wanted.keys():
            return
    missed = [
        f"{name} {shape} ({'always zero' if name in used else 'not used'})"
        for name, shape in (wanted or {}).items()
        if name not in reached
    ]
    raise CheckFailed(
        f"of {len(wanted or {})} trainable parameters, {len(missed)} never get a gradient: {listed(missed)}"
    )


def _check_registered(trial: Trial, head: nn.Module, features: Mapping[str, torch.Tensor]) -> None:
    """What gradients arrive at in one call and in the next, and is no parameter, is a layer that nobody trains."""
    given = leaves(*features.values())
    known = {id(tensor) for tensor in (*head.parameters(), *given)}
    hidden = {id(leaf): leaf for leaf in leaves(trial.logits(head, features)) if id(leaf) not in known}
    again = {id(leaf) for leaf in leaves(trial.logits(head, features))}
    names = [place(head, leaf) or f"a tensor {list(leaf.shape)}" for key, leaf in hidden.items() if key in again]
    if names:
        raise CheckFailed(
            f"gradients go to what is not among the head's parameters(): {listed(names)}",
            "Register it, or no optimiser finds it: layers in an nn.ModuleList or nn.ModuleDict instead of a list or "
            "dict, tensors as nn.Parameter set on the module.",
        )


@check(
    "frozen-head",
    "A head that was frozen with requires_grad_(False) stays as it is, while the embeddings still get gradients.",
    remedy="Leave requires_grad of parameters alone, change no weights in forward, and don't let gradients depend on "
    "whether the head is trained.",
    contracts=MODULES,
)
def frozen_head(trial: Trial) -> None:
    """As when the body is trained under a head that is done; tried in evaluation and in training mode."""
    problem = trial.problem()
    trained = trial.trained(problem, steps=FEW_STEPS)
    head = trained.head
    probabilities = trained.probabilities(problem.unseen)
    if asked("requires_grad_(False)", lambda: head.requires_grad_(False)) is not head:
        raise CheckFailed(
            "requires_grad_(False) does not return the head", "Don't override requires_grad_, or return self."
        )
    _check_frozen(head, "after requires_grad_(False)")
    head.zero_grad(set_to_none=True)
    before = copied_state(head)
    parameters = {name for name, _ in head.named_parameters()}
    for mode in ("evaluation", "training"):
        _train_embeddings(trial, head, problem, mode)
        after = copied_state(head)
        # Buffers such as BatchNorm's may follow the data in training mode, which the core keeps a frozen head out of.
        kept = [name for name in before if mode == "evaluation" or name in parameters]
        changed = [name for name in kept if name not in after or gap(before[name], after[name]) > 0]
        if changed:
            raise CheckFailed(
                f"the frozen head changed when embeddings were trained through it in {mode} mode: {listed(changed)}"
            )
        head.eval()
        if mode == "evaluation" and gap(probabilities, trained.probabilities(problem.unseen)) > 1e-5:
            raise CheckFailed("the frozen head predicts something else than before, although no parameter changed")


def _check_frozen(head: nn.Module, when: str) -> None:
    free = [name for name, parameter in head.named_parameters() if parameter.requires_grad]
    if free:
        raise CheckFailed(f"{when}, parameters want gradients: {listed(free)}")


def _train_embeddings(trial: Trial, head: nn.Module, problem: Problem, mode: str) -> None:
    head.train(mode == "training")
    function = loss_function(head)
    ids = torch.from_numpy(problem.labels)
    reached = torch.zeros(len(ids), dtype=torch.bool)
    rng = trial.rng(2)
    for scale in (1.0, -1.0, 0.3):
        features, leaf = attached(rng.permutation(problem.embeddings) * np.float32(scale))
        logits = trial.logits(head, features)
        loss = loss_of(function, logits, ids)
        if not loss.requires_grad:
            raise CheckFailed(
                f"through the frozen head, no gradient arrives at the embeddings in {mode} mode",
                "Don't detach the embeddings, and compute no part of forward under torch.no_grad(): a frozen head is "
                "still on the way from the loss to the body.",
            )
        # What was frozen has no gradient, and an optimiser leaves it alone; what thawed in forward has one.
        optimizer = torch.optim.AdamW([leaf, *head.parameters()], lr=1e-2, weight_decay=0.0)
        asked("loss.backward()", loss.backward)
        optimizer.step()
        _check_frozen(head, f"after a step in {mode} mode")
        if leaf.grad is not None:
            reached |= leaf.grad.ne(0).any(1)
    if not bool(reached.any()):
        raise CheckFailed(
            f"through the frozen head, the embeddings get no gradient but zero in {mode} mode",
            "Don't let what forward computes depend on whether the parameters are trained.",
        )


@check(
    "no-grad",
    "Under torch.no_grad() and torch.inference_mode() the head answers as elsewhere, and leaves the grad mode alone.",
    remedy="Don't switch gradients on or off for good: use `with torch.no_grad():` or the decorator, and keep no "
    "tensor that was made without gradients for later training.",
    contracts=MODULES,
)
def no_grad(trial: Trial) -> None:
    """The tensors it is asked about are made in the same context, as a server or a trainer makes them."""
    problem = trial.problem()
    trained = trial.trained(problem, steps=FEW_STEPS)
    head, rows = trained.head, problem.unseen[:16]
    expected = {
        "forward": _seeded(lambda: trial.logits(head, body_output(rows))).detach(),
        "predict_proba": trained.probabilities(rows),
        "predict": trained.ids(rows),
    }
    for name, context in (("torch.no_grad()", torch.no_grad), ("torch.inference_mode()", torch.inference_mode)):
        for method in expected:
            with context():
                given = body_output(rows) if method == "forward" else as_tensor(rows, head)
                output = _seeded(functools.partial(asked, f"{method} under {name}", call(head, method, given)))
                _check_grad_mode(f"{method} under {name}", enabled=False)
            _check_output(method, name, output, expected)
    for method in expected:
        given = body_output(rows) if method == "forward" else as_tensor(rows, head)
        refused(call(head, method, given))  # with gradients the core asks forward alone
        _check_grad_mode(method, enabled=True)
    _check_trains_on(trial, head, problem)


def _seeded(question: Callable[[], Any]) -> Any:
    with isolated_random_state(0):
        return question()


def _check_grad_mode(asked_of: str, *, enabled: bool) -> None:
    if torch.is_grad_enabled() is not enabled:
        torch.set_grad_enabled(enabled)
        was, now = ("on", "off") if enabled else ("off", "on")
        raise CheckFailed(f"{asked_of} leaves gradients switched {now}, they were {was} before")


def _check_output(method: str, context: str, output: Any, expected: Mapping[str, Any]) -> None:
    value = output.get("logits") if method == "forward" and isinstance(output, Mapping) else output
    if isinstance(value, torch.Tensor) and value.requires_grad:
        raise CheckFailed(
            f"under {context}, {method} returned a tensor that requires a gradient",
            "Take torch.enable_grad() out of the head's methods.",
        )
    if method == "predict":
        same = np.array_equal(as_array(value), expected[method])
    else:
        same = gap(expected[method], value) <= 1e-4
    if not same:
        raise CheckFailed(
            f"{method} under {context} returned something else than elsewhere",
            "Don't let what is computed depend on torch.is_grad_enabled().",
        )


def _check_trains_on(trial: Trial, head: nn.Module, problem: Problem) -> None:
    head.train()
    features, _ = attached(problem.embeddings)
    try:
        loss = loss_of(loss_function(head), trial.logits(head, features), torch.from_numpy(problem.labels))
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotations here
    except (CheckFailed, RuntimeError) as error:
        raise CheckFailed(
            f"after it had predicted in torch.inference_mode(), the head can't be trained any further: {error}",
            "Keep no tensor from a call for the next one, or make it where gradients are wanted.",
        ) from error
