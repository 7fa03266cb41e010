"""A process whose memory doesn't suffice for a batch: real allocations fail, and the embeddings come all the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from setfit_core.embedding.memory import is_out_of_memory

PROGRAM = Path(__file__).with_name("memory.py")
#: glibc takes every allocation of torch from the system and gives it back at once, so that a limit is one.
EXACT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_TOP_PAD_": "0",
}


@pytest.fixture
def encode(minilm_path):
    def run(*numbers):
        process = subprocess.run(
            [sys.executable, PROGRAM, minilm_path, *map(str, numbers)],
            env={**os.environ, **EXACT},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space, and glibc")
def test_batches_are_halved_until_they_fit(encode):
    # One activation of the feed-forward layers takes 30 MB for 24 texts of 203 tokens.
    told = encode(40, 24, 203, 24)
    assert told["difference"] < 1e-5
    sizes = [int(re.search(r"a batch of (\d+) texts", message)[1]) for message in told["log"]]
    assert sizes[0] == 24
    assert sizes == sorted(sizes, reverse=True)  # what was too much once isn't tried again


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space, and glibc")
def test_a_text_that_does_not_fit_alone(encode):
    # One activation takes 3 MB.
    told = encode(2, 3, 510, 1)
    assert told["error"] == "OutOfMemoryError"
    assert "doesn't suffice for a single text of 510 tokens: " in told["message"]
    assert "Lower the longest text (model.model_body.max_seq_length)" in told["message"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("could not create a primitive"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (IndexError("index out of range in self"), False),
    ],
)
def test_what_says_that_memory_is_out(error, told):
    assert is_out_of_memory(error) is told
