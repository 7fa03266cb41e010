"""What this project wants to reach beside setfit, and whether the measured cells reach it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.summary import Cell, geometric_mean, standard_error

# The defaults were chosen by looking at these; what holds on them alone may hold nowhere else.
TUNED_ON = ("trec", "sst2", "ag_news", "clinc150")


@dataclass(frozen=True)
class Target:
    """A demand on some cells: setfit's number over ours, or ours minus setfit's in accuracy points.

    It is one on their mean, or on each of them if `everywhere`.
    """

    name: str
    number: str
    least: float
    is_gain: bool = False
    everywhere: bool = False
    applies: Callable[[Cell], bool] = lambda _cell: True

    @property
    def demand(self) -> str:
        return f"≥ {self.least:+.1f} points" if self.is_gain else f"≥ {self.least:g}x"


@dataclass(frozen=True)
class Verdict:
    """What the cells say: the reached figure in words, over how many cells, and whether it is enough."""

    reached: str
    cells: int
    met: bool | None
    below: int = 0  # cells that alone wouldn't be enough

    @property
    def word(self) -> str:
        if self.met and self.below:
            return f"**yes**, but not in {self.below} of {self.cells}"
        return {True: "**yes**", False: "**no**", None: "not measured"}[self.met]


def times(ratio: float) -> str:
    """Write a ratio; one decimal would hide on which side of 1 it is."""
    return f"{ratio:.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}x"


def many_classes_8(cell: Cell) -> bool:
    return cell.per_class == 8 and cell.classes >= 5


def two_classes_8(cell: Cell) -> bool:
    return cell.per_class == 8 and cell.classes == 2


def at_64(cell: Cell) -> bool:
    return cell.per_class == 64


TARGETS = (
    Target("embedding phase, 8 a class, ≥ 5 classes", "embedding_phase", 10, applies=many_classes_8),
    Target("accuracy, 8 a class, ≥ 5 classes", "accuracy logistic", 1.0, is_gain=True, applies=many_classes_8),
    Target("embedding phase, 64 a class", "embedding_phase", 25, applies=at_64),
    Target("accuracy, 64 a class", "accuracy logistic", 0.0, is_gain=True, applies=at_64),
    Target("embedding phase, 8 a class, 2 classes", "embedding_phase", 2, applies=two_classes_8),
    Target("accuracy, 8 a class, 2 classes", "accuracy logistic", 1.0, is_gain=True, applies=two_classes_8),
    Target("differentiable head on a frozen body", "differentiable_head", 100),
    Target("predicted texts per processor second", "predict", 2.5),
    Target("whole process, 8 a class", "whole_process", 4, applies=lambda cell: cell.per_class == 8),
    Target("peak memory (setfit's over ours)", "peak memory", 1, everywhere=True),
)


def judge(target: Target, cells: Sequence[Cell]) -> Verdict:
    """Judge a target by the mean over the cells: the geometric one of ratios."""
    concerned = [cell for cell in cells if target.applies(cell) and cell.paired(target.number)]
    if not concerned:
        return Verdict("—", 0, None)
    if target.is_gain:
        gains = [cell.gains(target.number) for cell in concerned]
        mean = sum(sum(each) / len(each) for each in gains) / len(gains)
        error = math.sqrt(sum(standard_error(each) ** 2 for each in gains)) / len(gains)
        shown = f"{mean:+.2f}" if math.isnan(error) else f"{mean:+.2f} ± {error:.2f}"
        return Verdict(shown, len(concerned), mean >= target.least)
    ratios = [ratio for cell in concerned if (ratio := cell.ratio(target.number)) is not None]
    reached = f"{times(geometric_mean(ratios))} ({times(min(ratios))} to {times(max(ratios))})"
    below = sum(ratio < target.least for ratio in ratios)
    met = below == 0 if target.everywhere else geometric_mean(ratios) >= target.least
    return Verdict(reached, len(ratios), met, below)


def judged_only(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.dataset not in TUNED_ON]
