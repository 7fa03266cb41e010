"""What the embedding phase trains on: the loss, the data it takes, and the settings that go with it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer import losses
from torch import nn

from setfit_core.errors import ArgumentError, InputError
from setfit_core.labels import IntArray
from setfit_core.losses import AllPairsLoss, SupConLoss
from setfit_core.randomness import isolated_random_state
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.batches import ClassAwareBatchSampler, OnePerClassBatchSampler, ShuffledBatchSampler
from setfit_core.training.loss_kinds import BATCH_TRIPLET_LOSSES, Examples, examples_for
from setfit_core.training.pairs import LabelledTexts, PositivePairs, ScoredPairs, TrainingRows, Triplets

#: Passes over labelled texts in an epoch: an epoch over pairs shows each text many times, too.
PASSES: Final = 8

#: With more labels the default loss is `SupConLoss`. Of clinc150 with 8 texts a label, 10 labels came out as with the
#: pretrained body, whichever the loss; with 20, `AllPairsLoss` took 2 points away; with 150, `SupConLoss` added 4.
_MOST_LABELS_FOR_ALL_PAIRS: Final = 10

#: The default learning rate for labelled texts is this at most, and over all steps together, but this at least. AdamW's
#: steps are about as long as the learning rate, whatever the gradient: more of them take the body farther from what it
#: was pretrained for. On trec and sst2, 16 steps of 2e-4 were as good as 32 of 1e-4 for 48 texts, and 32 of 1e-4 better
#: than of 2e-4 for 128 (by 1.5 points). For 384 texts of trec and 1,200 of clinc150 in 96 and 304 steps, 1e-4 was best.
_HIGHEST_RATE: Final = 2e-4
_RATE_OVER_ALL_STEPS: Final = 3.2e-3
_LOWEST_RATE: Final = 1e-4


@dataclass(frozen=True)
class Epochs:
    """What the embedding phase goes through, epoch by epoch.

    Attributes:
        rows: Labelled texts, pairs or triplets.
        batches: Which of them come together.
    """

    rows: TrainingRows
    batches: DefaultBatchSampler


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
    def on_single_pairs(self) -> bool:
        """Whether it takes pairs of texts, each with a target of its own."""
        return self.examples in (Examples.SCORED_PAIRS, Examples.CLASSIFIED_PAIRS)

    @property
    def unit(self) -> str:
        """What an epoch and a batch are counted in."""
        return "texts" if self.on_texts else "triplets" if self.examples is Examples.TRIPLETS else "pairs"

    def epochs(
        self, texts: Sequence[str], targets: IntArray, args: TrainingArguments, *, evaluation: bool = False
    ) -> Epochs:
        """Return what an epoch is made of; for an evaluation, at random no more than `eval_max_steps` batches of it.

        Args:
            texts: The texts.
            targets: Their class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
            args: The training arguments.
            evaluation: Whether it is for an evaluation.

        Raises:
            InputError: If they make no pairs.
        """
        most = args.most_eval_batches if evaluation else None
        purpose = "evaluation" if evaluation else "training"
        size, seed = self.batch_size, args.seed
        rows: TrainingRows
        if self.on_texts:
            chosen: IntArray = np.arange(len(texts))
            if most is not None:
                chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[: most * size])
            rows = LabelledTexts([texts[row] for row in chosen], targets[chosen])
            passes = 1 if evaluation else PASSES
            company = args.samples_per_label
            return Epochs(
                rows, ClassAwareBatchSampler(targets[chosen], size, company, passes=passes, seed=seed, most=most)
            )
        if self.examples is Examples.POSITIVE_PAIRS:
            rows = PositivePairs(texts, targets, num_iterations=args.num_iterations, seed=seed, purpose=purpose)
            return Epochs(rows, OnePerClassBatchSampler(rows.sizes, size, seed=seed, most=most))
        if self.examples is Examples.TRIPLETS:
            rows = Triplets(texts, targets, num_iterations=args.num_iterations, seed=seed, purpose=purpose)
        else:
            rows = ScoredPairs(
                texts,
                targets,
                strategy=args.pair_sampling,
                num_iterations=args.num_iterations,
                as_classes=self.examples is Examples.CLASSIFIED_PAIRS,
                seed=seed,
                purpose=purpose,
            )
        return Epochs(rows, ShuffledBatchSampler(len(rows), size, seed=seed, most=most))


def make_objective(args: TrainingArguments, body: SentenceTransformer, targets: IntArray) -> Objective:
    """Build the loss and complete the settings for it.

    Raises:
        ArgumentError: If the loss can't be built, or an argument doesn't fit it.
        InputError: If the loss can't be trained on these targets.
    """
    loss = _built(args, body, targets)
    examples = examples_for(loss)
    on_texts = examples is Examples.TEXTS
    batch_size = args.batch_size[0]  # type: ignore[index]  # a pair, always
    batch_size = (32 if on_texts else 16) if batch_size is None else batch_size
    learning_rate = args.body_learning_rate[0]  # type: ignore[index]  # as above
    if learning_rate is None:
        learning_rate = _rate_for(_steps(len(targets), batch_size, args)) if on_texts else 2e-5
    objective = Objective(
        loss=loss,
        examples=examples,
        batch_size=batch_size,
        num_epochs=args.embedding_num_epochs,
        learning_rate=learning_rate,
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
    if examples is Examples.POSITIVE_PAIRS and batch_size < 2:
        msg = f"batch_size is {batch_size}, but {name} compares the pairs of a batch. Give 2 or more."
        raise ArgumentError(msg)
    return objective


def _steps(texts: int, batch_size: int, args: TrainingArguments) -> int:
    """Return how many steps passes over labelled texts make, or somewhat fewer if their classes are far from even."""
    if args.max_steps > 0:
        return args.max_steps
    batches = PASSES * math.ceil(texts / batch_size)
    return args.embedding_num_epochs * math.ceil(batches / args.gradient_accumulation_steps)


def _rate_for(steps: int) -> float:
    return max(_LOWEST_RATE, min(_HIGHEST_RATE, _RATE_OVER_ALL_STEPS / max(steps, 1)))


def _loss_factory(args: TrainingArguments, targets: IntArray) -> Callable[..., nn.Module]:
    if args.loss is not None:
        return args.loss
    if args.asks_for_pairs:
        return losses.CosineSimilarityLoss
    texts_of_labels = targets.sum(axis=0) if targets.ndim == 2 else np.unique(targets, return_counts=True)[1]
    if len(texts_of_labels) <= _MOST_LABELS_FOR_ALL_PAIRS or texts_of_labels.max() < 2:
        return AllPairsLoss  # the only one that learns from labels of one text each
    return SupConLoss


def _built(args: TrainingArguments, body: SentenceTransformer, targets: IntArray) -> nn.Module:
    factory = _loss_factory(args, targets)
    options = {}
    if factory in BATCH_TRIPLET_LOSSES:
        known = inspect.signature(factory).parameters
        given = {"distance_metric": args.distance_metric, "margin": args.margin}
        options = {name: value for name, value in given.items() if name in known}
    with isolated_random_state(args.seed):  # some have weights
        loss = factory(body, **options)
    if not isinstance(loss, nn.Module):
        msg = f"loss made a {type(loss).__name__}. It must make a loss of sentence-transformers, an nn.Module."
        raise ArgumentError(msg)
    return loss


def _check_texts_objective(objective: Objective, args: TrainingArguments) -> None:
    name = type(objective.loss).__name__
    if args.asks_for_pairs:
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
