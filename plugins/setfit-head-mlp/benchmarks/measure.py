"""The figures of the README: accuracy and log loss of heads on a frozen body, trained by setfit-core.

python plugins/setfit-head-mlp/benchmarks/measure.py DATA_FOLDER [HEAD_PARAMS [SETTINGS]]    from the repository's root

DATA_FOLDER holds `trec`, `sst2` and `ag_news`, each with `train.csv` and `test.csv` (columns `text` and `label`).
HEAD_PARAMS are those of the head `mlp` and SETTINGS the arguments of `SetFitModel.fit`, both as JSON; without them, the
heads `logistic`, `linear` and `mlp` are measured as they come. Seconds are processor seconds of one thread; run it with
OMP_NUM_THREADS=1. Embeddings are kept in the folder `mlp-embeddings` of the temporary folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from setfit_core import EmbeddingCache, SetFitModel

sys.path.insert(0, str(Path(__file__).parents[3]))
from benchmarks.samples import prepare_job

CELLS = [(data_set, per_class) for data_set in ("trec", "sst2", "ag_news") for per_class in (8, 64)]
SEEDS = range(3)


def measure(head: str, params: Mapping[str, Any], settings: Mapping[str, Any], data: Path) -> None:
    """Print accuracy and log loss of each cell, the mean of all cells, and the seconds of all trainings."""
    cache = EmbeddingCache(Path(tempfile.gettempdir()) / "mlp-embeddings")
    body = SetFitModel.from_pretrained(device="cpu").model_body
    seconds, cells = 0.0, []
    for data_set, per_class in CELLS:
        scores = []
        for seed in SEEDS:
            job = prepare_job(data, data_set, per_class, seed)
            model = SetFitModel(body, head, head_params=params, embedding_cache=cache, random_state=seed)
            start = time.process_time()
            model.fit(job["train_texts"], job["train_labels"], show_progress_bar=False, seed=seed, **settings)
            seconds += time.process_time() - start
            probabilities = np.asarray(model.predict_proba(job["test_texts"], as_numpy=True))
            columns = model.label_columns(job["test_labels"])
            right = probabilities[np.arange(len(columns)), columns]
            scores.append(((probabilities.argmax(axis=1) == columns).mean(), -np.log(np.maximum(right, 1e-7)).mean()))
        cells.append(np.mean(scores, axis=0))
    shown = ", ".join(f"{accuracy:.3f} {loss:.2f}" for accuracy, loss in cells)
    accuracy, loss = np.mean(cells, axis=0)
    sys.stdout.write(
        f"{head} {dict(params)} {dict(settings)}: {shown}; mean {accuracy:.3f} {loss:.2f}, {seconds:.0f} s\n"
    )


if __name__ == "__main__":
    folder, *given = sys.argv[1:]
    if given:
        measure("mlp", *(json.loads(text) for text in [*given, "{}"][:2]), Path(folder))
    else:
        for name in ("logistic", "linear", "mlp"):
            measure(name, {}, {}, Path(folder))
