"""Runs of the benchmark: a child process for each, and a file of finished ones, so that none is repeated."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
SETFIT, CORE = SIDES = ("setfit", "setfit-core")
WORKERS = {
    SETFIT: HERE / "_worker_setfit.py",
    CORE: HERE / "_worker_setfit_core.py",
    "machine": HERE / "_worker_machine.py",
}
LIMITED_STEPS = 100

Record = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """What two results must have in common to be compared."""

    cpu: str
    threads: int
    body: str
    source: str
    test_rows: int

    def covers(self, record: Record) -> bool:
        """Whether a record was made in this setup. The project's source says nothing about a run of setfit."""
        names = ["cpu", "threads", "body", "test_rows"] + ["source"] * (record["side"] == CORE)
        return all(record[name] == getattr(self, name) for name in names)


def cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def source_hash(project: Path = PROJECT) -> str:
    """Return a hash of everything that this project runs: after a change its results count no longer."""
    digest = hashlib.sha256()
    for folder in ("setfit_core", "plugins"):
        for path in sorted((project / folder).rglob("*.py")):
            if "tests" not in path.relative_to(project).parts:
                digest.update(f"{path.relative_to(project).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def body_hash(body: Path) -> str:
    return hashlib.sha256((body / "model.safetensors").read_bytes()).hexdigest()[:16]


def program(command: str | None) -> str | None:
    """Return what starts an interpreter from any folder. Links stay: an environment is known by its own link."""
    return str(Path(command).absolute()) if command and os.sep in command else command


def run_worker(worker: str, python: str, job: Record, threads: int) -> Record:
    """Run a worker on a job in a child process of `python`, in an empty folder; return what it reports."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if worker == CORE:
        # The source that was hashed is the one that runs, wherever the interpreter has its own.
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (PROJECT, *sorted((PROJECT / "plugins").iterdir()))))
    with tempfile.TemporaryDirectory(prefix="setfit-bench-") as folder:
        job_file, result_file = Path(folder, "job.json"), Path(folder, "result.json")
        # The worker gets everything but the answers.
        job_file.write_text(json.dumps({k: v for k, v in job.items() if k != "test_labels"}), encoding="utf-8")
        command = [python, str(WORKERS[worker]), str(job_file), str(result_file)]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
        return json.loads(result_file.read_text(encoding="utf-8"))


def make_record(side: str, job: Record, steps: int, setup: Setup, result: Record) -> Record:
    """Return what is kept of a run: what it was, in which setup, and what the worker found."""
    record = {"kind": "run", "side": side}
    record |= {name: job[name] for name in ("key", "dataset", "per_class", "seed", "regime", "max_steps")}
    record |= {"classes": len(set(job["train_labels"])), "test_texts": len(job["test_texts"]), "setfit_steps": steps}
    record |= {name: getattr(setup, name) for name in ("cpu", "threads", "body", "test_rows")}
    if side == CORE:
        record["source"] = setup.source
    record["accuracy"] = {
        head: 100 * sum(a == b for a, b in zip(predicted, job["test_labels"], strict=True)) / len(predicted)
        for head, predicted in result.get("predictions", {}).items()
    }
    return record | result


def read_record(line: str) -> Record | None:
    """Read a line of the results; None for one that a killed benchmark left unfinished."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        print(f"left out, not a whole record: {line[:60]}...", file=sys.stderr)
        return None


class Results:
    """The file `results.jsonl`: one record a line, appended as soon as a run is finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.records = [record for record in map(read_record, lines) if record is not None]

    def add(self, record: Record) -> None:
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(record) + "\n")
        self.records.append(record)

    def runs(self) -> list[Record]:
        return [record for record in self.records if record["kind"] == "run"]

    def has(self, side: str, job: Record, setup: Setup) -> bool:
        """Whether this job is finished: a whole run stands for a limited one, and one with more heads for less."""
        return any(
            record["side"] == side
            and record["key"] == job["key"]
            and record["regime"] == job["regime"]
            and record["max_steps"] in (None, job["max_steps"])
            and (not job["differentiable_head"] or "differentiable_head" in record["seconds"])
            and setup.covers(record)
            for record in self.runs()
        )

    def step_seconds(self, dataset: str, per_class: int, setup: Setup) -> float:
        """Return what a step of setfit takes as far as known: in this cell, on this data set, or anywhere."""
        known = [r for r in self.runs() if r["side"] == SETFIT and setup.covers(r)]
        same_data = [r for r in known if r["dataset"] == dataset]
        same_cell = [r for r in same_data if r["per_class"] == per_class]
        chosen = same_cell or same_data or known
        return sum(r["step_seconds"] for r in chosen) / len(chosen) if chosen else 1.0
