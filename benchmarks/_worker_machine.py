"""Measure how fast one thread of this machine multiplies matrices, and how much of that a body asks for."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROWS, INPUTS, OUTPUTS = 256, 384, 1536  # a feed-forward layer of MiniLM on a batch
CALLS, ROUNDS = 100, 7


def rate(dtype) -> float:
    """Return the GFLOP of one processor second, in the best of some rounds."""
    import torch

    values = torch.randn(ROWS, INPUTS).to(dtype)
    weight, bias = torch.randn(OUTPUTS, INPUTS).to(dtype), torch.randn(OUTPUTS).to(dtype)
    fastest = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            torch.nn.functional.linear(values, weight, bias)
        fastest = min(fastest, time.process_time() - started)
    return 2 * ROWS * INPUTS * OUTPUTS * CALLS / fastest / 1e9


def main(job_file: str, result_file: str) -> None:
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    body = SentenceTransformer(job["body"], device="cpu")
    # A pooler of the transformer's own is left out: its output is not used.
    parameters = sum(
        module.weight.numel()
        for name, module in body[0].named_modules()
        if isinstance(module, torch.nn.Linear) and "pooler" not in name
    )
    result = {
        "gflops": {"float32": rate(torch.float32), "bfloat16": rate(torch.bfloat16)},
        "linear_parameters": parameters,
        "torch": torch.__version__,
    }
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
