"""Embeddings of texts: what encode of sentence-transformers returns, with less work."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from setfit_core.embedding.batching import BATCH_TOKENS, CHUNK_TEXTS
from setfit_core.embedding.embed import FEW_TOKENS, embed
from setfit_core.embedding.precision import PRECISIONS, checked_precision, resolved_precision
from setfit_core.errors import ArgumentError

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "how",
    "many",
    "birds",
    "flew",
    "over",
    "its",
    "house",
    "while",
    "it",
    "rained",
    "all",
    "day",
    "long",
]


def ragged(number):
    """Distinct texts of 1 to 60 words, in no order of length."""
    draw = np.random.default_rng(0)
    return [f"{row} " + " ".join(draw.choice(WORDS, size=draw.integers(1, 60))) for row in range(number)]


def reference(body, texts, **options):
    return body.encode(texts, batch_size=1, convert_to_tensor=True, show_progress_bar=False, **options).clone()


@pytest.mark.parametrize("batch_size", [None, 1, 7, 1000])
def test_ragged_texts_come_back_in_order(minilm, batch_size):
    texts = ragged(40)
    torch.testing.assert_close(embed(minilm, texts, batch_size=batch_size), reference(minilm, texts), atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_static_bodies(static_body_factory, batch_size):
    body, texts = static_body_factory(), ragged(40)
    torch.testing.assert_close(embed(body, texts, batch_size=batch_size), reference(body, texts))
    assert torch.equal(embed(body, texts, precision="bfloat16"), embed(body, texts))


def test_more_texts_than_are_tokenised_at_once(static_body_factory):
    body, texts = static_body_factory(), ragged(CHUNK_TEXTS + 30)
    torch.testing.assert_close(embed(body, texts), reference(body, texts))


def test_each_text_is_computed_once(minilm, passes):
    shapes = passes(minilm)
    texts = ["one", "two", "one", "three", "two", "one"]
    embeddings = embed(minilm, texts)
    assert sum(rows for rows, _ in shapes) == 3
    assert torch.equal(embeddings[[0, 1, 0, 3, 1, 0]], embeddings)
    assert not torch.equal(embeddings[0], embeddings[1])


def test_the_budget_of_tokens_is_kept(minilm, passes):
    shapes, texts = passes(minilm), ragged(150)
    embed(minilm, texts)
    assert sum(rows for rows, _ in shapes) == len(texts)
    assert len(shapes) > 1
    assert all(rows * columns <= BATCH_TOKENS for rows, columns in shapes)
    # Sorted by length, little of it is padding.
    tokens = sum(len(ids) for ids in minilm.tokenizer(texts)["input_ids"])
    assert sum(rows * columns for rows, columns in shapes) < 1.2 * tokens


def test_a_text_longer_than_the_budget_goes_alone(minilm, passes, monkeypatch):
    monkeypatch.setattr("setfit_core.embedding.batching.BATCH_TOKENS", 16)
    monkeypatch.setattr("setfit_core.embedding.batching.EVEN_TOKENS", 8)
    shapes, texts = passes(minilm), [" ".join(WORDS), "short", "brief"]
    torch.testing.assert_close(embed(minilm, texts), reference(minilm, texts), atol=1e-5, rtol=0)
    assert shapes[0][0] == 1
    assert shapes[0][1] > 16


def test_a_number_of_texts_a_pass(minilm, passes):
    shapes = passes(minilm)
    embed(minilm, ragged(20), batch_size=8)
    assert [rows for rows, _ in shapes] == [8, 8, 4]
    assert shapes == sorted(shapes, key=lambda shape: -shape[1])


def test_tokenizers_that_pad_on_the_left(minilm):
    texts = ragged(30)
    expected = reference(minilm, texts)
    minilm.tokenizer.padding_side = "left"
    try:
        # BERT's positions move with the padding, in encode as here: batches of one text have none.
        torch.testing.assert_close(embed(minilm, texts, batch_size=1), expected, atol=1e-5, rtol=0)
    finally:
        minilm.tokenizer.padding_side = "right"


def test_no_texts_and_one_text(minilm):
    assert embed(minilm, []).shape == (0, 384)
    torch.testing.assert_close(embed(minilm, ["one"]), reference(minilm, ["one"]), atol=1e-6, rtol=0)
    assert embed(minilm, [""]).isfinite().all()


def test_prompt_truncation_and_length(static_body_factory):
    body = static_body_factory()
    body.prompts, body.default_prompt_name = {"query": "search: "}, "query"
    body.truncate_dim = 16
    texts = ragged(10)
    torch.testing.assert_close(embed(body, texts), reference(body, texts))
    normal = embed(body, texts, normalize=True)
    torch.testing.assert_close(normal, reference(body, texts, normalize_embeddings=True))
    assert normal.shape == (10, 16)
    body.default_prompt_name = None
    assert not torch.equal(embed(body, texts, normalize=True), normal)


def test_a_prompt_for_a_transformer(minilm):
    texts = ragged(10)
    without = embed(minilm, texts)
    minilm.prompts, minilm.default_prompt_name = {"query": "search: "}, "query"
    try:
        torch.testing.assert_close(embed(minilm, texts), reference(minilm, texts), atol=1e-5, rtol=0)
        assert not torch.allclose(embed(minilm, texts), without, atol=1e-3)
    finally:
        minilm.prompts, minilm.default_prompt_name = {}, None


def test_embeddings_are_ordinary_tensors_and_the_body_is_in_evaluation_mode(minilm):
    minilm.train()
    embeddings = embed(minilm, ["one", "two"], precision="bfloat16")
    assert not minilm.training
    assert embeddings.dtype == torch.float32
    assert not embeddings.requires_grad
    assert not embeddings.is_inference()


def test_bfloat16_is_near_and_another(minilm):
    texts = ragged(20)
    exact, near = embed(minilm, texts), embed(minilm, texts, precision="bfloat16")
    assert not torch.equal(exact, near)
    torch.testing.assert_close(near, exact, atol=5e-3, rtol=0)
    assert torch.equal(embed(minilm, texts), exact)  # nothing of it is left in the body
    assert {parameter.dtype for parameter in minilm.parameters()} == {torch.float32}


def test_weights_that_change_between_calls_are_read_anew(minilm):
    texts = ragged(20)
    before = embed(minilm, texts, precision="bfloat16")
    weight = minilm[0].auto_model.encoder.layer[0].output.dense.weight
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(2)
        changed = embed(minilm, texts, precision="bfloat16")
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert not torch.allclose(before, changed, atol=1e-2)
    torch.testing.assert_close(embed(minilm, texts, precision="bfloat16"), before)


def test_few_tokens_are_exact_in_auto(minilm):
    assert torch.equal(embed(minilm, ["one two three"], precision="auto"), embed(minilm, ["one two three"]))
    texts = ragged(20)
    tokens = sum(len(ids) for ids in minilm.tokenizer(texts)["input_ids"])
    assert tokens > FEW_TOKENS
    dtype = resolved_precision("auto", minilm.device)
    same = "bfloat16" if dtype == torch.bfloat16 else "float32"
    assert torch.equal(embed(minilm, texts, precision="auto"), embed(minilm, texts, precision=same))


def test_open_rows_are_computed_in_float32(minilm):
    if resolved_precision("auto", minilm.device) == torch.float32:
        pytest.skip("this processor doesn't multiply bfloat16")
    texts = ragged(20)
    exact, near = embed(minilm, texts), embed(minilm, texts, precision="bfloat16")
    mixed = embed(minilm, [*texts, texts[3]], precision="auto", open_rows=lambda embeddings: [3, 5])
    torch.testing.assert_close(mixed[[3, 5, 20]], exact[[3, 5, 3]], atol=1e-5, rtol=0)
    others = [row for row in range(20) if row not in (3, 5)]
    assert torch.equal(mixed[others], near[others])
    assert not torch.allclose(near[[3, 5]], exact[[3, 5]], atol=1e-5)


def test_precisions_are_checked():
    assert [checked_precision(precision) for precision in PRECISIONS] == ["auto", "float32", "bfloat16"]
    with pytest.raises(ArgumentError, match="precision is 'float16'. It is one of 'auto', 'float32', 'bfloat16'"):
        checked_precision("float16")


@pytest.mark.parametrize("device", ["cpu", "mps", "meta"])
def test_what_a_precision_is_on_a_device(device):
    assert resolved_precision("float32", torch.device(device)) == torch.float32
    assert resolved_precision("bfloat16", torch.device(device)) == torch.bfloat16
    if device != "cpu":
        assert resolved_precision("auto", torch.device(device)) == torch.float32


def test_the_autocast_of_a_caller_changes_nothing(minilm):
    exact = embed(minilm, ["a text", "another one"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(embed(minilm, ["a text", "another one"]), exact)
