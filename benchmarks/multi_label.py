"""Several labels a text: the strategies and heads, with thresholds at 0.5 and tuned, on go_emotions.

    python -m benchmarks.multi_label --data FOLDER         # or SETFIT_CORE_DATA=FOLDER
    python -m benchmarks.multi_label --data FOLDER --per-label 8 --seeds 1

Writes `benchmarks/results/multi_label.md`. Each head is trained on samples in which each of the 28 labels has 8 or 64
texts or more (all there are, of rarer ones), on the body as it comes. Its thresholds are then tuned on 500 other texts
of the training set, for each metric. Figures are of the whole test set, averaged over the seeds. Seconds are processor
time of one thread; each text is embedded once, beforehand.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

# Before NumPy and torch are imported: one thread, so that processor time is the time that one would wait.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

from setfit_core import EmbeddingCache, SetFitModel
from setfit_core.evaluation.evaluate import evaluate_probabilities
from setfit_core.heads.multilabel import STRATEGIES

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 500
HEADS = [("logistic", strategy) for strategy in STRATEGIES] + [("linear", "multi-output"), ("mlp", "multi-output")]
WAYS = {"0.5": None, "tuned for macro F1": "macro_f1", "tuned for micro F1": "micro_f1"}
LEARNT = "0.5, learnt"


def read_rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], tuple(row["label_name"].split("|"))) for row in csv.DictReader(file)]


def sample(data, per_label, seed):
    """Texts to train on, to tune on, and to test on, as pairs of texts and labels."""
    test = read_rows(data / "go_emotions" / "test.csv")
    seen = {text.lower() for text, _ in test}
    rows = sorted(
        {text.lower(): (text, labels) for text, labels in read_rows(data / "go_emotions" / "train.csv")}.items()
    )
    rows = [row for key, row in rows if key not in seen]
    random.Random(f"{per_label}-{seed}").shuffle(rows)
    held_out, rows = rows[:HELD_OUT], rows[HELD_OUT:]
    drawn, counts = [], Counter()
    for label, _ in reversed(Counter(label for _, labels in rows for label in labels).most_common()):
        for row in rows:
            if counts[label] >= per_label:
                break
            if label in row[1] and row not in drawn:
                drawn.append(row)
                counts.update(row[1])
    return [tuple(map(list, zip(*part, strict=True))) for part in (drawn, held_out, test)]


def measured(body, cache, head, strategy, parts, seed):
    """Scores for each way of choosing thresholds, and processor seconds."""
    train, held_out, test = parts
    model = SetFitModel(body, head, strategy, precision="float32", embedding_cache=cache, random_state=seed)
    start = time.process_time()
    model.fit(*train, show_progress_bar=False, seed=seed)
    found = {"fit": time.process_time() - start}
    for way, metric in WAYS.items():
        start = time.process_time()
        if metric is not None:
            model.tune_thresholds(*held_out, metric)
            found["tune"] = time.process_time() - start
        found[way] = evaluate_probabilities(model, *test).scores
    start = time.process_time()
    model.predict(test[0], show_progress_bar=False)
    found["predict 1,000"] = (time.process_time() - start) * 1000 / len(test[0])
    model.fit(train[0] + held_out[0], train[1] + held_out[1], show_progress_bar=False, seed=seed)
    found[LEARNT] = evaluate_probabilities(model, *test).scores
    return found


def table(title, columns, pick, found, digits):
    lines = [
        f"### {title}\n",
        f"| texts a label | head | strategy | {' | '.join(columns)} |",
        "| --- | --- | --- |" + " ---: |" * len(columns),
    ]
    for (per_label, head, strategy), runs in found.items():
        means = (np.mean([pick(run[column]) for run in runs]) for column in columns)
        own = "its own" if head != "logistic" else strategy
        lines.append(f"| {per_label} | {head} | {own} | {' | '.join(f'{mean:.{digits}f}' for mean in means)} |")
    return "\n".join(lines)


def write_report(folder, found, texts, seeds):
    sizes = " and ".join(f"{np.mean(counts):.0f} for {per_label} a label" for per_label, counts in texts.items())
    parts = [
        "# Several labels a text\n\nMade by `python -m benchmarks.multi_label`, which says what was measured. "
        f"Thresholds are 0.5, or tuned on {HELD_OUT} held-out texts; `{LEARNT}` is a head at 0.5 that was trained "
        f"on these texts besides. Training texts: {sizes}. Samples averaged over: {seeds}.",
        table("Macro F1, percent", [*WAYS, LEARNT], lambda scores: 100 * scores.macro_f1, found, 1),
        table("Micro F1, percent", [*WAYS, LEARNT], lambda scores: 100 * scores.micro_f1, found, 1),
        table("Processor seconds", ["fit", "tune", "predict 1,000"], float, found, 2),
    ]
    (folder / "multi_label.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--per-label", nargs="+", type=int, default=[8, 64])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.data is None:
        parser.error("Name the folder of data sets with --data or SETFIT_CORE_DATA.")
    torch.set_num_threads(1)
    body = SetFitModel.from_pretrained(device="cpu").model_body
    args.out.mkdir(parents=True, exist_ok=True)
    found, texts = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(folder)
        for seed in range(args.seeds):
            for per_label in args.per_label:
                parts = sample(Path(args.data), per_label, seed)
                texts[per_label].append(len(parts[0][0]))
                embedder = SetFitModel(body, precision="float32", embedding_cache=cache)
                for part_texts, _ in parts:
                    embedder.encode(part_texts, show_progress_bar=False)
                for head, strategy in HEADS:
                    found[per_label, head, strategy].append(measured(body, cache, head, strategy, parts, seed))
                    print(seed, per_label, head, strategy, f"{time.process_time():.0f} s of processor time", flush=True)
            write_report(args.out, found, texts, seed + 1)


if __name__ == "__main__":
    main()
