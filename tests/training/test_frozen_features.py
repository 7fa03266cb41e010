"""A frozen body runs once for heads that read embeddings, and on demand for heads that read more."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from setfit_core import SetFitModel


@pytest.fixture(scope="module")
def transformer(minilm_path):
    return SentenceTransformer(str(minilm_path), device="cpu")


class Head(nn.Module):
    """A torch head whose forward is given by `read`, a function of the features."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        self.layer = nn.Linear(384, 2)

    def forward(self, features):
        return {"logits": self.layer(self.read(features))}

    def predict_proba(self, embeddings):
        return self.layer(embeddings).softmax(-1)

    def predict(self, embeddings):
        return self.layer(embeddings).argmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


def counted(body):
    """Count the forward passes of a body."""
    calls = []
    handle = body.register_forward_hook(lambda *_: calls.append(1))
    return calls, handle


def mean_of_tokens(features):
    mask = features["attention_mask"].unsqueeze(-1).float()
    return nn.functional.normalize((features["token_embeddings"] * mask).sum(1) / mask.sum(1), dim=1)


READERS = {
    "get": lambda f: f.get("token_embeddings").mean(1),
    "contains": lambda f: f["token_embeddings"].mean(1) if "token_embeddings" in f else f["sentence_embedding"] * 0,
    "items": lambda f: dict(f.items())["token_embeddings"].mean(1),
    "copy": lambda f: f.copy()["token_embeddings"].mean(1),
    "unpacked": lambda f: {**f}["token_embeddings"].mean(1),
    "dict": lambda f: dict(f)["token_embeddings"].mean(1),
    "pop": lambda f: f.pop("token_embeddings").mean(1),
    "iterated": lambda f: {key: f[key] for key in f}["token_embeddings"].mean(1),
}


def test_embeddings_are_computed_once_for_all_epochs(transformer, texts, topics):
    calls, handle = counted(transformer)
    try:
        model = SetFitModel(transformer, Head(lambda features: features["sentence_embedding"]))
        model.fit(texts, topics, num_epochs=10, show_progress_bar=False)
    finally:
        handle.remove()
    assert len(calls) == 2  # two texts to count the outputs and to try a step, one batch for the embeddings


@pytest.mark.parametrize("reader", READERS)
def test_a_head_that_reads_other_keys_sees_what_the_body_returns(transformer, texts, reader):
    from setfit_core.embedding.body import FrozenFeatures, body_output

    with torch.no_grad():
        whole = body_output(transformer, texts)
    features = FrozenFeatures(whole["sentence_embedding"], lambda: whole)
    assert torch.equal(READERS[reader](features), READERS[reader](dict(whole)))


def test_a_head_on_token_embeddings_trains_as_on_the_same_embeddings(transformer, texts, topics):
    # The mean of the tokens is what this body's pooling gives, so both heads learn from the same numbers.
    heads = [Head(mean_of_tokens), Head(lambda features: features["sentence_embedding"])]
    heads[1].load_state_dict(heads[0].state_dict())
    results = []
    for head in heads:
        model = SetFitModel(transformer, head, precision="float32")
        model.fit(texts, topics, num_epochs=8, batch_size=4, show_progress_bar=False)
        results.append(model.predict_proba(texts))
    assert torch.allclose(results[0], results[1], atol=1e-4)
    assert results[0].argmax(-1).tolist() == [1] * 4 + [0] * 4


def test_a_missing_key_is_a_key_error_and_get_gives_the_default(transformer, texts):
    from setfit_core.embedding.body import FrozenFeatures, body_output

    with torch.no_grad():
        features = FrozenFeatures(torch.zeros(1, 384), lambda: body_output(transformer, texts[:1]))
    with pytest.raises(KeyError):
        features["image"]
    assert features.get("image", 5) == 5
    assert features.pop("image", 6) == 6
    with pytest.raises(KeyError):
        features.pop("image")
    assert len(features) == len(list(features.keys())) == len(list(features.values()))
