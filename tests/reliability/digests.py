"""Digests of what training draws, learns and answers; `test_determinism.py` runs this as a program in fresh processes.

The program takes the folder of a body and prints a JSON object: for each thing the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer

from setfit_core import SetFitModel, Trainer, TrainingArguments, compare_heads, list_heads, sample_dataset

TOPICS = ("sport", "food", "tech", "law")
WORDS = (
    ["goalkeeper", "striker", "tennis", "coach"],
    ["bread", "garlic", "soup", "cake"],
    ["compiler", "server", "network", "database"],
    ["judge", "contract", "verdict", "appeal"],
)


def digest(*parts):
    """Return the digest of strings, bytes, arrays and what JSON takes."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = repr((part.dtype, part.shape)).encode() + part.tobytes()
        total.update(part if isinstance(part, bytes) else json.dumps(part).encode())
    return total.hexdigest()


def of_files(folder):
    """Return the digest of a saved model's files."""
    # The card has a date.
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.md")
    return digest(*(part for path in files for part in (str(path.relative_to(folder)), path.read_bytes())))


def main(path):
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    found = {}
    texts = [f"about {word} {number} times" for number in range(6) for words in WORDS for word in words]
    topics = [topic for _ in range(6) for topic in TOPICS for _ in range(4)]
    drawn = sample_dataset(Dataset.from_dict({"text": texts, "label": topics}), num_samples=4, seed=3)
    found["sample"] = digest(drawn["text"][:], drawn["label"][:])
    few, labels = drawn["text"][:], drawn["label"][:]
    others = [[labels[row], labels[row - 1]] for row in range(len(labels))]

    body = SentenceTransformer(path, device="cpu")
    for name, options in {"default": {}, "pairs": {"sampling_strategy": "oversampling"}}.items():
        model = SetFitModel(body, random_state=0)
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(folder, max_steps=3, batch_size=8, show_progress_bar=False, **options)
            Trainer(model, arguments, train_dataset={"text": few, "label": labels}).train()
        weights = body.state_dict()
        found[f"body, {name}"] = digest(*(part for key in weights for part in (key, weights[key].numpy())))

    for info in list_heads():
        for strategy, of_head in ((None, labels), ("one-vs-rest", others)):
            model = SetFitModel(body, info.name, strategy)  # no random_state: the default has to be enough
            model.fit(few, of_head, num_epochs=2, show_progress_bar=False)
            what = f"{info.name}, {'several labels' if strategy else 'one label'}"
            found[f"probabilities, {what}"] = digest(model.predict_proba(texts, as_numpy=True), model.predict(few))
            with tempfile.TemporaryDirectory() as folder:
                found[f"files, {what}"] = of_files(model.save_pretrained(Path(folder, "model")))

    model = SetFitModel(body)
    comparison = compare_heads(model, few, labels, ["logistic", "linear", "knn"], folds=2)
    rows = [row.to_json() for row in comparison.rows]
    found["comparison"] = digest([{key: row[key] for key in row if not key.endswith("seconds")} for row in rows])
    model.fit(few, labels, show_progress_bar=False)
    for method in ("temperature", "isotonic"):
        model.calibrate(texts, topics, method)
        found[f"calibration, {method}"] = digest(repr(model.calibration), model.predict_proba(texts, as_numpy=True))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
