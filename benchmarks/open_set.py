"""How well "none of these" is told: by the head `prototype`, and by a threshold on the confidence of `logistic`.

    python -m benchmarks.open_set --data FOLDER          # or SETFIT_CORE_DATA=FOLDER

clinc150: 150 intents, and queries that belong to none of them. Both heads learn the same texts on the same embeddings:
of the body as it is, and of the body that `Trainer` has tuned on 8 texts a class (one seed), where the heads learn the
same 8 or 8 others. Out-of-scope queries are seen in the test only. Both thresholds come from the head's training texts
alone and promise which share of in-scope texts is rejected at most. `prototype` finds its own; for `logistic`, novelty
is 1 minus the largest probability, of each training text by a head that was trained on the other four fifths. AUROC is
novelty's, out of scope against in scope.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from setfit_head_prototype import PrototypeHead
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.samples import Row, draw_training_rows, read_rows
from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.embedding.embed import embed

RESULTS = Path(__file__).parent / "results" / "open_set.md"
RATES = (0.05, 0.10)
PER_CLASS = 8
SEEDS = 5
NOTE = """# "None of these" on clinc150

Written by `python -m benchmarks.open_set --data FOLDER`; its docstring says how. Percent of {test:,} in-scope and
{out:,} out-of-scope queries, with 8 texts a class the mean ± standard deviation of {seeds} samples (tuned body: one).

"""

#: Accuracy and AUROC; then, for each promised rate, the reached one and the recall of out-of-scope queries.
Figures = list[float]


def prototype(train, labels, test, out):
    """Predicted labels, novelty in and out of scope, and a threshold for each rate."""
    head = PrototypeHead().fit(train, labels)
    thresholds = [PrototypeHead(false_rejection_rate=rate).fit(train, labels).novelty_threshold_ for rate in RATES]
    return head.predict(test), head.novelty(test), head.novelty(out), thresholds


def logistic(train, labels, test, out):
    """The same for the largest probability of logistic regression, in five folds."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    held_out = cross_val_predict(LogisticRegression(), train, labels, cv=folds, method="predict_proba")
    novelties = np.sort(1 - held_out.max(axis=1))
    places = [math.ceil((1 - rate) * (len(novelties) + 1)) for rate in RATES]
    thresholds = [novelties[place - 1] if place <= len(novelties) else math.inf for place in places]
    head = LogisticRegression().fit(train, labels)
    inside, outside = (1 - head.predict_proba(rows).max(axis=1) for rows in (test, out))
    return head.predict(test), inside, outside, thresholds


HEADS = (prototype, logistic)


def measure(body, samples: Sequence[Sequence[Row]], test: Sequence[Row], out: Sequence[Row]):
    """Yield the place of each sample, the name of each head, and its figures."""
    texts = sorted({text for rows in (*samples, test, out) for text, _ in rows})
    vectors = dict(zip(texts, embed(body, texts, precision="float32"), strict=True))

    def columns(rows):
        return np.stack([vectors[text] for text, _ in rows]), np.array([label for _, label in rows])

    (inside, labels), (outside, _) = columns(test), columns(out)
    is_out = np.repeat([0, 1], [len(inside), len(outside)])
    for place, rows in enumerate(samples):
        for head in HEADS:
            predicted, novelty_inside, novelty_outside, thresholds = head(*columns(rows), inside, outside)
            auroc = roc_auc_score(is_out, np.concatenate([novelty_inside, novelty_outside]))
            figures = [float((predicted == labels).mean()), float(auroc)]
            for threshold in thresholds:
                figures += [float((each > threshold).mean()) for each in (novelty_inside, novelty_outside)]
            print(place, head.__name__, *(f"{figure:.4f}" for figure in figures), flush=True)
            yield place, head.__name__, figures


def tuned_body(train: Sequence[Row]):
    model = SetFitModel.from_pretrained(device="cpu")
    arguments = TrainingArguments(seed=0, show_progress_bar=False)
    columns = ([text for text, _ in train], [label for _, label in train])
    Trainer(model=model, args=arguments, train_dataset=columns).train_embeddings()
    return model.model_body


def line(body: str, texts: str, head: str, runs: Sequence[Figures]) -> str:
    accuracy, auroc, *shares = zip(*runs, strict=True)
    cells = [body, texts, head, spread(accuracy), f"{np.mean(auroc):.3f}", *map(spread, shares)]
    return f"| {' | '.join(cells)} |"


def spread(shares: Sequence[float]) -> str:
    deviation = f" ± {100 * np.std(shares, ddof=1):.1f}" if len(shares) > 1 else ""
    return f"{100 * np.mean(shares):.1f}{deviation}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--out", type=Path, default=RESULTS, help="the Markdown file to write")
    args = parser.parse_args()
    if args.data is None:
        parser.error("Name the folder of data sets with --data or SETFIT_CORE_DATA.")
    torch.set_num_threads(1)
    every, test, out = (
        read_rows(Path(args.data) / "clinc150" / f"{name}.csv") for name in ("train", "test", "oos_test")
    )
    exclude = {text.lower() for text, _ in test}
    few = [draw_training_rows(every, PER_CLASS, f"clinc150-{PER_CLASS}-{seed}", exclude) for seed in range(SEEDS)]
    seen = {text.lower() for text, _ in few[0]}
    other = draw_training_rows(every, PER_CLASS, "clinc150-other", exclude | seen)
    every = [row for row in every if row[0].lower() not in exclude]

    runs: dict[tuple[str, str, str], list[Figures]] = defaultdict(list)
    plain = SetFitModel.from_pretrained(device="cpu").model_body
    for place, head, figures in measure(plain, [*few, every], test, out):
        runs["as it is", f"{PER_CLASS} a class" if place < SEEDS else f"all {len(every):,}", head].append(figures)
    for place, head, figures in measure(tuned_body(few[0]), [few[0], other], test, out):
        runs["tuned", f"{PER_CLASS} a class, {('the same', 'others')[place]}", head].append(figures)
    promised = "".join(f" rejected, {rate:.0%} promised | recall |" for rate in RATES)
    lines = [f"| body | training texts | head | accuracy | AUROC |{promised}", "|---" * (5 + 2 * len(RATES)) + "|"]
    lines += [line(*names, figures) for names, figures in runs.items()]
    text = NOTE.format(test=len(test), out=len(out), seeds=SEEDS) + "\n".join(lines) + "\n"
    args.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
