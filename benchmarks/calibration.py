"""How much calibration mends: calibration error and log loss before and after, on real data.

    python benchmarks/calibration.py --data FOLDER         # or SETFIT_CORE_DATA=FOLDER
    python benchmarks/calibration.py --data FOLDER --datasets sst2 --per-class 8 --seeds 1

Writes `benchmarks/results/calibration.md` and `calibration.png`. Each head is trained on samples of 8 and 64 texts a
class, on the body as it comes and (8 texts a class of sst2 and trec) tuned by `Trainer`. It is then calibrated on 100
other texts of the training set, with classes in their shares; or, without other texts, on those that it was trained
on, cross-validated. Figures are of up to 1,000 texts of the test set, averaged over the seeds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import tempfile
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

from benchmarks.samples import TEST_ROWS, draw_test_rows, draw_training_rows, read_rows
from setfit_core import EmbeddingCache, SetFitModel, Trainer, TrainingArguments
from setfit_core.evaluation.evaluate import evaluate_probabilities
from setfit_core.evaluation.plots import save_reliability_plot

RESULTS = Path(__file__).parent / "results"
DATASETS = ("sst2", "trec", "ag_news")
TUNED = ("sst2", "trec")  # at the smallest number of texts
HEADS = ("logistic", "xgboost", "linear")
HELD_OUT = 100
PLOTTED = ("ag_news", 8, "as it comes", "logistic")
WAYS = {
    "none": None,
    "temperature": {"method": "temperature"},
    "isotonic": {"method": "isotonic"},
    "temperature, cv=5": {"method": "temperature", "cv": 5},
}


def sample(data, dataset, per_class, seed):
    """Texts to train on, to calibrate on, and to test on, as pairs of texts and labels."""
    test = read_rows(data / dataset / "test.csv")
    rows = read_rows(data / dataset / "train.csv")
    train = draw_training_rows(
        rows, per_class, f"calibration-{dataset}-{per_class}-{seed}", {t.lower() for t, _ in test}
    )
    seen = {text.lower() for text, _ in [*train, *test]}
    others = [row for row in rows if row[0].lower() not in seen]
    held_out = draw_test_rows(random.Random(seed).sample(others, len(others)), HELD_OUT)
    return [tuple(map(list, zip(*part, strict=True))) for part in (train, held_out, draw_test_rows(test, TEST_ROWS))]


def tuned_body(train, seed):
    model = SetFitModel.from_pretrained(device="cpu", precision="float32")
    arguments = TrainingArguments(seed=seed, show_progress_bar=False)
    Trainer(model, arguments, train_dataset={"text": train[0], "label": train[1]}).train()
    return model.model_body


def evaluations(body, cache, head, parts):
    """What the probabilities of a head are worth for each way of calibrating it."""
    train, held_out, test = parts
    model = SetFitModel(body, head, precision="float32", embedding_cache=cache)
    model.fit(*train, show_progress_bar=False)
    found = {}
    for way, options in WAYS.items():
        if options is not None:
            model.calibrate(*(train if "cv" in options else held_out), **options)
        found[way] = evaluate_probabilities(model, *test)
    return found


def table(title, pick, measured, digits):
    lines = [
        f"### {title}\n",
        f"| data set | texts a class | body | head | {' | '.join(WAYS)} |",
        "|---" * (4 + len(WAYS)) + "|",
    ]
    for cell, seeds in measured.items():
        means = [np.mean([pick(found[way].scores) for found in seeds]) for way in WAYS]
        lines.append("| " + " | ".join([*map(str, cell), *(f"{mean:.{digits}f}" for mean in means)]) + " |")
    all_of = [np.mean([pick(found[way].scores) for seeds in measured.values() for found in seeds]) for way in WAYS]
    lines.append("| all | | | | " + " | ".join(f"{mean:.{digits}f}" for mean in all_of) + " |")
    return "\n".join(lines)


def write_report(folder, measured, samples):
    parts = [
        "# Calibration\n\nMade by `python benchmarks/calibration.py`, which says what was measured; `none` is the "
        f"head's own probabilities. Samples averaged over: {samples}.",
        table("Expected calibration error", lambda scores: scores.calibration_error, measured, 3),
        table("Log loss, nats", lambda scores: scores.log_loss, measured, 3),
        table("Accuracy", lambda scores: scores.accuracy, measured, 3),
    ]
    if PLOTTED in measured:
        parts.append(
            "![Accuracy over confidence of one head, before and after calibration](calibration.png)\n\n"
            "The head {3}, trained on {1} texts a class of {0}, body {2}; the first sample.".format(*PLOTTED)
        )
        first = measured[PLOTTED][0]
        curves = {"not calibrated": first["none"], "temperature": first["temperature"], "isotonic": first["isotonic"]}
        save_reliability_plot(folder / "calibration.png", {name: found.reliability for name, found in curves.items()})
    (folder / "calibration.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--per-class", nargs="+", type=int, default=[8, 64])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.data is None:
        parser.error("Name the folder of data sets with --data or SETFIT_CORE_DATA.")
    torch.set_num_threads(1)
    body = SetFitModel.from_pretrained(device="cpu").model_body
    args.out.mkdir(parents=True, exist_ok=True)
    measured = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(folder)
        for seed in range(args.seeds):
            for dataset, per_class in itertools.product(args.datasets, args.per_class):
                parts = sample(args.data, dataset, per_class, seed)
                bodies = {"as it comes": body}
                if dataset in TUNED and per_class == min(args.per_class):
                    bodies["tuned"] = tuned_body(parts[0], seed)
                for (name, each), head in itertools.product(bodies.items(), HEADS):
                    measured[dataset, per_class, name, head].append(evaluations(each, cache, head, parts))
                print(seed, dataset, per_class, f"{time.process_time():.0f} s of processor time", flush=True)
            write_report(args.out, measured, seed + 1)


if __name__ == "__main__":
    main()
