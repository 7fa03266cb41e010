"""The report of the benchmark, written from the stored runs alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmarks.runs import CORE, SETFIT, SIDES, Record, Setup
from benchmarks.summary import Cell, standard_error, summarize
from benchmarks.targets import TARGETS, TUNED_ON, judge, judged_only, times

EXTRAPOLATED = "≈"
NOTHING = "—"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'|'.join(['---'] * len(header))}|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def mean_sd(values: Sequence[float], digits: int = 1) -> str:
    if not values:
        return NOTHING
    sd = f" ({statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{sd}"


def mean_error(values: Sequence[float]) -> str:
    if not values:
        return NOTHING
    error = standard_error(values)
    return f"{statistics.mean(values):+.1f}" + ("" if math.isnan(error) else f" ± {error:.1f}")


def amount(values: Sequence[float], mark: str = "") -> str:
    """Write a mean with about three figures, and at most two decimals."""
    if not values:
        return NOTHING
    mean = statistics.mean(values)
    return f"{mark}{mean:,.{2 if mean < 10 else 1 if mean < 100 else 0}f}"


def count(values: Sequence[float], mark: str = "") -> str:
    return f"{mark}{statistics.mean(values):,.0f}" if values else NOTHING


def ratio(value: float | None, mark: str = "") -> str:
    return NOTHING if value is None else mark + times(value)


def mark_of(cell: Cell, side: str = SETFIT) -> str:
    return EXTRAPOLATED if side == SETFIT and cell.extrapolated() else ""


def targets_table(cells: Sequence[Cell]) -> list[str]:
    rows = []
    for target in TARGETS:
        for which, chosen in (("all", cells), ("judged only", judged_only(cells))):
            verdict = judge(target, chosen)
            rows.append([target.name, target.demand, which, str(verdict.cells), verdict.reached, verdict.word])
    return table(["target", "wanted", "data sets", "cells", "reached", "met"], rows)


def accuracy_table(cells: Sequence[Cell], head: str) -> list[str]:
    name = f"accuracy {head}"
    rows = []
    for cell in cells:
        values = {side: cell.values(side, name) for side in SIDES}
        if any(values.values()):
            pairs = cell.paired(name)
            shown = [mean_sd(values[side]) for side in SIDES]
            rows.append([cell.name, str(cell.test_texts), str(len(pairs)), *shown, mean_error(cell.gains(name))])
    return table(["data set, a class", "test texts", "pairs", *SIDES, "difference ± s.e."], rows) if rows else []


def embedding_table(cells: Sequence[Cell]) -> list[str]:
    rows = []
    for cell in cells:
        seconds = [amount(cell.values(side, "embedding_phase"), mark_of(cell, side)) for side in SIDES]
        work = [
            " / ".join(count(cell.values(side, name), mark_of(cell, side)) for side in SIDES)
            for name in ("steps", "texts", "positions", "tokens")
        ]
        pairs = str(len(cell.paired("embedding_phase")))
        rows.append([cell.name, pairs, *seconds, ratio(cell.ratio("embedding_phase"), mark_of(cell)), *work])
    sides = [f"{side}, s" for side in SIDES]
    return table(["data set, a class", "pairs", *sides, "ratio", "steps", "texts", "positions", "tokens"], rows)


def floor_table(cells: Sequence[Cell], machine: Record | None) -> list[str]:
    if machine is None:
        return ["The machine's rate has not been measured.", ""]
    rows = []
    for cell in cells:
        tokens = [value for value in cell.values(CORE, "distinct tokens") if value]
        if not tokens:
            continue
        flops = 2 * 3 * machine["linear_parameters"] * statistics.mean(tokens)
        floors = {kind: flops / 1e9 / rate for kind, rate in machine["gflops"].items()}
        row = [cell.name, count(tokens), f"{flops / 1e9:,.0f}", *(f"{floor:.2f}" for floor in floors.values())]
        for side in SIDES:
            seconds = cell.values(side, "embedding_phase")
            shares = [f"{statistics.mean(seconds) / floor:,.1f}" for floor in floors.values()] if seconds else []
            row.append(mark_of(cell, side) + " / ".join(shares) if shares else NOTHING)
        rows.append(row)
    kinds = list(machine["gflops"])
    header = ["data set, a class", "distinct tokens", "GFLOP", *(f"floor, s, {kind}" for kind in kinds)]
    return table([*header, *(f"{side}, x floor" for side in SIDES)], rows)


def phases_table(cells: Sequence[Cell]) -> list[str]:
    phases = ("start", "logistic_head", "predict", "whole_process", "differentiable_head")
    rows = []
    for cell in cells:
        row = [cell.name]
        for phase in phases:
            shown = [amount(cell.values(side, phase)) for side in SIDES]
            row.append(f"{' / '.join(shown)} = {ratio(cell.ratio(phase))}" if cell.paired(phase) else " / ".join(shown))
        row.append(" / ".join(count(cell.values(side, "peak memory")) for side in SIDES))
        rows.append(row)
    names = [phase.replace("_", " ") for phase in phases]
    return table(["data set, a class", *(f"{name}, s" for name in names), "peak memory, MiB"], rows)


def prediction_table(cells: Sequence[Cell]) -> list[str]:
    rows = []
    for cell in cells:
        seconds = {side: cell.values(side, "predict") for side in SIDES}
        if cell.paired("predict"):
            speeds = [amount([cell.test_texts / statistics.mean(seconds[side])]) for side in SIDES]
            rows.append([cell.name, *speeds, ratio(cell.ratio("predict"))])
    return table(["data set, a class", *(f"{side}, texts/s" for side in SIDES), "ratio"], rows)


def setup_lines(records: Sequence[Record], setup: Setup, machine: Record | None) -> list[str]:
    runs = [record for record in records if record["kind"] == "run"]
    covered = [record for record in runs if setup.covers(record)]
    lines = [
        f"- Machine: {setup.cpu}; {setup.threads} thread(s) a run.",
        f"- Body: weights with SHA-256 {setup.body}…; the same file for both sides.",
    ]
    if machine is not None:
        rates = ", ".join(f"{rate:.0f} GFLOP/s in {kind}" for kind, rate in machine["gflops"].items())
        lines.append(
            f"- Rate of one thread, [256x384]·[384x1536], torch {machine['torch']}: {rates}; "
            f"the body's linear layers hold {machine['linear_parameters'] / 1e6:.1f} M parameters."
        )
    for side in SIDES:
        kinds = dict.fromkeys(
            ", ".join(" ".join(item) for item in record["versions"].items())
            for record in covered
            if record["side"] == side
        )
        source = f"source {setup.source}; " if side == CORE else ""
        lines.append(f"- {side}: {source}{' / '.join(kinds) or 'no results yet'}")
    if len(runs) > len(covered):
        lines.append(f"- {len(runs) - len(covered)} stored runs of another setup or source are left out.")
    return [*lines, ""]


EXPLANATION = f"""\
Times are processor seconds, the mean over the seeds that both sides have. A pair of values is setfit's / this
project's; a ratio is setfit's mean over this project's. Accuracies are percent, mean (sd); the difference is this
project's minus setfit's on the same samples. {EXTRAPOLATED} marks what is extrapolated: setfit would have needed too
long, so a part of its steps was run, and the steps left out are taken to cost as much as these. Such runs have no
accuracy. The floor is one forward and backward pass over each distinct text, counting linear layers and real tokens
only, at the machine's measured rate. Memory is the peak of the process up to the end of the embedding phase."""


def regime_sections(cells: Sequence[Cell], machine: Record | None) -> list[str]:
    return [
        "### Accuracy, logistic head",
        "",
        *accuracy_table(cells, "logistic"),
        "### Accuracy, differentiable head on the same bodies",
        "",
        *(accuracy_table(cells, "differentiable") or ["Not measured.", ""]),
        "### Embedding phase",
        "",
        *embedding_table(cells),
        "### Embedding phase beside its floor",
        "",
        *floor_table(cells, machine),
        "### Other phases and memory",
        "",
        *phases_table(cells),
        "### Prediction",
        "",
        *prediction_table(cells),
    ]


def write_report(records: Sequence[Record], setup: Setup, plots: Sequence[str] = ()) -> str:
    """Return the report of what is stored for a setup, in Markdown."""
    machines = [r for r in records if r["kind"] == "machine" and (r["cpu"], r["body"]) == (setup.cpu, setup.body)]
    machine = machines[-1] if machines else None
    cells = summarize(records, setup)
    judged = sorted({cell.dataset for cell in judged_only(cells)})
    lines = ["# setfit-core beside setfit", "", *setup_lines(records, setup, machine), EXPLANATION, ""]
    lines += ["## Targets", ""]
    lines += [
        f"Tuned on: {', '.join(TUNED_ON)}. Judged on what was never looked at: {', '.join(judged) or 'nothing yet'}. "
        "A ratio is the geometric mean (lowest to highest) over cells, an accuracy the mean; memory must be enough in "
        "every cell.",
        "",
        *targets_table(cells),
    ]
    lines += [line for plot in plots for line in (f"![{plot.removesuffix('.png')}]({plot})", "")]
    lines += ["## With the defaults of both sides", "", *regime_sections(cells, machine)]
    pairs = summarize(records, setup, "pairs")
    if any(cell.runs[CORE] for cell in pairs):
        pairs = [cell for cell in pairs if cell.runs[CORE]]
        lines += ["## With this project on setfit's own regime: pairs", "", *regime_sections(pairs, machine)]
    return "\n".join(lines)
