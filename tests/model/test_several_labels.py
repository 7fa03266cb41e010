"""Several labels a text: columns whatever the strategy, and a threshold for each label."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel
from setfit_core.errors import (
    ArgumentError,
    InputError,
    LabelError,
    ModelFormatError,
    NoProbabilitiesError,
    UnfittedHeadError,
)
from setfit_core.evaluation.calibration import Temperature
from setfit_core.evaluation.evaluate import evaluate_probabilities
from setfit_core.heads.multilabel import STRATEGIES
from setfit_core.prediction import CLOSE, close_calls

ROWS = [["sport", "text"]] * 3 + [["sport", "health", "text"]] + [["food", "text"]] * 3 + [["food", "health", "text"]]
ROWS += [["text"]] * 2 + [["tech", "text"]] * 2
#: In no order, with a label that no text has and one that all have.
NAMED = ["text", "tech", "never", "sport", "health", "food"]
LEARNT = [name for name in NAMED if name not in ("never", "text")]
HEADS = [("logistic", strategy) for strategy in STRATEGIES] + [("linear", "multi-output"), ("mlp", "one-vs-rest")]
HELD_OUT = {
    "A tennis player won the final match": ["sport", "text"],
    "The striker of the other team was sent off": ["sport", "health"],
    "The goalkeeper likes garlic bread": ["food", "sport"],
    "A spoon of sugar makes the soup sweet": ["food", "text"],
    "Eggs, flour and milk are all you need": ["food"],
    "The cook fell ill after the match": ["sport", "health"],
    "Salt and butter are bad for the heart": ["food", "health"],
    "A query that joins four tables is slow": [],
    "The log shows that the network was down": ["text"],
    "The match was streamed by a faulty server": ["sport", "never"],
}
UNEVEN = {"text": 0.9, "tech": 0.05, "never": 0.1, "sport": 0.7, "health": 0.1, "food": 0.45}


@pytest.fixture
def trained(body, texts):
    def trained(head="logistic", strategy="one-vs-rest", rows=ROWS, labels=NAMED):
        model = SetFitModel(body, head, strategy, labels=labels, random_state=0)
        model.fit(texts, rows, batch_size=4, show_progress_bar=False)
        return model

    return trained


def indicators(model, thresholds):
    """A function from probabilities to the labels above thresholds."""
    bounds = np.array([thresholds[label] for label in model.labels])
    return lambda probabilities: (probabilities > bounds).astype(int).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("head", "strategy"), HEADS)
def test_a_column_for_each_label_in_the_order_of_the_labels(trained, texts, tmp_path, head, strategy):
    model = trained(head, strategy)
    assert model.labels == NAMED
    probabilities, predicted = model.predict_proba(texts, as_numpy=True), model.predict(texts)
    assert probabilities.shape == (12, 6)
    assert (probabilities[:, NAMED.index("never")] == 0).all()
    assert (probabilities[:, NAMED.index("text")] == 1).all()
    for label in LEARNT:
        has_label = np.array([label in row for row in ROWS])
        column = probabilities[:, NAMED.index(label)]
        assert column[has_label].min() > column[~has_label].max(), label
    assert predicted == [[NAMED[column] for column in np.flatnonzero(row > 0.5)] for row in probabilities]
    assert model.predict_proba(texts[0]).shape == (6,)
    assert model.predict(texts[0]) == predicted[0]
    assert model.predict_proba([], as_numpy=True).shape == (0, 6)
    assert model.predict([], use_labels=False, as_numpy=True).shape == (0, 6)
    model.thresholds = UNEVEN
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    assert (loaded.multi_target_strategy, loaded.labels, loaded.thresholds) == (strategy, NAMED, UNEVEN)
    assert np.array_equal(loaded.predict_proba(texts, as_numpy=True), probabilities)
    assert loaded.predict(texts, use_labels=False).tolist() == indicators(model, UNEVEN)(probabilities)


@pytest.mark.slow
@pytest.mark.parametrize(("head", "strategy"), HEADS)
def test_a_single_label_of_which_texts_have_none(trained, texts, topics, tmp_path, head, strategy):
    rows = [["sport"] if topic == "sport" else [] for topic in topics]
    model = trained(head, strategy, rows, labels=["sport"])
    probabilities = model.predict_proba(texts, as_numpy=True)
    assert probabilities.shape == (12, 1)
    assert probabilities[:4].min() > probabilities[4:].max()
    middle = (probabilities[:4].min() + probabilities[4:].max()) / 2
    model.thresholds = [middle]
    assert model.predict(texts) == rows
    assert evaluate_probabilities(model, texts[3:], rows[3:]).scores.macro_f1 == 1.0
    turned = [["sport"], ["sport"], [], *rows[5:]]  # of two texts it has neither, and gives it to one without
    assert evaluate_probabilities(model, texts[2:], turned[: len(texts[2:])]).scores.macro_f1 == pytest.approx(
        f1_score([bool(row) for row in turned[: len(texts[2:])]], [bool(row) for row in rows[2:]])
    )
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    assert np.array_equal(loaded.predict_proba(texts, as_numpy=True), probabilities)
    assert loaded.predict(texts) == rows


def test_thresholds_decide_what_is_predicted_and_leave_probabilities_alone(trained, texts):
    model = trained()
    before, halves = model.predict_proba(texts, as_numpy=True), model.predict(texts)
    assert model.thresholds is None
    model.thresholds = UNEVEN
    assert model.thresholds == UNEVEN
    assert list(model.thresholds) == NAMED
    assert np.array_equal(model.predict_proba(texts, as_numpy=True), before)
    assert model.predict(texts, use_labels=False).tolist() == indicators(model, UNEVEN)(before)
    assert model.predict(texts) != halves
    assert model.predict(texts[0]) == model.predict(texts)[0]
    assert "thresholds=[0.9, 0.05, 0.1, 0.7, 0.1, 0.45]" in repr(model)
    with pytest.raises(TypeError):
        model.thresholds["food"] = 0.1  # would be lost
    model.thresholds = {"tech": 0.25}
    assert model.thresholds == dict.fromkeys(NAMED, 0.5) | {"tech": 0.25}
    model.thresholds = np.linspace(0.1, 0.6, 6)
    assert list(model.thresholds.values()) == np.linspace(0.1, 0.6, 6).tolist()
    model.thresholds = 0.01
    assert model.predict(texts) == [[name for name in NAMED if name != "never"]] * 12
    model.labels = [name.upper() for name in NAMED]
    assert model.thresholds == {name.upper(): 0.01 for name in NAMED}
    model.thresholds = None
    assert model.predict(texts) == [[name.upper() for name in row] for row in halves]
    assert "thresholds" not in repr(model)


def test_thresholds_that_have_no_meaning_change_nothing(trained, body, texts, topics):
    model = trained()
    model.thresholds = 0.3
    for wrong in (1.0, [0.5] * 5, {"envy": 0.5}):
        with pytest.raises(ArgumentError, match="thresholds"):
            model.thresholds = wrong
    assert model.thresholds == dict.fromkeys(NAMED, 0.3)
    one_label = SetFitModel(body)
    one_label.fit(texts, topics)
    no_probabilities = trained("sklearn.svm:LinearSVC")
    untrained = SetFitModel(body, multi_target_strategy="one-vs-rest", labels=NAMED)
    for model, error, said in [
        (one_label, ArgumentError, "for several labels a text"),
        (no_probabilities, NoProbabilitiesError, "OneVsRestClassifier has no predict_proba"),
        (untrained, UnfittedHeadError, "not been trained"),
    ]:
        with pytest.raises(error, match=said):
            model.thresholds = 0.3
        with pytest.raises(error, match=said):
            model.tune_thresholds(texts, ROWS)
        assert model.thresholds is None
        model.thresholds = None


@pytest.mark.slow
@pytest.mark.parametrize(("head", "strategy"), HEADS)
def test_tuned_thresholds(trained, head, strategy):
    model = trained(head, strategy)
    held_out, rows = list(HELD_OUT), list(HELD_OUT.values())
    expected = model.label_columns(rows)
    learnt = [NAMED.index(name) for name in LEARNT]

    def reached(metric):
        predicted = model.predict(held_out, use_labels=False, as_numpy=True)
        return f1_score(expected[:, learnt], predicted[:, learnt], average=metric.removesuffix("_f1"), zero_division=0)

    for metric in ("macro_f1", "micro_f1"):
        model.thresholds = None
        halves = reached(metric)
        model.tune_thresholds(held_out, rows, metric)
        tuned = model.thresholds
        assert reached(metric) > halves
        # Of tech there is no text; the other two were not learnt.
        assert [tuned[name] for name in ("text", "never", "tech")] == [0.5, 0.5, 0.5]
        rng = np.random.default_rng(0)
        best = reached(metric)
        for _ in range(20):
            moved = np.clip(np.array(list(tuned.values())) + rng.normal(0, 0.1, 6), 0.01, 0.99)
            model.thresholds = dict(zip(NAMED, moved, strict=True)) | {"tech": 0.5}
            assert reached(metric) <= best + 1e-12
        model.tune_thresholds(held_out, rows, metric)
        assert model.thresholds == tuned
    model.tune_thresholds(held_out, rows)
    by_default = model.thresholds
    model.tune_thresholds(held_out, rows, "macro_f1")
    assert model.thresholds == by_default


@pytest.mark.parametrize(
    ("rows", "labels", "options", "error", "said"),
    [
        (12, ROWS, {"metric": "accuracy"}, ArgumentError, "'macro_f1', 'micro_f1'"),
        (9, ROWS[:9], {}, InputError, "9 texts are too few to choose thresholds on. Give at least 10"),
        (12, ROWS[:11], {}, InputError, "12 texts but 11 labels"),
        (12, [["envy"], *ROWS[1:]], {}, LabelError, "'envy', which is not one of the model's"),
        (12, [["text"], ["never"]] * 6, {}, LabelError, "No text has a label that the head has learnt"),
    ],
)
def test_what_can_not_be_tuned_on(trained, texts, rows, labels, options, error, said):
    model = trained()
    model.thresholds = 0.3
    with pytest.raises(error, match=said):
        model.tune_thresholds(texts[:rows], labels, **options)
    assert model.thresholds == dict.fromkeys(NAMED, 0.3)


def test_what_ends_thresholds(trained, texts):
    model = trained("knn")
    for change in (
        lambda: model.fit(texts, ROWS),
        lambda: model.partial_fit(texts[:1], ROWS[:1]),
        lambda: model.calibrate(texts, ROWS),
        lambda: setattr(model, "calibration", None),
    ):
        model.thresholds = 0.3
        with pytest.raises(LabelError):
            model.fit(texts, [["envy"]] * 12)
        assert model.thresholds == dict.fromkeys(NAMED, 0.3)
        change()
        assert model.thresholds is None
    model.thresholds = 0.3
    model.model_head = LogisticRegression()
    assert model.thresholds is None


def test_a_calibrated_model_is_cut_where_its_own_probabilities_are(trained, texts, tmp_path):
    model = trained()
    model.calibrate(texts, ROWS)
    model.tune_thresholds(texts, ROWS)
    probabilities = model.predict_proba(texts, as_numpy=True)
    cut = indicators(model, model.thresholds)(probabilities)
    assert model.predict(texts, use_labels=False).tolist() == cut == model.label_columns(ROWS).tolist()
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    assert (loaded.calibration, loaded.thresholds) == (model.calibration, model.thresholds)
    assert np.array_equal(loaded.predict_proba(texts, as_numpy=True), probabilities)
    assert loaded.predict(texts, use_labels=False).tolist() == cut


def test_which_calls_are_close(trained, texts):
    model = trained()
    codec, embeddings = model._fitted_codec(), model.encode(texts)
    halves = close_calls(model.model_head, embeddings, codec)
    for calibration in (None, Temperature(3.0)):
        model.calibration = calibration
        of_tech = model.predict_proba(texts, as_numpy=True)[:, NAMED.index("tech")]
        bounds = [0.999] * 6
        bounds[NAMED.index("tech")] = float(of_tech[3])
        head_alone = trained().predict_proba(texts, as_numpy=True)[:, NAMED.index("tech")]
        near = np.flatnonzero(np.abs(head_alone - head_alone[3]) < CLOSE / 2)
        found = close_calls(model.model_head, embeddings, codec, calibration, tuple(bounds))
        assert found.tolist() == near.tolist()
        assert 3 in found
    assert 3 not in halves


def test_evaluation_is_of_what_is_predicted(trained, texts):
    model = trained()
    for thresholds in (None, UNEVEN):
        model.thresholds = thresholds
        expected, predicted = model.label_columns(ROWS), model.predict(texts, use_labels=False, as_numpy=True)
        scores = evaluate_probabilities(model, texts, ROWS).scores
        assert scores.accuracy == pytest.approx((expected == predicted).all(axis=1).mean())
        assert scores.micro_f1 == pytest.approx(f1_score(expected, predicted, average="micro"))


def test_only_thresholds_need_the_new_format(trained, tmp_path):
    model = trained()
    for value, version in ((None, 2), (0.3, 4)):
        model.thresholds = value
        config = json.loads((model.save_pretrained(tmp_path / "model") / "config_setfit.json").read_text())
        assert config["format_version"] == version
        assert ("thresholds" in config) == (version == 4)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| Label | Threshold | Training texts |" in card
    assert "| `food` | 0.3000 | 4 |" in card
    assert "whose probability is above its threshold" in card


def test_setfit_has_no_thresholds(trained, tmp_path):
    model = trained()
    model.thresholds = 0.3
    with pytest.raises(ArgumentError, match=r"has thresholds.*model\.thresholds = None"):
        model.save_pretrained(tmp_path / "model", setfit_compatible=True)
    assert not list(tmp_path.iterdir())


def test_a_head_of_the_callers_own_has_none(trained, tmp_path):
    model = trained()
    model.thresholds = 0.3
    folder = model.save_pretrained(tmp_path / "model")
    assert SetFitModel.from_pretrained(folder, head=LogisticRegression(), device="cpu").thresholds is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "change", "said"),
    [
        ("logistic", {"thresholds": None}, "'thresholds' must be list"),
        ("logistic", {"thresholds": [0.5] * 5}, "no list of 6 numbers"),
        ("logistic", {"thresholds": [0.5] * 5 + [1]}, "no list of 6 numbers"),
        ("logistic", {"calibration": 3}, "'calibration' must be dict or null"),
        ("linear", {"labels": None, "label_encoding": None}, "thresholds for a head that was not trained"),
        ("sklearn.svm:LinearSVC", {"calibration": None, "thresholds": [0.5] * 6}, "don't fit.*predict_proba"),
    ],
)
def test_damaged_thresholds_are_refused(trained, tmp_path, head, change, said):
    model = trained(head)
    if head != "sklearn.svm:LinearSVC":
        model.thresholds = 0.3
    path = model.save_pretrained(tmp_path / "model") / "config_setfit.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 4, **change}))
    with pytest.raises(ModelFormatError, match=said):
        SetFitModel.from_pretrained(tmp_path / "model", device="cpu")


def test_thresholds_for_one_label_a_text_are_refused(body, texts, topics, tmp_path):
    model = SetFitModel(body, LinearSVC())
    model.fit(texts, topics)
    path = model.save_pretrained(tmp_path / "model") / "config_setfit.json"
    change = {"format_version": 4, "calibration": None, "thresholds": [0.5] * 3}
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelFormatError, match="not trained on several labels a text"):
        SetFitModel.from_pretrained(tmp_path / "model", device="cpu")
