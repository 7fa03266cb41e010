"""The losses over all pairs of a batch, against their definitions, on a real body."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers import SentenceTransformer

from setfit_core.errors import ArgumentError
from setfit_core.losses import AllPairsLoss, SupConLoss

TEXTS = ["a goal", "the striker scored twice in the second half of a long match", "soup", "stir in the garlic", "bread"]
LABELS = [0, 0, 1, 1, 1]


@pytest.fixture(scope="module")
def body(minilm_path):
    return SentenceTransformer(str(minilm_path), device="cpu").eval()


@pytest.fixture(scope="module")
def cosines(body):
    embeddings = body.encode(TEXTS, convert_to_tensor=True, normalize_embeddings=True).clone()
    return embeddings @ embeddings.T


def value(loss, body, labels):
    return loss([body.preprocess(TEXTS)], torch.tensor(labels))


def test_all_pairs_are_compared_once_and_both_kinds_weigh_the_same(body, cosines):
    pairs = [(a, b) for a in range(5) for b in range(a)]
    alike = [(1 - cosines[a, b]) ** 2 for a, b in pairs if LABELS[a] == LABELS[b]]
    different = [cosines[a, b] ** 2 for a, b in pairs if LABELS[a] != LABELS[b]]
    expected = (sum(alike) / len(alike) + sum(different) / len(different)) / 2
    torch.testing.assert_close(value(AllPairsLoss(body), body, LABELS), expected, atol=1e-5, rtol=1e-4)


def test_supcon_is_the_mean_over_anchors_and_their_positives(body, cosines):
    terms = []
    for a in range(5):
        others = [b for b in range(5) if b != a]
        total = torch.logsumexp(cosines[a, others] / 0.2, dim=0)
        terms.append(torch.stack([total - cosines[a, b] / 0.2 for b in others if LABELS[b] == LABELS[a]]).mean())
    loss = SupConLoss(body, temperature=0.2)
    torch.testing.assert_close(value(loss, body, LABELS), torch.stack(terms).mean(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("loss_class", [AllPairsLoss, SupConLoss])
def test_indicators_of_one_label_a_text_are_the_same_as_ids(body, loss_class):
    indicators = torch.nn.functional.one_hot(torch.tensor(LABELS)).tolist()
    loss = loss_class(body)
    torch.testing.assert_close(value(loss, body, indicators), value(loss, body, LABELS))


@pytest.mark.parametrize("loss_class", [AllPairsLoss, SupConLoss])
@pytest.mark.parametrize("labels", [[0] * 5, list(range(5))], ids=["one class", "no class twice"])
def test_a_batch_of_one_kind_of_pairs_has_a_finite_loss_and_gradient(body, loss_class, labels):
    body.zero_grad()
    loss = value(loss_class(body), body, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in body.parameters() if p.grad is not None)


def shapes_of_passes(body, texts):
    shapes = []
    hook = body[0].register_forward_pre_hook(lambda _module, inputs: shapes.append(inputs[0]["input_ids"].shape))
    AllPairsLoss(body)([body.preprocess(texts)], torch.arange(len(texts)) % 2)
    hook.remove()
    return [tuple(shape) for shape in shapes]


def test_long_and_short_texts_are_not_padded_to_each_other(body):
    texts = ["short"] * 16 + ["many words " * 30] * 16
    assert shapes_of_passes(body, texts) == [(16, 4), (16, 62)]


def test_batches_of_many_lengths_pass_in_few_shapes(body):
    # Each shape costs memory for the whole run.
    texts = ["word " * length for length in [1] * 12 + list(range(13, 33))]
    for rows, width in shapes_of_passes(body, texts):
        assert rows % 8 == 0
        assert width % 4 == 0 or width == 32 + 2  # as wide as the batch, with its two special tokens


def test_a_temperature_that_is_not_positive_is_refused(body):
    with pytest.raises(ArgumentError, match="temperature is 0"):
        SupConLoss(body, temperature=0)
