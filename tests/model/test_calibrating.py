"""A calibrated model: what it predicts, when it stops being calibrated, and what can't be calibrated."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import (
    ArgumentError,
    InputError,
    LabelError,
    ModelFormatError,
    NoProbabilitiesError,
    UnfittedHeadError,
)
from setfit_core.evaluation.calibration import Curve, Isotonic, Temperature
from setfit_core.evaluation.scores import log_loss
from setfit_core.prediction import CLOSE, close_calls

pytestmark = pytest.mark.slow

HEADS = ["logistic", "linear", "xgboost", KNeighborsClassifier(n_neighbors=3)]
HELD_OUT = [
    "The team scored a goal in the last minute",
    "A tennis player won the final match",
    "The striker of the other team was sent off",
    "The coach changed the defence at half time",
    "The goalkeeper likes garlic bread",
    "Chop the onions and fry them in butter",
    "A spoon of sugar makes the soup sweet",
    "The oven should be hot before the cake goes in",
    "Eggs, flour and milk are all you need",
    "The cook reads the recipe on a laptop",
    "The server restarts after each update",
    "A query that joins four tables is slow",
    "The log shows that the network was down",
    "Compile the code again without warnings",
    "The match was streamed by a faulty server",
]
HELD_OUT_TOPICS = ["sport"] * 5 + ["food"] * 5 + ["tech"] * 5
ROWS = [["sport"]] * 4 + [["food"]] * 4 + [["tech"]] * 2 + [["tech", "food"]] * 2
HELD_OUT_ROWS = [["sport"]] * 4 + [["sport", "food"]] + [["food"]] * 4 + [["food", "tech"]] + [["tech"]] * 5


@pytest.fixture
def trained(static_body_factory, texts, topics):
    def trained(head="logistic", **options):
        model = SetFitModel(static_body_factory(), copy.deepcopy(head), **options)
        model.fit(texts, topics if "multi_target_strategy" not in options else ROWS, show_progress_bar=False)
        return model

    return trained


@pytest.mark.parametrize(("method", "cv"), [("temperature", None), ("isotonic", None), ("temperature", 3)])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_a_calibrated_model(trained, texts, topics, tmp_path, head, method, cv):
    model = trained(head)
    labels, before = model.predict(texts + HELD_OUT), model.predict_proba(HELD_OUT, as_numpy=True)
    if cv is None:
        model.calibrate(HELD_OUT, HELD_OUT_TOPICS, method)
    else:
        model.calibrate(texts + HELD_OUT, topics + HELD_OUT_TOPICS, method, cv=cv)
    assert model.calibration.method == method
    assert repr(model.calibration) in repr(model)
    after = model.predict_proba(HELD_OUT, as_numpy=True)
    assert after.dtype == before.dtype
    assert not np.allclose(after, before, atol=1e-3)
    if cv is None and isinstance(head, str):  # the temperature of 15 texts is a careful one
        columns = model.label_columns(HELD_OUT_TOPICS)
        assert log_loss(columns, after) < log_loss(columns, before)
    probabilities = model.predict_proba(texts + HELD_OUT, as_numpy=True)
    assert model.predict(texts + HELD_OUT, use_labels=False).tolist() == probabilities.argmax(axis=1).tolist()
    if method == "temperature":
        assert model.predict(texts + HELD_OUT) == labels
    assert model.predict_proba([]).shape == (0, 3)
    assert len(model.predict([])) == 0
    # What is calibrated again is the head's own, not what is calibrated.
    twice = copy.deepcopy(model)
    if cv is None:
        twice.calibrate(HELD_OUT, HELD_OUT_TOPICS, method)
        assert twice.calibration == model.calibration
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    assert loaded.calibration == model.calibration
    assert np.array_equal(loaded.predict_proba(HELD_OUT, as_numpy=True), after)
    assert f"| Probabilities calibrated by | `{method}` |" in (tmp_path / "model" / "README.md").read_text()
    model.calibration = None
    assert np.array_equal(model.predict_proba(HELD_OUT, as_numpy=True), before)
    assert "calibration" not in repr(model)


@pytest.mark.parametrize("cv", [None, 2])
@pytest.mark.parametrize("method", ["temperature", "isotonic"])
@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_several_labels_a_text(trained, texts, tmp_path, head, method, cv):
    model = trained(head, multi_target_strategy="one-vs-rest")
    before = model.predict_proba(HELD_OUT, as_numpy=True)
    labels = model.predict(HELD_OUT)
    model.calibrate(HELD_OUT, HELD_OUT_ROWS, method, cv=cv)
    after = model.predict_proba(HELD_OUT, as_numpy=True)
    if cv is None:
        columns = model.label_columns(HELD_OUT_ROWS)
        assert log_loss(columns, after) < log_loss(columns, before)
    assert model.predict(HELD_OUT, use_labels=False).tolist() == (after > 0.5).astype(int).tolist()
    assert (model.predict(HELD_OUT) == labels) or method == "isotonic"
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    assert np.array_equal(loaded.predict_proba(HELD_OUT, as_numpy=True), after)


def test_labels_follow_an_isotonic_calibration(trained, new_texts):
    model = trained()
    assert model.predict(new_texts) == ["sport", "food", "tech"]
    flat, rising = Curve((0.0, 1.0), (0.2, 0.2)), Curve((0.0, 1.0), (0.3, 1.0))
    model.calibration = Isotonic((flat, flat, rising))  # food, sport, tech
    assert model.predict(new_texts) == ["tech"] * 3
    # Of labels that are as likely as each other, it is the first of model.labels, also in a head with another order.
    model = SetFitModel(model.model_body, model.model_head, labels=["tech", "sport", "food"])
    model.model_head.classes_ = np.array(["food", "sport", "tech"])
    model.calibration = Isotonic((flat, flat, flat))
    assert model.predict(new_texts) == ["tech"] * 3
    assert model.predict_proba(new_texts).argmax(axis=1).tolist() == [0] * 3


def test_training_and_another_head_end_a_calibration(trained, texts, topics):
    model = trained()
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    with pytest.raises(LabelError):
        model.fit(texts, ["sport"] * len(texts))
    assert model.calibration is not None
    model.fit(texts, topics)
    assert model.calibration is None
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    model.model_head = LogisticRegression()
    assert model.calibration is None


def test_new_names_for_the_labels_keep_it(trained, new_texts):
    model = trained()
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    before = model.predict_proba(new_texts, as_numpy=True)
    model.labels = ["F", "S", "T"]
    assert np.array_equal(model.predict_proba(new_texts, as_numpy=True), before)
    model.calibrate(HELD_OUT, ["FST"["fst".index(topic[0])] for topic in HELD_OUT_TOPICS])


def test_a_label_without_training_texts_stays_at_zero(body, texts, topics, new_texts):
    model = SetFitModel(body, labels=["other", "sport", "food", "tech"])
    model.fit(texts, topics)
    for method in ("temperature", "isotonic"):
        model.calibrate(HELD_OUT, HELD_OUT_TOPICS, method)
        probabilities = model.predict_proba(new_texts, as_numpy=True)
        assert probabilities[:, 0].tolist() == [0] * 3
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    with pytest.raises(LabelError, match="'other' in row 15 had no training text"):
        model.calibrate([*HELD_OUT, "another thing"], [*HELD_OUT_TOPICS, "other"])


@pytest.mark.parametrize(
    ("rows", "labels", "options", "error", "said"),
    [
        (15, HELD_OUT_TOPICS, {"method": "platt"}, ArgumentError, "'temperature', 'isotonic'"),
        (15, HELD_OUT_TOPICS, {"cv": 1}, ArgumentError, "cv is 1. Give the number of folds"),
        (15, HELD_OUT_TOPICS, {"cv": True}, ArgumentError, "cv is True"),
        (9, HELD_OUT_TOPICS[:9], {}, InputError, "9 texts are too few to calibrate on. Give at least 10"),
        (14, HELD_OUT_TOPICS, {}, InputError, "14 texts but 15 labels"),
        (15, [*HELD_OUT_TOPICS[:14], "politics"], {}, LabelError, "'politics', which is not one of the model's"),
        (10, HELD_OUT_TOPICS[:10], {"method": "isotonic"}, LabelError, "0 of 10 texts have the label 'tech'.*temper"),
        (11, HELD_OUT_TOPICS[:11], {"cv": 2}, LabelError, "1 of 11 texts have the label 'tech'.*or leave cv out"),
    ],
)
def test_what_can_not_be_calibrated_on(trained, rows, labels, options, error, said):
    model = trained()
    model.calibration = Temperature(2.0)
    with pytest.raises(error, match=said):
        model.calibrate(HELD_OUT[:rows], labels, **options)
    assert model.calibration == Temperature(2.0)


def test_a_temperature_needs_no_text_of_each_label(trained):
    model = trained()
    model.calibrate(HELD_OUT[:10], HELD_OUT_TOPICS[:10])
    assert model.calibration.method == "temperature"


def test_heads_that_can_not_be_calibrated(trained, body, minimal_head):
    with pytest.raises(UnfittedHeadError):
        SetFitModel(body).calibrate(HELD_OUT, HELD_OUT_TOPICS)
    for cv in (None, 2):
        with pytest.raises(NoProbabilitiesError, match="CalibratedClassifierCV"):
            trained(LinearSVC()).calibrate(HELD_OUT, HELD_OUT_TOPICS, cv=cv)
    model = trained(minimal_head())
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    with pytest.raises(ArgumentError, match="MinimalHead was given as an instance.*Leave cv out"):
        model.calibrate(HELD_OUT, HELD_OUT_TOPICS, cv=2)


def test_cross_validation_leaves_the_head_alone_and_asks_others(trained, texts, topics):
    model = trained(KNeighborsClassifier(n_neighbors=1))
    head = model.model_head
    # Its own nearest neighbour is right about each text that it was trained on; a copy without the text may not be.
    model.calibrate(texts, topics)
    asked = model.calibration
    model.calibrate(texts, topics, cv=4)
    assert model.model_head is head
    assert head.n_samples_fit_ == len(texts)
    assert model.calibration.value > asked.value
    first = model.calibration
    model.calibrate(texts, topics, cv=4)
    assert model.calibration == first
    model.calibrate(texts, topics, cv=4, seed=1)
    assert model.calibration != first


def test_a_new_body_ends_a_calibration(trained, texts, topics):
    model = trained()
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    Trainer(model, TrainingArguments(show_progress_bar=False), train_dataset=(texts, topics)).train_embeddings()
    assert model.calibration is None


def test_which_calls_are_close_after_calibration(trained, texts):
    model = trained()
    embeddings, codec = model.encode(texts), model._fitted_codec()

    def close(calibration):
        return close_calls(model.model_head, embeddings, codec, calibration).tolist()

    probabilities = model.predict_proba(texts, as_numpy=True)
    assert close(None) == close(Temperature(50.0)) == []
    # A step of the first curve where one text is: half of CLOSE away the label is another one.
    place = float(probabilities[0, 0])
    step = Curve((place - CLOSE / 8, place + CLOSE / 8), (0.0, 1.0))
    flat = Curve((0.0, 1.0), (0.5, 0.5))
    rows = np.flatnonzero(np.abs(probabilities[:, 0] - place) < CLOSE / 2).tolist()
    assert close(Isotonic((step, flat, flat))) == rows
    assert 0 in rows
    assert close(Isotonic((flat, flat, flat))) == []  # always the first label
    nothing = Curve((0.0, 1.0), (0.0, 0.0))
    assert close(Isotonic((nothing, nothing, nothing))) == list(range(len(texts)))


def test_setfit_can_not_predict_calibrated_probabilities(trained, tmp_path):
    model = trained()
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    with pytest.raises(ArgumentError, match=r"calibrated.*model\.calibration = None"):
        model.save_pretrained(tmp_path / "model", setfit_compatible=True)
    assert not list(tmp_path.iterdir())
    model.calibration = None
    model.save_pretrained(tmp_path / "model", setfit_compatible=True)


def test_only_a_calibrated_model_needs_the_new_format(trained, tmp_path):
    model = trained()
    config = model.save_pretrained(tmp_path / "model") / "config_setfit.json"
    plain = json.loads(config.read_text())
    assert plain["format_version"] == 2
    assert "calibration" not in plain
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    model.save_pretrained(tmp_path / "model")
    assert json.loads(config.read_text())["format_version"] == 3


def test_a_head_of_the_callers_own_is_not_calibrated(trained, tmp_path):
    model = trained()
    model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    folder = model.save_pretrained(tmp_path / "model")
    assert SetFitModel.from_pretrained(folder, head=LogisticRegression()).calibration is None


@pytest.mark.parametrize(
    ("head", "change", "said"),
    [
        (
            "logistic",
            {"calibration": {"method": "temperature", "temperature": 0}},
            "temperature of the calibration is 0",
        ),
        ("logistic", {"calibration": {"method": "isotonic", "curves": []}}, "no list of 3 curves"),
        ("logistic", {"calibration": None}, "'calibration' must be dict"),
        ("logistic", {"labels": None, "label_encoding": None}, "doesn't say what the classes|not trained"),
        (LinearSVC(), {"calibration": {"method": "temperature", "temperature": 2.0}}, "don't fit.*predict_proba"),
    ],
)
def test_a_damaged_calibration_is_refused(trained, tmp_path, head, change, said):
    model = trained(head)
    if not isinstance(head, LinearSVC):
        model.calibrate(HELD_OUT, HELD_OUT_TOPICS)
    path = model.save_pretrained(tmp_path / "model") / "config_setfit.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 3, **change}))
    with pytest.raises(ModelFormatError, match=said):
        SetFitModel.from_pretrained(tmp_path / "model", device="cpu")


def test_a_calibration_of_a_head_that_was_not_trained_is_refused(body, tmp_path):
    path = SetFitModel(body, "linear").save_pretrained(tmp_path / "model") / "config_setfit.json"
    change = {"format_version": 3, "calibration": {"method": "temperature", "temperature": 2.0}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelFormatError, match="calibrates a head that was not trained"):
        SetFitModel.from_pretrained(tmp_path / "model", device="cpu")
