"""What the embedding phase trains on: the loss, the data it takes, and the settings that go with it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from torch import nn

from setfit_core.errors import ArgumentError, InputError
from setfit_core.labels import IntArray
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.loss_kinds import BATCH_TRIPLET_LOSSES, Examples, examples_for
from setfit_core.training.pairs import pair_dataset, positive_pairs, triplets

#: Passes over labelled texts in an epoch: an epoch over pairs shows each text many times, too.
PASSES: Final = 8


@dataclass(frozen=True)
class Objective:
    """A loss, and the settings of the embedding phase with the defaults that belong to it.

    Attributes:
        loss: The loss.
        examples: What it takes.
        batch_size: Texts or pairs a step.
        num_epochs: Epochs.
        learning_rate: The body's learning rate.
        l2_weight: Weight decay of AdamW.
        dropout: Whether the body's dropout is on.
    """

    loss: nn.Module
    examples: Examples
    batch_size: int
    num_epochs: int
    learning_rate: float
    l2_weight: float
    dropout: bool

    @property
    def on_texts(self) -> bool:
        """Whether it takes labelled texts; otherwise pairs or triplets of texts."""
        return self.examples is Examples.TEXTS

    @property
    def unit(self) -> str:
        """What an epoch and a batch are counted in."""
        return "texts" if self.on_texts else "triplets" if self.examples is Examples.TRIPLETS else "pairs"

    def dataset(
        self, texts: Sequence[str], targets: IntArray, args: TrainingArguments, *, max_steps: int = -1
    ) -> Dataset:
        """Return the examples of one epoch; for an evaluation, no more than `max_steps` batches of them.

        Raises:
            InputError: If they make no pairs.
        """
        most = None if max_steps == -1 else max_steps * self.batch_size
        if self.on_texts:
            return Dataset.from_dict({"text": list(texts)[:most], "label": targets[:most].tolist()})
        if self.examples in (Examples.POSITIVE_PAIRS, Examples.TRIPLETS):
            make = triplets if self.examples is Examples.TRIPLETS else positive_pairs
            return make(texts, targets, num_iterations=args.num_iterations, most=most, seed=args.seed)
        return pair_dataset(
            texts,
            targets,
            strategy=args.sampling_strategy or "oversampling",
            num_iterations=args.num_iterations,
            max_pairs=most,
            as_classes=self.examples is Examples.CLASSIFIED_PAIRS,
            seed=args.seed,
        )


def make_objective(args: TrainingArguments, body: SentenceTransformer, targets: IntArray) -> Objective:
    """Build the loss and complete the settings for it.

    Raises:
        ArgumentError: If the loss can't be built, or an argument doesn't fit it.
        InputError: If the loss can't be trained on these targets.
    """
    loss = _built(args, body)
    examples = examples_for(loss)
    on_texts = examples is Examples.TEXTS
    batch_size = args.batch_size[0]  # type: ignore[index]  # a pair, always
    learning_rate = args.body_learning_rate[0]  # type: ignore[index]  # as above
    objective = Objective(
        loss=loss,
        examples=examples,
        batch_size=(32 if on_texts else 16) if batch_size is None else batch_size,
        num_epochs=args.embedding_num_epochs,
        learning_rate=(2e-4 if on_texts else 2e-5) if learning_rate is None else learning_rate,
        l2_weight=(0.0 if on_texts else 0.01) if args.l2_weight is None else args.l2_weight,
        dropout=not on_texts,
    )
    name = type(loss).__name__
    compared = isinstance(loss, BATCH_TRIPLET_LOSSES) or examples in (Examples.POSITIVE_PAIRS, Examples.TRIPLETS)
    if compared and targets.ndim == 2:
        msg = f"{name} takes one label a text, and these texts have several. Use AllPairsLoss or SupConLoss."
        raise InputError(msg)
    if on_texts:
        _check_texts_objective(objective, args)
    return objective


def _built(args: TrainingArguments, body: SentenceTransformer) -> nn.Module:
    factory = args.loss_factory
    options = {}
    if factory in BATCH_TRIPLET_LOSSES:
        known = inspect.signature(factory).parameters
        given = {"distance_metric": args.distance_metric, "margin": args.margin}
        options = {name: value for name, value in given.items() if name in known}
    loss = factory(body, **options)
    if not isinstance(loss, nn.Module):
        msg = f"loss made a {type(loss).__name__}. It must make a loss of sentence-transformers, an nn.Module."
        raise ArgumentError(msg)
    return loss


def _check_texts_objective(objective: Objective, args: TrainingArguments) -> None:
    name = type(objective.loss).__name__
    if args.sampling_strategy is not None or args.num_iterations is not None:
        msg = (
            f"sampling_strategy and num_iterations choose pairs of texts, but {name} looks at all pairs of a batch. "
            "Leave them out, or leave loss out for setfit's way of training on pairs."
        )
        raise ArgumentError(msg)
    least = 2 * args.samples_per_label
    if objective.batch_size < least:
        msg = (
            f"batch_size is {objective.batch_size}, but {name} compares the texts of a batch: it takes at least two "
            f"classes with samples_per_label={args.samples_per_label} texts. Give {least} or more."
        )
        raise ArgumentError(msg)
