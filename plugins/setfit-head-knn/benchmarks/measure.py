"""The figures of the README: `measure.py search NUMBER...` and `measure.py votes DATA_FOLDER`.

Seconds are processor seconds of one thread; run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from setfit_head_knn import KNNHead
from setfit_head_knn.neighbours import Neighbours, unit_rows
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

SIZE, QUERIES, COUNT = 384, 200, 20
#: How many rows of the files are read.
DATA_SETS = {"trec": 3000, "ag_news": 2000, "clinc150": 8000, "sst2": 3000}
SEEDS = 5


def measure_search(number: int) -> None:
    """Print the time of both searches among so many vectors, and the recall of the approximate one.

    The vectors lie around `number / 100` centres, with a cosine of 0.65 to theirs.
    """
    generator = np.random.default_rng(0)
    centres = unit_rows(generator.normal(size=(max(10, number // 100), SIZE)))

    def drawn(rows: int) -> npt.NDArray[Any]:
        noise = 0.06 * generator.standard_normal((rows, SIZE), dtype=np.float32)
        noise += centres[generator.integers(len(centres), size=rows)].astype(np.float32)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return noise

    vectors, queries = drawn(number), drawn(QUERIES).astype(np.float64)
    truth = None
    for approximate in (False, True):
        start = time.process_time()
        neighbours = Neighbours(vectors, approximate=approximate)
        built = time.process_time()
        found, _ = neighbours.find(queries, COUNT)
        searched = time.process_time()
        for query in queries[:50]:
            neighbours.find(query[None], COUNT)
        alone = time.process_time()
        truth = found if truth is None else truth
        recall = np.mean([len(np.intersect1d(*pair)) / COUNT for pair in zip(found, truth, strict=True)])
        _say(
            f"{number} vectors, {'approximate' if approximate else 'exact'}: build {built - start:.2f} s, "
            f"query {1000 * (searched - built) / QUERIES:.2f} ms of {QUERIES}, {1000 * (alone - searched) / 50:.2f} ms "
            f"alone, recall@{COUNT} {recall:.4f}"
        )


def measure_votes(data: Path, body: Any) -> None:
    """Print accuracy and log loss on folders with `train.csv` and `test.csv`, columns `text` and `label`."""
    for name, limit in DATA_SETS.items():
        (x, y), (unseen, expected) = (_embedded(data / name / f"{part}.csv", limit, body) for part in ("train", "test"))
        for per_class in (2, 8, 64):
            heads: dict[str, Callable[[], Any]] = {
                "knn": KNNHead,
                "knn, 5 neighbours": lambda: KNNHead(n_neighbors=5),
                "knn, evenly": lambda: KNNHead(temperature=1e9),
                "logistic": lambda: LogisticRegression(max_iter=1000),
            }
            for head_name, make in heads.items():
                scores = []
                for seed in range(SEEDS):
                    generator = np.random.default_rng(seed)
                    drawn = np.concatenate(
                        [generator.permutation(np.flatnonzero(y == label))[:per_class] for label in np.unique(y)]
                    )
                    head = make().fit(x[drawn], y[drawn])
                    probabilities = head.predict_proba(unseen)
                    right = head.classes_[probabilities.argmax(axis=1)] == expected
                    scores.append((right.mean(), log_loss(expected, probabilities, labels=head.classes_)))
                accuracy, loss = np.mean(scores, axis=0)
                _say(f"{name}, {per_class} a class, {head_name}: accuracy {accuracy:.3f}, log loss {loss:.3f}")


def _embedded(path: Path, limit: int, body: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:limit]
    return body.encode([row["text"] for row in rows]), np.array([int(row["label"]) for row in rows])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "search":
        for argument in sys.argv[2:]:
            measure_search(int(argument))
    else:
        from setfit_core import SetFitModel

        measure_votes(Path(sys.argv[2]), SetFitModel.from_pretrained(head="knn").model_body)
