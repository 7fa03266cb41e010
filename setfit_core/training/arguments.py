"""`TrainingArguments`: every setting of the two training phases, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, Final, Literal

from sentence_transformers.sentence_transformer.losses import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
    CosineSimilarityLoss,
)
from torch import nn

from setfit_core.errors import ArgumentError
from setfit_core.values import count, is_number, one_of, positive_integer, rate, seed_value

SAMPLING_STRATEGIES: Final = ("oversampling", "undersampling", "unique")
INTERVALS: Final = ("no", "steps", "epoch")

# On pairs these would train on the first text of each alone, without a word.
_LABEL_LOSSES: Final = (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
)

SamplingStrategy = Literal["oversampling", "undersampling", "unique"]
Interval = Literal["no", "steps", "epoch"]


@dataclass(frozen=True)
class TrainingArguments:
    """Settings for `Trainer`.

    Training has two phases: the embedding phase fine-tunes the body, the head phase trains the head. Where a pair
    stands, its two values are for these two phases; a single value sets both.

    Names and defaults are those of `setfit` 1.2, except that nothing is written or reported unless asked for
    (`save_strategy` is `"no"`, `report_to` is `"none"`). Arguments of the head phase other than `max_length` and `seed`
    only matter to differentiable heads.

    Attributes:
        output_dir: Where checkpoints of the embedding phase go.
        batch_size: Pairs of texts a step; texts a step.
        num_epochs: Passes over the pairs; passes over the texts.
        max_steps: If positive, the number of steps of the embedding phase, instead of `num_epochs`.
        sampling_strategy: Which pairs of texts make an epoch. Pairs with a common label are positive, the others
            negative; no text is paired with itself. `"oversampling"`: all pairs, the smaller kind repeated until
            both kinds are equally many. `"undersampling"`: as many of the larger kind as there are of the
            smaller. `"unique"`: every pair once.
        num_iterations: If given, an epoch has this many positive and as many negative pairs for each text,
            whatever `sampling_strategy` says.
        body_learning_rate: Learning rate of the body; in the head phase only if `end_to_end`.
        head_learning_rate: Learning rate of the head.
        loss: The embedding phase's loss: called with the body, gives a sentence-transformers loss that takes
            pairs of texts with a target of 1.0 or 0.0.
        end_to_end: Whether the head phase trains the body along with the head.
        use_amp: Whether the embedding phase runs in mixed precision: float16 on CUDA, bfloat16 on CPU.
        warmup_proportion: Share of the embedding phase's steps in which the learning rate rises from 0.
        l2_weight: Weight decay of AdamW, in both phases.
        max_length: Longest training text in tokens, in both phases; None for the body's own limit.
        show_progress_bar: Whether to show progress.
        seed: Seed of both phases.
        report_to: Integrations of transformers that get the logs, `"all"` or `"none"`.
        run_name: Name of the run for these integrations.
        logging_strategy: When the embedding phase logs: `"no"`, `"steps"` or `"epoch"`.
        logging_first_step: Whether the first step is logged too.
        logging_steps: Steps between two logs.
        eval_strategy: When the embedding loss of the evaluation data is computed.
        eval_steps: Steps between two evaluations; None for `logging_steps`.
        eval_delay: Epochs (or steps) before the first evaluation.
        eval_max_steps: If positive, the most batches of an evaluation.
        save_strategy: When checkpoints are written; other than `"no"`, also at the end.
        save_steps: Steps between two checkpoints.
        save_total_limit: How many checkpoints are kept; None for all.
        load_best_model_at_end: Whether the body with the best `metric_for_best_model` is taken.
        metric_for_best_model: Metric of the embedding phase's evaluation.
        greater_is_better: Whether a larger value of it is better.

    Raises:
        ArgumentError: If a value has no meaning.
    """

    output_dir: str = "checkpoints"
    _: KW_ONLY
    batch_size: int | tuple[int, int] = (16, 2)
    num_epochs: int | tuple[int, int] = (1, 16)
    max_steps: int = -1
    sampling_strategy: SamplingStrategy = "oversampling"
    num_iterations: int | None = None
    body_learning_rate: float | tuple[float, float] = (2e-5, 1e-5)
    head_learning_rate: float = 1e-2
    loss: Callable[..., nn.Module] = field(default=CosineSimilarityLoss)
    end_to_end: bool = False
    use_amp: bool = False
    warmup_proportion: float = 0.1
    l2_weight: float = 0.01
    max_length: int | None = None
    show_progress_bar: bool = True
    seed: int = 42
    report_to: str | list[str] = "none"
    run_name: str | None = None
    logging_strategy: Interval = "steps"
    logging_first_step: bool = True
    logging_steps: int = 50
    eval_strategy: Interval = "no"
    eval_steps: int | None = None
    eval_delay: float = 0
    eval_max_steps: int = -1
    save_strategy: Interval = "no"
    save_steps: int = 500
    save_total_limit: int | None = 1
    load_best_model_at_end: bool = False
    metric_for_best_model: str = "embedding_loss"
    greater_is_better: bool = False

    def __post_init__(self) -> None:
        self._set_pair("batch_size", positive_integer)
        self._set_pair("num_epochs", count)
        self._set_pair("body_learning_rate", rate)
        object.__setattr__(self, "head_learning_rate", rate("head_learning_rate", self.head_learning_rate))
        object.__setattr__(self, "l2_weight", rate("l2_weight", self.l2_weight))
        for name in ("logging_steps", "save_steps"):
            positive_integer(name, getattr(self, name))
        for name in ("num_iterations", "max_length", "eval_steps", "save_total_limit"):
            if getattr(self, name) is not None:
                positive_integer(name, getattr(self, name))
        for name in ("max_steps", "eval_max_steps"):
            if getattr(self, name) != -1:
                positive_integer(name, getattr(self, name), " (or -1 for no limit)")
        one_of("sampling_strategy", self.sampling_strategy, SAMPLING_STRATEGIES)
        for name in ("logging_strategy", "eval_strategy", "save_strategy"):
            one_of(name, getattr(self, name), INTERVALS)
        if not is_number(self.warmup_proportion) or not 0 <= self.warmup_proportion <= 1:
            msg = f"warmup_proportion is {self.warmup_proportion!r}. It is a share of the steps: give 0.0 to 1.0."
            raise ArgumentError(msg)
        seed_value(self.seed)
        if self.loss in _LABEL_LOSSES:
            msg = (
                f"loss is {self.loss.__name__}, which takes texts with class labels; the embedding phase trains on "
                "pairs of texts. Give a loss for pairs, such as CosineSimilarityLoss or ContrastiveLoss."
            )
            raise ArgumentError(msg)
        if not callable(self.loss):
            msg = f"loss is {self.loss!r}. Give a loss class such as sentence_transformers.losses.CosineSimilarityLoss."
            raise ArgumentError(msg)
        if self.load_best_model_at_end:
            self._check_best_model()

    def _set_pair(self, name: str, check: Callable[[str, Any], Any]) -> None:
        value = getattr(self, name)
        pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
        if len(pair) != 2:
            msg = f"{name} has {len(pair)} values. Give one for both phases, or (embedding phase, head phase)."
            raise ArgumentError(msg)
        object.__setattr__(self, name, tuple(check(name, item) for item in pair))

    def _check_best_model(self) -> None:
        if self.eval_strategy == "no" or self.eval_strategy != self.save_strategy:
            msg = (
                f"load_best_model_at_end compares checkpoints, but eval_strategy is {self.eval_strategy!r} and "
                f"save_strategy is {self.save_strategy!r}. Set both to 'steps' or both to 'epoch'."
            )
            raise ArgumentError(msg)
        steps = self.eval_steps or self.logging_steps
        if self.eval_strategy == "steps" and self.save_steps % steps:
            msg = (
                f"load_best_model_at_end needs an evaluation at every checkpoint, but save_steps={self.save_steps} is "
                f"no multiple of eval_steps={steps}. Change one of them."
            )
            raise ArgumentError(msg)

    @property
    def embedding_batch_size(self) -> int:
        """Pairs a step of the embedding phase."""
        return self.batch_size[0]  # type: ignore[index]  # __post_init__ makes it a pair

    @property
    def classifier_batch_size(self) -> int:
        """Texts a step of the head phase."""
        return self.batch_size[1]  # type: ignore[index]  # as above

    @property
    def embedding_num_epochs(self) -> int:
        """Passes over the pairs."""
        return self.num_epochs[0]  # type: ignore[index]  # as above

    @property
    def classifier_num_epochs(self) -> int:
        """Passes over the texts in the head phase."""
        return self.num_epochs[1]  # type: ignore[index]  # as above

    @property
    def body_embedding_learning_rate(self) -> float:
        """The body's learning rate in the embedding phase."""
        return self.body_learning_rate[0]  # type: ignore[index]  # as above

    @property
    def body_classifier_learning_rate(self) -> float:
        """The body's learning rate in the head phase."""
        return self.body_learning_rate[1]  # type: ignore[index]  # as above

    def to_dict(self) -> dict[str, Any]:
        """Return all arguments by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_dict(cls, arguments: Mapping[str, Any], ignore_extra: bool = False) -> TrainingArguments:
        """Make arguments from a mapping.

        Args:
            arguments: Arguments by name.
            ignore_extra: Whether unknown names are passed over.

        Raises:
            ArgumentError: If a name is unknown, or a value has no meaning.
        """
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(arguments) - known)
        if unknown and not ignore_extra:
            msg = f"Unknown training arguments: {', '.join(unknown)}. Known are: {', '.join(sorted(known))}."
            raise ArgumentError(msg)
        return cls(**{name: value for name, value in arguments.items() if name in known})

    def copy(self) -> TrainingArguments:
        """Return the same arguments as a new object."""
        return replace(self)

    def update(self, arguments: Mapping[str, Any], ignore_extra: bool = False) -> TrainingArguments:
        """Return new arguments with some of them changed; see `from_dict`."""
        return self.from_dict({**self.to_dict(), **arguments}, ignore_extra=ignore_extra)
