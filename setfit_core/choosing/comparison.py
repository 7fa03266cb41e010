"""What a comparison of heads found out, for eyes and for programs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from setfit_core.choosing.tables import bytes_text, markdown_table, text_table
from setfit_core.errors import HeadError
from setfit_core.heads.construction import HeadRecipe
from setfit_core.labels import Label
from setfit_core.plotting import new_figure, save_figure

Metric: TypeAlias = Literal["accuracy", "macro_f1", "log_loss"]

METRICS: Final[tuple[Metric, ...]] = ("accuracy", "macro_f1", "log_loss")
#: How metrics are called in texts.
METRIC_NAMES: Final = {"accuracy": "accuracy", "macro_f1": "macro F1", "log_loss": "log loss"}

_TITLES: Final = (
    "head",
    "accuracy",
    "macro F1",
    "log loss",
    "calibration error",
    "training, s",
    "1000 predictions, s",
    "size",
)
_NONE: Final = "-"


@dataclass(frozen=True)
class Estimate:
    """A figure that was measured several times.

    Attributes:
        mean: The mean.
        spread: The standard deviation of the single measurements; 0 if there is one.
    """

    mean: float
    spread: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Return mean and standard deviation of one value or more."""
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.spread:.3f}"


@dataclass(frozen=True)
class HeadRow:
    """One head of a comparison. What could not be measured is None.

    Attributes:
        name: What the head is called in the comparison.
        recipe: What builds it; None if it couldn't be found.
        accuracy: Share of the test texts of a fold that are labelled rightly; for several labels a text, in all labels.
        macro_f1: F1 of each label of a fold, averaged over labels.
        log_loss: Mean negative logarithm (nats) of the probability of what is true, in a fold.
        calibration_error: Expected calibration error, 0 to 1, over all test texts of a repeat: a fold has too few.
        fit_seconds: How long training on all texts took.
        predict_seconds: How long that head took to predict the labels of 1000 embeddings in one call.
        size: Bytes of that head on disk; None if it has no file format.
        error: Why the head couldn't be tested, on one line.
        remarks: Warnings that came up, and why the head couldn't be saved, each on one line.
    """

    name: str
    recipe: HeadRecipe | None
    accuracy: Estimate | None = None
    macro_f1: Estimate | None = None
    log_loss: Estimate | None = None
    calibration_error: Estimate | None = None
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    size: int | None = None
    error: str | None = None
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data; parameters that JSON has no form for as their `repr`."""
        row = {"name": self.name, "params": None if self.recipe is None else plain(self.recipe.params)}
        figures = {key: value for key, value in vars(self).items() if key not in ("name", "recipe")}
        return row | {
            key: asdict(value) if isinstance(value, Estimate) else list(value) if isinstance(value, tuple) else value
            for key, value in figures.items()
        }

    def cells(self) -> list[str]:
        """Return the row as the texts of a table."""
        estimates = (self.accuracy, self.macro_f1, self.log_loss, self.calibration_error)
        seconds = (self.fit_seconds, self.predict_seconds)
        return [
            self.name,
            *(_NONE if estimate is None else str(estimate) for estimate in estimates),
            *(_NONE if value is None else f"{value:.3f}" for value in seconds),
            _NONE if self.size is None else bytes_text(self.size),
        ]


@dataclass(frozen=True)
class Comparison:
    """Heads that were tested on the same texts, the best one first; those that failed last.

    Attributes:
        rows: The heads.
        metric: What they were compared by.
        why: What was chosen and why, in one sentence with figures.
        texts: How many texts there were.
        folds: Into how many folds they were divided.
        repeats: How often they were divided.
        untested: Labels whose texts were all needed in training, so that nothing is known about how well they are told.
    """

    rows: tuple[HeadRow, ...]
    metric: Metric
    why: str
    texts: int
    folds: int
    repeats: int
    untested: tuple[Label, ...] = ()

    @property
    def best(self) -> HeadRow:
        """The head that was chosen.

        Raises:
            HeadError: If none could be tested.
        """
        best = self.rows[0]
        if best.error is not None:
            errors = " ".join(f"{row.name}: {row.error}" for row in self.rows)
            raise HeadError(f"No head could be tested on these texts, so none is the best. {errors}")
        return best

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {**vars(self), "rows": [row.to_json() for row in self.rows], "untested": list(self.untested)}

    def __str__(self) -> str:
        table = text_table(_TITLES, [row.cells() for row in self.rows])
        return "\n".join([f"{self._caption()}\n", table, "", self.why, *self._notes()])

    def to_markdown(self) -> str:
        """Return the table and what goes with it in GitHub's Markdown."""
        table = markdown_table(_TITLES, [row.cells() for row in self.rows])
        notes = "\n".join(f"- {note}" for note in self._notes())
        return "\n\n".join(part for part in (self._caption(), table, self.why, notes) if part) + "\n"

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw accuracy, macro F1 and log loss of the heads, means with spread, into a file.

        Args:
            path: The file; its ending tells the format, such as `.png` or `.svg`.

        Returns:
            The file.

        Raises:
            ArgumentError: If the file's name doesn't end with a format.
            SetFitError: If matplotlib isn't installed, or the file can't be written.
        """
        rows = [row for row in self.rows if row.error is None][::-1]  # the best one on top
        figure = new_figure(12, 1.2 + 0.4 * len(rows))
        for axes, metric in zip(figure.subplots(1, len(METRICS), sharey=True), METRICS, strict=True):
            estimates: list[Estimate | None] = [getattr(row, metric) for row in rows]
            axes.errorbar(
                [math.nan if estimate is None else estimate.mean for estimate in estimates],
                range(len(rows)),
                xerr=[0.0 if estimate is None else estimate.spread for estimate in estimates],
                fmt="o",
                capsize=3,
            )
            axes.set(xlabel=METRIC_NAMES[metric], yticks=range(len(rows)), yticklabels=[row.name for row in rows])
        return save_figure(figure, path)

    def _caption(self) -> str:
        return (
            f"{self.texts} texts, {self.repeats} x {self.folds}-fold cross-validation, compared by "
            f"{METRIC_NAMES[self.metric]}; means ± standard deviations."
        )

    def _notes(self) -> list[str]:
        untested = ", ".join(map(repr, self.untested))
        notes = [f"Not tested, since all its texts are needed in training: {untested}"] if self.untested else []
        notes += [f"{row.name} failed: {row.error}" for row in self.rows if row.error is not None]
        return notes + [f"{row.name}: {remark}" for row in self.rows for remark in row.remarks]


def plain(params: Any) -> dict[str, Any]:
    """Return parameters as plain data; what JSON has no form for as its `repr`."""
    return {
        name: value if value is None or type(value) in (bool, int, float, str) else repr(value)
        for name, value in params.items()
    }
