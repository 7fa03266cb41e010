"""What the probabilities of a real model are worth, in one pass."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel
from setfit_core.errors import InputError, LabelError, NoProbabilitiesError
from setfit_core.evaluation.evaluate import evaluate_probabilities
from setfit_core.evaluation.scores import LEAST_PROBABILITY, score

TEXTS = ["a goal in the match", "the striker scored", "the coach and the team"]
TEXTS += ["garlic in the soup", "bake the bread", "sugar and eggs", "the server log", "compile the code"]
TOPICS = ["sport"] * 3 + ["food"] * 3 + ["tech"] * 2


@pytest.fixture(scope="module")
def model(static_body_factory):
    model = SetFitModel(static_body_factory())
    model.fit(TEXTS, TOPICS)
    return model


def test_scores_are_those_of_predict_and_predict_proba(model):
    labels = ["sport", "food"] * 4
    found = evaluate_probabilities(model, TEXTS, labels)
    columns, predicted = model.label_columns(labels), model.predict(TEXTS, use_labels=False, as_numpy=True)
    assert found.scores == score(columns, predicted, model.predict_proba(TEXTS, as_numpy=True))
    assert found.reliability.calibration_error == found.scores.calibration_error


def test_an_unknown_label_had_no_probability(model):
    known = evaluate_probabilities(model, TEXTS[:2], ["sport", "sport"]).scores
    found = evaluate_probabilities(model, TEXTS[:3], ["sport", "sport", "politics"]).scores
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.log_loss == pytest.approx((2 * known.log_loss - np.log(LEAST_PROBABILITY)) / 3)


def test_several_labels_a_text(static_body_factory):
    model = SetFitModel(static_body_factory(), multi_target_strategy="one-vs-rest")
    rows = [[topic, "short"] if len(text) < 15 else [topic] for text, topic in zip(TEXTS, TOPICS, strict=True)]
    model.fit(TEXTS, rows)
    found = evaluate_probabilities(model, TEXTS, rows[::-1])
    columns = model.label_columns(rows[::-1])
    predicted = model.predict(TEXTS, use_labels=False, as_numpy=True)
    assert found.scores == score(columns, predicted, model.predict_proba(TEXTS, as_numpy=True))
    assert found.reliability.counts.sum() == columns.size


def test_what_can_not_be_evaluated(model, static_body_factory):
    for texts, labels in [([], []), (TEXTS, TOPICS[:-1])]:
        with pytest.raises(InputError, match=f"{len(texts)} texts and {len(labels)} labels"):
            evaluate_probabilities(model, texts, labels)
    with pytest.raises(LabelError, match="not one of the model's labels"):
        evaluate_probabilities(model, TEXTS[:1], ["politics"])
    silent = SetFitModel(static_body_factory(), LinearSVC())
    silent.fit(TEXTS, TOPICS)
    with pytest.raises(NoProbabilitiesError):
        evaluate_probabilities(silent, TEXTS, TOPICS)
