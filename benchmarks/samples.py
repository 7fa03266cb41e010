"""The benchmark's samples: which texts a run trains and predicts on; the same for both sides, whatever else has run."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TEST_ROWS = 1_000
PAIRS_A_STEP = 16  # setfit's default

Row = tuple[str, int]
Job = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], int(row["label"])) for row in csv.DictReader(file)]


def draw_test_rows(rows: list[Row], most: int) -> list[Row]:
    """Return at most `most` rows, stratified: evenly spaced ones of the shuffled rows sorted by label."""
    by_label = sorted(random.Random(0).sample(rows, len(rows)), key=lambda row: row[1])
    count = min(most, len(rows))
    return [by_label[i * len(rows) // count] for i in range(count)]


def draw_training_rows(rows: list[Row], per_class: int, seed: str, exclude: set[str]) -> list[Row]:
    """Return `per_class` rows of each label, none of whose texts is in `exclude` (lower-cased)."""
    generator = random.Random(seed)
    drawn: list[Row] = []
    for label in sorted({label for _, label in rows}):
        texts = sorted({text for text, its_label in rows if its_label == label and text.lower() not in exclude})
        drawn += [(text, label) for text in generator.sample(texts, per_class)]
    return drawn


def prepare_job(data: Path, dataset: str, per_class: int, seed: int, test_rows: int = TEST_ROWS) -> Job:
    """Draw the samples of one cell and seed. The key stands for these exact texts."""
    test = read_rows(data / dataset / "test.csv")
    exclude = {text.lower() for text, _ in test}
    train = draw_training_rows(
        read_rows(data / dataset / "train.csv"), per_class, f"{dataset}-{per_class}-{seed}", exclude
    )
    test = draw_test_rows(test, test_rows)
    texts_and_labels = {
        "train_texts": [text for text, _ in train],
        "train_labels": [label for _, label in train],
        "test_texts": [text for text, _ in test],
        "test_labels": [label for _, label in test],
    }
    job = {"dataset": dataset, "per_class": per_class, "seed": seed, **texts_and_labels}
    return {"key": hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16], **job}


def setfit_pairs(labels: Iterable[int]) -> int:
    """Return how many pairs setfit's defaults train on: each with itself too, the rarer kind repeated."""
    counts = Counter(labels).values()
    positive = sum(n * (n + 1) // 2 for n in counts)
    negative = (sum(counts) ** 2 - sum(n * n for n in counts)) // 2
    return 2 * max(positive, negative)


def setfit_steps(labels: Iterable[int]) -> int:
    """Return how many steps setfit's defaults take."""
    return -(-setfit_pairs(labels) // PAIRS_A_STEP)
