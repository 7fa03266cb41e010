"""Heads that fail, that are lazy, that depend on their mode, and that see one row at a time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from setfit_head_linear import SetFitHead
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn

from setfit_core import SetFitModel
from setfit_core.embedding.body import body_output
from setfit_core.embedding.embed import embed
from setfit_core.errors import ArgumentError, HeadError, HeadOutputError


def fitted(model, texts, labels, **options):
    model.fit(texts, labels, show_progress_bar=False, **options)
    return model


# A failed training costs nothing


def test_an_array_head_that_refuses_new_data_keeps_what_it_learnt(body, texts, topics, new_texts):
    model = fitted(SetFitModel(body, CalibratedClassifierCV(LinearSVC(), cv=4)), texts, topics)
    before = model.predict_proba(new_texts)
    with pytest.raises(HeadError, match="can't be trained on these labels, 9 texts .4, 4, 1 a class"):
        model.fit(texts[:9], topics[:9])
    assert torch.equal(model.predict_proba(new_texts), before)
    assert model.labels == ["food", "sport", "tech"]


@pytest.mark.parametrize("end_to_end", [False, True])
def test_a_torch_head_that_diverges_keeps_its_weights_and_the_bodys(body, texts, topics, new_texts, end_to_end):
    model = fitted(SetFitModel(body, "linear"), texts, topics)
    before = model.predict_proba(new_texts)
    rates = {"head_learning_rate": 1e30, "body_learning_rate": 1e30}
    with pytest.raises(HeadError, match=r"diverged|The training of SetFitHead failed"):
        model.fit(texts, topics, end_to_end=end_to_end, show_progress_bar=False, **rates)
    assert torch.equal(model.predict_proba(new_texts), before)


def test_an_interrupted_training_keeps_the_weights(body, texts, topics, new_texts, minimal_head):
    class Interrupted(minimal_head):
        steps = 1000

        def forward(self, features):
            if self.training:
                self.steps -= 1
                if self.steps < 0:
                    raise KeyboardInterrupt
            return super().forward(features)

    model = fitted(SetFitModel(body, Interrupted()), texts, topics)
    before = model.predict_proba(new_texts)
    model.model_head.steps = 3
    with pytest.raises(KeyboardInterrupt):
        model.fit(texts, topics, show_progress_bar=False)
    assert torch.equal(model.predict_proba(new_texts), before)


@pytest.mark.parametrize(
    ("head", "words"),
    [(LogisticRegression(C=-1), "'C' parameter"), (KNeighborsClassifier(n_neighbors=50), "n_neighbors")],
    ids=["parameter", "neighbours"],
)
def test_foreign_errors_become_head_errors(body, texts, topics, head, words):
    model = SetFitModel(body, head)
    with pytest.raises(HeadError, match=words):
        fitted(model, texts, topics).predict(texts)


@pytest.mark.parametrize(
    "argument",
    [{"num_epochs": -3}, {"batch_size": 0}, {"head_learning_rate": -1}, {"seed": -1}, {"max_length": 0}],
    ids=lambda argument: next(iter(argument)),
)
def test_senseless_arguments_of_fit_are_refused(body, texts, topics, argument):
    with pytest.raises(ArgumentError, match=next(iter(argument))):
        SetFitModel(body, "linear").fit(texts, topics, **argument)


# What validate finds, and what it must let through


class TrainingOnly(SetFitHead):
    """Fails in training mode alone."""

    def forward(self, features):
        if self.training:
            raise RuntimeError("no training today")
        return super().forward(features)


class Detached(SetFitHead):
    """Cuts the gradient."""

    def forward(self, features):
        return {"logits": super().forward(features)["logits"].detach()}


class WrongShape(SetFitHead):
    """Predicts a column instead of a vector."""

    def predict(self, embeddings):
        return super().predict(embeddings).unsqueeze(-1)


@pytest.mark.parametrize(
    ("head", "error", "words"),
    [
        (TrainingOnly, HeadError, "no training today"),
        (Detached, HeadError, "does not require grad"),
        (WrongShape, HeadOutputError, "WrongShape.predict returned shape"),
    ],
)
def test_a_torch_head_is_tried_before_anything_is_trained(body, texts, topics, head, error, words):
    instance = head(256, 3)
    weights = {name: value.clone() for name, value in instance.state_dict().items()}
    with pytest.raises(error, match=words):
        SetFitModel(body, instance).validate(texts, topics)
    assert all(torch.equal(value, weights[name]) for name, value in instance.state_dict().items())


def test_feature_selection_is_rehearsed_on_real_embeddings(body, texts, topics, new_texts):
    # On noise no feature is worth keeping, and the pipeline would be refused for no fault of its own.
    sparse = LinearSVC(penalty="l1", dual=False, C=0.3)
    model = SetFitModel(body, make_pipeline(SelectFromModel(sparse), LogisticRegression(C=100)))
    model.validate(texts, topics)
    assert fitted(model, texts, topics).predict(new_texts) == ["sport", "food", "tech"]


def test_a_single_row_at_the_end_does_not_break_batch_norm(body, texts, topics):
    class Normed(SetFitHead):
        def __init__(self):
            super().__init__(256, 3)
            self.norm = nn.BatchNorm1d(256)

        def forward(self, features):
            return super().forward({"sentence_embedding": self.norm(features["sentence_embedding"])})

    model = SetFitModel(body, Normed())
    assert len(fitted(model, texts[:11], topics[:11]).predict(texts)) == 12


# Lazy heads, modes, threads


def test_a_lazy_head_is_drawn_from_the_seed_and_leaves_the_caller_alone(static_body_factory, texts, topics):
    drawn = []
    for state in (1, 2):
        torch.manual_seed(state)
        head = SetFitHead(out_features=3)
        model = SetFitModel(static_body_factory(), head)
        expected = torch.random.get_rng_state()
        model.validate(texts, topics)
        assert any(isinstance(p, nn.parameter.UninitializedParameter) for p in head.parameters())  # unchanged
        fitted(model, texts, topics, seed=7)
        assert torch.equal(torch.random.get_rng_state(), expected)
        drawn.append(model.predict_proba(texts))
    assert torch.equal(*drawn)


class Dropping(SetFitHead):
    """Wrong as long as it is in training mode."""

    def predict_proba(self, embeddings):
        torch.ones(200, 200) @ torch.ones(200, 200)  # time for another thread
        return super().predict_proba(nn.functional.dropout(embeddings, 0.9, self.training))


def test_threads_that_predict_do_not_disturb_each_other(body, texts, topics):
    model = fitted(SetFitModel(body, Dropping(256, 3)), texts, topics)
    expected = model.predict_proba(texts)
    wrong = []

    def work():
        wrong.extend(1 for _ in range(20) if not torch.equal(model.predict_proba(texts), expected))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_frozen_body_stays_out_of_end_to_end_training(body, texts, topics):
    modes = []
    body.register_forward_hook(lambda module, *_: modes.append(module.training))
    model = SetFitModel(body, SetFitHead(256, 3))
    model.freeze("body")
    fitted(model, texts, topics, end_to_end=True, num_epochs=5)
    assert not any(modes)
    assert len(modes) == 2


def test_a_rebuilt_head_stays_frozen(body, texts, topics):
    model = SetFitModel(body, "linear")
    model.freeze("head")
    fitted(model, texts, topics)
    assert model.model_head.out_features == 3
    assert not any(parameter.requires_grad for parameter in model.model_head.parameters())


# Several labels


@pytest.mark.parametrize("strategy", ["one-vs-rest", "multi-output", "classifier-chain"])
def test_one_label_that_varies_beside_one_that_never_does(body, texts, ids, strategy):
    rows = [["all", "sport"] if i == 0 else ["all"] for i in ids]
    model = fitted(SetFitModel(body, multi_target_strategy=strategy), texts, rows)
    assert model.predict(texts[0]) == ["all", "sport"]
    assert model.predict(texts[-1]) == ["all"]
    assert model.predict_proba(texts).shape == (12, 2)


# The body's output is what encode gives


def test_prompts_and_truncation_reach_the_training(minilm_path, texts):
    body = SentenceTransformer(
        str(minilm_path), device="cpu", prompts={"task": "classify: "}, default_prompt_name="task", truncate_dim=64
    ).eval()
    with torch.no_grad():
        output = body_output(body, texts)["sentence_embedding"]
    assert output.shape == (12, 64)
    assert torch.allclose(output, embed(body, texts), atol=1e-5)
    assert not np.allclose(output, embed(body, [f"x{text}" for text in texts]), atol=1e-3)


def test_a_head_is_in_evaluation_mode_as_soon_as_it_is_taken(body):
    # Else every prediction would switch the mode, under the feet of other threads.
    head = SetFitHead(256, 3).train()
    assert not SetFitModel(body, head, labels=["a", "b", "c"]).model_head.training
