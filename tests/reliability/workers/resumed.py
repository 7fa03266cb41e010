"""Kill trainings and let them go on: one process that has imported everything, and a fork of it for each training.

python tests/reliability/workers/resumed.py DIRECTORY

Reads a JSON list `[scenario, keywords]` from each line of its input, and answers with one line of JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import torch
from small import LABELS, TEXTS, digest, small_body
from transformers import EarlyStoppingCallback
from transformers.utils.logging import disable_progress_bar

from setfit_core import SetFitModel, Trainer, TrainingArguments

torch.set_num_threads(1)
disable_progress_bar()

WAYS: dict[str, dict[str, Any]] = {
    # Dropout is on, so the random state has to go on as well.
    "pairs": {"sampling_strategy": "undersampling", "save_steps": 2, "max_steps": 9},
    "texts": {"num_epochs": (2, 3), "save_strategy": "epoch", "batch_size": (6, 4)},
    "best": {
        "sampling_strategy": "unique",
        "save_steps": 2,
        "eval_steps": 2,
        "eval_strategy": "steps",
        "max_steps": 12,
        "load_best_model_at_end": True,
        "metric_for_best_model": "accuracy",
    },
}


def train(directory: Path, way: str, resume: bool | None) -> SetFitModel:
    """Train the small model."""
    settings = {"show_progress_bar": False, "save_strategy": "steps", "save_total_limit": 2, "batch_size": 4}
    arguments = TrainingArguments(str(directory), **{**settings, **WAYS[way]})
    model = SetFitModel(small_body(), "linear" if way == "texts" else "logistic")
    callbacks = [EarlyStoppingCallback(early_stopping_patience=3)] if way == "best" else []
    trainer = Trainer(model, arguments, (TEXTS, LABELS), eval_dataset=(TEXTS[::2], LABELS[::2]), callbacks=callbacks)
    trainer.train(resume_from_checkpoint=resume)
    return model


def killed(directory: Path, way: str, moment: int) -> bool:
    """Go on with a training, and kill it at its n-th touch of a file there; tell whether it came so far."""

    def task() -> None:
        left = moment

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event.startswith(("open", "os.", "shutil.")) and str(directory) in str(arguments[:2]):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        model = train(directory, way, resume=True)
        (directory.parent / f"{directory.name}.digest").write_text(digest(model))

    return forked(task) == -signal.SIGKILL


def forked(task: Callable[[], Any]) -> int:
    """Run a task in a new process, and return its exit code, negative for a signal."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        task()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def kill_again_and_again(directory: Path, *, way: str, first: int, apart: int) -> dict[str, Any]:
    """Kill a training at ever later moments, letting it go on each time, until it comes to its end before."""
    undisturbed = digest(train(directory / "undisturbed", way, resume=None))
    unusable = []
    moments = itertools.count(first, apart)
    kills = 0
    while killed(directory / "killed", way, next(moments)):
        kills += 1
        for folder in (directory / "killed").glob("checkpoint-*"):
            try:
                SetFitModel.from_pretrained(folder).predict(TEXTS)
            except Exception:
                unusable.append(traceback.format_exc())
    return {
        "kills": kills,
        "unusable": unusable,
        "same": (directory / "killed.digest").read_text() == undisturbed,
        "left": sorted(path.name for path in (directory / "killed").iterdir()),
        "undisturbed": sorted(path.name for path in (directory / "undisturbed").iterdir()),
    }


def main(directory: Path) -> None:
    """Answer one line after the other."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for number, line in enumerate(sys.stdin):
        scenario, keywords = json.loads(line)
        place = directory / str(number)
        place.mkdir()
        answers.write(json.dumps({"kill_again_and_again": kill_again_and_again}[scenario](place, **keywords)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
