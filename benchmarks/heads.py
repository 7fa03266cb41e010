"""Every installed head on the same embeddings: the table of docs/heads.md.

    python -m benchmarks.heads --data FOLDER             # or SETFIT_CORE_DATA=FOLDER
    python -m benchmarks.heads --data FOLDER --short     # two data sets, one seed, nothing is written

The body is all-MiniLM-L6-v2 as it comes, untuned, so that differences are those of the heads. Each text is embedded
once. A head has the parameters that it has by default, and the settings of training that `SetFitModel.fit` has. Seconds
are processor time of one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Before NumPy and torch are imported: one thread, so that processor time is the time that one would wait.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from benchmarks.samples import prepare_job
from setfit_core import SetFitModel, list_heads
from setfit_core.choosing.out_of_fold import embeddings_for, trained_head
from setfit_core.choosing.task import Task, make_task
from setfit_core.evaluation.scores import Scores, score
from setfit_core.heads.adapters import adapter_for
from setfit_core.heads.construction import head_recipe
from setfit_core.heads.held import HeldHead
from setfit_core.heads.settings import HeadTraining

torch.set_num_threads(1)

DATASETS = ("ag_news", "amazon_counterfactual_en", "cr", "sms_spam", "sst2", "sst5", "trec")
PER_CLASS = {8: 5, 64: 3}  # texts a class: samples
PAGE = Path(__file__).parents[1] / "docs" / "heads.md"
BEGIN, END = "<!-- figures: python -m benchmarks.heads -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Run:
    head: str
    dataset: str
    per_class: int
    scores: Scores
    fit_seconds: float
    predict_seconds: float  # a thousand texts


def tasks(model: SetFitModel, data: Path, dataset: str, per_class: int, seed: int) -> tuple[Task, Task]:
    """The training and the test texts of one sample, embedded."""
    job = prepare_job(data, dataset, per_class, seed)
    train = make_task(model, job["train_texts"], job["train_labels"])
    return train, make_task(model, job["test_texts"], job["test_labels"])


def trained(head: str, task: Task) -> HeldHead:
    recipe = head_recipe(head)
    return trained_head(task, lambda: task.build(recipe, 0), HeadTraining(seed=0))


def measured(head: str, dataset: str, per_class: int, train: Task, test: Task) -> Run:
    start = time.process_time()
    held = trained(head, train)
    fitted = time.process_time()
    asked, adapter = embeddings_for(held, test), adapter_for(held.head)
    predicted = adapter.class_ids(asked, train.codec)
    seconds = (time.process_time() - fitted) * 1000 / len(test)
    scores = score(test.targets, predicted, adapter.probabilities(asked, train.codec))
    return Run(head, dataset, per_class, scores, fitted - start, seconds)


def runs(data: Path, heads: Sequence[str], datasets: Sequence[str], samples: dict[int, int]) -> Iterator[Run]:
    model = SetFitModel.from_pretrained(device="cpu")
    for head in heads:
        trained(head, make_task(model, ["a", "b", "c", "d"], [0, 0, 1, 1]))  # importing a library is no training
    for dataset in datasets:
        for per_class, seeds in samples.items():
            for seed in range(seeds):
                train, test = tasks(model, data, dataset, per_class, seed)
                for head in heads:
                    yield measured(head, dataset, per_class, train, test)


def table(found: Sequence[Run], datasets: Sequence[str], per_class: int) -> str:
    """Means over samples for each data set, and over data sets for the rest, the most accurate head first."""
    rows: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in found:
        if run.per_class == per_class:
            rows[run.head][run.dataset].append(run)

    def mean(head: str, figure) -> float:
        return statistics.mean(statistics.mean(map(figure, rows[head][dataset])) for dataset in rows[head])

    titles = ["head", *datasets, "mean", "macro-F1", "log loss", "calibration error", "fit, s", "predict 1,000, s"]
    lines = [f"| {' | '.join(titles)} |", f"| --- |{' ---: |' * (len(titles) - 1)}"]
    for head in sorted(rows, key=lambda head: -mean(head, lambda run: run.scores.accuracy)):
        accuracies = (statistics.mean(run.scores.accuracy for run in rows[head][dataset]) for dataset in datasets)
        cells = [f"{100 * accuracy:.1f}" for accuracy in accuracies]
        figures = [
            f"{100 * mean(head, lambda run: run.scores.accuracy):.1f}",
            f"{100 * mean(head, lambda run: run.scores.macro_f1):.1f}",
            f"{mean(head, lambda run: run.scores.log_loss):.2f}",
            f"{100 * mean(head, lambda run: run.scores.calibration_error):.1f}",
            f"{mean(head, lambda run: run.fit_seconds):.2f}",
            f"{mean(head, lambda run: run.predict_seconds):.3f}",
        ]
        lines.append(f"| `{head}` | {' | '.join(cells + figures)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--heads", nargs="*", default=[head.name for head in list_heads()])
    parser.add_argument("--short", action="store_true", help="two data sets, one sample, print only")
    options = parser.parse_args()
    if options.data is None:
        parser.error("the data sets are needed: --data FOLDER, or SETFIT_CORE_DATA=FOLDER")
    datasets = ("sst2", "trec") if options.short else DATASETS
    samples = {8: 1} if options.short else PER_CLASS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = []
        for run in runs(Path(options.data), options.heads, datasets, samples):
            found.append(run)
            print(f"{run.dataset:<26}{run.per_class:>3} {run.head:<10} {run.scores.accuracy:.3f}", flush=True)
    parts = []
    for per_class, seeds in samples.items():
        title = f"### {per_class} texts a class, {seeds} sample{'s' if seeds > 1 else ''}"
        parts.append(f"{title}\n\n{table(found, datasets, per_class)}")
    text = "\n\n".join(parts)
    print(text)
    if options.short:
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
