"""The head `linear` of this project and the `SetFitHead` of `setfit`, which compute the same, in both directions."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from setfit_core.errors import HeadError, ModelFormatError, PersistenceError, UnsavableHeadError
from setfit_core.heads.construction import head_recipe

if TYPE_CHECKING:
    from setfit_core.heads.construction import HeadRecipe
    from setfit_core.labels import LabelCodec

__all__ = ["LinearWeights", "build_linear_head", "linear_weights_of", "pickled_setfit_head"]

LINEAR_HEAD: Final = "linear"
#: A logit that leaves nothing of a probability, or nothing of its complement.
CERTAIN: Final = 1e4


@dataclass(frozen=True)
class LinearWeights:
    """The numbers of a `SetFitHead`.

    Attributes:
        weight: `[outputs, embedding_size]`, on the CPU.
        bias: `[outputs]`, or None.
        temperature: What logits are divided by.
        eps: What is added to the temperature.
        multitarget: Whether each output is a label of its own.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    temperature: float
    eps: float
    multitarget: bool


def build_linear_head(weights: LinearWeights, device: str, where: str) -> tuple[Any, HeadRecipe, dict[str, Any]]:
    """Build the head `linear` with these weights.

    Args:
        weights: The weights.
        device: The torch device of the head.
        where: The file that they come from, for messages.

    Returns:
        The head, what builds another one like it, and the keywords that it was built with.

    Raises:
        ModelFormatError: If the numbers are none that a head can predict with.
        PersistenceError: If the installed head `linear` is another one.
        HeadError: If no head `linear` is installed.
    """
    outputs, inputs = weights.weight.shape
    tensors = [weights.weight] if weights.bias is None else [weights.weight, weights.bias]
    if outputs < 2 or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise ModelFormatError(
            f"{where} holds a SetFitHead with fewer than two outputs, or with weights that are not finite: it can't "
            "predict. Train the head again."
        )
    temperature, eps = weights.temperature, weights.eps
    if not (math.isfinite(temperature + eps) and temperature + eps > 0):
        raise ModelFormatError(
            f"{where} holds a SetFitHead with the temperature {temperature} (and eps {eps}); only a positive one "
            "gives probabilities. Train the head again."
        )
    if temperature <= 0 or eps < 0:  # setfit looks at the sum alone
        temperature, eps = temperature + eps, 0.0
    recipe = head_recipe(LINEAR_HEAD, {"temperature": temperature, "eps": eps, "bias": weights.bias is not None})
    head, built_with = recipe.build(
        in_features=inputs, out_features=outputs, device=device, multi_label=weights.multitarget
    )
    state = {"linear.weight": weights.weight}
    if weights.bias is not None:
        state["linear.bias"] = weights.bias
    try:
        head.to(weights.weight.dtype).load_state_dict(state)
    except (AttributeError, RuntimeError) as error:
        raise PersistenceError(
            f"The installed head {LINEAR_HEAD!r} can't take the place of a SetFitHead: {error}. Uninstall the "
            "distribution that offers it, and install setfit-head-linear."
        ) from error
    return head.eval(), recipe, built_with


def linear_weights_of(head: Any) -> LinearWeights | None:
    """Return the numbers of the head `linear`; None for any other.

    Raises:
        UnsavableHeadError: If it has no size yet.
    """
    try:
        if type(head) is not head_recipe(LINEAR_HEAD).factory:
            return None
    except HeadError:
        return None
    config, state = head.get_config_dict(), head.state_dict()
    if any(nn.parameter.is_lazy(tensor) for tensor in state.values()):
        raise UnsavableHeadError("The head linear has no size yet. Train the model before saving it for setfit.")
    weight, bias = (
        None if tensor is None else tensor.detach().cpu() for tensor in map(state.get, ("linear.weight", "linear.bias"))
    )
    if weight is None:
        return None
    return LinearWeights(weight, bias, config["temperature"], config["eps"], config["multitarget"])


def in_columns(weights: LinearWeights, codec: LabelCodec) -> LinearWeights:
    """Return weights with an output for each label, in the order of the labels.

    `setfit` takes the number of an output for the place of a label. Labels that were not in the training data get an
    output that is never chosen, and labels that every text had one that always is.
    """
    columns, count = list(codec.classes), len(codec.labels)
    old, bias = weights.weight, weights.bias
    if columns == list(range(count)) and len(old) == count:
        return weights
    certain = min(CERTAIN * (weights.temperature + weights.eps), torch.finfo(old.dtype).max / 2)
    new_weight = old.new_zeros((count, old.shape[1]))
    new_bias = old.new_full((count,), -certain)
    new_weight[columns] = old[: len(columns)]
    new_bias[columns] = 0.0 if bias is None else bias[: len(columns)]
    new_bias[list(codec.always)] = certain
    return LinearWeights(new_weight, new_bias, weights.temperature, weights.eps, weights.multitarget)


def pickled_setfit_head(weights: LinearWeights) -> bytes:
    """Return the pickle of a `setfit.modeling.SetFitHead`, without needing `setfit`."""
    outputs, inputs = weights.weight.shape
    linear = nn.Linear(inputs, outputs, bias=weights.bias is not None, dtype=weights.weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weights.weight)
        if weights.bias is not None:
            linear.bias.copy_(weights.bias)
    state = {
        **nn.Module().__dict__,
        "training": False,
        "_modules": {"linear": linear},
        "in_features": inputs,
        "out_features": outputs,
        "temperature": weights.temperature,
        "eps": weights.eps,
        "bias": weights.bias is not None,
        "_device": "cpu",
        "multitarget": weights.multitarget,
    }
    # An object of a class that isn't installed here: GLOBAL names it, NEWOBJ makes it, BUILD gives it its attributes.
    # Protocol 3 has no frames, which would not survive being cut.
    return b"\x80\x03csetfit.modeling\nSetFitHead\n)\x81" + pickle.dumps(state, protocol=3)[2:-1] + b"b."
