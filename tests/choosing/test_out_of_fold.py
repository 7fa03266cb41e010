"""Out-of-fold predictions: those of a head that has not seen the text, and otherwise those of a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from setfit_core import SetFitModel
from setfit_core.choosing.folds import make_folds
from setfit_core.choosing.out_of_fold import cross_fit, out_of_fold_probabilities, trained_head
from setfit_core.choosing.task import make_task
from setfit_core.errors import ArgumentError, HeadError, InputError, NoProbabilitiesError
from setfit_core.heads.construction import head_recipe
from setfit_core.heads.settings import HeadTraining

TRAINING = HeadTraining(seed=42)


class Memory:
    """Knows each row that it was trained on by heart, and takes any other for class 0."""

    def fit(self, X, y):
        self.known = dict(zip(map(bytes, X), y, strict=True))

    def predict(self, X):
        return np.array([self.known.get(bytes(row), 0) for row in X])

    def predict_proba(self, X):
        return np.eye(2)[self.predict(X)]


class Reader(nn.Module):
    """Reads more of the body's output than the embedding."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, features):
        return {"logits": self.layer(features["sentence_embedding"]) + 0.0 * ("token_embeddings" in features)}

    def predict_proba(self, embeddings):
        return torch.softmax(self.layer(embeddings), dim=-1)

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(dim=-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


def builder(task, head, **params):
    recipe = head_recipe(head, params)
    return lambda: task.build(recipe, 42)


def test_no_text_is_predicted_by_a_head_that_has_seen_it():
    generator = np.random.default_rng(0)
    task = make_task(generator.normal(size=(60, 4)), None, (np.arange(60) % 2).tolist())
    probabilities, rows = out_of_fold_probabilities(task, builder(task, Memory), TRAINING)
    assert rows.tolist() == list(range(60))
    assert (probabilities[:, 0] == 1).all()


def test_rows_and_probabilities_belong_together():
    generator = np.random.default_rng(0)
    labels = ["b"] * 8 + ["a"] * 8 + ["only"]
    embeddings = generator.normal(size=(17, 3)).astype(np.float32)
    embeddings[:8] += 1
    task = make_task(embeddings, None, labels)
    probabilities, rows = out_of_fold_probabilities(task, builder(task, "logistic"), TRAINING, folds=4, seed=3)
    assert rows.tolist() == list(range(16))  # the only text of its class is needed in training
    assert probabilities.shape == (16, 3)
    for fold in make_folds(task.targets, folds=4, seed=3):
        alone = LogisticRegression(random_state=42).fit(embeddings[fold.train], task.targets[fold.train])
        np.testing.assert_allclose(probabilities[fold.test], alone.predict_proba(embeddings[fold.test]), atol=1e-6)


@pytest.mark.parametrize("alone", [True, False], ids=["embeddings", "model"])
@pytest.mark.parametrize("head", ["linear", "logistic"])
def test_a_head_is_trained_as_a_model_trains_it(body, texts, topics, head, alone):
    names = None if alone else ["food", "news", "sport", "tech"]  # one of them without texts
    model = SetFitModel(body, head, labels=names, random_state=42)
    task = make_task(model.encode(texts) if alone else model, None if alone else texts, topics)
    folds = make_folds(task.targets)[:1]
    [result] = cross_fit(task, builder(task, head), TRAINING, folds)
    train, test = folds[0].train, folds[0].test
    model.fit([texts[row] for row in train], [topics[row] for row in train], show_progress_bar=False)
    expected = model.predict_proba([texts[row] for row in test], as_numpy=True)
    np.testing.assert_allclose(task.codec.expand_probabilities(result.probabilities), expected, atol=1e-6)


def test_a_head_that_reads_more_needs_a_body(body, texts, topics):
    model = SetFitModel(body)
    task = make_task(model, texts, topics)
    part = task.part(np.array([7, 2, 9]))
    again = part.inputs.output([2, 0], nn.Identity())["sentence_embedding"]
    torch.testing.assert_close(again, task.inputs.embeddings[[9, 7]])
    probabilities, _ = out_of_fold_probabilities(task, builder(task, Reader), TRAINING, folds=2)
    assert (probabilities.argmax(axis=1) == task.targets).mean() > 0.5
    alone = make_task(model.encode(texts), texts, topics)
    with pytest.raises(HeadError, match="Pass a model and texts"):
        out_of_fold_probabilities(alone, builder(alone, Reader), TRAINING)


def test_a_head_without_probabilities_is_refused(told, speechless):
    task = make_task(told[0], None, told[1])
    with pytest.raises(NoProbabilitiesError):
        out_of_fold_probabilities(task, builder(task, speechless), TRAINING)


def test_embeddings_of_any_kind_are_read(topics):
    embeddings = np.random.default_rng(0).normal(size=(12, 3))
    frozen = embeddings.copy()
    frozen.flags.writeable = False
    for same in (
        embeddings[::-1].copy()[::-1],
        frozen,
        embeddings.tolist(),
        pandas.DataFrame(embeddings),
        list(torch.from_numpy(embeddings)),
        embeddings.astype(">f8"),
    ):
        np.testing.assert_array_equal(make_task(same, None, topics).inputs.embeddings.numpy(), embeddings)


def test_weights_are_1_on_average_in_each_part_or_all_0():
    embeddings, labels = torch.eye(4), [0, 0, 1, 1]
    task = replace(make_task(embeddings, None, labels), weights=np.array([3.0, 1.0, 0.0, 0.0]))
    assert task.part(np.array([0, 1])).weights.tolist() == [1.5, 0.5]
    nothing = task.part(np.array([2, 3]))
    assert nothing.weights.tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="All texts that a head is to be trained on have the weight 0"):
        trained_head(nothing, builder(task, LogisticRegression), TRAINING)


def test_embeddings_and_labels_that_dont_fit_are_refused(body, texts, topics):
    good = np.ones((12, 3))
    for embeddings, match in [
        (good[:, 0], r"shape \[12\]"),
        (good[:5], "5 embeddings and 12 labels"),
        (good * np.nan, "row 0 holds NaN"),
        ([["a"]] * 12, "no array of numbers"),
        (body, "SentenceTransformer, which is no array of numbers. Pass a SetFitModel"),
        ("model", "str, which is no array of numbers"),
    ]:
        with pytest.raises(InputError, match=match):
            make_task(embeddings, None, topics)
    with pytest.raises(InputError, match="no texts"):
        make_task(SetFitModel(body), None, topics)
    with pytest.raises(InputError):
        make_task(good, texts[:5], topics)
    with pytest.raises(ArgumentError, match="the model has None"):
        make_task(SetFitModel(body), texts, topics, "one-vs-rest")
    with pytest.raises(ArgumentError, match="It is one of"):
        make_task(good, None, topics, "all-at-once")
