"""The head `linear`: one linear layer over the embeddings, trained by gradient descent."""

from __future__ import annotations

import math
import operator
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SetFitHead"]

BIAS_FILL = 1e-2
THRESHOLD = 0.5


class SetFitHead(nn.Module):
    """A linear layer that turns embeddings into logits, with a temperature.

    Weights start Xavier-uniform and the bias at 0.01. A head without `in_features` takes its size from the
    first batch that it sees.

    Args:
        in_features: Size of one embedding, or None to take it from the first batch.
        out_features: Number of classes. 1 becomes 2 (with a warning) unless `multitarget`: two classes need
            two logits under a softmax.
        temperature: Logits are divided by `temperature + eps`; above 1 flattens the probabilities, below 1
            sharpens them.
        eps: Keeps the division away from zero.
        bias: Whether the layer has a bias.
        device: Where the parameters live; None takes CUDA if there is one, else MPS, else the CPU.
        multitarget: Whether a text may have several labels: sigmoid and a threshold of 0.5 then replace
            softmax and argmax, and labels are rows of zeros and ones.

    Raises:
        ValueError: If an argument is out of range.
    """

    setfit_head: ClassVar[dict[str, Any]] = {
        "api": 1,
        "multi_label": True,
        "search_space": {"temperature": {"low": 0.25, "high": 4.0, "log": True}},
    }

    def __init__(
        self,
        in_features: int | None = None,
        out_features: int = 2,
        temperature: float = 1.0,
        eps: float = 1e-5,
        bias: bool = True,
        device: str | torch.device | None = None,
        multitarget: bool = False,
    ) -> None:
        super().__init__()
        size_in = None if in_features is None else _count("in_features", in_features)
        size_out = _count("out_features", out_features)
        self.temperature = _number("temperature", temperature)
        if self.temperature <= 0:
            raise ValueError(f"temperature must be greater than 0, not {temperature!r}")
        self.eps = _number("eps", eps)
        if self.eps < 0:
            raise ValueError(f"eps must not be negative, not {eps!r}")
        self.bias = bool(bias)
        self.multitarget = bool(multitarget)
        if size_out == 1 and not self.multitarget:
            warnings.warn(
                "out_features=1 was changed to 2: two classes need two logits here. Pass out_features=2, or "
                "multitarget=True for a single label that is on or off.",
                stacklevel=2,
            )
            size_out = 2
        place = _default_device() if device is None else torch.device(device)
        if size_in is None:
            self.linear: nn.Linear = _LazyXavierLinear(size_out, bias=self.bias, device=place)
        else:
            self.linear = _XavierLinear(size_in, size_out, bias=self.bias, device=place)

    @property
    def in_features(self) -> int | None:
        """Size of one embedding; None as long as no batch has been seen and none was given."""
        weight = self.linear.weight
        return None if nn.parameter.is_lazy(weight) else weight.shape[1]

    @property
    def out_features(self) -> int:
        """Number of logits for each text."""
        return self.linear.out_features

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.linear.weight.device

    def forward(self, features: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the logits of a batch.

        Args:
            features: The body's output. Only `sentence_embedding` is read, a floating tensor
                `[batch_size, in_features]`.

        Returns:
            A new dict with the one key `logits`: a tensor `[batch_size, out_features]` of the parameters'
            dtype.
        """
        return {"logits": self._logits(features["sentence_embedding"])}

    @torch.no_grad()
    def predict_proba(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the probability of every class.

        Args:
            embeddings: A floating tensor `[num_inputs, in_features]` on the head's device.

        Returns:
            A tensor `[num_inputs, out_features]` of the parameters' dtype. Rows sum to 1, except with
            `multitarget`, where every label has a probability of its own.
        """
        logits = self._logits(embeddings)
        return torch.sigmoid(logits) if self.multitarget else torch.softmax(logits, dim=-1)

    @torch.no_grad()
    def predict(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the class id of every input.

        Args:
            embeddings: A floating tensor `[num_inputs, in_features]` on the head's device.

        Returns:
            An int64 tensor `[num_inputs]` in `[0, out_features)`; with `multitarget` one of zeros and ones,
            `[num_inputs, out_features]`.
        """
        probabilities = self.predict_proba(embeddings)
        if self.multitarget:
            return (probabilities >= THRESHOLD).to(torch.int64)
        return probabilities.argmax(dim=-1)

    def get_loss_fn(self) -> nn.Module:
        """Return cross-entropy on class ids, or binary cross-entropy on float rows with `multitarget`."""
        return nn.BCEWithLogitsLoss() if self.multitarget else nn.CrossEntropyLoss()

    def get_config_dict(self) -> dict[str, Any]:
        """Return the constructor arguments that build a head of this shape, all of them JSON values."""
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "temperature": self.temperature,
            "eps": self.eps,
            "bias": self.bias,
            "device": str(self.device),
            "multitarget": self.multitarget,
        }

    def __repr__(self) -> str:
        shown = ("in_features", "out_features", "temperature", "bias", "device")
        config = self.get_config_dict()
        return f"{type(self).__name__}({ {name: config[name] for name in shown} })"

    def _logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        # Embeddings come in whatever precision the body runs in; the head keeps its own.
        logits: torch.Tensor = self.linear(embeddings.to(self.linear.weight.dtype))
        return logits / (self.temperature + self.eps)


class _XavierLinear(nn.Linear):
    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.constant_(self.bias, BIAS_FILL)


class _LazyXavierLinear(nn.LazyLinear):
    cls_to_become = _XavierLinear

    def reset_parameters(self) -> None:
        # torch calls this while the layer has no size yet, and again when it has got one.
        if self.in_features:
            _XavierLinear.reset_parameters(self)  # type: ignore[arg-type]  # a Linear in all but its class


def _count(name: str, value: Any) -> int:
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return number


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return number


def _default_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
