"""The table of this plugin's README and that of setfit-head-catboost: accuracy of heads on a body not fine-tuned.

python plugins/setfit-head-lightgbm/benchmarks/measure.py DATA_FOLDER [DATA_SET ...]    from the repository's root

DATA_FOLDER holds `trec`, `sst2` and `ag_news`, each with `train.csv` and `test.csv` (columns `text` and `label`). A
line has the mean and the standard deviation of three samples, and the processor seconds of one training on one thread.
Run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from lightgbm import LGBMClassifier
from setfit_head_catboost import CatBoostHead
from setfit_head_lightgbm import LightGBMHead
from sklearn.linear_model import LogisticRegression

from setfit_core import SetFitModel

sys.path.insert(0, str(Path(__file__).parents[3]))
from benchmarks.samples import prepare_job

SEEDS: Final = range(3)
TEST_ROWS: Final = 500
#: Texts a class; TREC has too few of one class for more.
SIZES: Final = {"trec": (8, 32), "sst2": (8, 32, 200), "ag_news": (8, 32, 200)}
HEADS: Final[dict[str, Callable[[int], Any]]] = {
    "logistic": lambda _: LogisticRegression(max_iter=1000),
    "lightgbm": lambda seed: LightGBMHead(random_state=seed),
    "lightgbm, 15 leaves": lambda seed: LightGBMHead(num_leaves=15, random_state=seed),
    "LightGBM's defaults": lambda seed: LGBMClassifier(n_jobs=1, verbosity=-1, random_state=seed),
    "catboost": lambda seed: CatBoostHead(random_state=seed),
    "catboost, 5 levels": lambda seed: CatBoostHead(depth=5, random_state=seed),
}


def measure(data: Path, data_sets: Iterable[str]) -> None:
    """Print a line for each data set, number of texts and head."""
    body = SetFitModel.from_pretrained(device="cpu").model_body
    for data_set in data_sets:
        sizes = SIZES[data_set]
        jobs = [prepare_job(data, data_set, max(sizes), seed, TEST_ROWS) for seed in SEEDS]
        test, columns = body.encode(jobs[0]["test_texts"]), jobs[0]["test_labels"]
        train = [(body.encode(job["train_texts"]), np.array(job["train_labels"])) for job in jobs]
        for size in sizes:
            for name, make in HEADS.items():
                scores, start = [], time.process_time()
                for seed, (embeddings, labels) in zip(SEEDS, train, strict=True):
                    rows = np.concatenate([np.flatnonzero(labels == label)[:size] for label in np.unique(labels)])
                    head = make(seed).fit(embeddings[rows], labels[rows])
                    scores.append((head.predict(test) == columns).mean())
                seconds = (time.process_time() - start) / len(SEEDS)
                sys.stdout.write(
                    f"{data_set} {size} {name}: {np.mean(scores):.2f} ± {np.std(scores):.2f}, {seconds:.2f} s\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    measure(Path(folder), names or SIZES)
