"""Scores against scikit-learn's and against what can be counted by hand."""

import math

import numpy as np
import pytest
from sklearn import metrics

from setfit_core.evaluation.reliability import calibration_error, reliability
from setfit_core.evaluation.scores import LEAST_PROBABILITY, log_loss, score


def test_scores_of_one_label_a_text(draw):
    probabilities, expected = draw(200)
    predicted = probabilities.argmax(axis=1)
    found = score(expected, predicted, probabilities)
    assert found.accuracy == pytest.approx((predicted == expected).mean())
    assert found.macro_f1 == pytest.approx(metrics.f1_score(expected, predicted, average="macro"))
    assert found.micro_f1 == pytest.approx(found.accuracy)
    assert found.log_loss == pytest.approx(metrics.log_loss(expected, probabilities))
    assert found.calibration_error == calibration_error(expected, probabilities)


def test_scores_of_several_labels_a_text(draw_rows):
    probabilities, expected = draw_rows(200)
    predicted = (probabilities > 0.5).astype(int)
    found = score(expected, predicted, probabilities)
    assert found.accuracy == pytest.approx((predicted == expected).all(axis=1).mean())
    assert found.macro_f1 == pytest.approx(metrics.f1_score(expected, predicted, average="macro"))
    assert found.micro_f1 == pytest.approx(metrics.f1_score(expected, predicted, average="micro"))
    losses = [metrics.log_loss(expected[:, label], probabilities[:, label]) for label in range(3)]
    assert found.log_loss == pytest.approx(np.mean(losses))


def test_a_label_that_is_nowhere_has_no_share_in_macro_f1():
    expected = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 1]])
    assert score(expected, expected, None).macro_f1 == 1.0
    predicted = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0]])
    assert score(expected, predicted, None).macro_f1 == pytest.approx(1 / 3)  # right, predicted in vain, missed
    nothing = np.zeros((2, 3), dtype=int)
    assert score(nothing, nothing, None).macro_f1 == score(nothing, nothing, None).micro_f1 == 1.0


def test_without_probabilities_there_is_nothing_to_say_of_them():
    found = score(np.array([0, 1]), np.array([0, 0]), None)
    assert (found.accuracy, found.log_loss, found.calibration_error) == (0.5, None, None)
    assert found.macro_f1 == pytest.approx(1 / 3)


def test_what_was_given_no_probability_costs_much_and_not_everything():
    found = log_loss(np.array([1, 0]), np.array([[1.0, 0.0], [1.0, 0.0]], dtype=np.float32))
    assert found == pytest.approx(-math.log(LEAST_PROBABILITY) / 2)
    several = log_loss(np.array([[0, 1]]), np.array([[1.0, 1.0]]))
    assert several == pytest.approx(-math.log(LEAST_PROBABILITY) / 2)


def test_bins_by_hand():
    probabilities = np.array([[0.5, 0.5], [0.1, 0.9], [0.05, 0.95], [1.0, 0.0]])
    found = reliability(np.array([0, 1, 0, 0]), probabilities, bins=2)
    # A confidence on a bound belongs to the bin below it.
    assert found.edges.tolist() == [0, 0.5, 1]
    assert found.counts.tolist() == [1, 3]
    np.testing.assert_allclose(found.confidence, [0.5, 2.85 / 3])
    np.testing.assert_allclose(found.accuracy, [1, 2 / 3])
    assert found.calibration_error == pytest.approx((0.5 + 0.85) / 4)


def test_each_label_of_a_text_is_a_prediction_of_its_own():
    found = reliability(np.array([[0, 1], [1, 1]]), np.array([[0.0, 0.8], [0.6, 0.8]]), bins=5)
    assert found.counts.tolist() == [1, 0, 1, 2, 0]
    assert np.isnan(found.accuracy[[1, 4]]).all()
    np.testing.assert_allclose(found.accuracy[[0, 2, 3]], [0, 1, 1])
    assert found.calibration_error == pytest.approx((0 + 0.4 + 2 * 0.2) / 4)


@pytest.mark.parametrize("drawn", ["draw", "draw_rows"])
def test_probabilities_that_come_true_have_no_error(drawn, request):
    probabilities, expected = request.getfixturevalue(drawn)(20_000)
    assert calibration_error(expected, probabilities) < 0.01
    assert calibration_error(expected, probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)) > 0.05


def test_a_single_label_of_several_is_no_problem_of_two_classes():
    expected, predicted = np.array([[1], [1], [0], [0], [0]]), np.array([[1], [0], [0], [0], [0]])
    found = score(expected, predicted, None)
    assert (found.accuracy, found.macro_f1, found.micro_f1) == pytest.approx((0.8, 2 / 3, 2 / 3))
