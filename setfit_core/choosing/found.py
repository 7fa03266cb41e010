"""What a search for heads and parameters found, for eyes and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from setfit_core.choosing.comparison import METRIC_NAMES, Estimate, Metric, plain
from setfit_core.choosing.tables import markdown_table, text_table
from setfit_core.errors import HeadError
from setfit_core.heads.construction import HeadRecipe


@dataclass(frozen=True)
class SearchTrial:
    """A head with parameters that was tried.

    Attributes:
        head: What the head is called in the search.
        recipe: What builds it, its parameters included; None if it couldn't be found.
        score: The metric that is searched for, by fold; None if the trial failed.
        seconds: How long the trial took.
        error: Why it failed, on one line.
        arguments: The arguments of the body's training that were tried along; empty if they were not searched for.
    """

    head: str
    recipe: HeadRecipe | None
    score: Estimate | None
    seconds: float
    error: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain data; parameters that JSON has no form for as their `repr`."""
        return {
            "head": self.head,
            "params": None if self.recipe is None else plain(self.recipe.params),
            "score": None if self.score is None else asdict(self.score),
            "seconds": self.seconds,
            "error": self.error,
            "arguments": plain(self.arguments),
        }

    def __str__(self) -> str:
        params = {} if self.recipe is None else self.recipe.params
        shown = ", ".join(_assigned({**params, **self.arguments}))
        return f"{self.head} ({shown})" if shown else self.head


def _assigned(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value!r}" for key, value in values.items()]


@dataclass(frozen=True)
class HeadSearch:
    """The trials of a search, in their order: each head as it was given first.

    Attributes:
        trials: The trials.
        metric: What was searched for.
        texts: How many texts there were.
        folds: Into how many folds they were divided.
        repeats: How often they were divided.
    """

    trials: tuple[SearchTrial, ...]
    metric: Metric
    texts: int
    folds: int
    repeats: int

    @property
    def best(self) -> SearchTrial:
        """The trial with the best score; of equals, the first.

        Raises:
            HeadError: If all trials failed.
        """
        best = self._best(self.trials)
        if best is None:
            errors = " ".join(dict.fromkeys(f"{trial.head}: {trial.error}" for trial in self.trials))
            raise HeadError(f"Each trial failed on these texts, so none is the best. {errors}")
        return best

    def to_json(self) -> dict[str, Any]:
        """Return the search as plain data."""
        best = self._best(self.trials)
        trials = [trial.to_json() for trial in self.trials]
        return {**vars(self), "best": None if best is None else best.to_json(), "trials": trials}

    def __str__(self) -> str:
        return "\n".join([f"{self._caption()}\n", text_table(self._titles(), self._rows()), "", *self._notes()])

    def to_markdown(self) -> str:
        """Return the best trial of each head, and what goes with it, in GitHub's Markdown."""
        table = markdown_table(self._titles(), self._rows())
        notes = "\n".join(f"- {note}" for note in self._notes())
        return "\n\n".join([self._caption(), table, notes]) + "\n"

    def _best(self, trials: tuple[SearchTrial, ...]) -> SearchTrial | None:
        sign = 1 if self.metric == "log_loss" else -1
        scored = [(sign * trial.score.mean, place) for place, trial in enumerate(trials) if trial.score is not None]
        return trials[min(scored)[1]] if scored else None

    def _caption(self) -> str:
        return (
            f"{len(self.trials)} trials on {self.texts} texts, {self.repeats} x {self.folds}-fold cross-validation; "
            f"{METRIC_NAMES[self.metric]}, means ± standard deviations."
        )

    def _titles(self) -> list[str]:
        return ["head", "best", "as given", "trials", "failed"]

    def _rows(self) -> list[list[str]]:
        rows = []
        for head in dict.fromkeys(trial.head for trial in self.trials):
            trials = tuple(trial for trial in self.trials if trial.head == head)
            best, given = self._best(trials), trials[0]
            failed = sum(trial.score is None for trial in trials)
            scores = ["-" if trial is None or trial.score is None else str(trial.score) for trial in (best, given)]
            rows.append([str(best or given), *scores, str(len(trials)), str(failed)])
        return rows

    def _notes(self) -> list[str]:
        best = self._best(self.trials)
        found = "Each trial failed." if best is None else f"The best: {best}, {METRIC_NAMES[self.metric]} {best.score}."
        errors = dict.fromkeys(f"{trial} failed: {trial.error}" for trial in self.trials if trial.error is not None)
        return [found, *errors]
