"""Calibrations as functions of probabilities: what they mend, what they keep, and what is read of them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression

from setfit_core.evaluation.calibration import (
    Curve,
    Isotonic,
    Temperature,
    calibration_from_json,
    fit_calibration,
)
from setfit_core.evaluation.scores import log_loss


def sharpened(probabilities, power, *, multi_label=False):
    """Probabilities whose logits are `power` times as large."""
    raised = probabilities**power
    return raised / (raised + (1 - probabilities) ** power if multi_label else raised.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("drawn", ["draw", "draw_rows"])
@pytest.mark.parametrize("power", [0.4, 1, 3])
def test_the_temperature_is_the_one_that_was_taken_away(drawn, power, request):
    probabilities, expected = request.getfixturevalue(drawn)(8000)
    several = drawn == "draw_rows"
    off = sharpened(np.clip(probabilities, 0.01, 0.99), power, multi_label=several)
    calibration = fit_calibration("temperature", expected, off)
    assert calibration.value == pytest.approx(power, rel=0.06)
    calibrated = calibration.calibrated(off, multi_label=several)
    np.testing.assert_allclose(calibrated, sharpened(off, 1 / calibration.value, multi_label=several), atol=1e-4)


def test_rounding_beyond_1_is_saved_and_read():
    probabilities = np.array([[1 + 2e-7, -2e-7], [0.4, 0.6], [0.7, 0.3], [-1e-8, 1 + 1e-8]])
    calibration = fit_calibration("isotonic", np.array([0, 1, 1, 1]), probabilities)
    assert calibration_from_json(json.loads(json.dumps(calibration.to_json())), 2) == calibration


def test_no_other_temperature_has_a_lower_loss(draw):
    probabilities, expected = draw(5000)
    off = sharpened(probabilities, 2)
    best = fit_calibration("temperature", expected, off).value
    losses = [
        log_loss(expected, Temperature(value).calibrated(off, multi_label=False))
        for value in (best / 1.05, best, best * 1.05)
    ]
    assert min(losses) == losses[1]


def test_few_texts_that_are_all_right_do_not_make_certainty():
    probabilities = np.array([[0.7, 0.3], [0.3, 0.7]] * 10)
    calibrated = fit_calibration("temperature", np.array([0, 1] * 10), probabilities).calibrated(
        probabilities, multi_label=False
    )
    np.testing.assert_allclose(calibrated.max(axis=1), 21 / 22, atol=1e-3)


weights = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 4)), elements=st.floats(0, 1))


@given(weights, st.floats(0.01, 100), st.sampled_from([np.float32, np.float64]), st.floats(0, 1e-7))
def test_a_temperature_keeps_the_likeliest_label(weights, value, dtype, gap):
    weights[:, 1] = weights[:, 0] * (1 + gap)  # neighbours that rounding may make equal
    weights[weights.sum(axis=1) == 0] = 1
    probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)
    calibrated = Temperature(value).calibrated(probabilities, multi_label=False)
    assert calibrated.dtype == dtype
    assert calibrated.argmax(axis=1).tolist() == probabilities.argmax(axis=1).tolist()
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-6)


def test_isotonic_is_what_scikit_learn_fits(draw):
    probabilities, expected = draw(300)
    calibrated = fit_calibration("isotonic", expected, probabilities).calibrated(probabilities, multi_label=False)
    turned = np.stack(
        [
            IsotonicRegression(out_of_bounds="clip").fit(column, expected == label).predict(column)
            for label, column in enumerate(probabilities.T)
        ],
        axis=1,
    )
    np.testing.assert_allclose(calibrated, turned / turned.sum(axis=1, keepdims=True), atol=1e-12)


def test_isotonic_mends_what_a_temperature_can_not(draw_rows):
    probabilities, expected = draw_rows(8000)
    off = np.stack([column**power for column, power in zip(probabilities.T, (3, 1, 0.3), strict=True)], axis=1)
    losses = {}
    for method in ("temperature", "isotonic"):
        calibration = fit_calibration(method, expected[:4000], off[:4000])
        losses[method] = log_loss(expected[4000:], calibration.calibrated(off[4000:], multi_label=True))
    assert losses["isotonic"] < log_loss(expected[4000:], probabilities[4000:]) + 0.01 < losses["temperature"]


def test_a_text_that_isotonic_leaves_nothing_keeps_its_probabilities():
    calibration = Isotonic((Curve((0.5, 0.9), (0.0, 1.0)),) * 2)
    rows = np.array([[0.5, 0.5], [0.3, 0.7], [0.45, 0.55]], dtype=np.float32)
    np.testing.assert_allclose(calibration.calibrated(rows, multi_label=False), [[0.5, 0.5], [0, 1], [0, 1]])
    assert calibration.calibrated(rows, multi_label=False).dtype == np.float32


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_json_gives_back_the_same_bits(draw, method):
    probabilities, expected = draw(100)
    calibration = fit_calibration(method, expected, probabilities)
    again = calibration_from_json(json.loads(json.dumps(calibration.to_json())), 3)
    assert again == calibration
    assert again.method == method


POINTS = {"x": [0.1, 0.9], "y": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "the method of the calibration is None"),
        ({"method": ["isotonic"]}, "the method of the calibration is"),
        ({"method": "temperature"}, "the temperature of the calibration is None"),
        *(
            ({"method": "temperature", "temperature": value}, "no number from 0.01 to 100.0")
            for value in (0, -1.0, 1e-300, 1e300, 10**400, float("nan"), float("inf"), True, "1", [1.0])
        ),
        ({"method": "isotonic"}, "no list of 2 curves"),
        ({"method": "isotonic", "curves": [POINTS]}, "no list of 2 curves"),
        ({"method": "isotonic", "curves": [POINTS] * 3}, "no list of 2 curves"),
        ({"method": "isotonic", "curves": {"0": POINTS, "1": POINTS}}, "no list of 2 curves"),
        *(
            ({"method": "isotonic", "curves": [POINTS, curve]}, f"curve 1 of the calibration {said}")
            for curve, said in [
                ([0.1, 0.9], "isn't"),
                ({"x": [0.1]}, "isn't"),
                ({"x": [], "y": []}, "isn't"),
                ({"x": [0.1, 0.9], "y": [0.0]}, "isn't"),
                ({"x": [0.1, 1.5], "y": [0.0, 1.0]}, "isn't"),
                ({"x": [0.1, 0.9], "y": [0.0, float("nan")]}, "isn't"),
                ({"x": [0.1, 0.9], "y": [-0.1, 1.0]}, "isn't"),
                ({"x": [0.1, 0.9], "y": [False, True]}, "isn't"),
                ({"x": [[0.1], [0.9]], "y": [0.0, 1.0]}, "isn't"),
                ({"x": "01", "y": "01"}, "isn't"),
                ({"x": [0.9, 0.1], "y": [0.0, 1.0]}, "falls"),
                ({"x": [0.5, 0.5], "y": [0.0, 1.0]}, "falls"),
                ({"x": [0.1, 0.9], "y": [1.0, 0.0]}, "falls"),
            ]
        ),
    ],
)
def test_what_nobody_wrote_is_refused(content, said):
    with pytest.raises(ValueError, match=said):
        calibration_from_json(content, 2)
