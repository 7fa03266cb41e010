"""`TrainingArguments`: every setting of the two training phases, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeVar

from sentence_transformers.sentence_transformer.losses import BatchHardTripletLossDistanceFunction
from torch import nn

from setfit_core.embedding.precision import Precision, checked_precision
from setfit_core.errors import ArgumentError
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import ClassWeight, checked_class_weight, checked_sample_weight
from setfit_core.values import count, is_number, one_of, positive_integer, rate, seed_value

SAMPLING_STRATEGIES: Final = ("oversampling", "undersampling", "unique")
INTERVALS: Final = ("no", "steps", "epoch")
#: The name of the embedding phase's own loss in logs.
EMBEDDING_LOSS: Final = "embedding_loss"

SamplingStrategy = Literal["oversampling", "undersampling", "unique"]
Interval = Literal["no", "steps", "epoch"]


@dataclass(frozen=True)
class TrainingArguments:
    """Settings for `Trainer`.

    Training has two phases: the embedding phase fine-tunes the body, the head phase trains the head. Where a pair
    stands, its two values are for these two phases; a single value sets both.

    The loss decides what the embedding phase trains on, and what an epoch and a batch are:

    | | labelled texts (the default) | pairs of texts (as `setfit`) |
    |---|---|---|
    | losses | `AllPairsLoss`, `SupConLoss`, the batch triplet losses | `CosineSimilarityLoss` and most others |
    | an epoch | 8 passes over the texts | each pair that `sampling_strategy` asks for, once |
    | a batch | distinct texts, several of each class | pairs, each text of each encoded |
    | a pair | any two texts of a batch | two texts with a target of 1.0 or 0.0 |
    | default `batch_size` | 32 texts | 16 pairs |
    | default `body_learning_rate` | 2e-4 for up to 16 steps, falling to 1e-4 for 32 | 2e-5 |
    | default `l2_weight` | 0.0 | 0.01 |
    | dropout | off | as the body has it |

    Losses that take positive pairs (`MultipleNegativesRankingLoss`) or triplets get all positive pairs of the texts, or
    `num_iterations` for each text, with a random negative for triplets; positive pairs of one class never share a
    batch. Their defaults are those of pairs.

    Giving `sampling_strategy` or `num_iterations` asks for pairs: `TrainingArguments(sampling_strategy="oversampling")`
    is `setfit`'s own way of training. Names are those of `setfit` 1.2, and so are the other defaults, except that
    nothing is written or reported unless asked for (`save_strategy` is `"no"`, `report_to` is `"none"`). Arguments of
    the head phase other than `max_length` and `seed` only matter to differentiable heads.

    Attributes:
        output_dir: Where checkpoints of the embedding phase go. Each is a model, too, with a trained head.
        batch_size: Texts or pairs a step, see above; texts a step. None for the default, 2 in the head phase. Of
            several processes that train together, each embeds its share of a batch.
        num_epochs: Epochs, see above; passes over the texts.
        max_steps: If positive, the number of steps of the embedding phase, instead of `num_epochs`.
        gradient_accumulation_steps: Batches of the embedding phase whose gradients make one step. The pairs of
            labelled texts are those within each batch.
        sampling_strategy: Which pairs of texts make an epoch. Pairs with a common label are positive, the others
            negative; no text is paired with itself. `"oversampling"` (what None means for pairs): all pairs, the
            smaller kind repeated until both kinds are equally many. `"undersampling"`: as many of the larger kind as
            there are of the smaller. `"unique"`: every pair once.
        num_iterations: If given, an epoch has this many positive and as many negative pairs for each text,
            whatever `sampling_strategy` says.
        samples_per_label: Texts of a class that a batch of labelled texts has at least, where the class has as many.
        body_learning_rate: Learning rate of the body. None for the default; 1e-5 in the head phase, where it matters
            only if `end_to_end`.
        head_learning_rate: Learning rate of the head.
        loss: The embedding phase's loss: called with the body, gives a sentence-transformers loss. None for
            `AllPairsLoss` with up to 10 labels and `SupConLoss` with more, or for `CosineSimilarityLoss` if pairs are
            asked for.
        distance_metric: Distance of two embeddings for the batch triplet losses.
        margin: By how much a batch triplet loss wants the negative to be farther away than the positive.
        end_to_end: Whether the head phase trains the body along with the head.
        class_weight: How much the texts of a label count in the head phase: `"balanced"` for the same sum of weights in
            each label, or a mapping from labels to weights (1 for those it leaves out). A text with several labels has
            the mean of their weights. A head that can't use weights says in the log that it ignores them. The embedding
            phase balances its batches by itself.
        sample_weight: How much each training text counts in the head phase, times the weight of its label: a number of
            0 or more for each, in the order of the data.
        precision: In which precision the embedding phase multiplies matrices: `"float32"`, `"bfloat16"`, or `"auto"`
            for bfloat16 where the processor is faster with it. Weights are kept in float32.
        use_amp: Whether the embedding phase runs in mixed precision even where `"auto"` would not: bfloat16, or float16
            on CUDA devices without it.
        warmup_proportion: Share of the embedding phase's steps in which the learning rate rises from 0.
        l2_weight: Weight decay of AdamW, in both phases. None for the default, 0.01 in the head phase.
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
        save_strategy: When checkpoints are written; other than `"no"`, also at the end, and with
            `load_best_model_at_end` after each evaluation that is the best so far.
        save_steps: Steps between two checkpoints.
        save_total_limit: How many checkpoints are kept; None for all. The last one and the best one always are.
        load_best_model_at_end: Whether the body with the best `metric_for_best_model` is taken.
        metric_for_best_model: What an evaluation of the embedding phase measures, for the best model and for
            transformers' `EarlyStoppingCallback`: `"embedding_loss"`, or a name of what the trainer's `metric` returns,
            such as `"accuracy"`. For the latter a copy of the head is trained at each evaluation.
        greater_is_better: Whether a larger value of it is better; None for all but losses.

    Raises:
        ArgumentError: If a value has no meaning.
    """

    output_dir: str = "checkpoints"
    _: KW_ONLY
    batch_size: int | tuple[int | None, int | None] | None = None
    num_epochs: int | tuple[int, int] = (1, 16)
    max_steps: int = -1
    gradient_accumulation_steps: int = 1
    sampling_strategy: SamplingStrategy | None = None
    num_iterations: int | None = None
    samples_per_label: int = 2
    body_learning_rate: float | tuple[float | None, float | None] | None = None
    head_learning_rate: float = 1e-2
    loss: Callable[..., nn.Module] | None = None
    distance_metric: Callable[..., Any] = field(default=BatchHardTripletLossDistanceFunction.cosine_distance)
    margin: float = 0.25
    end_to_end: bool = False
    class_weight: ClassWeight | None = None
    sample_weight: Sequence[float] | None = None
    precision: Precision = "auto"
    use_amp: bool = False
    warmup_proportion: float = 0.1
    l2_weight: float | None = None
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
    metric_for_best_model: str = EMBEDDING_LOSS
    greater_is_better: bool | None = None

    def __post_init__(self) -> None:
        self._set_pair("num_epochs", count)
        self._set_pair("batch_size", positive_integer, optional=True)
        self._set_pair("body_learning_rate", rate, optional=True)
        for name in ("head_learning_rate", "margin", "l2_weight"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, rate(name, getattr(self, name)))
        for name in ("logging_steps", "save_steps", "gradient_accumulation_steps", "samples_per_label"):
            positive_integer(name, getattr(self, name))
        for name in ("num_iterations", "max_length", "eval_steps", "save_total_limit"):
            if getattr(self, name) is not None:
                positive_integer(name, getattr(self, name))
        for name in ("max_steps", "eval_max_steps"):
            if getattr(self, name) != -1:
                positive_integer(name, getattr(self, name), " (or -1 for no limit)")
        if self.sampling_strategy is not None:
            one_of("sampling_strategy", self.sampling_strategy, SAMPLING_STRATEGIES)
        for name in ("logging_strategy", "eval_strategy", "save_strategy"):
            one_of(name, getattr(self, name), INTERVALS)
        if not is_number(self.warmup_proportion) or not 0 <= self.warmup_proportion <= 1:
            msg = f"warmup_proportion is {self.warmup_proportion!r}. It is a share of the steps: give 0.0 to 1.0."
            raise ArgumentError(msg)
        seed_value(self.seed)
        self._check_weights()
        self._check_precision()
        self._check_loss()
        self._check_best_model()

    def _check_loss(self) -> None:
        if self.loss is not None and not callable(self.loss):
            msg = f"loss is {self.loss!r}. Give a loss class such as sentence_transformers.losses.CosineSimilarityLoss."
            raise ArgumentError(msg)
        if not callable(self.distance_metric):
            msg = f"distance_metric is {self.distance_metric!r}. Give a function of two batches of embeddings."
            raise ArgumentError(msg)

    def _check_weights(self) -> None:
        object.__setattr__(self, "class_weight", checked_class_weight(self.class_weight))
        weights = checked_sample_weight(self.sample_weight)
        object.__setattr__(self, "sample_weight", None if weights is None else tuple(weights.tolist()))

    def _check_precision(self) -> None:
        checked_precision(self.precision)
        if self.use_amp and self.precision == "float32":
            msg = "use_amp=True asks for mixed precision, precision='float32' for none. Leave one of them out."
            raise ArgumentError(msg)

    def _set_pair(self, name: str, check: Callable[[str, Any], Any], *, optional: bool = False) -> None:
        value = getattr(self, name)
        pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
        if len(pair) != 2:
            msg = f"{name} has {len(pair)} values. Give one for both phases, or (embedding phase, head phase)."
            raise ArgumentError(msg)
        kept = (None if optional and item is None else check(name, item) for item in pair)
        object.__setattr__(self, name, tuple(kept))

    def _check_best_model(self) -> None:
        if not isinstance(self.metric_for_best_model, str):
            msg = f"metric_for_best_model is {self.metric_for_best_model!r}. Give a name, such as 'accuracy'."
            raise ArgumentError(msg)
        if not self.load_best_model_at_end:
            return
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
    def asks_for_pairs(self) -> bool:
        """Whether an argument says which pairs of texts to train on."""
        return self.sampling_strategy is not None or self.num_iterations is not None

    @property
    def pair_sampling(self) -> SamplingStrategy:
        """Which pairs make an epoch where `num_iterations` doesn't say it."""
        return self.sampling_strategy or "oversampling"

    @property
    def best_metric(self) -> str:
        """What the best model is chosen by: `"embedding_loss"`, or a name of what the trainer's metric returns."""
        return self.metric_for_best_model.removeprefix("eval_")

    @property
    def selects_by_head(self) -> bool:
        """Whether the evaluations of the embedding phase ask how good a head would be by now."""
        return self.eval_strategy != "no" and self.best_metric != EMBEDDING_LOSS

    @property
    def greater_is_better_or_default(self) -> bool:
        """Whether a larger value of `best_metric` is better."""
        if self.greater_is_better is None:
            return not self.best_metric.endswith("loss")
        return self.greater_is_better

    @property
    def most_eval_batches(self) -> int | None:
        """The most batches of an evaluation; None for all."""
        return None if self.eval_max_steps == -1 else self.eval_max_steps

    @property
    def classifier_batch_size(self) -> int:
        """Texts a step of the head phase."""
        return int(_or_default(self.batch_size[1], 2))  # type: ignore[index]  # __post_init__ makes it a pair

    @property
    def embedding_num_epochs(self) -> int:
        """Epochs of the embedding phase."""
        return self.num_epochs[0]  # type: ignore[index]  # as above

    @property
    def classifier_num_epochs(self) -> int:
        """Passes over the texts in the head phase."""
        return self.num_epochs[1]  # type: ignore[index]  # as above

    @property
    def body_classifier_learning_rate(self) -> float:
        """The body's learning rate in the head phase."""
        return float(_or_default(self.body_learning_rate[1], 1e-5))  # type: ignore[index]  # as above

    @property
    def classifier_l2_weight(self) -> float:
        """Weight decay in the head phase."""
        return _or_default(self.l2_weight, 0.01)

    @property
    def head_training(self) -> HeadTraining:
        """How the head phase trains a differentiable head."""
        return HeadTraining(
            num_epochs=self.classifier_num_epochs,
            batch_size=self.classifier_batch_size,
            body_learning_rate=self.body_classifier_learning_rate,
            head_learning_rate=self.head_learning_rate,
            end_to_end=self.end_to_end,
            l2_weight=self.classifier_l2_weight,
            max_length=self.max_length,
            show_progress_bar=self.show_progress_bar,
            seed=self.seed,
        )

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


Value = TypeVar("Value", int, float)


def _or_default(value: Value | None, default: Value) -> Value:
    return default if value is None else value
