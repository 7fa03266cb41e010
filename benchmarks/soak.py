"""Train, save, load and predict in one process, again and again: does anything grow?

    python -m benchmarks.soak                # or: make soak SOAK="--minutes 5"

A cycle takes the next of all heads of the workspace, and in turn one label a text, calibrated or not, and several. It
loads all-MiniLM-L6-v2, trains the body for a step and the head, asks for labels and probabilities, from two threads at
once and in a stream, saves the model, loads it, and asks again: the answers must be the same. After each cycle are
counted: resident memory, open file descriptors, threads, child processes, and what lies in the folder for temporary
files. Counts must not be higher in the end than after the first round of all heads, and memory must not rise by more
than a bound: the slope of a straight line (least squares) through the later half of all cycles.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from itertools import count
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import psutil

from benchmarks.runs import cpu_model
from setfit_core import SetFitModel, Trainer, TrainingArguments

RESULTS = Path(__file__).parent / "results" / "soak.md"
HEADS = ("catboost", "knn", "lightgbm", "linear", "logistic", "mlp", "prototype", "xgboost")
WAYS = ("one label", "calibrated", "several labels")
#: What XGBoost in scikit-learn's wrapper for several labels is saved as; its README says so.
TRUSTED = {"xgboost": ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier")}
EARLY = 5  # cycles
MOST_SLOPE = 0.5  # MiB a cycle
SUBJECTS = {
    "sport": ("the goalkeeper", "our striker", "the coach", "a tennis player", "the referee", "the cup final"),
    "food": ("the soup", "a loaf of bread", "garlic butter", "the apple cake", "a pinch of salt", "fried onions"),
    "tech": ("the compiler", "my laptop", "a database query", "the web server", "the log file", "our network"),
}
STATES = ("was praised by everybody", "is not what it was", "surprised us again")
NOTE = """# {minutes:.0f} minutes of training, saving, loading and predicting

Written by `python -m benchmarks.soak`; its docstring says what a cycle does. {cycles} cycles of {heads} heads in one
process, {threads} thread(s) of {machine}; lost or changed by saving: 0.

| | after cycle {early} | after cycle {round} | in the end | |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class State:
    """What a process holds."""

    memory: float  # MiB
    descriptors: int
    threads: int
    children: int
    temporary: int

    @classmethod
    def now(cls, process: psutil.Process, temporary: Path) -> State:
        with process.oneshot():
            return cls(
                process.memory_info().rss / 2**20,
                process.num_fds(),
                process.num_threads(),
                len(process.children(recursive=True)),
                sum(1 for _ in temporary.rglob("*")),
            )


def examples() -> tuple[list[str], list[str]]:
    rows = [
        (f"{subject} {state}", topic)
        for state in STATES
        for topic, subjects in SUBJECTS.items()
        for subject in subjects
    ]
    return [text for text, _ in rows], [topic for _, topic in rows]


def cycle(number: int, folder: Path) -> None:
    head, way = HEADS[number % len(HEADS)], WAYS[number // len(HEADS) % len(WAYS)]
    texts, topics = examples()
    labels: list[object] = list(topics)
    if way == "several labels":
        labels = [
            [topic, "again"] if text.endswith("again") else [topic] for text, topic in zip(texts, topics, strict=True)
        ]
    strategy = "one-vs-rest" if way == "several labels" else None
    model = SetFitModel.from_pretrained(head=head, multi_target_strategy=strategy, device="cpu", random_state=number)
    args = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=1,
        batch_size=8,
        num_epochs=1,
        seed=number,
        show_progress_bar=False,
        report_to="none",
    )
    Trainer(model=model, args=args, train_dataset=(texts, labels)).train()
    if way == "calibrated":
        model.calibrate(texts, labels)
    before = answers(model, texts)
    loaded = SetFitModel.from_pretrained(
        model.save_pretrained(folder / "model"), device="cpu", trusted=TRUSTED.get(head, ())
    )
    labels, probabilities = answers(loaded, texts)
    assert labels == before[0]
    np.testing.assert_array_equal(probabilities, before[1])


def answers(model: SetFitModel, texts: Sequence[str]) -> tuple[list[object], object]:
    """Return labels and probabilities; those of two threads and of a stream must agree."""
    labels = model.predict(texts)
    with ThreadPoolExecutor(2) as pool:
        for given in pool.map(model.predict, [texts, texts]):
            assert given == labels
    assert list(model.predict_stream(iter(texts))) == labels
    return labels, model.predict_proba(texts, as_numpy=True)


def slope(values: Sequence[float]) -> float:
    """Return by how much values rise from one to the next, by least squares."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the Markdown file to write")
    args = parser.parse_args()
    process, states = psutil.Process(), []
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="setfit-soak-") as name:
        temporary, folder = Path(name) / "temporary", Path(name) / "models"
        temporary.mkdir()
        folder.mkdir()
        tempfile.tempdir = str(temporary)  # whatever is left there was left by a cycle
        for number in count():
            cycle(number, folder)
            states.append(State.now(process, temporary))
            figures = " ".join(f"{figure:.0f}" for figure in astuple(states[-1]))
            print(f"{number + 1} {HEADS[number % len(HEADS)]}: {figures}", flush=True)
            if time.monotonic() - start > 60 * args.minutes and len(states) >= 2 * len(HEADS):
                break
        tempfile.tempdir = None
    text, met = report(states, (time.monotonic() - start) / 60)
    args.out.write_text(text, encoding="utf-8")
    print(text)
    return 0 if met else 1


def report(states: Sequence[State], minutes: float) -> tuple[str, bool]:
    import torch

    whole = len(HEADS) * len(WAYS)
    whole = whole if len(states) > whole else len(HEADS)
    text = NOTE.format(
        minutes=minutes,
        cycles=len(states),
        heads=len(HEADS),
        threads=torch.get_num_threads(),
        machine=cpu_model(),
        early=EARLY,
        round=whole,
    )
    early, settled, last = states[EARLY - 1], states[whole - 1], states[-1]
    rise = slope([state.memory for state in states[len(states) // 2 :]])
    text += f"| resident memory, MiB | {early.memory:,.0f} | {settled.memory:,.0f} | {last.memory:,.0f} "
    text += f"| {rise:+.2f} a cycle in the later half; at most {MOST_SLOPE} wanted |\n"
    met = rise <= MOST_SLOPE
    titles = ("open file descriptors", "threads", "child processes", "temporary files")
    for title, *figures in zip(titles, *(astuple(state)[1:] for state in (early, settled, last)), strict=True):
        text += f"| {title} | {' | '.join(map(str, figures))} | no more wanted than after cycle {whole} |\n"
        met = met and figures[2] <= figures[1]
    return f"{text}\nMet: {'yes' if met else 'no'}.\n", met


if __name__ == "__main__":
    sys.exit(main())
