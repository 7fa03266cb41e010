"""How fast a body embeds against `SentenceTransformer.encode`, and how often bfloat16 changes a label.

    python benchmarks/prediction.py --data FOLDER          # or SETFIT_CORE_DATA=FOLDER
    python benchmarks/prediction.py --data FOLDER --speed sst2 --agreement trec

Speed is in texts per second of processor time on one thread, the best of five rounds in which all ways take turns. The
other side is `body.encode(texts, batch_size=32)` in float32 in the same process. Agreement: logistic regression on 8
texts a class and the untuned body, asked about the whole test set in "auto" and in float32.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch

from setfit_core import SetFitModel, sample_dataset
from setfit_core.embedding.embed import embed

SPEED = ("sst2", "trec", "ag_news")
AGREEMENT = ("sst2", "trec", "cr", "ag_news", "sst5", "sms_spam", "amazon_counterfactual_en")
TEXTS = 1000
ROUNDS = 5


def column(data: Path, name: str, split: str) -> dict[str, list[str]]:
    with (data / name / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: [row[key] for row in rows] for key in ("text", "label")}


def speed(body, texts):
    """Texts a processor second for each way."""
    ways = {
        "encode": lambda: body.encode(texts, batch_size=32, show_progress_bar=False),
        "float32": lambda: embed(body, texts, precision="float32"),
        "auto": lambda: embed(body, texts, precision="auto"),
    }
    seconds = defaultdict(list)
    for _ in range(ROUNDS):
        for way, run in ways.items():
            start = time.process_time()
            run()
            seconds[way].append(time.process_time() - start)
    return {way: len(texts) / min(taken) for way, taken in seconds.items()}


def agreement(model, train, test):
    """Texts, and those whose label is another in "auto"."""
    sample = sample_dataset(train, num_samples=8, seed=0)
    model.fit(sample["text"], sample["label"])
    answers = []
    for precision in ("float32", "auto"):
        model.precision = precision
        answers.append(np.asarray(model.predict(test["text"])))
    return len(answers[0]), int((answers[0] != answers[1]).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--speed", nargs="*", default=SPEED)
    parser.add_argument("--agreement", nargs="*", default=AGREEMENT)
    args = parser.parse_args()
    if args.data is None:
        parser.error("Name the folder of data sets with --data or SETFIT_CORE_DATA.")
    torch.set_num_threads(1)
    body = SetFitModel.from_pretrained(device="cpu").model_body
    if args.speed:
        print("| texts of | number | `encode`, texts/s | float32 | auto | auto against `encode` |", flush=True)
        print("|---|---|---|---|---|---|", flush=True)
    for name in args.speed:
        texts = column(args.data, name, "test")["text"]
        texts = (texts + column(args.data, name, "train")["text"])[:TEXTS]
        found = speed(body, texts)
        cells = " | ".join(f"{found[way]:.0f}" for way in ("encode", "float32", "auto"))
        print(f"| {name} | {len(texts)} | {cells} | {found['auto'] / found['encode']:.2f} |", flush=True)
    if args.agreement:
        print("\n| test set | texts | other labels in auto | same labels |\n|---|---|---|---|", flush=True)
    total = np.zeros(2, dtype=int)
    for name in args.agreement:
        counted = agreement(SetFitModel(body), column(args.data, name, "train"), column(args.data, name, "test"))
        total += counted
        print(f"| {name} | {counted[0]} | {counted[1]} | {1 - counted[1] / counted[0]:.3%} |", flush=True)
    if total[0]:
        print(f"| all | {total[0]} | {total[1]} | {1 - total[1] / total[0]:.3%} |", flush=True)


if __name__ == "__main__":
    main()
