"""Train in one process, or in several that a launcher has started, and write down what came out.

python tests/reliability/workers/together.py FOLDER [JOB ...]
torchrun --nproc-per-node 2 tests/reliability/workers/together.py FOLDER [JOB ...]

Writes `<job>-<rank>.json` for each job and process, and the models that are saved.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import torch
from sentence_transformers.sentence_transformer import losses
from sklearn.linear_model import LogisticRegression
from small import LABELS, TEXTS, digest, small_body

from setfit_core import SetFitError, SetFitModel, Trainer, TrainingArguments

torch.set_num_threads(1)

JOBS: dict[str, dict[str, Any]] = {
    "texts": {"max_steps": 6},
    # 7 doesn't divide by 2, and the last batch of the evaluation has a single text.
    "uneven": {"batch_size": 7, "max_steps": 6, "eval_strategy": "steps", "eval_steps": 3, "l2_weight": 0.01},
    "triplets": {"loss": losses.BatchHardTripletLoss, "max_steps": 6},
    "pairs": {"sampling_strategy": "unique", "batch_size": 5, "max_steps": 6, "gradient_accumulation_steps": 2},
    "classified": {"loss": lambda body: losses.SoftmaxLoss(body, 32, 2), "max_steps": 4},
    "negatives": {"loss": losses.MultipleNegativesRankingLoss, "max_steps": 4, "batch_size": 3},
    "nested": {
        "loss": lambda body: losses.MatryoshkaLoss(body, losses.CosineSimilarityLoss(body), [32, 8]),
        "max_steps": 6,
        "body_learning_rate": 1e-3,
    },
    "end to end": {"head": "linear", "end_to_end": True, "max_steps": 2, "num_epochs": (1, 2)},
    "chosen": {
        "head": "auto",
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "metric_for_best_model": "accuracy",
        "load_best_model_at_end": True,
    },
}
#: Made before the processes know of each other: later, transformers would write its files in one of them alone.
BODY = small_body()
RANK = int(os.environ.get("RANK", "0"))


class Refusing(LogisticRegression):
    """A head that can be trained a number of times: rehearsals pass, and then a training fails in the main process."""

    trained = 0
    most = 1

    def fit(self, *args: Any, **options: Any) -> Any:
        """Fail from the last time on."""
        type(self).trained += 1
        if type(self).trained > type(self).most:
            raise ValueError("not again")
        return super().fit(*args, **options)


class RefusingInCheckpoints(Refusing):
    """One that passes the rehearsal and the look at whether it can be saved, and fails in the first checkpoint."""

    trained = 0
    most = 2


class Unsendable(LogisticRegression):
    """A head that other processes can't be sent."""

    def fit(self, *args: Any, **options: Any) -> Any:
        """Train, and hold what can't be pickled."""
        self.unsendable = lambda: None
        return super().fit(*args, **options)


def trained(folder: Path, head: Any = "logistic", **arguments: Any) -> tuple[SetFitModel, Trainer]:
    """Train the small model, without dropout: processes draw it for their shares alone."""
    body = copy.deepcopy(BODY)
    for module in body.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    settings = {"show_progress_bar": False, "batch_size": 8, "precision": "float32"}
    model = SetFitModel(body, head)
    args = TrainingArguments(str(folder / "checkpoints"), **{**settings, **arguments})
    trainer = Trainer(model, args, (TEXTS, LABELS), eval_dataset=(TEXTS[::2], LABELS[::2]))
    trainer.train()
    return model, trainer


def main(folder: Path, jobs: list[str]) -> None:
    """Run some jobs, or all."""
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    for job in jobs or JOBS:
        model, trainer = trained(folder / job, **JOBS[job])
        model.save_pretrained(folder / job / "model")
        found = {
            "digest": digest(model),
            "probabilities": model.predict_proba(TEXTS, as_numpy=True).tolist(),
            "head": type(model.model_head).__name__,
            "texts": trainer.embedding_work.texts if trainer.embedding_work else 0,
            "accuracy": trainer.evaluate()["accuracy"],
            "losses": [log["eval_embedding_loss"] for log in trainer.log_history if "eval_embedding_loss" in log],
        }
        (folder / f"{job}-{RANK}.json").write_text(json.dumps(found))
    failing: dict[str, tuple[Any, dict[str, Any]]] = {
        "refused": (Refusing(), {}),
        "refused in a checkpoint": (RefusingInCheckpoints(), {"save_strategy": "steps", "save_steps": 1}),
        "unsendable": (Unsendable(), {}),
    }
    for name, (head, arguments) in failing.items():
        try:
            trained(folder / name, head, max_steps=1, **arguments)
        except SetFitError as error:
            (folder / f"{name}-{RANK}.json").write_text(json.dumps(str(error)))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
