"""A model comes back from disk as it was: bit for bit, with labels, settings and strategy."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel
from setfit_core.errors import (
    ArgumentError,
    LabelError,
    ModelFormatError,
    UnfittedHeadError,
    UnsavableHeadError,
)


def saved_and_loaded(model, folder, **options):
    return SetFitModel.from_pretrained(model.save_pretrained(folder), device="cpu", **options)


@pytest.mark.parametrize("head", ["logistic", "linear", KNeighborsClassifier(n_neighbors=3)], ids=str)
@pytest.mark.parametrize("normalize", [False, True])
def test_predictions_and_settings_survive(body, texts, topics, new_texts, tmp_path, head, normalize):
    model = SetFitModel(body, head, normalize_embeddings=normalize)
    model.fit(texts, topics, show_progress_bar=False)
    loaded = saved_and_loaded(model, tmp_path / "model")
    assert loaded.predict(new_texts) == model.predict(new_texts)
    assert np.array_equal(loaded.predict_proba(new_texts, as_numpy=True), model.predict_proba(new_texts, as_numpy=True))
    assert loaded.labels == model.labels
    assert loaded.normalize_embeddings is normalize
    assert repr(loaded.model_head) == repr(model.model_head)


@pytest.mark.parametrize("values", [[30, 10, 20], [0.5, 1.5, 2.5], [True, False, False]])
def test_the_type_of_labels_survives(body, texts, ids, new_texts, tmp_path, values):
    model = SetFitModel(body)
    model.fit(texts, [values[i] for i in ids])
    loaded = saved_and_loaded(model, tmp_path / "model")
    assert loaded.labels == model.labels
    assert [type(label) for label in loaded.labels] == [type(label) for label in model.labels]
    assert loaded.predict(new_texts).tolist() == values
    assert loaded.predict(new_texts).dtype == model.predict(new_texts).dtype


def test_named_and_unseen_labels_survive(body, texts, ids, new_texts, tmp_path):
    model = SetFitModel(body, labels=["sport", "food", "tech", "other"])
    model.fit(texts, ids)
    loaded = saved_and_loaded(model, tmp_path / "model")
    assert loaded.labels == ["sport", "food", "tech", "other"]
    assert loaded.predict_proba(new_texts).shape == (3, 4)
    assert loaded.label_columns(ids).tolist() == ids  # integers still are places
    renamed = SetFitModel.from_pretrained(tmp_path / "model", labels=["S", "F", "T", "O"])
    assert renamed.predict(new_texts) == ["S", "F", "T"]
    with pytest.raises(LabelError, match="trained with 4 labels"):
        SetFitModel.from_pretrained(tmp_path / "model", labels=["S", "F"])


@pytest.mark.parametrize("strategy", ["one-vs-rest", "multi-output", "classifier-chain"])
@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_several_labels_a_text_survive(body, texts, new_texts, tmp_path, strategy, head):
    # Upstream: the strategy is None after loading.
    rows = [["sport"]] * 4 + [["food"]] * 4 + [["tech"]] * 2 + [["tech", "food"]] * 2
    model = SetFitModel(body, head, multi_target_strategy=strategy)
    model.fit(texts, rows, num_epochs=30, show_progress_bar=False)
    assert model.labels == ["food", "sport", "tech"]
    probabilities = model.predict_proba(new_texts)
    assert probabilities.shape == (3, 3)
    predicted = model.predict(new_texts)
    assert "sport" in predicted[0]
    assert model.predict(new_texts, use_labels=False).tolist() == (probabilities > 0.5).int().tolist()
    loaded = saved_and_loaded(model, tmp_path / "model")
    assert loaded.multi_target_strategy == strategy
    assert loaded.predict(new_texts) == predicted
    assert np.array_equal(loaded.predict_proba(new_texts, as_numpy=True), probabilities.numpy())


def test_indicator_rows_give_indicator_tensors(body, texts, new_texts, tmp_path):
    rows = [[1, 0, 0]] * 4 + [[0, 1, 0]] * 4 + [[0, 1, 1]] * 4
    model = SetFitModel(body, "linear", multi_target_strategy="one-vs-rest", labels=["sport", "food", "tech"])
    model.fit(texts, rows, num_epochs=30, show_progress_bar=False)
    predicted = model.predict(new_texts)
    assert predicted.shape == (3, 3)
    assert predicted[0].tolist() == [1, 0, 0]
    assert saved_and_loaded(model, tmp_path / "model").predict(new_texts).tolist() == predicted.tolist()


def test_a_custom_torch_head_comes_back_with_its_class(body, texts, topics, new_texts, tmp_path, minimal_head):
    model = SetFitModel(body, minimal_head())
    model.fit(texts, topics, show_progress_bar=False)
    folder = model.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelFormatError, match="head=MinimalHead"):
        SetFitModel.from_pretrained(folder)
    loaded = SetFitModel.from_pretrained(folder, head=minimal_head)
    assert np.array_equal(loaded.predict_proba(new_texts, as_numpy=True), model.predict_proba(new_texts, as_numpy=True))


def test_an_untrained_model_keeps_its_names(body, tmp_path):
    loaded = saved_and_loaded(SetFitModel(body, "linear", labels=["a", "b"]), tmp_path / "model")
    assert loaded.labels == ["a", "b"]
    assert saved_and_loaded(SetFitModel(body), tmp_path / "other").labels is None
    with pytest.raises(UnfittedHeadError):
        saved_and_loaded(SetFitModel(body), tmp_path / "third").predict(["a"])


def test_a_loaded_model_trains_on(body, texts, topics, ids, new_texts, tmp_path):
    model = SetFitModel(body, "linear")
    model.fit(texts, topics, show_progress_bar=False)
    loaded = saved_and_loaded(model, tmp_path / "model")
    loaded.fit(texts, [i % 2 for i in ids], show_progress_bar=False)
    assert loaded.labels == [0, 1]
    assert loaded.model_head.out_features == 2


def test_what_can_not_be_combined_with_a_saved_head_is_refused(body, texts, topics, tmp_path):
    model = SetFitModel(body)
    model.fit(texts, topics)
    folder = model.save_pretrained(tmp_path / "model")
    for options in (
        {"head_params": {"C": 2}},
        {"multi_target_strategy": "one-vs-rest"},
        {"use_differentiable_head": True},
    ):
        with pytest.raises((ArgumentError, ModelFormatError), match="Leave"):
            SetFitModel.from_pretrained(folder, **options)
    # An instance of one's own starts anew on the saved body.
    fresh = SetFitModel.from_pretrained(folder, head=LinearSVC())
    with pytest.raises(UnfittedHeadError):
        fresh.predict(["a"])


def test_damaged_labels_are_told(body, texts, topics, tmp_path):
    model = SetFitModel(body)
    model.fit(texts, topics)
    folder = model.save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config_setfit.json").read_text())
    for changes in (
        {"label_encoding": {**config["label_encoding"], "classes": [0, 1, 9]}},
        {"labels": None},
        {"labels": None, "label_encoding": None},
        {"labels": config["labels"][:-1]},
        {"multi_label_strategy": "all-vs-all"},
    ):
        (folder / "config_setfit.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(ModelFormatError, match=r"config_setfit\.json.*damaged"):
            SetFitModel.from_pretrained(folder)


class Closure:
    """A head that no safe format can hold."""

    def __init__(self):
        self.inner = lambda rows: np.zeros(len(rows), dtype=int)

    def fit(self, X, y):
        self.classes_ = np.unique(y)

    def predict(self, X):
        return self.inner(X)

    def predict_proba(self, X):
        return np.tile([1.0, 0.0, 0.0], (len(X), 1))


def test_a_refused_save_leaves_the_old_model(body, texts, topics, new_texts, tmp_path):
    model = SetFitModel(body)
    model.fit(texts, topics)
    folder = model.save_pretrained(tmp_path / "model")
    expected = model.predict(new_texts)
    model.model_head = Closure()
    model.fit(texts, topics)
    with pytest.raises(UnsavableHeadError, match="Closure"):
        model.save_pretrained(folder)
    assert SetFitModel.from_pretrained(folder).predict(new_texts) == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_second_process_predicts_the_same(body, texts, topics, new_texts, tmp_path):
    model = SetFitModel(body, "linear")
    model.fit(texts, topics, show_progress_bar=False)
    folder = model.save_pretrained(tmp_path / "model")
    code = (
        "import json, sys; from setfit_core import SetFitModel; "
        "m = SetFitModel.from_pretrained(sys.argv[1], device='cpu'); "
        "print(json.dumps([m.predict(sys.argv[2:]), m.predict_proba(sys.argv[2:]).tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *new_texts], capture_output=True, text=True, check=True
    )
    labels, probabilities = json.loads(done.stdout)
    assert labels == model.predict(new_texts)
    assert probabilities == model.predict_proba(new_texts).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "nowhere"}, "device='nowhere' can't be used"),
        ({"device": 3}, "device=3 can't be used"),
        ({"model_card_data": {"language": "en"}}, "model_card_data is a dict"),
        ({"labels": "abcd"}, "labels"),
    ],
)
def test_arguments_without_meaning_are_not_blamed_on_the_files(body, texts, topics, tmp_path, options, message):
    model = SetFitModel(body)
    model.fit(texts, topics)
    folder = model.save_pretrained(tmp_path / "model")
    with pytest.raises((ArgumentError, LabelError), match=message):
        SetFitModel.from_pretrained(folder, **options)
