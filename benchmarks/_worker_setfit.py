"""Run one job with setfit, in setfit's environment, and report what it took; see runs.py."""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("setfit", "sentence-transformers", "transformers", "torch", "scikit-learn", "numpy")


def main(job_file: str, result_file: str) -> None:
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    import torch
    from datasets import Dataset
    from setfit import SetFitHead, SetFitModel, Trainer, TrainingArguments
    from transformers import TrainerCallback

    class StepClock(TrainerCallback):
        """Processor seconds from the first step to the last, so that a part of the steps tells about all of them."""

        def on_step_begin(self, *_args, **_kwargs):
            self.first = getattr(self, "first", time.process_time())

        def on_step_end(self, _args, state, *_more, **_kwargs):
            self.last, self.steps = time.process_time(), state.global_step

    work = {"texts": 0, "positions": 0, "tokens": 0}

    def count(_module, inputs):
        mask = inputs[0]["attention_mask"]
        work["texts"] += mask.shape[0]
        work["positions"] += mask.numel()
        work["tokens"] += int(mask.sum())

    model = SetFitModel.from_pretrained(job["body"], device="cpu")
    # What is set besides the seed keeps files, reports and bars away; none of it changes the training.
    quiet = {"output_dir": "checkpoints", "report_to": "none", "save_strategy": "no", "show_progress_bar": False}
    arguments = TrainingArguments(seed=job["seed"], max_steps=job["max_steps"] or -1, **quiet)
    dataset = Dataset.from_dict({"text": job["train_texts"], "label": job["train_labels"]})
    clock = StepClock()
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset, callbacks=[clock])

    seconds = {"start": time.process_time()}
    hook = model.model_body[0].register_forward_pre_hook(count)
    trainer.train_embeddings(job["train_texts"], job["train_labels"], args=arguments)
    hook.remove()
    seconds["embedding_phase"] = time.process_time() - seconds["start"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "seconds": seconds,
        "work": dict(work),
        "steps": clock.steps,
        "step_seconds": (clock.last - clock.first) / clock.steps,
        "peak_memory_kib": peak,
        "torch_threads": torch.get_num_threads(),
    }
    if job["max_steps"] is None:
        started = time.process_time()
        trainer.train_classifier(job["train_texts"], job["train_labels"], args=arguments)
        seconds["logistic_head"] = time.process_time() - started
        started = time.process_time()
        predictions = model.predict(job["test_texts"])
        seconds["predict"] = time.process_time() - started
        result["predictions"] = {"logistic": [int(label) for label in predictions]}
        seconds["whole_process"] = time.process_time()
    if job["differentiable_head"]:
        body = model.model_body
        head = SetFitHead(in_features=body.get_embedding_dimension(), out_features=len(set(job["train_labels"])))
        model = SetFitModel(body, head)
        model.freeze("body")
        trainer = Trainer(model=model, args=arguments, train_dataset=dataset)
        started = time.process_time()
        trainer.train_classifier(job["train_texts"], job["train_labels"], args=arguments)
        seconds["differentiable_head"] = time.process_time() - started
        if job["max_steps"] is None:
            result["predictions"]["differentiable"] = [int(label) for label in model.predict(job["test_texts"])]
    result["versions"] = {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}}
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
