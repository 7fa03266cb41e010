"""The head itself: layers, predictions, and the arguments that it is built from."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal, TypeAlias

import torch
from torch import nn

from setfit_head_mlp.loss import FocalLoss

__all__ = ["Activation", "MLPHead"]

Activation: TypeAlias = Literal["gelu", "relu"]

THRESHOLD: Final = 0.5
#: What logits may be divided by and stay finite in float32.
LEAST_TEMPERATURE: Final = 1e-9
#: More hidden layers than anybody trains on embeddings; a saved head may ask for no more.
MOST_LAYERS: Final = 16
ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {"gelu": nn.GELU, "relu": nn.ReLU}


class MLPHead(nn.Module):
    """A multilayer perceptron that turns embeddings into logits.

    Each hidden layer is followed by its activation and by dropout. Weights start as torch's linear layers do. A head
    without `in_features` takes its size from the first batch that it sees.

    Args:
        in_features: Size of one embedding, or None to take it from the first batch.
        out_features: Number of classes.
        hidden_sizes: Size of each hidden layer, up to 16 of them; a single number for one. `()` makes the head linear.
        activation: `"gelu"` or `"relu"`.
        dropout: Share of the hidden units that is left out in each step of the training, from 0 to below 1.
        class_weights: How much each class counts in the loss, by class id (with `multitarget`, each label); None for
            all alike.
        label_smoothing: Share of each target that is spread over all classes, from 0 to below 1.
        focal_gamma: How much less the loss counts what is predicted well, see `FocalLoss`; 0 for cross-entropy.
        temperature: Logits are divided by it; above 1 flattens the probabilities, below 1 sharpens them. At least
            1e-9.
        device: Where the parameters live; None takes CUDA if there is one, else MPS, else the CPU.
        multitarget: Whether a text may have several labels: sigmoid and a threshold of 0.5 then replace softmax and
            argmax, and labels are rows of zeros and ones.

    Raises:
        ValueError: If an argument is out of range.
    """

    setfit_head: ClassVar[dict[str, Any]] = {
        "api": 1,
        "multi_label": True,
        "search_space": {
            "hidden_sizes": {"low": 32, "high": 512, "log": True},
            "dropout": {"low": 0.0, "high": 0.7},
            "label_smoothing": {"low": 0.0, "high": 0.2},
            "focal_gamma": {"low": 0.0, "high": 3.0},
        },
    }

    def __init__(
        self,
        in_features: int | None = None,
        out_features: int = 2,
        hidden_sizes: int | Sequence[int] = (256,),
        activation: Activation = "gelu",
        dropout: float = 0.5,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        temperature: float = 1.0,
        device: str | torch.device | None = None,
        multitarget: bool = False,
    ) -> None:
        super().__init__()
        size_in = None if in_features is None else _count("in_features", in_features)
        self.out_features = _count("out_features", out_features)
        self.hidden_sizes = _sizes(hidden_sizes)
        if not (isinstance(activation, str) and activation in ACTIVATIONS):
            raise ValueError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, not {activation!r}")
        self.activation = activation
        self.dropout = _number("dropout", dropout, below=1.0)
        self.class_weights = None if class_weights is None else _weights(class_weights)
        self.label_smoothing = _number("label_smoothing", label_smoothing, below=1.0)
        self.focal_gamma = _number("focal_gamma", focal_gamma)
        self.temperature = _number("temperature", temperature, least=LEAST_TEMPERATURE)
        self.multitarget = bool(multitarget)
        place = _default_device() if device is None else torch.device(device)
        self.layers = self._built(size_in, place)

    @property
    def in_features(self) -> int | None:
        """Size of one embedding; None as long as no batch has been seen and none was given."""
        weight = self._first_weight
        return None if nn.parameter.is_lazy(weight) else weight.shape[1]

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self._first_weight.device

    def forward(self, features: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the logits of a batch.

        Args:
            features: The body's output. Only `sentence_embedding` is read, a floating tensor
                `[batch_size, in_features]`.

        Returns:
            A new dict with the one key `logits`: a tensor `[batch_size, out_features]` of the parameters' dtype.
        """
        return {"logits": self._logits(features["sentence_embedding"])}

    @torch.no_grad()
    def predict_proba(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the probability of every class.

        Args:
            embeddings: A floating tensor `[num_inputs, in_features]` on the head's device.

        Returns:
            A tensor `[num_inputs, out_features]` of the parameters' dtype. Rows sum to 1, except with `multitarget`,
            where every label has a probability of its own.
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

    def get_loss_fn(self) -> FocalLoss:
        """Return the loss on class ids or, with `multitarget`, on float rows of zeros and ones.

        Raises:
            ValueError: If there are more or fewer class weights than outputs.
        """
        weight = None
        if self.class_weights is not None:
            # Only now: a head without a number of classes is built with two outputs before the labels are known.
            if len(self.class_weights) != self.out_features:
                raise ValueError(
                    f"class_weights has {len(self.class_weights)} weights, but the head has {self.out_features} "
                    "outputs. Give one weight for each, in the order of the class ids."
                )
            first = self._first_weight
            weight = torch.tensor(self.class_weights, dtype=first.dtype, device=first.device)
        return FocalLoss(self.focal_gamma, weight, self.label_smoothing, multitarget=self.multitarget)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the constructor arguments that build a head of this shape, all of them JSON values."""
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "hidden_sizes": list(self.hidden_sizes),
            "activation": self.activation,
            "dropout": self.dropout,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "label_smoothing": self.label_smoothing,
            "focal_gamma": self.focal_gamma,
            "temperature": self.temperature,
            "device": str(self.device),
            "multitarget": self.multitarget,
        }

    @property
    def _first_weight(self) -> torch.Tensor:
        return next(self.layers.parameters())

    def _built(self, in_features: int | None, device: torch.device) -> nn.Sequential:
        first, *others = (*self.hidden_sizes, self.out_features)
        layers: list[nn.Module] = [
            nn.LazyLinear(first, device=device) if in_features is None else nn.Linear(in_features, first, device=device)
        ]
        for size, following in pairwise((first, *others)):
            layers += [ACTIVATIONS[self.activation](), nn.Dropout(self.dropout)]
            layers.append(nn.Linear(size, following, device=device))
        return nn.Sequential(*layers)

    def _logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        # Embeddings come in whatever precision the body runs in; the head keeps its own.
        logits: torch.Tensor = self.layers(embeddings.to(self._first_weight.dtype))
        return logits / self.temperature


def _sizes(hidden_sizes: int | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(hidden_sizes, (list, tuple)):
        return (_count("hidden_sizes", hidden_sizes),)
    if len(hidden_sizes) > MOST_LAYERS:
        raise ValueError(f"hidden_sizes has {len(hidden_sizes)} layers, it may have up to {MOST_LAYERS}")
    return tuple(_count("each of hidden_sizes", size) for size in hidden_sizes)


def _weights(class_weights: Sequence[float]) -> tuple[float, ...]:
    if not isinstance(class_weights, (list, tuple)) or not class_weights:
        raise ValueError(
            "class_weights must be a list of numbers, one for each class id; tolist() makes one of an array or tensor; "
            f"not {class_weights!r}"
        )
    return tuple(_number("each of class_weights", weight, positive=True) for weight in class_weights)


def _count(name: str, value: Any) -> int:
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return number


def _number(name: str, value: Any, *, positive: bool = False, least: float = 0.0, below: float = math.inf) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not least <= number < below or (positive and number == 0):
        bounds = "finite number above 0" if positive else f"finite number of at least {least:g}"
        if below < math.inf:
            bounds = f"number of at least 0 and below {below:g}"
        raise ValueError(f"{name} must be a {bounds}, not {value!r}")
    return number


def _default_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
