"""Threads that predict with one model, and with one model while another is trained: what each gives alone."""

from __future__ import annotations

import copy
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from setfit_core import EmbeddingCache, SetFitModel, Trainer, TrainingArguments, list_heads
from setfit_core.embedding.batching import CHUNK_TEXTS

THREADS = 8
ROUNDS = 2
WAIT_SECONDS = 60
HEADS = sorted({info.name for info in list_heads() if info.distribution.startswith("setfit-head-")})


@pytest.fixture(autouse=True)
def _no_bars():
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(level)


@pytest.fixture
def minilm(minilm_path):
    """A body that has tokenised nothing yet."""
    return SentenceTransformer(str(minilm_path), device="cpu")


def lists_of(texts, longest):
    """A list of texts for each thread: of other texts and lengths, some of them repeated."""
    draw = np.random.default_rng(0)
    words = " ".join(texts).split()
    lists = []
    for thread in range(THREADS):
        drawn = [" ".join(draw.choice(words, size=size)) for size in draw.integers(1, longest, size=3 + 2 * thread)]
        lists.append([*drawn, drawn[0], *texts[:thread], drawn[0]])
    return lists


def answers(model, texts):
    """Everything that a model says about texts."""
    return model.predict(texts), model.predict_proba(texts, as_numpy=True), np.asarray(model.encode(texts))


def together(ask, lists, rounds=ROUNDS):
    """Ask about each list in a thread of its own, all at once, and in each round about the next thread's list."""
    start = threading.Barrier(THREADS)

    def work(thread):
        start.wait(WAIT_SECONDS)
        turns = [(thread + turn) % THREADS for turn in range(rounds)]
        return [(turn, ask(lists[turn])) for turn in turns]

    with ThreadPoolExecutor(THREADS) as pool:
        return [answer for answers in pool.map(work, range(THREADS)) for answer in answers]


def check_same(given, expected):
    """Check that two answers are the same, to the last bit."""
    (labels, *arrays), (same_labels, *same_arrays) = given, expected
    assert labels == same_labels
    for array, same in zip(arrays, same_arrays, strict=True):
        np.testing.assert_array_equal(array, same)


def check(given, expected):
    assert len(given) == THREADS * ROUNDS
    for turn, answer in given:
        check_same(answer, expected[turn])


@pytest.mark.parametrize("strategy", [None, "one-vs-rest"])
@pytest.mark.parametrize("head", HEADS)
def test_each_head(head, strategy, static_body_factory, texts, topics):
    model = SetFitModel(static_body_factory(), head, strategy, random_state=0)
    labels = topics if strategy is None else [[topic] for topic in topics]
    model.fit(texts, labels, show_progress_bar=False, num_epochs=2)
    lists = lists_of(texts, 90)
    given = together(lambda part: answers(model, part), lists)
    check(given, [answers(model, part) for part in lists])


def test_a_transformer_that_has_tokenised_nothing_yet(minilm, texts, topics):
    model = SetFitModel(minilm, "linear", labels=["food", "sport", "tech"])
    twin = SetFitModel(copy.deepcopy(minilm), "linear")
    twin.fit(texts, topics, show_progress_bar=False, num_epochs=1)
    model.model_head = copy.deepcopy(twin.model_head)
    lists = lists_of(texts, 40)
    given = together(lambda part: answers(model, part), lists)
    check(given, [answers(model, part) for part in lists])


def test_more_texts_than_are_tokenised_at_once(static_body_factory, texts, topics):
    model = SetFitModel(static_body_factory())
    model.fit(texts, topics, show_progress_bar=False)
    lists = [[f"{text} {number}" for number in range(CHUNK_TEXTS // 8)] for text in texts[:THREADS]]
    lists = [part * (1 + thread) for thread, part in enumerate(lists)]
    given = together(lambda part: answers(model, part), lists)
    check(given, [answers(model, part) for part in lists])


def test_one_cache(static_body_factory, texts, topics, tmp_path):
    model = SetFitModel(static_body_factory())
    model.fit(texts, topics, show_progress_bar=False)
    lists = lists_of(texts, 90)
    expected = [answers(model, part) for part in lists]
    model.embedding_cache = EmbeddingCache(tmp_path / "cache")
    check(together(lambda part: answers(model, part), lists), expected)


class Gate:
    """A place in a head where a thread waits."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait(self):
        self.reached.set()
        assert self.opened.wait(WAIT_SECONDS)


class Gated(nn.Module):
    """A head with dropout; each prediction waits at a gate, as long as there are any."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.5), nn.Linear(256, 2))
        self.gates = []

    def forward(self, features):
        return {"logits": self.layers(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        if self.gates:
            self.gates.pop(0).wait()
        return self.layers(embeddings).softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


def test_a_head_in_training_mode(static_body_factory, texts):
    torch.manual_seed(0)
    head = Gated()
    model = SetFitModel(static_body_factory(), head, labels=["a", "b"], precision="float32")
    expected = model.predict_proba(texts, as_numpy=True)
    head.train()
    first, second = Gate(), Gate()
    head.gates = [first, second]
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(model.predict_proba, texts, as_numpy=True)
        assert first.reached.wait(WAIT_SECONDS)
        other = pool.submit(model.predict_proba, texts, as_numpy=True)
        assert second.reached.wait(WAIT_SECONDS)
        # The thread that found the head in training mode leaves it while the other one is in it.
        first.opened.set()
        np.testing.assert_array_equal(one.result(WAIT_SECONDS), expected)
        second.opened.set()
        np.testing.assert_array_equal(other.result(WAIT_SECONDS), expected)
    assert all(part.training for part in head.modules())


#: The default objective, and pairs, with which the body is trained with dropout.
OBJECTIVES = {"default": {}, "pairs": {"sampling_strategy": "oversampling"}}


def trained(body, texts, topics, folder, head, objective):
    """Train a model for a few steps, and return all of its weights and what it says."""
    model = SetFitModel(body, head, random_state=0)
    arguments = TrainingArguments(
        folder, max_steps=4, batch_size=(12, 2), num_epochs=(1, 2), show_progress_bar=False, **OBJECTIVES[objective]
    )
    Trainer(model, arguments, train_dataset={"text": texts, "label": topics}).train()
    return {name: value.clone() for name, value in model.model_body.state_dict().items()}, answers(model, texts)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "head"), [("default", "logistic"), ("pairs", "linear")])
def test_predicting_while_another_model_is_trained(objective, head, minilm, texts, topics, tmp_path):
    model = SetFitModel(copy.deepcopy(minilm), "linear", random_state=0)
    model.fit(texts, topics, show_progress_bar=False, num_epochs=1)
    lists = lists_of(texts, 20)[:3]
    expected = [answers(model, part) for part in lists]
    weights, said = trained(copy.deepcopy(minilm), texts, topics, tmp_path / "alone", head, objective)
    done = threading.Event()

    def predict(part):
        given = []
        while not done.is_set() or not given:
            given.append(answers(model, part))
        return given

    with ThreadPoolExecutor(len(lists)) as pool:
        predictions = [pool.submit(predict, part) for part in lists]
        try:
            same_weights, same_said = trained(
                copy.deepcopy(minilm), texts, topics, tmp_path / "meanwhile", head, objective
            )
        finally:
            done.set()
    assert all(torch.equal(weights[name], value) for name, value in same_weights.items())
    check_same(same_said, said)
    for prediction, same in zip(predictions, expected, strict=True):
        assert prediction.result()
        for given in prediction.result():
            check_same(given, same)
