"""What the stored runs say about each cell (data set, texts per class): both sides on the same samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.runs import CORE, SETFIT, SIDES, Record, Setup

ACCURACIES = ("accuracy logistic", "accuracy differentiable")
WORK = ("texts", "positions", "tokens")


def is_limited(record: Record) -> bool:
    """Whether the run stopped after a part of its steps."""
    return record["max_steps"] is not None


def value_of(record: Record, name: str) -> float | None:
    """Return one number of a run, or None if the run does not have it.

    A limited run of setfit stands for a whole one: each step that it left out takes what its own steps took.
    """
    if name.startswith("accuracy "):
        return record["accuracy"].get(name.removeprefix("accuracy "))
    if name == "peak memory":
        return record["peak_memory_kib"] / 1024
    if name == "distinct tokens":
        return record.get("distinct_tokens")
    if name == "steps":
        return record["setfit_steps"] if is_limited(record) else record["steps"]
    if name in WORK:
        return record["work"][name] * (record["setfit_steps"] / record["steps"] if is_limited(record) else 1)
    seconds = record["seconds"].get(name)
    if name == "embedding_phase" and is_limited(record):
        return seconds + (record["setfit_steps"] - record["steps"]) * record["step_seconds"]
    return seconds


@dataclass
class Cell:
    """The runs of one cell, by side and seed."""

    dataset: str
    per_class: int
    classes: int
    test_texts: int
    runs: dict[str, dict[int, Record]] = field(default_factory=lambda: {side: {} for side in SIDES})

    @property
    def name(self) -> str:
        return f"{self.dataset}, {self.per_class}"

    def extrapolated(self) -> bool:
        return any(map(is_limited, self.runs[SETFIT].values()))

    def values(self, side: str, name: str) -> list[float]:
        """Return a number of each run: of the seeds that both sides have, or of all if they have none in common."""
        found = {
            each: {seed: value for seed, run in runs.items() if (value := value_of(run, name)) is not None}
            for each, runs in self.runs.items()
        }
        common = found[SETFIT].keys() & found[CORE].keys()
        return [found[side][seed] for seed in sorted(common or found[side])]

    def paired(self, name: str) -> list[tuple[float, float]]:
        """Return a number of both sides, setfit's first, for each seed that both have."""
        pairs = []
        for seed in sorted(self.runs[SETFIT].keys() & self.runs[CORE].keys()):
            values = [value_of(self.runs[side][seed], name) for side in SIDES]
            if None not in values:
                pairs.append(tuple(values))
        return pairs

    def ratio(self, name: str) -> float | None:
        """Return setfit's mean over this project's mean."""
        pairs = self.paired(name)
        ours = sum(core for _, core in pairs)
        return sum(setfit for setfit, _ in pairs) / ours if ours else None

    def gains(self, name: str) -> list[float]:
        return [core - setfit for setfit, core in self.paired(name)]


def summarize(records: Sequence[Record], setup: Setup, regime: str = "default") -> list[Cell]:
    """Return the cells that have runs in this setup, cheap ones first; of two runs of one seed the later, or whole."""
    cells: dict[tuple[str, int], Cell] = {}
    for record in records:
        if record["kind"] != "run" or not setup.covers(record):
            continue
        if record["side"] == CORE and record["regime"] != regime:
            continue
        place = record["dataset"], record["per_class"]
        cell = cells.setdefault(place, Cell(*place, record["classes"], record["test_texts"]))
        runs = cell.runs[record["side"]]
        known = runs.get(record["seed"])
        if known is None or is_limited(known) or not is_limited(record):
            runs[record["seed"]] = record
    for cell in cells.values():
        _drop_other_samples(cell)
    return sorted(cells.values(), key=lambda cell: (cell.per_class, cell.classes, cell.dataset))


def _drop_other_samples(cell: Cell) -> None:
    # Where the data has changed between the runs of the two sides, a seed no longer stands for the same texts.
    for seed in cell.runs[SETFIT].keys() & cell.runs[CORE].keys():
        if cell.runs[SETFIT][seed]["key"] != cell.runs[CORE][seed]["key"]:
            del cell.runs[SETFIT][seed]


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean; nan for a single value."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else math.nan
