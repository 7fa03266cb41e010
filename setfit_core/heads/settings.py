"""How a head is trained."""

from __future__ import annotations

from dataclasses import dataclass

from setfit_core.values import count, positive_integer, rate, seed_value


@dataclass(frozen=True)
class HeadTraining:
    """How a differentiable head is trained; other heads only use `seed` and `max_length`.

    Attributes:
        num_epochs: Passes over the training texts.
        batch_size: Texts a step.
        body_learning_rate: Learning rate of the body, used only if `end_to_end`.
        head_learning_rate: Learning rate of the head.
        end_to_end: Whether the body is trained along. Otherwise its embeddings are computed once.
        l2_weight: AdamW's weight decay, for head and body.
        max_length: Longest text in tokens; None for the body's own limit.
        show_progress_bar: Whether to show progress.
        seed: Seed of the order of texts and of dropout.

    Raises:
        ArgumentError: If a value has no meaning.
    """

    num_epochs: int = 16
    batch_size: int = 2
    body_learning_rate: float = 1e-5
    head_learning_rate: float = 1e-2
    end_to_end: bool = False
    l2_weight: float = 0.01
    max_length: int | None = None
    show_progress_bar: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        count("num_epochs", self.num_epochs)
        positive_integer("batch_size", self.batch_size)
        for name in ("body_learning_rate", "head_learning_rate", "l2_weight"):
            rate(name, getattr(self, name))
        if self.max_length is not None:
            positive_integer("max_length", self.max_length)
        seed_value(self.seed)
