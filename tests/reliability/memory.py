"""Encoding with too little memory; `test_memory.py` runs this as a program, since the limit is the process's own.

It takes the folder of a body, the megabytes that it may take on top of what it has when it starts to encode, how many
texts it encodes and of how many tokens, and how many it does at a time. It prints, as JSON, what the log said, and how
far the embeddings are from those computed one by one with enough memory; or the error, if it is one of the library's.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from setfit_core import SetFitModel
from setfit_core.errors import SetFitError

MEGABYTE = 2**20
WORDS = ["the", "goalkeeper", "saved", "a", "penalty", "in", "the", "last", "minute"]


class Kept(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def mapped():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main(path, megabytes, number_of_texts, tokens, batch_size):
    kept = Kept()
    logging.getLogger("setfit_core").addHandler(kept)
    torch.set_num_threads(1)
    model = SetFitModel(SentenceTransformer(path, device="cpu"), precision="float32")
    model.model_body.max_seq_length = tokens
    draw = np.random.default_rng(0)
    texts = [f"{number} " + " ".join(draw.choice(WORDS, size=tokens)) for number in range(number_of_texts)]
    # It warms up, too: what is mapped once stays.
    expected = np.concatenate([model.encode([text], show_progress_bar=False) for text in texts])
    resource.setrlimit(resource.RLIMIT_AS, (mapped() + megabytes * MEGABYTE, resource.RLIM_INFINITY))
    try:
        given = model.encode(texts, batch_size=batch_size, show_progress_bar=False)
        print(json.dumps({"difference": float(abs(given - expected).max()), "log": kept.messages}))
    except SetFitError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error), "log": kept.messages}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
