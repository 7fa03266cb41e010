"""Run one job with setfit_core and report what it took, field by field as _worker_setfit.py does; see runs.py."""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("setfit-core", "sentence-transformers", "transformers", "torch", "scikit-learn", "numpy")
# What makes the embedding phase train in setfit's way: on pairs. For jobs with the regime "pairs".
PAIR_ARGUMENTS = {"sampling_strategy": "oversampling"}


def main(job_file: str, result_file: str) -> None:
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback

    from setfit_core import SetFitModel, Trainer, TrainingArguments

    class StepCounter(TrainerCallback):
        """The number of steps."""

        steps = 0

        def on_step_end(self, _args, state, *_more, **_kwargs):
            self.steps = state.global_step

    work = {"texts": 0, "positions": 0, "tokens": 0}

    def count(_module, inputs):
        mask = inputs[0]["attention_mask"]
        work["texts"] += mask.shape[0]
        work["positions"] += mask.numel()
        work["tokens"] += int(mask.sum())

    model = SetFitModel.from_pretrained(job["body"], device="cpu")
    # As in _worker_setfit.py: neither files nor bars; none of it changes the training.
    regime = PAIR_ARGUMENTS if job["regime"] == "pairs" else {}
    arguments = TrainingArguments(seed=job["seed"], save_strategy="no", show_progress_bar=False, **regime)
    dataset = Dataset.from_dict({"text": job["train_texts"], "label": job["train_labels"]})
    counter = StepCounter()
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset, callbacks=[counter])

    seconds = {"start": time.process_time()}
    body = model.model_body
    hook = body[0].register_forward_pre_hook(count)
    trainer.train_embeddings()
    hook.remove()
    seconds["embedding_phase"] = time.process_time() - seconds["start"]
    result = {
        "seconds": seconds,
        "work": dict(work),
        "steps": counter.steps,
        "peak_memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "torch_threads": torch.get_num_threads(),
    }
    started = time.process_time()
    trainer.train_classifier()
    seconds["logistic_head"] = time.process_time() - started
    started = time.process_time()
    predictions = model.predict(job["test_texts"])
    seconds["predict"] = time.process_time() - started
    result["predictions"] = {"logistic": [int(label) for label in predictions]}
    seconds["whole_process"] = time.process_time()
    if job["differentiable_head"]:
        model = SetFitModel(body, "linear")
        model.freeze("body")
        trainer = Trainer(model=model, args=arguments, train_dataset=dataset)
        started = time.process_time()
        trainer.train_classifier()
        seconds["differentiable_head"] = time.process_time() - started
        result["predictions"]["differentiable"] = [int(label) for label in model.predict(job["test_texts"])]
    # What no embedding phase can do without: reading every distinct text once.
    texts = sorted(set(job["train_texts"]))
    ids = body.tokenizer(texts, truncation=True, max_length=body.max_seq_length)["input_ids"]
    result["distinct_tokens"] = sum(map(len, ids))
    result["versions"] = {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}}
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
