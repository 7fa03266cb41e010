"""What choosing a head from the training texts is worth: `head="auto"` beside always `logistic` and hindsight.

    python -m benchmarks.choosing --data FOLDER          # or SETFIT_CORE_DATA=FOLDER

8 texts a class, all-MiniLM-L6-v2, the defaults of `Trainer`. Heads are compared on the body as it comes, by three
rules: the plain comparison, an incumbent `logistic`, which is what `auto` does, and always `logistic`. Then the body is
tuned, every head is trained on it, and each rule gets the test accuracy of its head.
"""

from __future__ import annotations

import argparse
import os
import statistics
import warnings
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from benchmarks.heads import measured
from benchmarks.samples import prepare_job
from setfit_core import SetFitModel, Trainer, TrainingArguments, compare_heads, list_heads
from setfit_core.choosing.task import make_task

DATASETS = ("ag_news", "cr", "sms_spam", "sst2", "sst5", "trec")
SEEDS = 3
PER_CLASS = 8
RESULTS = Path(__file__).parent / "results" / "choosing.md"
NOTE = """# What `head="auto"` is worth

Written by `python -m benchmarks.choosing --data FOLDER`; its docstring says how. Test accuracy in percent after
training, 8 texts a class, {seeds} samples a data set, {heads} heads.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    data = parser.parse_args().data
    if data is None:
        parser.error("the data sets are needed: --data FOLDER, or SETFIT_CORE_DATA=FOLDER")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    heads = [head.name for head in list_heads()]
    lines = ["| data set | plain comparison | auto | always logistic | best in hindsight | auto chose |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | --- |")
    means: list[list[float]] = []
    for dataset in DATASETS:
        rows, chosen = [], Counter()
        for seed in range(SEEDS):
            job = prepare_job(Path(data), dataset, PER_CLASS, seed)
            texts, labels = job["train_texts"], job["train_labels"]
            model = SetFitModel.from_pretrained(device="cpu")
            plain = compare_heads(model, texts, labels).best.name
            auto = compare_heads(model, texts, labels, incumbent="logistic").best.name
            Trainer(model, TrainingArguments(show_progress_bar=False), train_dataset=(texts, labels)).train()
            train, test = (make_task(model, job[f"{part}_texts"], job[f"{part}_labels"]) for part in ("train", "test"))
            accuracy = {head: measured(head, dataset, PER_CLASS, train, test).scores.accuracy for head in heads}
            rows.append([accuracy[plain], accuracy[auto], accuracy["logistic"], max(accuracy.values())])
            chosen[auto] += 1
            print(dataset, seed, plain, auto, accuracy, flush=True)
        means.append([100 * statistics.mean(column) for column in zip(*rows, strict=True)])
        names = ", ".join(f"`{head}` {times}x" for head, times in chosen.most_common())
        lines.append(f"| {dataset} | {' | '.join(f'{mean:.1f}' for mean in means[-1])} | {names} |")
    overall = [statistics.mean(column) for column in zip(*means, strict=True)]
    lines.append(f"| mean | {' | '.join(f'{mean:.1f}' for mean in overall)} | |")
    RESULTS.write_text(NOTE.format(seeds=SEEDS, heads=len(heads)) + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
