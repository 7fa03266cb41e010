"""Peak memory of training a body with a large word table, such as multilingual bodies have: both sides.

Run: python -m benchmarks.memory --data DATA --setfit-python PYTHON

MiniLM's table is enlarged to 250,002 rows in a temporary folder; its tokenizer stays, so the texts take the same
work as ever and only the table costs more. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.bench import default_body
from benchmarks.runs import CORE, SETFIT, SIDES, program, run_worker
from benchmarks.samples import prepare_job

ROWS = 250_002  # XLM-RoBERTa's
DATASET, PER_CLASS = "sst2", 8
TEST_ROWS = 16  # what is predicted is of no interest
MOST = 0.5  # of setfit's memory


def enlarge(body: Path, folder: Path) -> None:
    """Save the body with a word table of ROWS rows; the new ones are random."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(body), device="cpu")
    transformer = model[0].auto_model
    known = transformer.get_input_embeddings().weight.detach()
    torch.manual_seed(0)
    transformer.resize_token_embeddings(ROWS, mean_resizing=False)
    table = transformer.get_input_embeddings().weight.detach()
    table[len(known) :] = torch.randn(ROWS - len(known), known.shape[1]) * known.std()
    model.save(str(folder))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data, body = os.environ.get("SETFIT_CORE_DATA"), default_body()
    parser.add_argument("--data", type=Path, default=data, required=data is None, help="or env SETFIT_CORE_DATA")
    parser.add_argument("--setfit-python", required=True, help="interpreter with setfit")
    parser.add_argument("--core-python", default=sys.executable, help="interpreter with setfit_core's requirements")
    parser.add_argument("--body", type=Path, default=body, required=body is None, help="default: all-MiniLM-L6-v2")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run (default: 1)")
    args = parser.parse_args()

    job = prepare_job(args.data, DATASET, PER_CLASS, seed=0, test_rows=TEST_ROWS)
    job |= {"max_steps": None, "differentiable_head": False, "regime": "default"}
    pythons = {SETFIT: program(args.setfit_python), CORE: program(args.core_python)}
    with tempfile.TemporaryDirectory(prefix="setfit-memory-") as folder:
        # In a process of its own: on Linux a child's peak memory starts at what its parent holds.
        enlarging = multiprocessing.get_context("spawn").Process(target=enlarge, args=(args.body, Path(folder)))
        enlarging.start()
        enlarging.join()
        if enlarging.exitcode:
            return enlarging.exitcode
        job["body"] = folder
        results = {side: run_worker(side, pythons[side], job, args.threads) for side in SIDES}
    peaks = {side: result["peak_memory_kib"] / 1024 for side, result in results.items()}
    share = peaks[CORE] / peaks[SETFIT]
    print(f"{DATASET}, {PER_CLASS} a class, a word table of {ROWS:,} rows, {args.threads} thread(s):\n")
    print("| | version | steps | peak memory, MiB | of setfit's |")
    print("|---|---|---|---|---|")
    for side in SIDES:
        result = results[side]
        print(
            f"| {side} | {result['versions'][side]} | {result['steps']} | {peaks[side]:,.0f} "
            f"| {peaks[side] / peaks[SETFIT]:.0%} |"
        )
    print(f"\nWanted: below {MOST:.0%} of setfit's. Met: {'yes' if share < MOST else 'no'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
