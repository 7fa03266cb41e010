"""Few-shot accuracy of setfit_core and of setfit side by side: same body, same samples, both with defaults.

Needs only the standard library itself: each side runs in child processes of its own interpreter, so neither
can import the other. Finished runs are kept under --out; an interrupted benchmark goes on where it stopped.
See README.md in this folder.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORKERS = {"setfit": HERE / "_worker_setfit.py", "setfit_core": HERE / "_worker_setfit_core.py"}
# (data set, training texts per class); the cheap ones first, pairs grow with the square of the texts.
CELLS = (("sst2", 8), ("cr", 8), ("ag_news", 8), ("trec", 8), ("cr", 32), ("sst2", 32))
SEEDS = (0, 1, 2)
TEST_ROWS = 1_000

Row = tuple[str, int]
Record = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], int(row["label"])) for row in csv.DictReader(file)]


def draw_test_rows(rows: list[Row]) -> list[Row]:
    """Return at most TEST_ROWS rows, stratified: evenly spaced ones of the shuffled rows sorted by label."""
    by_label = sorted(random.Random(0).sample(rows, len(rows)), key=lambda row: row[1])
    count = min(TEST_ROWS, len(rows))
    return [by_label[i * len(rows) // count] for i in range(count)]


def draw_training_rows(rows: list[Row], per_class: int, seed: str, exclude: set[str]) -> list[Row]:
    """Return `per_class` rows of each label, none of whose texts is in `exclude` (lower-cased)."""
    generator = random.Random(seed)
    drawn: list[Row] = []
    for label in sorted({label for _, label in rows}):
        texts = sorted({text for text, its_label in rows if its_label == label and text.lower() not in exclude})
        drawn += [(text, label) for text in generator.sample(texts, per_class)]
    return drawn


def prepare_job(data: Path, dataset: str, per_class: int, seed: int) -> dict[str, Any]:
    """Draw the samples of one cell and seed: the same for both sides, whatever else has run."""
    test = read_rows(data / dataset / "test.csv")
    exclude = {text.lower() for text, _ in test}
    train = draw_training_rows(
        read_rows(data / dataset / "train.csv"), per_class, f"{dataset}-{per_class}-{seed}", exclude
    )
    test = draw_test_rows(test)
    texts_and_labels = {
        "train_texts": [text for text, _ in train],
        "train_labels": [label for _, label in train],
        "test_texts": [text for text, _ in test],
        "test_labels": [label for _, label in test],
    }
    job = {"dataset": dataset, "per_class": per_class, "seed": seed, **texts_and_labels}
    return {"key": hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16], **job}


def run_worker(side: str, python: str, job: dict[str, Any], threads: int) -> Record:
    """Train and predict in a child process of `python`, in an empty folder; return what it reports."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory(prefix="setfit-accuracy-") as folder:
        job_file, result_file = Path(folder, "job.json"), Path(folder, "result.json")
        # The worker gets everything but the answers.
        job_file.write_text(json.dumps({k: v for k, v in job.items() if k != "test_labels"}), encoding="utf-8")
        command = [python, str(WORKERS[side]), str(job_file), str(result_file)]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
        return json.loads(result_file.read_text(encoding="utf-8"))


def load_records(out: Path, side: str) -> dict[str, Record]:
    """Return the finished runs of one side by the key of their job."""
    path = out / f"{side}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {record["key"]: record for record in map(json.loads, lines)}


def run_job(side: str, python: str, job: dict[str, Any], args: argparse.Namespace) -> bool:
    """Run one job and append its record to the results; return whether it worked."""
    name = f"{side}: {job['dataset']}, {job['per_class']} per class, seed {job['seed']}"
    try:
        result = run_worker(side, python, job, args.threads)
    except subprocess.CalledProcessError as error:
        print(f"{name}: FAILED\n{error.stderr[-2000:]}", file=sys.stderr, flush=True)
        return False
    correct = sum(a == b for a, b in zip(result["predictions"], job["test_labels"], strict=True))
    record = {name: job[name] for name in ("key", "dataset", "per_class", "seed")}
    record |= {"accuracy": 100 * correct / len(job["test_labels"]), "threads": args.threads, **result}
    with (args.out / f"{side}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(f"{name}: {record['accuracy']:.1f} %, {result['train_cpu_seconds']:.0f} CPU s", flush=True)
    return True


def mean_sd(values: list[float], digits: int = 1) -> str:
    sd = f" ({statistics.stdev(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{sd}" if values else ""


def mean_error(values: list[float]) -> str:
    error = f" ± {statistics.stdev(values) / len(values) ** 0.5:.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):+.1f}{error}" if values else ""


def describe(side: str, records: list[Record]) -> str:
    """Say which versions, body and threads the records of one side come from."""
    kinds = dict.fromkeys(
        f"{', '.join(' '.join(item) for item in record['versions'].items())}; "
        f"body weights sha256 {record['body_sha256'][:12]}; threads: {record['threads']}"
        for record in records
    )
    return f"- {side}: {' / '.join(kinds) or 'no results yet'}"


def make_table(jobs: list[dict[str, Any]], out: Path) -> str:
    """Return the Markdown table of all results at hand, of unfinished cells too."""
    found = {side: load_records(out, side) for side in WORKERS}
    lines = [
        "| data set | per class | test rows | runs | setfit | setfit-core | difference ± s.e. "
        "| CPU s, setfit | CPU s, setfit-core |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    all_differences: list[float] = []
    for dataset, per_class in CELLS:
        cell_jobs = [job for job in jobs if (job["dataset"], job["per_class"]) == (dataset, per_class)]
        keys = [job["key"] for job in cell_jobs]
        records = {side: [found[side][key] for key in keys if key in found[side]] for side in WORKERS}
        paired = [key for key in keys if all(key in found[side] for side in WORKERS)]
        gains = [found["setfit_core"][key]["accuracy"] - found["setfit"][key]["accuracy"] for key in paired]
        all_differences += gains
        runs = " + ".join(str(len(records[side])) for side in WORKERS)
        scores = [mean_sd([record["accuracy"] for record in records[side]]) for side in WORKERS]
        seconds = [mean_sd([record["train_cpu_seconds"] for record in records[side]], 0) for side in WORKERS]
        row = [
            dataset,
            per_class,
            len(cell_jobs[0]["test_texts"]),
            runs,
            *scores,
            mean_error(gains),
            *seconds,
        ]
        lines.append(f"| {' | '.join(map(str, row))} |")
    lines += [
        f"| all | | | {len(all_differences)} pairs | | | {mean_error(all_differences)} | | |",
        "",
        "Accuracy in percent, mean (sd) over seeds. Difference: setfit-core minus setfit, paired by seed. "
        "CPU s: processor seconds of training, mean (sd).",
        "",
        *(describe(side, list(found[side].values())) for side in WORKERS),
    ]
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("SETFIT_CORE_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None, help="or env SETFIT_CORE_DATA")
    parser.add_argument("--setfit-python", help="interpreter with setfit; without it, setfit is not run")
    parser.add_argument("--core-python", default=sys.executable, help="interpreter with setfit_core")
    parser.add_argument("--only", choices=[*WORKERS, "table"], help="run one side only, or only print the table")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="where finished runs are kept")
    parser.add_argument("--threads", type=int, default=1, help="threads of each worker (default: 1)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [prepare_job(args.data, *cell, seed) for cell in CELLS for seed in SEEDS]
    pythons = {"setfit": args.setfit_python, "setfit_core": args.core_python}
    sides = [side for side in WORKERS if pythons[side] and args.only in (None, side)]
    finished = {side: load_records(args.out, side) for side in sides}
    todo = [(side, job) for job in jobs for side in sides if job["key"] not in finished[side]]
    worked = [run_job(side, pythons[side], job, args) for side, job in todo]
    print(make_table(jobs, args.out))
    return 0 if all(worked) else 1


if __name__ == "__main__":
    sys.exit(main())
