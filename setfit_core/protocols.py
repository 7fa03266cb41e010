"""The two head contracts, for type checkers and readers, and as tables for `setfit_core.conformance`.

They are the contracts of the SetFit documentation, page "Classification heads", section "Custom
classification heads". Both are structural: a head need not import this module, nor anything else of
setfit-core. Whether an object keeps a contract is asked of `setfit_core.check_contract`; the protocols are
not runtime-checkable on purpose, because `isinstance` would accept `fit = 3` and methods of the wrong arity.

Nothing here imports torch or numpy at run time.
"""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from typing_extensions import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import torch

__all__ = [
    "CONTRACT_MEMBERS",
    "HEAD_API",
    "Contract",
    "DifferentiableHead",
    "NonDifferentiableHead",
]

Contract: TypeAlias = Literal["differentiable", "non-differentiable"]

#: The head API that this version of setfit-core understands.
HEAD_API: Final = 1

#: The members of each contract, and the positional arguments they are called with (`self` not counted).
CONTRACT_MEMBERS: Final[Mapping[Contract, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "differentiable": MappingProxyType(
            {
                "forward": ("features",),
                "predict": ("embeddings",),
                "predict_proba": ("embeddings",),
                "get_loss_fn": (),
            }
        ),
        "non-differentiable": MappingProxyType(
            {
                "fit": ("embeddings", "labels"),
                "predict": ("embeddings",),
                "predict_proba": ("embeddings",),
            }
        ),
    }
)


class DifferentiableHead(Protocol):
    """A head that is trained by gradient descent; it must also be a subclass of `torch.nn.Module`.

    A type checker can't require the base class through a protocol; `check_contract` does.
    """

    @abstractmethod
    def forward(self, features: dict[str, torch.Tensor], /) -> dict[str, torch.Tensor]:
        """Turn the body's output into logits.

        Args:
            features: The output of the Sentence Transformer body: `sentence_embedding`, float
                `[batch_size, embedding_size]`, and, where the body has them, `input_ids`, `attention_mask`
                and `token_type_ids`, integers `[batch_size, num_tokens]`, and `token_embeddings`, float
                `[batch_size, num_tokens, embedding_size]`.

        Returns:
            A dictionary whose key `logits` holds a float tensor `[batch_size, num_classes]`.
        """

    @abstractmethod
    def predict(self, embeddings: torch.Tensor, /) -> torch.Tensor:
        """Classify embeddings.

        Args:
            embeddings: Float `[num_inputs, embedding_size]`.

        Returns:
            Class ids, integers `[num_inputs]` in `[0, num_classes)`.
        """

    @abstractmethod
    def predict_proba(self, embeddings: torch.Tensor, /) -> torch.Tensor:
        """Give the probability of every class.

        Args:
            embeddings: Float `[num_inputs, embedding_size]`.

        Returns:
            Float `[num_inputs, num_classes]`. Each row sums to 1, and `torch.argmax(output, dim=-1)` equals
            what `predict` returns.
        """

    @abstractmethod
    def get_loss_fn(self) -> torch.nn.Module:
        """Return an initialised loss module, for example `torch.nn.CrossEntropyLoss()`."""


class NonDifferentiableHead(Protocol):
    """A head that is fitted in one go on numpy arrays, as the classifiers of scikit-learn are."""

    @abstractmethod
    def fit(self, embeddings: npt.NDArray[np.floating[Any]], labels: list[Any], /) -> Any:
        """Train the head; whatever it returns is ignored.

        Args:
            embeddings: Float `[num_inputs, embedding_size]`.
            labels: `num_inputs` labels, not necessarily integers. setfit-core itself passes the contiguous
                class ids `0..num_classes-1`.
        """

    @abstractmethod
    def predict(self, embeddings: npt.NDArray[np.floating[Any]], /) -> npt.NDArray[Any]:
        """Classify embeddings.

        Args:
            embeddings: Float `[num_inputs, embedding_size]`.

        Returns:
            Class ids, integers `[num_inputs]` in `[0, num_classes)`.
        """

    @abstractmethod
    def predict_proba(self, embeddings: npt.NDArray[np.floating[Any]], /) -> npt.NDArray[np.floating[Any]]:
        """Give the probability of every class.

        Args:
            embeddings: Float `[num_inputs, embedding_size]`.

        Returns:
            Float `[num_inputs, num_classes]`. Each row sums to 1, and `numpy.argmax(output, axis=-1)` equals
            what `predict` returns.
        """
