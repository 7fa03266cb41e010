"""What predict, predict_proba, encode and their relatives return, for every kind of label and head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel
from setfit_core.errors import (
    ArgumentError,
    HeadOutputError,
    InputError,
    LabelError,
    NonConformingHeadError,
    NoProbabilitiesError,
    UnfittedHeadError,
    UnknownHeadError,
)


def trained(body, texts, targets, head=None, **options):
    model = SetFitModel(body, head, **options)
    model.fit(texts, targets, show_progress_bar=False)
    return model


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_strings_in_strings_out(body, texts, topics, new_texts, head):
    model = trained(body, texts, topics, head)
    assert model.labels == ["food", "sport", "tech"]
    assert model.predict(new_texts) == ["sport", "food", "tech"]
    assert model(new_texts) == model.predict(new_texts)
    assert model.predict(new_texts[0]) == "sport"
    array = model.predict(new_texts, as_numpy=True)
    assert array.dtype.kind == "U"
    assert array.tolist() == ["sport", "food", "tech"]
    places = model.predict(new_texts, use_labels=False)
    assert torch.equal(places, torch.tensor([1, 0, 2]))
    assert model.id2label == {0: "food", 1: "sport", 2: "tech"}
    assert model.label2id == {"food": 0, "sport": 1, "tech": 2}


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_integers_in_integers_out(body, texts, ids, new_texts, head):
    model = trained(body, texts, ids, head)
    predicted = model.predict(new_texts)
    assert repr(predicted) == "tensor([0, 1, 2])"
    assert model.predict(new_texts[1]).item() == 1
    array = model.predict(new_texts, as_numpy=True)
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.int64


@pytest.mark.parametrize("values", [[30, 10, 20], [-1, 5, 1000], [1.5, 0.5, 2.5]])
def test_sparse_numbers_come_back_as_they_were(body, texts, ids, new_texts, values):
    model = trained(body, texts, [values[i] for i in ids], "linear")
    assert model.labels == sorted(values)
    assert model.predict(new_texts).tolist() == values
    columns = model.predict_proba(new_texts).argmax(dim=-1)
    assert [model.labels[c] for c in columns] == values


def test_booleans_and_numpy_scalars(body, texts, new_texts):
    flags = [True] * 4 + [False] * 8
    for labels in (flags, [np.bool_(flag) for flag in flags]):
        predicted = trained(body, texts, labels).predict(new_texts)
        assert predicted.dtype == torch.bool
        assert predicted.tolist() == [True, False, False]


def test_integers_with_named_labels_give_the_names(body, texts, ids, new_texts):
    model = trained(body, texts, ids, labels=["sport", "food", "tech"])
    assert model.predict(new_texts) == ["sport", "food", "tech"]
    assert model.predict(new_texts, use_labels=False).tolist() == [0, 1, 2]


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_probabilities_are_in_the_order_of_labels(body, texts, topics, new_texts, head):
    # huggingface/setfit#587, #462: there the label list and the head's classes disagree.
    model = trained(body, texts, topics, head, labels=["tech", "sport", "food"])
    probabilities = model.predict_proba(new_texts)
    assert probabilities.shape == (3, 3)
    assert torch.allclose(probabilities.sum(dim=-1), torch.ones(3, dtype=probabilities.dtype), atol=1e-5)
    assert [model.labels[i] for i in probabilities.argmax(dim=-1)] == model.predict(new_texts)
    single = model.predict_proba(new_texts[0])
    assert single.shape == (3,)
    assert torch.allclose(single, probabilities[0], atol=1e-6)
    assert isinstance(model.predict_proba(new_texts, as_numpy=True), np.ndarray)


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_an_unseen_class_is_a_column_of_zeros(body, texts, ids, new_texts, head):
    # Upstream: two columns for three labels when only the ids 0 and 2 are in the training data.
    model = trained(body, texts, [0 if i == 0 else 2 for i in ids], head, labels=["sport", "none", "other"])
    probabilities = model.predict_proba(new_texts)
    assert probabilities.shape == (3, 3)
    assert (probabilities[:, 1] == 0).all()
    assert torch.allclose(probabilities.sum(dim=-1).double(), torch.ones(3, dtype=torch.float64), atol=1e-5)
    assert model.predict(new_texts) == ["sport", "other", "other"]


def test_integers_from_one_are_refused_before_training_and_not_shifted(body, texts, ids):
    # Upstream: silently off by one.
    model = SetFitModel(body, labels=["sport", "food", "tech"])
    with pytest.raises(LabelError, match="count from 0"):
        model.fit(texts, [i + 1 for i in ids])


def test_surplus_outputs_never_win(body, texts, ids, new_texts, minimal_head):
    head = minimal_head(256, 5)
    model = trained(body, texts, ids, head)
    with torch.no_grad():
        head.layer.bias[3:] = 100.0  # the outputs that no class uses would win everything
    assert model.predict(new_texts).tolist() == [0, 1, 2]
    probabilities = model.predict_proba(new_texts)
    assert probabilities.shape == (3, 3)
    assert torch.allclose(probabilities.sum(dim=-1), torch.ones(3), atol=1e-5)
    assert probabilities.argmax(dim=-1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "head",
    [
        LinearSVC(),
        RandomForestClassifier(random_state=0),
        MLPClassifier(max_iter=400, random_state=0),
        KNeighborsClassifier(n_neighbors=3),
        LogisticRegression(C=10.0),
    ],
    ids=lambda head: type(head).__name__,
)
def test_scikit_learn_classifiers_are_heads_as_they_are(body, texts, topics, new_texts, head):
    model = trained(body, texts, topics, head)
    assert model.model_head is head
    assert model.predict(new_texts) == ["sport", "food", "tech"]


def test_a_head_without_probabilities_predicts_and_names_the_remedy(body, texts, topics, new_texts):
    model = trained(body, texts, topics, LinearSVC())
    assert model.predict(new_texts) == ["sport", "food", "tech"]
    with pytest.raises(NoProbabilitiesError, match=r"CalibratedClassifierCV\(LinearSVC\(\)\)"):
        model.predict_proba(new_texts)


@pytest.mark.parametrize(
    "head",
    [
        "sklearn.naive_bayes:GaussianNB",
        ExtraTreesClassifier,
        "setfit-head-logistic:logistic",
        lambda: LogisticRegression(C=5),
    ],
    ids=["path", "class", "dist:name", "factory"],
)
def test_heads_are_given_by_path_class_or_factory(body, texts, topics, new_texts, head):
    model = trained(body, texts, topics, head)
    assert model.predict(new_texts) == ["sport", "food", "tech"]


def test_a_custom_torch_head_trains_on_strings(body, texts, topics, new_texts, minimal_head):
    # huggingface/setfit#513: upstream fails on string labels after the embedding phase.
    model = trained(body, texts, topics, minimal_head())
    assert model.predict(new_texts) == ["sport", "food", "tech"]


def test_encode_gives_what_the_head_gets(body, texts, topics):
    array = SetFitModel(body, "logistic").encode(texts[:2])
    assert isinstance(array, np.ndarray)
    assert array.shape == (2, 256)
    tensor = SetFitModel(body, "linear", normalize_embeddings=True).encode(texts[:2])
    assert isinstance(tensor, torch.Tensor)
    assert torch.allclose(tensor.norm(dim=1), torch.ones(2), atol=1e-5)
    assert not np.allclose(np.linalg.norm(array, axis=1), 1)


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_no_texts_give_no_predictions(body, texts, topics, ids, head):
    model = trained(body, texts, topics, head)
    assert model.predict([]) == []
    assert model.predict_proba([]).shape == (0, 3)
    assert len(model.encode([])) == 0
    assert trained(body, texts, ids, head).predict([]).shape == (0,)


def test_batches_do_not_change_predictions(body, texts, topics):
    model = trained(body, texts, topics, "linear")
    assert torch.allclose(model.predict_proba(texts, batch_size=1), model.predict_proba(texts, batch_size=5), atol=1e-6)


# Labels that change


def test_labels_can_be_renamed_after_training(body, texts, ids, new_texts):
    model = trained(body, texts, ids)
    model.labels = ["Sport", "Essen", "Technik"]
    assert model.predict(new_texts) == ["Sport", "Essen", "Technik"]
    assert model.label_columns(ids).tolist() == ids
    with pytest.raises(LabelError, match="trained with 3 labels"):
        model.labels = ["a", "b"]


def test_training_again_learns_the_labels_anew(body, texts, topics, new_texts):
    model = trained(body, texts, topics, "linear")
    model.fit(texts, ["S" if topic == "sport" else "other" for topic in topics], show_progress_bar=False)
    assert model.labels == ["S", "other"]
    assert model.model_head.out_features == 2
    assert model.predict(new_texts) == ["S", "other", "other"]


def test_a_head_fitted_elsewhere_predicts_its_own_classes(body, texts, topics, new_texts):
    embeddings = SetFitModel(body).encode(texts)
    head = LogisticRegression(C=100).fit(embeddings, topics)
    model = SetFitModel(body, head)
    assert model.predict(new_texts) == ["sport", "food", "tech"]
    reordered = SetFitModel(body, head, labels=["tech", "sport", "food"])
    assert reordered.predict(new_texts) == ["sport", "food", "tech"]
    columns = reordered.predict_proba(new_texts).argmax(dim=-1).tolist()
    assert [reordered.labels[c] for c in columns] == ["sport", "food", "tech"]


# Wrong use


@pytest.mark.parametrize("head", ["logistic", "linear", KNeighborsClassifier()], ids=["logistic", "linear", "instance"])
def test_an_untrained_head_says_so(body, head):
    model = SetFitModel(body, head)
    for ask in (model.predict, model.predict_proba):
        with pytest.raises(UnfittedHeadError, match="has not been trained"):
            ask(["text"])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["a", None], "row 1 is missing"),
        ([1], "row 0 is a int"),
        ([b"a"], "row 0 is a bytes"),
        (None, "Expected a list of texts"),
        (7, "Expected a list of texts"),
    ],
)
def test_wrong_texts_are_refused(body, texts, topics, inputs, words):
    model = trained(body, texts, topics)
    for ask in (model.predict, model.predict_proba, model.encode):
        with pytest.raises(InputError, match=words):
            ask(inputs)


def test_nan_from_the_body_is_found(body, texts, topics):
    model = trained(body, texts, topics)
    with torch.no_grad():
        body[0].embedding.weight[:] = float("nan")
    with pytest.raises(InputError, match="row 0.*NaN"):
        model.predict(["anything"])
    with pytest.raises(InputError, match="NaN"):
        model.fit(texts, topics)


def test_a_tokenizer_of_another_body_is_found(body, texts, topics):
    model = trained(body, texts, topics)
    body[0].embedding = torch.nn.EmbeddingBag(3, 256)  # the tokenizer goes on giving 32,000 different tokens
    with pytest.raises(InputError, match="don't belong together"):
        model.predict(["anything"])


class Scripted(LogisticRegression):
    """Returns what a test tells it to."""

    answer = None

    def predict(self, X):
        return self.answer(len(X))

    def predict_proba(self, X):
        return self.answer(len(X))


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("predict", lambda n: np.full(n, 3)),
        ("predict", lambda n: np.zeros(n + 1, dtype=int)),
        ("predict", lambda n: np.array(["sport"] * n)),
        ("predict_proba", lambda n: np.full((n, 3), 0.4)),
        ("predict_proba", lambda n: np.full((n, 2), 0.5)),
        ("predict_proba", lambda n: np.full((n, 3), np.nan)),
    ],
)
def test_a_head_that_breaks_its_contract_is_caught_at_prediction(body, texts, topics, method, answer):
    model = trained(body, texts, topics, Scripted())
    model.model_head.answer = answer
    with pytest.raises(HeadOutputError, match=f"Scripted.{method}"):
        getattr(model, method)(["text", "text"])


def test_wrong_heads_and_arguments_are_refused_when_the_model_is_made(body):
    with pytest.raises(UnknownHeadError, match="logistic"):
        SetFitModel(body, "logistik")
    with pytest.raises(NonConformingHeadError):
        SetFitModel(body, object())
    with pytest.raises(ArgumentError, match="not a SentenceTransformer"):
        SetFitModel("all-MiniLM-L6-v2")
    with pytest.raises(ArgumentError, match="one-vs-rest"):
        SetFitModel(body, multi_target_strategy="each")
    with pytest.raises(ArgumentError, match="given as an instance"):
        SetFitModel(body, LogisticRegression(), head_params={"C": 1})
    with pytest.raises(LabelError, match="at least two"):
        SetFitModel(body, labels=["only"])


# Freezing, devices


def test_freezing_is_kept_and_a_frozen_head_stays_as_it_is(body, texts, topics):
    model = SetFitModel(body, "linear", labels=["food", "sport", "tech"])
    model.freeze()
    assert not any(p.requires_grad for p in [*body.parameters(), *model.model_head.parameters()])
    before = next(model.model_head.parameters()).clone()
    model.fit(texts, topics, show_progress_bar=False)
    assert torch.equal(next(model.model_head.parameters()), before)
    model.unfreeze("head")
    assert all(p.requires_grad for p in model.model_head.parameters())
    model.fit(texts, topics, show_progress_bar=False)
    assert not torch.equal(next(model.model_head.parameters()), before)
    assert not any(p.requires_grad for p in body.parameters())  # as the user froze it
    with pytest.raises(ArgumentError, match="component"):
        model.freeze("tail")


def test_to_moves_and_returns_the_model(body, texts, topics):
    model = SetFitModel(body, "linear")
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")


def test_prediction_leaves_modes_and_the_random_state_alone(body, texts, topics, minimal_head):
    model = trained(body, texts, topics, minimal_head())
    model.model_head.train()
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1), np.random.rand(1)
    torch.manual_seed(1)
    np.random.seed(1)
    model.predict(texts)
    assert model.model_head.training
    model.fit(texts, topics, show_progress_bar=False)
    assert not model.model_head.training
    assert (torch.rand(1), np.random.rand(1)) == expected
