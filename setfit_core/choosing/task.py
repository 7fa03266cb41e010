"""What heads are compared on: embeddings, computed once, and what each text is labelled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from setfit_core.data import check_texts, read_examples
from setfit_core.embedding.cache import EmbeddingCache
from setfit_core.embedding.precision import Precision
from setfit_core.errors import ArgumentError, InputError
from setfit_core.heads.construction import HeadRecipe
from setfit_core.heads.held import HeldHead
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.heads.multilabel import STRATEGIES, multi_label_head
from setfit_core.heads.weights import FloatArray
from setfit_core.labels import IntArray, Label, LabelCodec, label_rows, learn_labels


class EmbeddingModel(Protocol):
    """What choosing among heads asks of a model, such as `setfit_core.SetFitModel`."""

    @property
    def model_body(self) -> SentenceTransformer:
        """What embeds texts."""

    @property
    def named_labels(self) -> list[Label] | None:
        """The labels that the user named; None if the training data name them."""

    @property
    def multi_target_strategy(self) -> str | None:
        """How several labels a text are predicted."""

    @property
    def normalize_embeddings(self) -> bool:
        """Whether embeddings are scaled to length 1."""

    @property
    def precision(self) -> Precision:
        """What the body computes in."""

    @property
    def embedding_cache(self) -> EmbeddingCache | None:
        """Where embeddings are kept."""


@dataclass(frozen=True)
class Task:
    """Labelled embeddings.

    Attributes:
        inputs: The embeddings `[n, embedding_size]`, and the rest of the body's output where there is a body.
        codec: The labels.
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        strategy: One of `setfit_core.heads.multilabel.STRATEGIES`, or None for one label a text.
        texts: The texts, for heads that explain by them; None if they aren't known.
        weights: How much each text counts in training, floats `[n]` that are 1 on average; None for all alike.
    """

    inputs: FrozenInputs
    codec: LabelCodec
    targets: IntArray
    strategy: str | None = None
    texts: Sequence[str] | None = None
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def build(self, recipe: HeadRecipe, random_state: int | None) -> HeldHead:
        """Build a head for these embeddings and labels, as a model would.

        Raises:
            HeadError: If it can't be built, or doesn't handle several labels a text where there are.
        """
        codec, device = self.codec, str(self.inputs.embeddings.device)
        head, built_with = recipe.build(
            in_features=self.inputs.embeddings.shape[1],
            out_features=len(codec.labels) if codec.given and not codec.multi_label else codec.num_classes,
            device=device,
            random_state=random_state,
            multi_label=self.strategy is not None,
        )
        if self.strategy is not None:
            head = multi_label_head(head, self.strategy)
        return HeldHead(head, recipe, built_with).placed(device)

    def part(self, rows: IntArray) -> Task:
        """Return some of the texts; their weights are 1 on average again, unless all are 0."""
        inputs, places = self.inputs, rows.tolist()
        weights = None if self.weights is None else self.weights[rows]
        if weights is not None and weights.any():
            weights = weights / weights.mean()
        return Task(
            FrozenInputs(
                inputs.embeddings[torch.from_numpy(rows).to(inputs.embeddings.device)],
                lambda batch, head: inputs.output([places[row] for row in batch], head),
            ),
            self.codec,
            self.targets[rows],
            self.strategy,
            None if self.texts is None else [self.texts[row] for row in places],
            weights,
        )


def make_task(
    model_or_embeddings: EmbeddingModel | Any,
    texts: Sequence[str] | None,
    labels: Sequence[Any],
    multi_target_strategy: str | None = None,
) -> Task:
    """Embed texts, or take embeddings as they are, and read the labels.

    Args:
        model_or_embeddings: A model, whose body, settings and labels count, or floats `[n, embedding_size]`.
        texts: The texts; may be None beside embeddings.
        labels: The labels, one a text.
        multi_target_strategy: For several labels a text, beside embeddings; a model has its own.

    Raises:
        InputError: If texts, embeddings or labels can't be used.
        ArgumentError: If `multi_target_strategy` has no meaning.
    """
    if not hasattr(model_or_embeddings, "model_body"):
        if multi_target_strategy is not None and multi_target_strategy not in STRATEGIES:
            msg = f"multi_target_strategy is {multi_target_strategy!r}. It is one of {', '.join(STRATEGIES)}, or None."
            raise ArgumentError(msg)
        embeddings = _checked_embeddings(model_or_embeddings, len(label_rows(labels)))
        if texts is not None:
            texts = read_examples((check_texts(texts), labels)).texts
        codec, targets = learn_labels(labels, multi_label=multi_target_strategy is not None)
        return Task(FrozenInputs.of_embeddings(embeddings), codec, targets, multi_target_strategy, texts)
    model: EmbeddingModel = model_or_embeddings
    strategy = model.multi_target_strategy
    if multi_target_strategy not in (None, strategy):
        msg = f"multi_target_strategy is {multi_target_strategy!r}, but the model has {strategy!r}. Leave it out."
        raise ArgumentError(msg)
    if texts is None:
        msg = "There are no texts. Pass the texts that the model is to embed; only embeddings go without."
        raise InputError(msg)
    examples = read_examples((check_texts(texts), labels))
    codec, targets = learn_labels(examples.labels, names=model.named_labels, multi_label=strategy is not None)
    inputs = FrozenInputs.of_texts(
        model.model_body,
        examples.texts,
        normalize=model.normalize_embeddings,
        precision=model.precision,
        cache=model.embedding_cache,
    )
    return Task(inputs, codec, targets, strategy, examples.texts)


def _checked_embeddings(embeddings: Any, rows: int) -> Tensor:
    if isinstance(embeddings, Tensor):
        tensor = embeddings.detach()
    else:
        try:
            array = np.array(embeddings)  # a copy, which torch can take whatever the order of its bytes
        except (TypeError, ValueError, RuntimeError):
            array = np.array(None)
        if array.dtype.kind not in "fiub":
            msg = (
                f"The embeddings are of the type {type(embeddings).__name__}, which is no array of numbers. Pass a "
                "SetFitModel, or an array or tensor of shape [n, embedding_size]."
            )
            raise InputError(msg)
        tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    if tensor.ndim != 2 or not tensor.shape[1]:
        msg = f"The embeddings have the shape {list(tensor.shape)}. Pass one row a text, [n, embedding_size]."
        raise InputError(msg)
    if len(tensor) != rows:
        msg = f"There are {len(tensor)} embeddings and {rows} labels. Every text needs both."
        raise InputError(msg)
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    finite = torch.isfinite(tensor).all(dim=1)
    if not bool(finite.all()):
        msg = f"The embedding in row {int((~finite).nonzero()[0])} holds NaN or infinity. Leave such texts out."
        raise InputError(msg)
    return tensor
