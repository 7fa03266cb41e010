"""Searches: never worse than the heads as they are given, the same under a seed, failures recorded."""

from __future__ import annotations

import json
import sys
from typing import ClassVar

import numpy as np
import optuna
import pytest

from setfit_core.choosing.compare import compare_heads
from setfit_core.choosing.search import search_heads
from setfit_core.errors import ArgumentError, HeadError, HeadParameterError, SetFitError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def noisy():
    """Embeddings of two classes that overlap, and their labels."""
    generator = np.random.default_rng(3)
    labels = np.arange(40) % 2
    return (np.eye(2)[labels] + generator.normal(size=(40, 2))).astype(np.float32), labels.tolist()


class Declared:
    """Has one good setting, and says where to look for it."""

    setfit_head: ClassVar = {
        "search_space": {
            "shift": {"low": 0, "high": 20},
            "kind": {"choices": ["good", "bad"]},
            "scale": {"low": 0.1, "high": 10.0, "log": True},
        }
    }

    def __init__(self, shift=20, kind="good", scale=1.0):
        if kind == "bad":
            raise RuntimeError("a bad\nkind")
        self.shift, self.scale = shift, scale

    def fit(self, X, y): ...

    def predict_proba(self, X):
        right = X[:, :-1].argmax(axis=1)
        return np.where(np.eye(2)[right] == 1, 0.95 - 0.02 * self.shift, 0.05 + 0.02 * self.shift)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


def without_times(search):
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in search.to_json()["trials"]]


def test_a_search_finds_better_parameters_and_repeats_itself(told):
    verbosity = optuna.logging.get_verbosity()
    search = search_heads(told[0], None, told[1], [Declared, "logistic"], n_trials=24, folds=2, repeats=1)
    assert optuna.logging.get_verbosity() == verbosity
    assert len(search.trials) == 24
    assert [trial.recipe.params for trial in search.trials[:2]] == [{}, {}]
    tried = [trial.recipe.params for trial in search.trials[2:] if trial.head == "Declared"]
    assert {type(params["shift"]) for params in tried} == {int}
    assert all(0 <= params["shift"] <= 20 and 0.1 <= params["scale"] <= 10 for params in tried)
    failed = [trial for trial in search.trials if trial.error]
    assert failed
    assert {trial.error for trial in failed} == {"RuntimeError: a bad kind"}
    assert search.best.score.mean < min(trial.score.mean for trial in search.trials[:2])
    again = search_heads(told[0], None, told[1], [Declared, "logistic"], n_trials=24, folds=2, repeats=1)
    assert without_times(again) == without_times(search)


def test_trials_are_scored_as_a_comparison_scores_them(noisy):
    search = search_heads(*(noisy[0], None, noisy[1]), ["logistic"], n_trials=4, seed=9)
    heads = {str(place): ("logistic", trial.recipe.params) for place, trial in enumerate(search.trials)}
    rows = {row.name: row for row in compare_heads(noisy[0], None, noisy[1], heads, seed=9).rows}
    for place, trial in enumerate(search.trials):
        assert trial.score == rows[str(place)].log_loss
    assert search.best.score.mean == min(row.log_loss.mean for row in rows.values())


def test_the_users_space_and_parameters_count(noisy):
    space = {"C": {"choices": [0.5, 2.0]}}
    search = search_heads(
        noisy[0],
        None,
        noisy[1],
        {"mine": ("logistic", {"max_iter": 50}), "fixed": ("logistic", {"C": 3.0})},
        n_trials=12,
        repeats=1,
        metric="accuracy",
        spaces={"mine": space},
    )
    mine = [trial.recipe.params for trial in search.trials[2:] if trial.head == "mine"]
    fixed = [trial.recipe.params for trial in search.trials[2:] if trial.head == "fixed"]
    assert {(params["max_iter"], params["C"]) for params in mine} == {(50, 0.5), (50, 2.0)}
    assert fixed
    assert {params["C"] for params in fixed} == {3.0}
    assert search.best.score.mean == max(trial.score.mean for trial in search.trials)


def test_what_cant_be_scored_is_recorded(told, speechless):
    heads = {"speechless": speechless, "gone": "no-such-head", "fine": "logistic"}
    search = search_heads(told[0], None, told[1], heads, n_trials=4, repeats=1)
    errors = {trial.head: trial.error for trial in search.trials}
    assert "metric='accuracy'" in errors["speechless"]
    assert "No installed distribution" in errors["gone"]
    assert search.best.head == "fine"
    by_accuracy = search_heads(told[0], None, told[1], [speechless], n_trials=4, metric="accuracy")
    assert len(by_accuracy.trials) == 1  # without a search space there is nothing more to try
    assert by_accuracy.best.score.mean == 1.0
    nothing = search_heads(told[0], None, told[1], [speechless], n_trials=1)
    with pytest.raises(HeadError, match="Each trial failed"):
        _ = nothing.best


def test_a_search_ends_when_its_time_is_over(noisy):
    search = search_heads(noisy[0], None, noisy[1], ["logistic"], n_trials=50, timeout=1e-9, repeats=1)
    assert len(search.trials) == 1


def test_a_search_can_be_written_down(told):
    search = search_heads(told[0], None, told[1], {"fine": Declared, "gone": "no-such-head"}, n_trials=8, repeats=1)
    data = json.loads(json.dumps(search.to_json()))
    assert data["best"]["head"] == "fine"
    assert len(data["trials"]) == 8
    for text in (str(search), search.to_markdown()):
        assert str(search.best) in text
        assert "gone failed: No installed distribution" in text
        assert "8 trials on 24 texts, 1 x 4-fold cross-validation" in text


def test_what_has_no_meaning_is_refused(told, monkeypatch):
    for options, error, match in [
        ({"n_trials": 1}, ArgumentError, "n_trials is 1, but there are 2 heads"),
        ({"timeout": 0}, ArgumentError, "timeout is 0"),
        ({"metric": "speed"}, ArgumentError, "metric is 'speed'"),
        ({"spaces": {"knn": {}}}, ArgumentError, "Correct the names"),
        ({"spaces": ["C"]}, ArgumentError, "Give a mapping"),
        ({"spaces": {"logistic": {"C": 3}}}, ArgumentError, "search space of 'logistic'"),
        ({"spaces": {"logistic": {"D": {"low": 1, "high": 2}}}}, HeadParameterError, "doesn't accept 'D'"),
    ]:
        with pytest.raises(error, match=match):
            search_heads(told[0], None, told[1], ["logistic", Declared], **options)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SetFitError, match=r"setfit-core\[search\]"):
        search_heads(told[0], None, told[1])
