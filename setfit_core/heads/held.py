"""The head of a model together with how another one like it is built."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import nn

from setfit_core.conformance import check_contract
from setfit_core.embedding.body import is_trainable
from setfit_core.embedding.embed import embedding_size
from setfit_core.errors import ArgumentError
from setfit_core.heads.construction import HeadRecipe, builds_head, head_recipe
from setfit_core.heads.inputs import FrozenInputs
from setfit_core.heads.module_fitting import count_outputs, rehearse_differentiable_head
from setfit_core.heads.multilabel import multi_label_head
from setfit_core.heads.weights import FloatArray
from setfit_core.labels import IntArray, LabelCodec

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldHead:
    """A head and its origin.

    Attributes:
        head: The head.
        recipe: What builds it; None for a head that was given as an instance.
        built_with: The keywords that it was built with; None if they aren't known.
    """

    head: Any
    recipe: HeadRecipe | None = None
    built_with: Mapping[str, Any] | None = None

    @property
    def differentiable(self) -> bool:
        """Whether the head is trained with torch."""
        return isinstance(self.head, nn.Module)

    def placed(self, device: Any) -> HeldHead:
        """Move a differentiable head to a torch device, in evaluation mode, in place, and return this."""
        if isinstance(self.head, nn.Module):
            self.head.to(device).eval()
        return self


@dataclass(frozen=True)
class HeadSetting:
    """What a model settles for every head that is built for it.

    Attributes:
        body: The body that the head will sit on.
        multi_target_strategy: One of `multilabel.STRATEGIES`, or None for one label a text.
        random_state: Seed for the head's construction, or None.
    """

    body: SentenceTransformer
    multi_target_strategy: str | None
    random_state: int | None

    def take(self, head: Any, params: Mapping[str, Any] | None, out_features: int | None) -> HeldHead:
        """Check a head that is given as an instance, or build the one that is named.

        Args:
            head: An instance, a class or factory, or one of the names that `head_recipe` takes.
            params: Keyword arguments for a head that is built.
            out_features: The number of labels, if it is known.

        Raises:
            ArgumentError: If there are parameters for an instance.
            HeadError: If the head can't be found or built, or keeps neither contract.
        """
        if builds_head(head):
            return self.build(head_recipe(head, params), out_features)
        if params:
            msg = "head_params are for a head that is built here; this one was given as an instance. Set them on it."
            raise ArgumentError(msg)
        report = check_contract(head)
        if not report.usable:
            report.raise_for_problems()
        return HeldHead(head).placed(self.body.device)

    def build(self, recipe: HeadRecipe, out_features: int | None) -> HeldHead:
        """Build a head for this body, wrapped for several labels a text if need be."""
        head, built_with = recipe.build(
            in_features=embedding_size(self.body),
            out_features=out_features,
            device=str(self.body.device),
            random_state=self.random_state,
            multi_label=self.multi_target_strategy is not None,
        )
        if self.multi_target_strategy is not None:
            head = multi_label_head(head, self.multi_target_strategy)
        return HeldHead(head, recipe, built_with).placed(self.body.device)

    def sized(
        self,
        held: HeldHead,
        codec: LabelCodec,
        texts: Sequence[str],
        targets: IntArray,
        *,
        normalize: bool,
        weights: FloatArray | None,
    ) -> HeldHead:
        """Return a head with an output for each class: this one, or one built anew if its size was left open.

        Args:
            held: The head. A non-differentiable one has no size before it is fitted and is returned.
            codec: The labels that it is to learn.
            texts: The training texts, some of which the head is tried on.
            targets: Their class ids.
            normalize: Whether embeddings are scaled to length 1.
            weights: How much each text counts, floats `[n]`; None for all alike.

        Raises:
            TooFewOutputsError: If the size was set and is too small.
            HeadError: If the head can't be trained on the body's output and these labels.
        """
        if not held.differentiable:
            return held
        inputs = FrozenInputs.of_texts(self.body, texts[:2], normalize=normalize)
        outputs = count_outputs(held.head, inputs)
        wanted = len(codec.labels) if codec.given and not codec.multi_label else codec.num_classes
        recipe = held.recipe
        if outputs != wanted and recipe and recipe.accepts("out_features") and "out_features" not in recipe.params:
            logger.info("The head has %d outputs; one with %d takes its place.", outputs, wanted)
            trainable = is_trainable(held.head)
            held = self.build(recipe, wanted)
            held.head.requires_grad_(trainable)
            outputs = count_outputs(held.head, inputs)
        rehearse_differentiable_head(held.head, inputs, codec, targets, outputs=outputs, weights=weights)
        return held
