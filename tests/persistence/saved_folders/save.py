"""Save small models in the present version of the format, with what they predict.

python tests/persistence/saved_folders/save.py tests/persistence/saved_folders/version-N

For the version that is being made. Folders of earlier versions are never written again: they show that what people
saved goes on loading.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from sklearn.ensemble import RandomForestClassifier
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from setfit_core import SetFitModel
from setfit_core.heads.multilabel import STRATEGIES

WORDS = {
    "sport": ["goal", "match", "striker", "penalty", "team", "won", "the", "score", "coach", "ball"],
    "food": ["soup", "garlic", "butter", "stir", "add", "cook", "the", "salt", "oven", "dish"],
    "tech": ["code", "compile", "bug", "server", "the", "python", "deploy", "branch", "merge", "test"],
}
ASKED = ["the team won a penalty", "stir the soup with butter", "merge the branch", "unknown words only", ""]


def main(directory: Path) -> None:
    """Save a model of each kind, and `expected.json`."""
    generator = np.random.default_rng(7)
    vocabulary = ["[UNK]", *sorted({word for words in WORDS.values() for word in words})]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()

    def body() -> SentenceTransformer:
        vectors = torch.tensor(generator.normal(size=(len(vocabulary), 12)).astype("float32"))
        return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")

    texts = [" ".join(generator.choice(words, 4)) for words in WORDS.values() for _ in range(8)]
    topics = [topic for topic in WORDS for _ in range(8)]
    several = [[topic] if number % 4 else [topic, "fourth"] for number, topic in enumerate(topics)]
    expected: dict[str, Any] = {}

    def keep(name: str, model: SetFitModel, metric: Any, *, calibrated: bool = False) -> None:
        model.fit(texts, several, show_progress_bar=False, num_epochs=3)
        if calibrated:
            model.calibrate(texts, several)
        halves = model.predict(ASKED)
        model.tune_thresholds(texts, several, metric)
        assert model.predict(ASKED) != halves
        model.save_pretrained(directory / name)
        expected[name] = {
            "labels": model.labels,
            "predict": model.predict(ASKED),
            "predict_proba": model.predict_proba(ASKED, as_numpy=True).tolist(),
            "strategy": model.multi_target_strategy,
        }

    for strategy in STRATEGIES:
        keep(
            strategy,
            SetFitModel(body(), multi_target_strategy=strategy),
            "macro_f1",
            calibrated=strategy == "one-vs-rest",
        )
    keep("linear", SetFitModel(body(), "linear", "multi-output", normalize_embeddings=True), "micro_f1")
    forest = RandomForestClassifier(n_estimators=3, random_state=0)
    labels = ["sport", "tech", "fourth", "food", "never"]
    keep("forest", SetFitModel(body(), forest, "multi-output", labels=labels), "micro_f1", calibrated=True)
    content = json.dumps({"texts": ASKED, "models": expected}, indent=1)
    (directory / "expected.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
