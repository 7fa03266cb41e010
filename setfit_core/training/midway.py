"""The model as it would be if the embedding phase ended now: for checkpoints, and for choosing the best body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from setfit_core.data import Examples
from setfit_core.errors import ArgumentError
from setfit_core.model import SetFitModel
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.checkpoints import Identity


def fit_head(model: SetFitModel, examples: Examples, args: TrainingArguments) -> None:
    """Run the head phase: train a model's head on texts, as the arguments say."""
    model.fit(
        examples.texts,
        examples.labels,
        **asdict(args.head_training),
        class_weight=args.class_weight,
        sample_weight=args.sample_weight,
    )


@dataclass
class MidwayModel:
    """A copy of a model's head, trained on the body of the moment. The model's own head is left alone.

    The body is frozen for it, even where the head phase will train the body along.

    Attributes:
        model: The model.
        examples: What its head is trained on.
        args: How.
        identity: Which training this is.
        measure: Returns what a model reaches on the evaluation data, by name.
        note: Tells a model's card what it was trained with.
    """

    model: SetFitModel
    examples: Examples
    args: TrainingArguments
    identity: Identity
    measure: Callable[[SetFitModel], Mapping[str, Any]]
    note: Callable[[SetFitModel], None]
    _latest: tuple[int, SetFitModel] | None = field(default=None, init=False)

    def metrics(self, step: int) -> Mapping[str, Any]:
        """Return what the model reaches on the evaluation data after a step.

        Raises:
            ArgumentError: If what the best model is chosen by isn't among them, or is no number.
        """
        measured = plain_numbers(self.measure(self._after(step)))
        check_best_metric(self.args.best_metric, measured)
        return measured

    def save(self, step: int, folder: Path, add: Callable[[Path], None]) -> None:
        """Save the model after a step, whole or not at all, with what `add` writes into its folder."""
        self._after(step).save_checkpoint(folder, add)

    def _after(self, step: int) -> SetFitModel:
        if self._latest is None or self._latest[0] != step:
            model = self.model.twin()
            quiet = replace(self.args, end_to_end=False, show_progress_bar=False)
            fit_head(model, self.examples, quiet)
            self.note(model)
            self._latest = (step, model)
        return self._latest[1]


def plain_numbers(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a metric measured, with NumPy's numbers as Python's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in measured.items()}


def check_best_metric(name: str, measured: Mapping[str, Any]) -> None:
    """Check that a trainer's metric measures what the best model is to be chosen by.

    Raises:
        ArgumentError: If it doesn't, or not as a number.
    """
    value = measured.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        there = "missing" if name not in measured else f"a {type(value).__name__}"
        msg = (
            f"metric_for_best_model is {name!r}, which is {there} among what the trainer's metric returns "
            f"({', '.join(map(str, measured))}). Pass Trainer(metric={name!r}), or a metric_for_best_model that is "
            "there, or 'embedding_loss'."
        )
        raise ArgumentError(msg)
