"""Ten million texts through one model: how fast, and how much more memory than a hundred thousand take.

    python -m benchmarks.stream --data FOLDER            # or SETFIT_CORE_DATA=FOLDER

A model on static word vectors (of the package `wordllama`) learns 64 texts a class of ag_news. Texts of 5 to 25 words,
drawn by a seeded generator from those of 2,000 real texts, go through `SetFitModel.predict_stream` in one process, and
as the lines of a file through `setfit-core predict` into a CSV file in another. Each counts the labels that it gives;
the counts must be the same, and there must be as many labels as texts. Peak memory is the largest resident set of the
process; that of fewer texts is taken while the stream goes on, and of a shorter file. Seconds are processor seconds.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.runs import cpu_model
from benchmarks.samples import Row, draw_training_rows, read_rows

# Torch is imported in the processes that are measured alone: a child's peak memory starts at what its parent holds.

RESULTS = Path(__file__).parent / "results" / "stream.md"
PER_CLASS = 64
REAL_TEXTS = 2_000
MOST_GROWTH = 32.0  # MiB
NOTE = """# {rows:,} texts in constant memory

Written by `python -m benchmarks.stream --data FOLDER`; its docstring says how. One thread of {machine}.

| | texts a processor second | peak memory after {few:,} texts, MiB | after {rows:,}, MiB | growth, MiB | lost |
|---|---|---|---|---|---|
"""

#: Processor seconds, peak memory in MiB after few and after all texts, and how often each label was given.
Figures = tuple[float, float, float, "Counter[str]"]


def drawn(words: list[str], rows: int) -> Iterator[str]:
    generator = random.Random(0)
    for _ in range(rows):
        yield " ".join(generator.choices(words, k=generator.randint(5, 25)))


def peak(who: int = resource.RUSAGE_SELF) -> float:
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def train(rows: list[Row], folder: Path) -> None:
    from importlib.resources import files

    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    from setfit_core import SetFitModel

    wordllama = files("wordllama")
    weights = load_file(str(wordllama / "weights" / "l2_supercat_256.safetensors"))["embedding.weight"].float()
    tokenizer = Tokenizer.from_file(str(wordllama / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    model = SetFitModel(SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)]))
    model.fit([text for text, _ in rows], [f"class {label}" for _, label in rows])
    model.save_pretrained(folder)


def in_python(folder: Path, words: list[str], few: int, rows: int) -> Figures:
    from setfit_core import SetFitModel

    labels = SetFitModel.from_pretrained(folder, device="cpu").predict_stream(drawn(words, rows))
    start = time.process_time()
    counts = Counter(islice(labels, few))
    early = peak()
    counts.update(labels)
    return time.process_time() - start, early, peak(), counts


def on_the_command_line(folder: Path, words: list[str], few: int, rows: int) -> Figures:
    program = "import sys; from setfit_core.cli import main; sys.exit(main())"
    source, target = folder.with_name("texts.txt"), folder.with_name("labels.csv")
    seconds, peaks = [], []
    for number in (few, rows):
        with source.open("w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in drawn(words, number))
        command = [sys.executable, "-c", program, "predict", str(folder), str(source), "--out", str(target)]
        before = spent()
        subprocess.run([*command, "--overwrite"], check=True)
        seconds.append(spent() - before)
        peaks.append(peak(resource.RUSAGE_CHILDREN))  # of the largest child, and the longer file's comes second
    with target.open(encoding="utf-8", newline="") as file:
        counts = Counter(row["label"] for row in csv.DictReader(file))
    # The shorter file takes away what starting costs.
    return (seconds[1] - seconds[0]) * rows / (rows - few), *peaks, counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--rows", type=int, default=10_000_000, help="how many texts (default: ten million)")
    parser.add_argument("--few", type=int, default=100_000, help="when memory is taken first (default: 100,000)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the Markdown file to write")
    args = parser.parse_args()
    if args.data is None:
        parser.error("Name the folder of data sets with --data or SETFIT_CORE_DATA.")
    every = read_rows(Path(args.data) / "ag_news" / "train.csv")
    words = [word for text, _ in every[:REAL_TEXTS] for word in text.split()]
    train_rows = draw_training_rows(every, PER_CLASS, f"ag_news-{PER_CLASS}-0", set())
    text = NOTE.format(rows=args.rows, few=args.few, machine=cpu_model())
    met, given = True, []
    with (
        tempfile.TemporaryDirectory(prefix="setfit-stream-") as name,
        multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        folder = Path(name) / "model"
        pool.apply(train, (train_rows, folder))
        for way in (in_python, on_the_command_line):
            seconds, early, late, counts = pool.apply(way, (folder, words, args.few, args.rows))
            growth, lost = late - early, args.rows - sum(counts.values())
            cells = [way.__name__.replace("_", " "), f"{args.rows / seconds:,.0f}", f"{early:,.0f}", f"{late:,.0f}"]
            text += f"| {' | '.join([*cells, f'{growth:.1f}', str(lost)])} |\n"
            print(text.splitlines()[-1], flush=True)
            met = met and not lost and growth < MOST_GROWTH
            given.append(counts)
    met = met and given[0] == given[1]
    text += f"\nWanted: none lost, the same labels, less than {MOST_GROWTH:.0f} MiB of growth. "
    text += f"Met: {'yes' if met else 'no'}.\n"
    args.out.write_text(text, encoding="utf-8")
    print(text)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
