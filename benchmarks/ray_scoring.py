"""Scoring with Ray: two workers beside one process, and what comes out when processes and a machine die.

    python -m benchmarks.ray_scoring --data FOLDER          # or SETFIT_CORE_DATA=FOLDER

A logistic head learns 8 texts a class of ag_news on all-MiniLM-L6-v2 as it is, and labels all other texts. One process
with one thread predicts them from memory. Then a Ray cluster does it from Parquet to Parquet: two "machines", each a
raylet with processes and an object store of its own on this one machine, and two workers of one thread. It is left
alone once; then processes are killed (SIGKILL) while they load the model, score or write, one whenever another file of
labels has appeared; then the second machine is killed with all its processes while it scores. A row is lost if it is
not in the output, twice if it is there more than once, and changed if anything in it isn't what the one process says.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on the loopback address only
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(),  # otherwise Ray keeps one in the home folder
}

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
import torch
from ray.cluster_utils import Cluster

from benchmarks.samples import draw_training_rows, read_rows
from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.scoring import score_dataset

RESULTS = Path(__file__).parent / "results" / "ray_scoring.md"
PER_CLASS = 8
BATCH = 100
#: What is killed, in this order: what the title of a process says that it is at, and what the table calls it.
KILLS = {"(_Worker)).__init__": "loading", "(_Worker)).submit": "scoring", "ray::Write": "writing"}
MOST_KILLS = 12
NOTE = """# Scoring with Ray, and killing what scores

Written by `python -m benchmarks.ray_scoring --data FOLDER`; its docstring says how. {rows:,} texts of ag_news,
all-MiniLM-L6-v2, {batch} rows at once, Ray {ray}, {cores} cores. Load average before and after, other work on the
machine included: {before:.1f} and {after:.1f}. Seconds with Ray include the start of the workers.

"""


@contextmanager
def meanwhile(act: Callable[[], bool]) -> Iterator[None]:
    """Do something over and over beside the block, until it says that it is done or the block ends."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set() and not act():
            ended.wait(0.002)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def processes(root: int) -> Iterator[tuple[psutil.Process, str]]:
    """Yield the processes below one, with what each says that it is at."""
    for process in psutil.Process(root).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield process, " ".join(process.cmdline())


class Killer:
    """Kills one process after the other, as long as the output grows."""

    def __init__(self, out: Path) -> None:
        self.out, self.killed, self._files = out, dict.fromkeys(KILLS.values(), 0), -1

    def __call__(self) -> bool:
        files = len(list(self.out.glob("*.parquet")))
        if files > self._files:
            wanted = min(KILLS.values(), key=self.killed.__getitem__)  # of what was killed least
            for process, title in processes(os.getpid()):
                if any(KILLS[part] == wanted for part in KILLS if part in title):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                        self.killed[wanted] += 1
                        self._files = files
                    break
        return sum(self.killed.values()) >= MOST_KILLS

    def told(self) -> str:
        return ", ".join(f"{count} {what}" for what, count in self.killed.items())


class MachineKiller:
    """Kills a machine once a worker on it scores and there is output."""

    def __init__(self, out: Path, cluster: Cluster, node) -> None:
        self.out, self.cluster, self.node, self.lost = out, cluster, node, []

    def __call__(self) -> bool:
        raylet = self.node.all_processes["raylet"][0].process.pid
        titles = [title for _, title in processes(raylet) if title.startswith("ray::")]
        if any("(_Worker)).submit" in title for title in titles) and list(self.out.glob("*.parquet")):
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.lost = titles
        return bool(self.lost)

    def told(self) -> str:
        return f"{len(self.lost)} processes"


def line(name: str, rows: pa.Table, out: Path, seconds: float, alone: float, killed: str) -> str:
    written = pq.read_table(out)
    numbers = written["number"].to_pylist()
    lost, twice = len(rows) - len(set(numbers)), len(numbers) - len(set(numbers))
    by_number = {row["number"]: row for row in rows.to_pylist()}
    changed = sum(by_number[row["number"]] != row for row in written.to_pylist())
    counts = f"{len(rows):,} | {len(numbers):,} | {lost} | {twice} | {changed}"
    return f"| {name} | {killed} | {counts} | {seconds:.0f} | {len(numbers) / seconds:.0f} | {alone / seconds:.2f} |"


def with_ray(folder: Path, expected: pa.Table, model: SetFitModel, alone: float) -> Iterator[str]:
    """Yield a line of the table for each run on a cluster of two machines."""
    machine = {"num_cpus": 2, "object_store_memory": 200 * 2**20, "temp_dir": str(folder / "ray")}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    second = cluster.add_node(**machine)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    source = folder / "texts"
    source.mkdir()
    pq.write_table(expected.drop_columns("label"), source / "texts.parquet")
    killer = Killer(folder / "killed")
    machine_killer = MachineKiller(folder / "machine", cluster, second)
    runs = (
        ("two workers", folder / "alone", lambda: True, lambda: ""),
        ("processes killed", killer.out, killer, killer.told),
        ("a machine killed", machine_killer.out, machine_killer, machine_killer.told),
    )
    try:
        for name, out, act, told in runs:
            dataset = ray.data.read_parquet(source)
            started = time.perf_counter()
            with meanwhile(act):
                score_dataset(model, dataset, num_workers=2, batch_size=BATCH).write_parquet(out)
            yield line(name, expected, out, time.perf_counter() - started, alone, told())
    finally:
        ray.shutdown()
        cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SETFIT_CORE_DATA"))
    parser.add_argument("--out", type=Path, default=RESULTS, help="the Markdown file to write")
    parser.add_argument("--rows", type=int, help="only so many texts, for a quick look")
    args = parser.parse_args()
    if args.data is None:
        parser.error("Name the folder of data sets with --data or SETFIT_CORE_DATA.")
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    test, train = (read_rows(Path(args.data) / "ag_news" / f"{name}.csv") for name in ("test", "train"))
    drawn = draw_training_rows(train, PER_CLASS, "ag_news-ray", set())
    texts = sorted({text for text, _ in test + train} - {text for text, _ in drawn})[: args.rows]
    model = SetFitModel.from_pretrained(device="cpu")
    columns = ([text for text, _ in drawn], [label for _, label in drawn])
    arguments = TrainingArguments(seed=0, show_progress_bar=False)
    Trainer(model=model, args=arguments, train_dataset=columns).train_classifier()
    started = time.perf_counter()
    labels = model.predict(texts, as_numpy=True, show_progress_bar=False)
    alone = time.perf_counter() - started
    expected = pa.table({"number": range(len(texts)), "text": texts, "label": labels})
    lines = [
        "| | killed | rows in | rows out | lost | twice | changed | seconds | rows/s | beside one process |",
        "|---|---|---|---|---|---|---|---|---|---|",
        f"| one process | | {len(texts):,} | {len(labels):,} | | | | {alone:.0f} | {len(texts) / alone:.0f} | 1 |",
    ]
    print(lines[-1], flush=True)
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        for text in with_ray(Path(folder), expected, model, alone):
            print(text, flush=True)
            lines.append(text)
    facts = {"rows": len(texts), "batch": BATCH, "ray": ray.__version__, "cores": os.cpu_count()}
    note = NOTE.format(**facts, before=before, after=os.getloadavg()[0])
    args.out.write_text(note + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
