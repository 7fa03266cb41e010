"""Memory that it takes until training on pairs has begun, by the number of texts: both sides.

Run: python -m benchmarks.pairs --setfit-python PYTHON

Each run is a process of its own. It loads the body, embeds some texts, and notes its memory; then it starts to train on
made-up texts in 100 classes with `max_steps=1`, and notes the peak when the first step begins. What is reported is the
difference: what the look at the data, pairs and batches take. The gradients and the optimizer's state that a step needs
come on top, the same for any number of texts. Writes benchmarks/results/pairs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.bench import default_body
from benchmarks.runs import CORE, PROJECT, SETFIT, program

CLASSES = 100
TEXTS = (1_000, 10_000, 50_000, 200_000)
#: From so many texts on, setfit would take more than 30 GB.
MOST_FOR_SETFIT = 10_000
STRATEGIES = {
    "oversampling": {"sampling_strategy": "oversampling"},
    "undersampling": {"sampling_strategy": "undersampling"},
    "unique": {"sampling_strategy": "unique"},
    "num_iterations=1": {"num_iterations": 1},
}
WANTED_MIB = 200  # with 50,000 texts
RESULT = Path(__file__).parent / "results" / "pairs.md"

WORKER = """
import json, resource, sys, time
side, body, texts, classes, strategy = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
import psutil, torch
from datasets import Dataset
from transformers import TrainerCallback
if side == "setfit":
    from setfit import SetFitModel, Trainer, TrainingArguments
else:
    from setfit_core import SetFitModel, Trainer, TrainingArguments

labels = [row % classes for row in range(texts)]
rows = {"text": [f"text {row} of {label}" for row, label in enumerate(labels)], "label": labels}
model = SetFitModel.from_pretrained(body, device="cpu")
model.model_body.encode(rows["text"][:64])
before = psutil.Process().memory_info().rss
peaks = []

class Peak(TrainerCallback):
    def on_step_begin(self, *_, **__):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)

arguments = TrainingArguments(max_steps=1, batch_size=16, save_strategy="no", report_to="none", **strategy)
started = time.process_time()
dataset = Dataset.from_dict(rows) if side == "setfit" else rows
trainer = Trainer(model=model, args=arguments, train_dataset=dataset, callbacks=[Peak()])
if side == "setfit":
    trainer.train_embeddings(rows["text"], rows["label"], args=arguments)
else:
    trainer.train_embeddings()
print(json.dumps({"mib": (peaks[0] - before) / 2**20, "seconds": time.process_time() - started}))
"""


def run(side: str, python: str, body: Path, texts: int, strategy: str) -> dict[str, float] | None:
    """Run a worker; None if it has failed, such as for want of memory."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if side == CORE:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (PROJECT, *sorted((PROJECT / "plugins").iterdir()))))
    options = json.dumps(STRATEGIES[strategy])
    command = [python, "-c", WORKER, side, str(body), str(texts), str(CLASSES), options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    body = default_body()
    parser.add_argument("--setfit-python", help="interpreter with setfit; without it, this project alone")
    parser.add_argument("--core-python", default=sys.executable, help="interpreter with setfit_core's requirements")
    parser.add_argument("--body", type=Path, default=body, required=body is None, help="default: all-MiniLM-L6-v2")
    args = parser.parse_args()
    pythons = {SETFIT: program(args.setfit_python), CORE: program(args.core_python)}

    lines = [
        "| texts | pairs | setfit, MiB | setfit-core, MiB | setfit, s | setfit-core, s |",
        "|---|---|---|---|---|---|",
    ]
    met = True
    for texts in TEXTS:
        for strategy in STRATEGIES:
            results = {}
            for side, python in pythons.items():
                tried = python is not None and (side == CORE or texts <= MOST_FOR_SETFIT)
                results[side] = run(side, python, args.body, texts, strategy) if tried else None
            if texts == 50_000:
                met = met and results[CORE] is not None and results[CORE]["mib"] < WANTED_MIB
            cells = [f"{result['mib']:,.0f}" if result else "-" for result in results.values()]
            cells += [f"{result['seconds']:.1f}" if result else "-" for result in results.values()]
            lines.append(f"| {texts:,} | {strategy} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    verdict = f"Wanted: below {WANTED_MIB} MiB with 50,000 texts. Met: {'yes' if met else 'no'}."
    head = f"# Memory until training on pairs has begun\n\n{CLASSES} classes, all-MiniLM-L6-v2, one step of 16 pairs."
    RESULT.write_text("\n".join([head, "", *lines, "", verdict, ""]), encoding="utf-8")
    print(verdict)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
