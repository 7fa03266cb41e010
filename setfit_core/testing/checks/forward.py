"""Checks of a differentiable head's `forward`: what it returns, what it reads, and what it leaves alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from setfit_core.heads.adapters import evaluation_mode
from setfit_core.randomness import isolated_random_state
from setfit_core.testing.check import MODULES, CheckFailed, CheckSkipped, check
from setfit_core.testing.modules import (
    FEW_STEPS,
    Features,
    attached,
    call,
    evaluated,
    gap,
    initialised,
    listed,
    loss_function,
    loss_of,
)
from setfit_core.testing.trial import Trained, Trial, as_array, as_tensor, asked, body_output, refused, shown, told

#: The largest difference of logits that counts as rounding, as a share of the largest logit.
_ROUNDING: Final = 1e-4
_SIZES: Final = ((3, 16), (2, 5), (6, 32))


@check(
    "logits",
    "`forward` returns a dict whose 'logits' are a floating tensor [batch_size, num_classes], in both modes.",
    remedy="Return {'logits': logits}, a number for each row and class, from forward.",
    contracts=MODULES,
)
def logits(trial: Trial) -> None:
    """Numbers of classes and sizes of embeddings other than the usual ones are tried where the head takes any."""
    sizes = {(trial.num_classes or classes, trial.embedding_size or size) for classes, size in _SIZES}
    for classes, size in sorted(sizes):
        problem = trial.problem(classes, size)
        head = initialised(trial, problem)
        for training, rows in ((False, 1), (False, 7), (True, 2), (True, 7)):
            head.train(training)
            features = body_output(problem.embeddings[:rows])
            output = asked(f"forward(features) with {rows} rows", call(head, "forward", features))
            mode = "training" if training else "evaluation"
            _check_logits(output, [rows, problem.num_classes], f"in {mode} mode, for {rows} rows of size {size},")
        _check_no_probabilities(trial, head, body_output(problem.embeddings))


def _check_logits(output: Any, shape: list[int], when: str) -> None:
    if not isinstance(output, dict):
        raise CheckFailed(f"{when} forward returned {shown(output)}, not a dict")
    if "logits" not in output:
        raise CheckFailed(f"{when} forward returned {shown(output)}, and 'logits' is not among them")
    value = output["logits"]
    if not isinstance(value, torch.Tensor):
        raise CheckFailed(f"{when} the logits of forward are {shown(value)}, not a tensor")
    if list(value.shape) != shape:
        raise CheckFailed(f"{when} the logits of forward are {shown(value)}, their shape should be {shape}")
    if not value.is_floating_point():
        raise CheckFailed(
            f"{when} the logits of forward are {shown(value)}, not floating numbers",
            "Return what a loss can be computed of: the scores of the classes before argmax.",
        )
    if not bool(torch.isfinite(value).all()):
        raise CheckFailed(
            f"{when} the logits of forward hold NaN or infinity",
            "Look for divisions by zero and for logarithms and roots of zero in forward.",
        )


def _check_no_probabilities(trial: Trial, head: nn.Module, features: Features) -> None:
    """A loss that applies softmax, which no shift of all logits changes, must not get what softmax made."""
    values = evaluated(trial, head, features)
    if float(values.min()) < 0 or float((values.sum(-1) - 1).abs().max()) > 1e-3:
        return
    function, ids = loss_function(head), values.argmin(-1)
    loss, shifted = (float(loss_of(function, given, ids).detach()) for given in (values, values + 3.0))
    if abs(loss - shifted) < 1e-3 * max(1.0, abs(loss)):
        raise CheckFailed(
            "the logits of forward are probabilities, whose rows sum to 1, and the loss applies a softmax to them, too",
            "Return the numbers that softmax is applied to; softmax itself belongs into predict_proba.",
        )


@check(
    "logits-agree",
    "The highest logit of `forward` in evaluation mode is the highest probability of `predict_proba`.",
    remedy="Let forward and predict_proba use the same layers in the same order, and dropout in training mode only.",
    contracts=MODULES,
)
def logits_agree(trial: Trial) -> str | None:
    """Compared for points between the classes, too; what differs within rounding is left out."""
    problem = trial.problem(5)
    trained = trial.trained(problem, steps=FEW_STEPS)
    points = np.concatenate([problem.unseen, problem.between(448, trial.seed)])
    features = body_output(points)
    differing, example = _disagreement(trial, trained, points, features)
    if not differing:
        return None
    read = _also_read(trial, trained.head, features)
    if not read:
        raise CheckFailed(f"in {differing} of {len(points)} rows, forward and predict_proba disagree; {example}")
    # One token, which is the embedding itself: whichever way a head pools tokens, it should get that.
    alone = {**body_output(points), "attention_mask": torch.ones(len(points), 1, dtype=torch.int64)}
    alone.update({key: alone[key][:, :1] for key in ("input_ids", "token_type_ids")})
    alone["token_embeddings"] = alone["sentence_embedding"][:, None, :].clone()
    if refused(lambda: evaluated(trial, trained.head, alone)) is None:
        differing, _ = _disagreement(trial, trained, points, alone)
        if not differing:
            return f"compared on texts of one token, because forward reads {listed(read)}"
    raise CheckSkipped(
        f"forward reads {listed(read)}, too, and classifies otherwise than predict_proba, which is given the sentence "
        "embedding alone"
    )


def _disagreement(
    trial: Trial, trained: Trained, points: npt.NDArray[np.float32], features: Features
) -> tuple[int, str]:
    """Return how many rows differ beyond rounding, and the first of them as text."""
    scores = as_array(evaluated(trial, trained.head, features)).astype(np.float64)
    probabilities = trained.probabilities(points).astype(np.float64)
    if scores.shape != probabilities.shape:
        return len(points), f"the logits have the shape {list(scores.shape)}, the probabilities "
        f"{list(probabilities.shape)}"
    rows = np.arange(len(points))
    by_score, by_probability = scores.argmax(1), probabilities.argmax(1)
    score_gap = scores[rows, by_score] - scores[rows, by_probability]
    probability_gap = probabilities[rows, by_probability] - probabilities[rows, by_score]
    differing = (score_gap > _ROUNDING * max(1.0, np.abs(scores).max())) & (probability_gap > 1e-6)
    if not differing.any():
        return 0, ""
    row = int(differing.argmax())
    return int(differing.sum()), (
        f"for one, the highest logit is that of class {by_score[row]}, the highest probability that of class "
        f"{by_probability[row]}"
    )


def _also_read(trial: Trial, head: nn.Module, features: Features) -> list[str]:
    """Return the keys besides `sentence_embedding` that the logits depend on."""
    before = evaluated(trial, head, features)
    tokens = features["token_embeddings"]
    other: Features = {
        "input_ids": features["input_ids"].flip(1) + 1,
        "token_type_ids": 1 - features["token_type_ids"],
        "attention_mask": features["attention_mask"] * torch.tensor([1] + [0] * (tokens.shape[1] - 1)),
        "token_embeddings": tokens.flip(0),
    }
    found = []
    for key, value in other.items():
        changed = {**features, key: value}
        failed = refused(functools.partial(evaluated, trial, head, changed)) is not None
        if failed or gap(before, evaluated(trial, head, changed)) > _ROUNDING:
            found.append(key)
    return found


@check(
    "extra-keys",
    "Keys of the body's output that the head doesn't know change nothing, whatever their values are.",
    remedy="Read the keys that you need by name, such as features['sentence_embedding'], and no others.",
    contracts=MODULES,
)
def extra_keys(trial: Trial) -> None:
    """Bodies differ in what they return, and pass on what the tokenizer returned."""
    problem = trial.problem()
    trained = trial.trained(problem, steps=FEW_STEPS)
    rows = problem.unseen[:6]
    features = body_output(rows)
    before = evaluated(trial, trained.head, features)
    extras: dict[str, Any] = {
        "unknown_embedding": torch.from_numpy(trial.rng().normal(size=rows.shape).astype(np.float32)),
        "unknown_ids": torch.arange(len(rows)),
        "unknown_number": torch.tensor(3.0),
        "unknown_list": [["a", 1], None],
        "unknown_text": "text",
        "unknown_none": None,
    }
    for key, value in extras.items():
        for given in ({key: value, **features}, {**features, key: value}):
            kind = f"the unknown key {key!r}, which holds {shown(value)},"
            output = asked(f"forward with {kind}", functools.partial(_asked_raw, trained.head, given))
            if gap(before, output["logits"]) > _ROUNDING:
                raise CheckFailed(f"{kind} changes the logits")


def _asked_raw(head: nn.Module, features: Mapping[str, Any]) -> Any:
    with evaluation_mode(head), isolated_random_state(0):
        return head(dict(features))


@check(
    "missing-keys",
    "Without a key that it doesn't need, `forward` returns the same logits; without one that it needs, it raises.",
    remedy="Read what you need with features['key'], which raises if it is missing, and put nothing in its place.",
    contracts=MODULES,
)
def missing_keys(trial: Trial) -> str:
    """Keys are taken away one at a time, and then as many as possible."""
    problem = trial.problem()
    head = trial.trained(problem, steps=FEW_STEPS).head
    features = body_output(problem.unseen[:6])
    before = evaluated(trial, head, features)
    for key in features:
        _works_without(head, features, key, before)
    without_types = {key: value for key, value in features.items() if key != "token_type_ids"}
    if (error := refused(lambda: _asked_raw(head, without_types))) is not None:
        raise CheckFailed(
            f"forward without 'token_type_ids' raised {told(error)}",
            "Bodies such as MPNet and RoBERTa have no token_type_ids: do without them, or read them with "
            "features.get('token_type_ids') and take None for zeros.",
        )
    needed = dict(features)
    for key in features:
        if _works_without(head, needed, key, before):
            del needed[key]
        if not needed:
            raise CheckFailed(
                "forward of an empty dict returns logits, the same as for embeddings",
                "Compute the logits from features['sentence_embedding'] or another key of the body's output.",
            )
    if refused(lambda: _asked_raw(head, {})) is None:
        raise CheckFailed("forward of an empty dict returns something instead of raising")
    return f"it needs {listed(needed)}"


def _works_without(head: nn.Module, features: Mapping[str, torch.Tensor], key: str, before: torch.Tensor) -> bool:
    left = {name: value for name, value in features.items() if name != key}
    if refused(lambda: _asked_raw(head, left)) is not None:
        return False
    output = _asked_raw(head, left)
    logits = output.get("logits") if isinstance(output, Mapping) else None
    difference = gap(before, logits)
    if difference <= _ROUNDING:
        return True
    has = f"which leaves {listed(left)}," if len(left) < 4 else "with everything else there,"
    what = f"other logits (by {difference:.3g} of the largest)" if np.isfinite(difference) else shown(output)
    raise CheckFailed(
        f"without {key!r}, {has} forward neither raises nor returns the same logits, but {what}: it puts something of "
        "its own in the place of what is missing"
    )


@check(
    "features-unchanged",
    "`forward` leaves the dict and the tensors it is given as they are, and its logits are new memory.",
    remedy="Return a new dict, don't write into tensors (x = x * 2 instead of x *= 2), and copy what is returned as it "
    "came in (x.clone()).",
    contracts=MODULES,
)
def features_unchanged(trial: Trial) -> None:
    """With and without gradients, and with a backward pass; the body's other users see the same tensors."""
    problem = trial.problem()
    head = initialised(trial, problem)
    for training, gradients in ((False, False), (False, True), (True, True)):
        head.train(training)
        features = attached(problem.embeddings)[0] if training else body_output(problem.embeddings)
        before = {key: (value, value.detach().clone(), _version(value)) for key, value in features.items()}
        wanted = {key: value.requires_grad for key, value in features.items()}
        with torch.set_grad_enabled(gradients):
            output = asked("forward(features)", call(head, "forward", features))
        value = output.get("logits") if isinstance(output, Mapping) else None
        if not isinstance(value, torch.Tensor):
            raise CheckFailed(f"forward returned {shown(output)}, not a dict with a tensor 'logits'")
        if training:
            loss = loss_of(loss_function(head), value, torch.from_numpy(problem.labels))
            if loss.requires_grad:
                asked("loss.backward()", loss.backward)
        mode = f"in {'training' if training else 'evaluation'} mode{'' if gradients else ' without gradients'}"
        _check_same(features, before, wanted, mode)
        _check_own_memory(value, {key: tensor for key, (tensor, _, _) in before.items()})


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was written into."""
    return tensor._version  # noqa: SLF001  # torch's own counter, documented in its notes on autograd


def _check_same(
    features: Mapping[str, Any],
    before: Mapping[str, tuple[torch.Tensor, torch.Tensor, int]],
    wanted: Mapping[str, bool],
    mode: str,
) -> None:
    if list(features) != list(before):
        added = [key for key in features if key not in before]
        gone = [key for key in before if key not in features]
        what = " and ".join(
            f"{done} {listed(map(repr, keys))}" for done, keys in (("adds", added), ("removes", gone)) if keys
        )
        raise CheckFailed(
            f"{mode}, forward {what or 'reorders the keys'} in the dict that it is given",
            "Leave the dict alone and return a new one: {'logits': logits} or {**features, 'logits': logits}.",
        )
    for key, (tensor, copy, version) in before.items():
        if features[key] is not tensor:
            raise CheckFailed(
                f"{mode}, forward puts another tensor into the dict it is given, as {key!r}",
                "Leave the dict alone: keep what you compute in a variable of your own.",
            )
        if gap(copy, tensor) > 0:
            raise CheckFailed(f"{mode}, forward changes the values of the tensor {key!r} that it is given")
        if _version(tensor) != version:
            raise CheckFailed(f"{mode}, forward writes into the tensor {key!r} that it is given")
        if tensor.requires_grad is not wanted[key]:
            raise CheckFailed(
                f"{mode}, forward switches requires_grad of the tensor {key!r} that it is given",
                "Leave requires_grad of the inputs alone.",
            )


def _check_own_memory(value: torch.Tensor, given: Features) -> None:
    memory = value.untyped_storage().data_ptr()
    shared = [key for key, tensor in given.items() if tensor.untyped_storage().data_ptr() == memory]
    if shared and memory:
        raise CheckFailed(
            f"the logits share their memory with {listed(map(repr, shared))}: whoever writes into one changes the "
            "other",
            "Return a copy: logits.clone().",
        )


@check(
    "mode-restored",
    "No method changes whether the head and its submodules are in training or in evaluation mode.",
    remedy="Don't call eval() or train() in predict, predict_proba, forward or get_loss_fn: the caller chooses the "
    "mode. Where you must, keep {part: part.training for part in self.modules()} and put each part back.",
    contracts=MODULES,
)
def mode_restored(trial: Trial) -> None:
    """From training, from evaluation, and with parts in another mode than the rest, as a frozen BatchNorm is."""
    problem = trial.problem()
    head = initialised(trial, problem)
    features, embeddings = body_output(problem.embeddings), as_tensor(problem.embeddings, head)
    questions: dict[str, Callable[[], Any]] = {
        "predict": call(head, "predict", embeddings),
        "predict_proba": call(head, "predict_proba", embeddings),
        "forward": call(head, "forward", features),
        "get_loss_fn": head.get_loss_fn,  # type: ignore[dict-item]  # the contract asks for this method
    }
    parts = dict(head.named_modules())
    last = list(parts)[-1]
    for description, training in (
        ("all in training mode", dict.fromkeys(parts, True)),
        ("all in evaluation mode", dict.fromkeys(parts, False)),
        ("one part in evaluation mode, the rest in training mode", {**dict.fromkeys(parts, True), last: False}),
        ("one part in training mode, the rest in evaluation mode", {**dict.fromkeys(parts, False), last: True}),
    ):
        for method, question in questions.items():
            for name, part in parts.items():
                part.training = training[name]
            with torch.no_grad():
                asked(f"{method} with {description}", question)
            changed = [name or "the head itself" for name, part in parts.items() if part.training != training[name]]
            if changed:
                now = "evaluation" if training[changed[0] if changed[0] in training else ""] else "training"
                raise CheckFailed(
                    f"{method} changes the mode: with {description}, it leaves {listed(changed)} in {now} mode"
                )
