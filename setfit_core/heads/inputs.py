"""What a differentiable head is trained on: batches of a body's output, the body frozen or trained along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from setfit_core.embedding.body import EMBEDDING, FrozenFeatures, body_output
from setfit_core.embedding.cache import EmbeddingCache
from setfit_core.embedding.embed import embed
from setfit_core.embedding.precision import Precision
from setfit_core.errors import HeadError
from setfit_core.heads.adapters import evaluation_mode
from setfit_core.heads.outputs import head_name


class HeadInputs(Protocol):
    """Texts as a head gets to see them."""

    @property
    def body(self) -> SentenceTransformer | None:
        """The body, if it is trained along."""

    def __len__(self) -> int:
        """Return how many texts there are."""

    def batch(self, rows: Sequence[int], head: nn.Module) -> dict[str, Any]:
        """Return the body's output for some texts, the embedding on the head's device and in its dtype."""


@dataclass(frozen=True)
class FrozenInputs:
    """Embeddings that were computed once, and the rest of a frozen body's output for a head that reads more.

    Attributes:
        embeddings: Floats `[n, embedding_size]`.
        output: Returns the body's whole output for some rows; called only for heads that read other keys.
    """

    embeddings: Tensor
    output: Callable[[Sequence[int], nn.Module], Mapping[str, Any]]

    @classmethod
    def of_texts(
        cls,
        body: SentenceTransformer,
        texts: Sequence[str],
        *,
        normalize: bool,
        precision: Precision = "float32",
        cache: EmbeddingCache | None = None,
        show_progress_bar: bool | None = False,
    ) -> FrozenInputs:
        """Embed texts; see `setfit_core.embedding.embed` for the arguments."""

        def output(rows: Sequence[int], _: nn.Module) -> Mapping[str, Any]:
            with evaluation_mode(body):
                return body_output(body, [texts[row] for row in rows], normalize=normalize)

        embeddings = embed(
            body, texts, normalize=normalize, precision=precision, cache=cache, show_progress_bar=show_progress_bar
        )
        return cls(embeddings, output)

    @classmethod
    def of_embeddings(cls, embeddings: Tensor) -> FrozenInputs:
        """Take embeddings whose texts or body aren't at hand: a head that reads other keys can't be trained."""

        def output(_: Sequence[int], head: nn.Module) -> NoReturn:
            msg = (
                f"The head {head_name(head)} reads more of the body's output than '{EMBEDDING}', and there are "
                "embeddings alone. Pass a model and texts instead of embeddings."
            )
            raise HeadError(msg)

        return cls(embeddings, output)

    @property
    def body(self) -> None:
        """None: the body stays as it is."""

    def __len__(self) -> int:
        return len(self.embeddings)

    def batch(self, rows: Sequence[int], head: nn.Module) -> FrozenFeatures:
        """Return the embeddings of some texts; reading another key computes the rest."""
        places = torch.as_tensor(rows, device=self.embeddings.device)
        return FrozenFeatures(_like(self.embeddings[places], head), lambda: self.output(rows, head))


@dataclass(frozen=True)
class TrainedInputs:
    """Texts and a body that is trained along with the head.

    Attributes:
        body: The body.
        texts: The texts.
        normalize: Whether embeddings are scaled to length 1.
    """

    body: SentenceTransformer
    texts: Sequence[str]
    normalize: bool

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: Sequence[int], head: nn.Module) -> dict[str, Any]:
        """Run the body on some texts, with gradients."""
        output = body_output(self.body, [self.texts[row] for row in rows], normalize=self.normalize)
        output[EMBEDDING] = _like(output[EMBEDDING], head)
        return output


def _like(embeddings: Tensor, head: nn.Module) -> Tensor:
    parameter = next(head.parameters(), None)
    return embeddings if parameter is None else embeddings.to(device=parameter.device, dtype=parameter.dtype)
