"""The precision that a model computes in, and the labels that must not depend on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

from setfit_core import SetFitModel
from setfit_core.embedding.precision import resolved_precision
from setfit_core.errors import ArgumentError
from setfit_core.prediction import CLOSE, close_calls


@pytest.fixture(scope="module")
def minilm(minilm_path):
    return SentenceTransformer(str(minilm_path), device="cpu").eval()


def test_a_precision_is_auto_and_can_be_set(body):
    model = SetFitModel(body)
    assert model.precision == "auto"
    model.precision = "float32"
    assert model.precision == "float32"
    assert SetFitModel(body, precision="bfloat16").precision == "bfloat16"


def test_an_unknown_precision_changes_nothing(body):
    model = SetFitModel(body, precision="float32")
    with pytest.raises(ArgumentError, match="precision is 'half'"):
        model.precision = "half"
    assert model.precision == "float32"
    with pytest.raises(ArgumentError, match="precision is 16"):
        SetFitModel(body, precision=16)
    with pytest.raises(ArgumentError, match="precision is 'half'"):
        SetFitModel.from_pretrained("no such folder", precision="half")


def test_a_precision_is_not_saved(body, texts, topics, tmp_path):
    model = SetFitModel(body, precision="bfloat16")
    model.fit(texts, topics)
    model.save_pretrained(tmp_path / "model")
    assert SetFitModel.from_pretrained(tmp_path / "model").precision == "auto"
    assert SetFitModel.from_pretrained(tmp_path / "model", precision="float32").precision == "float32"


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_a_head_is_trained_on_embeddings_of_the_precision(minilm, texts, topics, head):
    weights = {}
    for precision in ("float32", "bfloat16"):
        model = SetFitModel(minilm, head, precision=precision, random_state=0)
        model.fit(texts, topics, num_epochs=1, show_progress_bar=False)
        weights[precision] = (
            model.model_head.coef_
            if head == "logistic"
            else torch.cat([parameter.detach().flatten() for parameter in model.model_head.parameters()]).numpy()
        )
    assert not np.array_equal(weights["float32"], weights["bfloat16"])
    np.testing.assert_allclose(weights["float32"], weights["bfloat16"], atol=0.05)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "32"])
def test_a_batch_size_without_meaning(body, texts, topics, batch_size):
    model = SetFitModel(body)
    model.fit(texts, topics)
    for ask in (model.encode, model.predict, model.predict_proba):
        with pytest.raises(ArgumentError, match="batch_size is .* or None"):
            ask(texts, batch_size=batch_size)


def on_the_boundary(minilm, texts, topics, new_texts):
    """A model of two labels that are as likely as each other for the first of the new texts, in float32."""
    model = SetFitModel(minilm, LogisticRegression(), precision="float32")
    model.fit(texts[:8], topics[:8])
    embedding = model.encode(new_texts)[0]
    head = model.model_head
    head.intercept_ -= head.decision_function(embedding[None]) - 1e-5
    return model


def test_close_calls_are_labelled_as_in_float32(minilm, texts, topics, new_texts):
    if resolved_precision("auto", minilm.device) == torch.float32:
        pytest.skip("this processor doesn't multiply bfloat16")
    model = on_the_boundary(minilm, texts, topics, new_texts)
    exact, labels = model.predict_proba(new_texts, as_numpy=True), model.predict(new_texts)
    model.precision = "bfloat16"
    assert abs(model.predict_proba(new_texts, as_numpy=True)[0, 0] - exact[0, 0]) > 1e-5
    model.precision = "auto"
    np.testing.assert_allclose(model.predict_proba(new_texts, as_numpy=True)[0], exact[0], atol=1e-6)
    assert model.predict(new_texts) == labels


def test_which_calls_are_close(body, texts, topics):
    model = SetFitModel(body, LogisticRegression())
    model.fit(texts[:8], topics[:8])
    embeddings = model.encode(texts)
    gaps = np.abs(np.diff(model.predict_proba(texts, as_numpy=True), axis=1))[:, 0]
    assert gaps.min() > CLOSE
    codec = model._fitted_codec()
    assert close_calls(model.model_head, embeddings, codec).tolist() == []
    place = int(gaps.argmin())
    model.model_head.intercept_ -= model.model_head.decision_function(embeddings[place : place + 1])
    assert close_calls(model.model_head, embeddings, codec).tolist() == [place]


def test_close_calls_of_several_labels_a_text(body, texts):
    model = SetFitModel(body, multi_target_strategy="one-vs-rest")
    targets = [[1, 0, row % 2] for row in range(6)] + [[0, 1, row % 2] for row in range(6)]
    model.fit(texts, targets)
    codec, embeddings = model._fitted_codec(), model.encode(texts)
    near = np.abs(2 * model.predict_proba(texts, as_numpy=True) - 1).min(axis=1) < CLOSE
    assert close_calls(model.model_head, embeddings, codec).tolist() == np.flatnonzero(near).tolist()
    estimator = model.model_head.estimators_[1]
    estimator.intercept_ -= estimator.decision_function(embeddings[4:5])
    assert 4 in close_calls(model.model_head, embeddings, codec).tolist()


def test_a_head_without_probabilities_has_no_close_calls(body, texts, topics):
    from sklearn.svm import LinearSVC

    model = SetFitModel(body, LinearSVC())
    model.fit(texts, topics)
    assert close_calls(model.model_head, model.encode(texts), model._fitted_codec()).tolist() == []
    assert model.predict(texts) == topics
