"""Checks of moving a differentiable head: to another instance, device or precision."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from setfit_core.heads.adapters import evaluation_mode
from setfit_core.randomness import isolated_random_state
from setfit_core.testing.check import MODULES, CheckFailed, CheckSkipped, check
from setfit_core.testing.modules import (
    FEW_STEPS,
    attached,
    call,
    evaluated,
    gap,
    listed,
    loss_function,
    loss_of,
)
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Array, Trained, Trial, as_array, as_tensor, asked, body_output, shown, told

_LACKING: Final = re.compile(r"not (implemented|supported)\W+(\w+\W+)?'?(Half|BFloat16)")
_METHODS: Final = ("forward", "predict_proba", "predict")


@check(
    "state-dict",
    "A new head that is given a trained head's `state_dict` predicts the same.",
    remedy="Keep all state in parameters and buffers: nn.Parameter, register_buffer, layers as attributes or in an "
    "nn.ModuleList; and create all of them in __init__, those of unknown size as lazy modules.",
    contracts=MODULES,
)
def state_dict(trial: Trial) -> None:
    """What isn't in the state dict is lost when a model is saved, and left behind when it moves."""
    problem = trial.problem()
    head, keywords = trial.build(problem.num_classes, problem.embedding_size)
    trial.train(head, problem.embeddings, problem.labels, steps=FEW_STEPS)
    trained = Trained(head, trial.contract)
    state = _state(head)
    probabilities, ids = trained.probabilities(problem.unseen), trained.ids(problem.unseen)
    features = body_output(problem.unseen)
    expected = evaluated(trial, head, features)
    if changed := state.keys() ^ _state(head).keys():
        raise CheckFailed(
            f"predicting changed the keys of the state dict: {listed(sorted(changed))} came or went",
            "Register parameters and buffers in __init__, not in predict or forward.",
        )
    with isolated_random_state((trial.seed + 1) % 2**32):  # only what the state dict holds may carry over
        fresh: nn.Module = asked("building the head again", lambda: trial.recipe.factory(**keywords))
        asked("load_state_dict(state, strict=True) of a new head", lambda: fresh.load_state_dict(state, strict=True))
        fresh.eval()
        other = Trained(fresh, trial.contract)
        differences = {
            "forward": gap(expected, evaluated(trial, fresh, features)),
            "predict_proba": gap(probabilities, other.probabilities(problem.unseen)),
            "predict": gap(ids, other.ids(problem.unseen)),
        }
    worse = [f"{method} (by up to {size:.3g})" for method, size in differences.items() if size > 1e-5]
    if worse:
        outside = _unregistered(head)
        where = f"; these tensors are not in the state dict: {listed(outside)}" if outside else ""
        raise CheckFailed(f"with the state of the trained head, a new one answers differently: {listed(worse)}{where}")


def _state(head: nn.Module) -> dict[str, torch.Tensor]:
    state = asked("state_dict()", head.state_dict)
    no_tensors = [f"{name!r} ({shown(value)})" for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if no_tensors:
        raise CheckFailed(
            f"the state dict holds what is no tensor, at {listed(no_tensors)}",
            "Keep such state as tensors in buffers, or as constructor arguments: safetensors hold tensors only.",
        )
    lazy = [name for name, value in state.items() if nn.parameter.is_lazy(value)]
    if lazy:
        raise CheckFailed(
            f"after training, {listed(lazy)} of the state dict have no size yet",
            "Take out the lazy modules that forward doesn't use.",
        )
    parameters = {name for name, _ in head.named_parameters()}
    # A buffer may hold infinity on purpose, as masks of attention do.
    bad = [
        name
        for name, value in state.items()
        if not bool(torch.isfinite(value).all()) and (name in parameters or bool(torch.isnan(value).any()))
    ]
    if bad:
        raise CheckFailed(
            f"after training, {listed(bad)} of the state dict hold NaN or infinity",
            "Look for divisions by zero and for logarithms and roots of zero in forward and in the loss.",
        )
    return {name: value.detach().clone() for name, value in state.items()}


def _unregistered(head: nn.Module) -> list[str]:
    """Return where tensors are kept as plain attributes, or in lists or dicts."""
    found = []
    for name, part in head.named_modules():
        for attribute, value in vars(part).items():
            if attribute in ("_parameters", "_buffers", "_modules"):
                continue
            values = (
                value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
            )
            if any(isinstance(each, (torch.Tensor, nn.Module)) for each in values):
                found.append(f"{name}.{attribute}".lstrip("."))
    return found


@check(
    "device-move",
    "After head.to(device), the head works there; no tensor stays behind.",
    remedy="Register tensors as buffers or parameters, so that they move along, and create new ones on the device of "
    "the input: torch.zeros(..., device=x.device).",
    contracts=MODULES,
)
def device_move(trial: Trial) -> str | None:
    """On CUDA where there is one; else on torch's meta device, which knows shapes and no values."""
    problem = trial.problem()
    trained = trial.trained(problem, steps=FEW_STEPS)
    head, rows = trained.head, problem.unseen[:6]
    scores, probabilities = evaluated(trial, head, body_output(rows)), trained.probabilities(rows)
    device = "cuda" if torch.cuda.is_available() else "meta"
    _check_moved(head, f"to({device!r})", lambda: head.to(device))
    behind = [
        name for name, tensor in (*head.named_parameters(), *head.named_buffers()) if tensor.device.type != device
    ]
    if behind:
        raise CheckFailed(f"to({device!r}) left behind {listed(behind)}", "Don't override to, or call super().to(...).")
    features = {key: value.to(device) for key, value in body_output(rows).items()}
    given = {"forward": features, "predict_proba": as_tensor(rows, head).to(device)}
    given["predict"] = given["predict_proba"]
    for method in _METHODS:
        with evaluation_mode(head):
            output = _on_device(
                device, f"{method} of tensors on the device {device!r}", call(head, method, given[method])
            )
        if method == "forward":
            _check_place(output, device, list(scores.shape))
        elif not isinstance(output, torch.Tensor):
            raise CheckFailed(f"{method} on the device {device!r} returned {shown(output)}")
        if device == "cuda" and method != "predict":
            different = gap(*((scores, output["logits"]) if method == "forward" else (probabilities, output)))
            if different > 1e-2:
                raise CheckFailed(f"{method} returns something else on the device {device!r} than on the CPU")
    head.train()
    ids = torch.from_numpy(problem.unseen_labels[:6].copy()).to(device)
    _on_device(
        device, f"the loss on the device {device!r}", lambda: loss_function(head)(head(dict(features))["logits"], ids)
    )
    return None if device == "cuda" else "tried on the meta device, there is no CUDA here"


def _check_moved(head: nn.Module, move: str, moving: Callable[[], Any]) -> None:
    moved = asked(f"head.{move}", moving)
    if moved is not head:
        raise CheckFailed(
            f"head.{move} returned {shown(moved)} instead of the head itself",
            "Return self, as nn.Module does, or don't override the method.",
        )


def _check_place(output: Any, device: str, shape: list[int]) -> None:
    value = output.get("logits") if isinstance(output, Mapping) else None
    if not isinstance(value, torch.Tensor) or list(value.shape) != shape:
        raise CheckFailed(f"on the device {device!r}, the logits of forward are {shown(value)}")
    if value.device.type != device:
        raise CheckFailed(f"the features are on the device {device!r}, but the logits of forward on {value.device}")


class _TwoDevicesError(RuntimeError):
    """Tensors of two devices met, which fails on every real device."""


class _MetaWatch(TorchFunctionMode):
    """Makes the meta device as strict as a real one, and as willing to give copies to the CPU.

    By itself it lets some functions take tensors of the CPU along, such as nn.functional.linear, and it refuses every
    copy to the CPU. A copy gets made-up values here.
    """

    # These take tensors of two devices, or read nothing but properties.
    _MIXED: Final = frozenset({"to", "cpu", "copy_", "type_as", "__get__", "__set__", "__getitem__", "__setitem__"})

    def __init__(self) -> None:
        super().__init__()
        self.met = ""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name not in self._MIXED:
            # Single numbers may come from the CPU on real devices, too, and so may lengths and places.
            together = [tensor for tensor in _tensors((args, kwargs)) if tensor.ndim and tensor.is_floating_point()]
            kinds = {tensor.device.type for tensor in together}
            if len(kinds) > 1:
                self.met = f"{name} was given tensors of the devices {' and '.join(sorted(kinds))}"
                raise _TwoDevicesError(self.met)
        try:
            return function(*args, **kwargs)
        except NotImplementedError:
            if name in ("cpu", "to"):
                dtype = next((value for value in (*args, *kwargs.values()) if isinstance(value, torch.dtype)), None)
                return torch.ones(args[0].shape, dtype=dtype or args[0].dtype)
            if name in ("copy_", "__setitem__"):
                return args[0]
            raise


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for each in value for tensor in _tensors(each)]
    return []


def _on_device(device: str, what: str, question: Callable[[], Any]) -> Any:
    if device != "meta":
        return asked(what, question)
    with _MetaWatch() as watch:
        try:
            output = question()
        except Exception as error:
            told_error = told(error)
            left_behind = any(sign in str(error) for sign in ("on the expected device", "on the same device"))
            if watch.met or left_behind:
                raise CheckFailed(f"{what} raised {told_error}") from error
            if "device type tensor to numpy" in str(error):
                raise CheckFailed(
                    f"{what} raised {told_error}", "Copy to the CPU before NumPy: tensor.cpu().numpy()."
                ) from error
            raise CheckSkipped(
                f"there is no CUDA here, and on the meta device, which has no values, {what} raised {told_error}"
            ) from error
    if watch.met:
        raise CheckFailed(f"in {what}, {watch.met}")
    return output


@check(
    "dtype-moves",
    "After head.double(), head.half() or head.bfloat16(), the head works in that precision.",
    remedy="Register tensors as buffers or parameters, so that they are converted along; in forward name no dtype, and "
    "convert inputs to that of the weights where you must: x.to(self.weight.dtype).",
    contracts=MODULES,
)
def dtype_moves(trial: Trial) -> str | None:
    """Where torch has no operation for half precision on the CPU, there is nothing to blame the head for."""
    problem = trial.problem()
    trained = trial.trained(problem, steps=FEW_STEPS)
    head, rows = trained.head, problem.unseen
    scores, probabilities = evaluated(trial, head, body_output(rows)), trained.probabilities(rows)
    _check_moved(head, "double()", head.double)
    _check_double(trial, head, problem, scores, probabilities)
    notes = []
    for name, dtype, convert in (("bfloat16", torch.bfloat16, head.bfloat16), ("half", torch.float16, head.half)):
        _check_moved(head, f"{name}()", convert)
        try:
            value = evaluated(trial, head, body_output(rows, dtype))
            found = _probabilities(head, rows, dtype)
        except CheckFailed as failure:
            if not _is_lacking(failure):
                raise CheckFailed(f"after head.{name}(), {failure.seen}", _remedy(failure)) from failure
            notes.append(f"torch can't compute it in {name} on the CPU")
            continue
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            raise CheckFailed(f"after head.{name}(), the logits of forward are not finite: {shown(value)}")
        _check_close(probabilities, found, f"after head.{name}()")
    return "; ".join(notes) or None


def _check_double(trial: Trial, head: nn.Module, problem: Problem, scores: torch.Tensor, probabilities: Array) -> None:
    rows = problem.unseen
    left = [name for name, tensor in (*head.named_parameters(), *head.named_buffers()) if _is_single(tensor)]
    if left:
        raise CheckFailed(f"after head.double(), {listed(left)} are float32 still")
    try:
        value = evaluated(trial, head, body_output(rows, torch.float64))
        found = _probabilities(head, rows, torch.float64)
        head.train()
        features = body_output(problem.embeddings, torch.float64)
        loss_of(loss_function(head), trial.logits(head, features), torch.from_numpy(problem.labels))
    except CheckFailed as failure:
        raise CheckFailed(f"after head.double(), {failure.seen}", failure.remedy) from failure
    finally:
        head.eval()
    if value.dtype != torch.float64:
        raise CheckFailed(f"after head.double(), float64 features give {shown(value)} as logits")
    for what, difference in (("forward", gap(scores, value)), ("predict_proba", gap(probabilities, found))):
        if difference > 1e-3:
            raise CheckFailed(f"after head.double(), {what} returns something else than before (by {difference:.3g})")


def _is_lacking(failure: CheckFailed) -> bool:
    """Tell whether torch has no such operation in half precision, which is no fault of the head."""
    return _LACKING.search(failure.seen) is not None


def _remedy(failure: CheckFailed) -> str:
    if "unsupported ScalarType BFloat16" in failure.seen:
        return "NumPy has no bfloat16. Stay with torch, or convert before: tensor.float().cpu().numpy()."
    return failure.remedy


def _probabilities(head: nn.Module, rows: Array, dtype: torch.dtype) -> Array:
    embeddings = torch.tensor(rows, dtype=dtype)
    with evaluation_mode(head):
        output = asked(f"predict_proba({shown(embeddings)})", call(head, "predict_proba", embeddings))
        ids = asked(f"predict({shown(embeddings)})", call(head, "predict", embeddings))
    found = as_array(output)
    _check_ids(as_array(ids), found)
    return found


def _is_single(tensor: torch.Tensor) -> bool:
    return tensor.dtype == torch.float32


def _check_close(expected: Array, found: Array, when: str) -> None:
    """Compare probabilities of which some are known to three digits only."""
    if expected.shape != found.shape or not np.isfinite(found).all():
        raise CheckFailed(f"{when}, predict_proba returns {shown(found)} that are not all finite probabilities")
    if float(np.abs(found.sum(axis=1) - 1).max()) > 0.05 or float(found.min()) < 0:
        raise CheckFailed(f"{when}, the rows of predict_proba don't sum to 1, not even to two digits")
    two = np.sort(expected, axis=1)[:, -2:]
    clear = two[:, 1] - two[:, 0] > 0.3
    flipped = int((expected.argmax(1) != found.argmax(1))[clear].sum())
    mean = float(np.abs(expected - found).mean())
    if flipped or mean > 0.05:
        raise CheckFailed(
            f"{when}, predict_proba differs from that in float32 by {mean:.3g} on average, and has another class in "
            f"front in {flipped} of {int(clear.sum())} clear cases"
        )


@check(
    "autocast",
    "Under torch.autocast with bfloat16 the head can be trained and predicts nearly the same.",
    remedy="Use operations that promote dtypes, no out= arguments and no dtype written into the code; create new "
    "tensors in the dtype of what they are combined with: torch.zeros(..., dtype=x.dtype).",
    contracts=MODULES,
)
def autocast(trial: Trial) -> None:
    """Trainers compute forward and loss under autocast, and the backward pass outside of it."""
    problem = trial.problem()
    trained = trial.trained(problem, steps=FEW_STEPS)
    head = trained.head
    probabilities = trained.probabilities(problem.unseen)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = trained.probabilities(problem.unseen)
            _check_ids(trained.ids(problem.unseen), found)
            head.train()
            features, leaf = attached(problem.embeddings)
            logits = trial.logits(head, features)
            loss = loss_of(loss_function(head), logits, torch.from_numpy(problem.labels))
        if loss.requires_grad:
            asked("loss.backward()", loss.backward)
    except CheckFailed as failure:
        if _is_lacking(failure):
            raise CheckSkipped(f"torch lacks an operation on the CPU: {failure.seen}") from failure
        raise CheckFailed(f"under autocast, {failure.seen}", _remedy(failure)) from failure
    if not bool(torch.isfinite(loss).all()) or not bool(torch.isfinite(logits).all()):
        raise CheckFailed("under autocast, the logits or their loss are not finite")
    gradients = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
    gradients["the embeddings"] = leaf.grad if leaf.grad is not None else torch.zeros(1)
    bad = [name for name, gradient in gradients.items() if not bool(torch.isfinite(gradient).all())]
    if bad:
        raise CheckFailed(f"under autocast, the gradient is not finite for {listed(bad)}")
    _check_close(probabilities, found, "under autocast")


def _check_ids(ids: Array, probabilities: Array) -> None:
    rows = np.arange(len(ids))
    valid = ids.dtype.kind in "iu" and bool(((ids >= 0) & (ids < probabilities.shape[1])).all())
    if not valid or float((probabilities.max(1) - probabilities[rows, ids]).max()) > 0.05:
        raise CheckFailed("predict returns other class ids than those of the highest probabilities")
