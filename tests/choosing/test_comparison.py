"""Comparisons: heads on the same folds, failures as rows, and the best one by a rule that is stated."""

from __future__ import annotations

import json
import sys
import threading
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from setfit_core import SetFitModel
from setfit_core.choosing.candidates import read_candidates
from setfit_core.choosing.compare import compare_heads
from setfit_core.choosing.folds import make_folds
from setfit_core.errors import ArgumentError, HeadError, SetFitError
from setfit_core.evaluation.reliability import calibration_error
from setfit_core.evaluation.scores import log_loss

pytestmark = pytest.mark.slow

FIGURES = ("accuracy", "macro_f1", "log_loss", "calibration_error")


def figures_of(row):
    return [getattr(row, name) for name in FIGURES]


def figures(comparison):
    return {row.name: figures_of(row) for row in comparison.rows}


class Quitter:
    def fit(self, X, y):
        sys.exit("no more")

    def predict(self, X): ...
    def predict_proba(self, X): ...


class Shifted:
    """Predicts ids that its contract doesn't have."""

    def fit(self, X, y):
        warnings.warn("about to go wrong", stacklevel=1)

    def predict(self, X):
        return np.full(len(X), 7)

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


def test_installed_heads_are_compared_on_texts(body, texts, topics):
    model = SetFitModel(body, labels=["food", "sport", "tech"])
    heads = ["logistic", "xgboost", ("logistic", {"C": 10.0})]
    comparison = compare_heads(model, texts, topics, heads, repeats=1)
    assert {row.name for row in comparison.rows} == {"logistic", "xgboost", "logistic (C=10.0)"}
    assert (comparison.texts, comparison.folds, comparison.repeats) == (12, 4, 1)
    for row in comparison.rows:
        assert row.error is None
        assert min(row.fit_seconds, row.predict_seconds) > 0
        assert row.size > 100
    losses = {row.name: row.log_loss.mean for row in comparison.rows}
    assert losses["logistic (C=10.0)"] < losses["logistic"] < losses["xgboost"]
    again = compare_heads(model.encode(texts), None, topics, heads, repeats=1)
    assert figures(again) == figures(comparison)
    [other] = compare_heads(model, texts, topics, ["logistic"], repeats=1, seed=7).rows
    assert figures(comparison)["logistic"] != figures_of(other)


def test_figures_are_means_and_deviations_over_the_folds():
    generator = np.random.default_rng(1)
    labels = np.arange(30) % 3
    embeddings = np.eye(3)[labels] + generator.normal(size=(30, 3))
    [row] = compare_heads(embeddings, None, labels.tolist(), ["logistic"], folds=4, seed=5).rows
    folds = make_folds(labels, folds=4, repeats=3, seed=5)
    heads = [LogisticRegression().fit(embeddings[fold.train], labels[fold.train]) for fold in folds]
    hits = [head.score(embeddings[fold.test], labels[fold.test]) for head, fold in zip(heads, folds, strict=True)]
    losses = [
        log_loss(labels[fold.test], head.predict_proba(embeddings[fold.test]))
        for head, fold in zip(heads, folds, strict=True)
    ]
    assert (row.accuracy.mean, row.accuracy.spread) == pytest.approx((np.mean(hits), np.std(hits, ddof=1)))
    assert (row.log_loss.mean, row.log_loss.spread) == pytest.approx((np.mean(losses), np.std(losses, ddof=1)))
    gaps = []
    for repeat in range(3):
        pooled = [(fold.test, head) for fold, head in zip(folds, heads, strict=True) if fold.repeat == repeat]
        said = np.vstack([head.predict_proba(embeddings[rows]) for rows, head in pooled])
        gaps.append(calibration_error(labels[np.concatenate([rows for rows, _ in pooled])], said))
    assert row.calibration_error.mean == pytest.approx(np.mean(gaps))


def test_what_fails_is_a_row_and_stops_no_other(told):
    heads = {
        "quits": Quitter,
        "shifted": Shifted,
        "fine": "logistic",
        "unknown": "no-such-head",
        "absent": "no.such.module:Head",
        "mistaken": ("logistic", {"D": 1.0}),
        "out of range": ("logistic", {"C": -1.0}),
    }
    comparison = compare_heads(told[0], None, told[1], heads)
    rows = {row.name: row for row in comparison.rows}
    assert comparison.best.name == "fine"
    for name, message in [
        ("quits", "SystemExit: no more"),
        ("shifted", "values from 7 to 7"),
        ("unknown", "No installed distribution"),
        ("absent", "No module named 'no'"),
        ("mistaken", "doesn't accept 'D'"),
        ("out of range", "'C' parameter"),
    ]:
        assert message in rows[name].error
        assert "\n" not in rows[name].error
        assert f"{name} failed: {rows[name].error}" in str(comparison)
    assert rows["shifted"].remarks == ("about to go wrong",)
    nothing = compare_heads(told[0], None, told[1], [Quitter])
    with pytest.raises(HeadError, match="no more"):
        _ = nothing.best
    assert nothing.why == "No head could be tested."


def test_of_heads_that_accuracy_cant_tell_apart_log_loss_decides(told, oracle, speechless):
    def best(*heads, **options):
        comparison = compare_heads(told[0], None, told[1], {str(i): head for i, head in enumerate(heads)}, **options)
        return [row.name for row in comparison.rows], comparison.why

    surer, hesitant = (oracle, {"sure": 0.99}), (oracle, {"sure": 0.6})
    slip = (oracle, {"sure": 0.95, "wrong": (3,)})
    slips = (oracle, {"sure": 0.99, "wrong": tuple(range(8))})
    assert best(hesitant, surer)[0] == ["1", "0"]
    order, why = best(hesitant, slip)
    assert order == ["1", "0"]
    assert "lowest log loss" in why
    assert "0.958 ± 0.075 against 1.000 ± 0.000 of 0" in why
    order, why = best(slips, hesitant)
    assert order == ["1", "0"]
    assert "highest accuracy" in why
    assert "more than a standard error" in why
    assert best(speechless, hesitant)[0] == ["1", "0"]  # a head without probabilities loses where they decide
    order, why = best(hesitant, slips, metric="log_loss")
    assert order == ["0", "1"]
    assert "lowest log loss" in why


def test_an_incumbent_stays_until_another_is_clearly_better(told, oracle, speechless):
    heads = {
        "surer": (oracle, {"sure": 0.99}),
        "slip": (oracle, {"sure": 0.99, "wrong": (3,)}),
        "slips": (oracle, {"sure": 0.9, "wrong": tuple(range(8))}),
        "speechless": speechless,
    }

    def best(**options):
        return compare_heads(told[0], None, told[1], heads, **options).best.name

    assert [best(incumbent=name) for name in heads] == ["surer", "slip", "surer", "speechless"]
    assert [best(incumbent=name, metric="log_loss") for name in heads] == ["surer", "slip", "surer", "surer"]
    comparison = compare_heads(told[0], None, told[1], heads, incumbent="slip")
    assert "is the incumbent" in comparison.why
    assert "0.958 ± 0.075 against 1.000 ± 0.000 of surer" in comparison.why
    with pytest.raises(ArgumentError, match="incumbent is 'knn'"):
        best(incumbent="knn")


def test_one_fold_tells_no_heads_apart(body, recwarn):
    texts = ["goals and soup", "a goal", "nothing"]
    heads = ["linear", "logistic"]
    comparison = compare_heads(
        SetFitModel(body, None, "one-vs-rest"), texts, [[1, 1], [1, 0], [0, 0]], heads, repeats=1
    )
    assert sorted(row.name for row in comparison.rows if row.error is None) == heads
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_an_incumbent_in_front_is_not_compared_with_itself(told, oracle):
    heads = {"leads": (oracle, {"sure": 0.9}), "surer": (oracle, {"sure": 0.99})}
    comparison = compare_heads(told[0], None, told[1], heads, incumbent="leads")
    assert comparison.why == "leads was chosen: it is the incumbent and has the highest accuracy (1.000 ± 0.000)."


def test_how_heads_are_trained_is_checked(told):
    with pytest.raises(ArgumentError, match="training is a dict"):
        compare_heads(told[0], None, told[1], ["linear"], training={"num_epochs": 3})


def test_what_cant_be_measured_is_none(told, speechless):
    def unsavable():
        head = speechless()
        head.lock = threading.Lock()
        return head

    [row] = compare_heads(told[0], None, told[1], [unsavable], repeats=1).rows
    assert row.accuracy.mean == 1.0
    assert row.error is row.log_loss is row.calibration_error is row.size is None
    assert "Speechless" in row.remarks[0]


def test_several_labels_a_text(body, texts):
    rows = [[int(place < 4 or place == 6), int(3 <= place < 8), int(place >= 7)] for place in range(12)]
    model = SetFitModel(body, multi_target_strategy="one-vs-rest")
    comparison = compare_heads(model, texts, rows, ["logistic", "linear"], folds=2, repeats=1)
    assert [row.error for row in comparison.rows] == [None, None]
    assert all(row.log_loss.mean < 0.7 for row in comparison.rows)
    few = {"heads": ["logistic", "linear"], "folds": 2, "repeats": 1}
    alone = compare_heads(model.encode(texts), None, rows, **few, multi_target_strategy="one-vs-rest")
    assert figures(alone) == figures(comparison)


def test_labels_that_cant_be_tested_are_named(told):
    comparison = compare_heads(
        np.vstack([told[0], told[0][:1]]), None, [*(["no", "yes"] * 12), "rare"], ["logistic"], repeats=1
    )
    assert comparison.untested == ("rare",)
    assert "'rare'" in str(comparison)


def test_a_comparison_can_be_written_down(told, tmp_path):
    comparison = compare_heads(told[0], None, told[1], {"a|b": "logistic", "gone": "no-such-head"}, repeats=1)
    data = json.loads(json.dumps(comparison.to_json()))
    assert data["rows"][0]["accuracy"] == {"mean": 1.0, "spread": 0.0}
    assert data["rows"][1]["error"].startswith("No installed")
    assert data["why"] == comparison.why
    titles, row = str(comparison).splitlines()[2:4]
    assert row.startswith("a|b   1.000 ± 0.000")
    assert titles.index("accuracy") + len("accuracy") == row.index("0.000") + len("0.000")  # figures are set right
    assert r"| a\|b | 1.000 ± 0.000 |" in comparison.to_markdown()
    plot = comparison.plot(tmp_path / "heads.svg")
    assert "<svg" in plot.read_text()
    with pytest.raises(ArgumentError, match="doesn't end with a format"):
        comparison.plot(tmp_path / "heads.nonsense")
    with pytest.raises(SetFitError, match="can't be written"):
        comparison.plot(tmp_path / "nowhere" / "heads.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["heads.svg"]


def test_a_plot_without_matplotlib_says_what_to_install(told, tmp_path, monkeypatch):
    comparison = compare_heads(told[0], None, told[1], ["logistic"], repeats=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetFitError, match=r"setfit-core\[plots\]"):
        comparison.plot(tmp_path / "heads.svg")


def test_heads_are_told_apart(oracle):
    names = [candidate.name for candidate in read_candidates([oracle, (oracle, {"sure": 0.7}), "logistic"])]
    assert names == ["Oracle", "Oracle (sure=0.7)", "logistic"]
    assert {"linear", "logistic"} <= {candidate.name for candidate in read_candidates(None)}
    for heads, match in [
        (["logistic", "logistic"], "more than once"),
        ("logistic", "Give a list"),
        ([], "heads is empty"),
        ([("logistic", 3)], "is a pair"),
        ([oracle()], "built already"),
    ]:
        with pytest.raises(ArgumentError, match=match):
            read_candidates(heads)
    with pytest.raises(ArgumentError, match="metric is 'speed'"):
        compare_heads(None, None, [], metric="speed")
