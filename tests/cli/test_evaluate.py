"""`setfit-core evaluate`: scores, by label too."""

import json

import numpy as np
import pytest

from setfit_core import SetFitModel

pytestmark = pytest.mark.slow


def test_scores_are_those_of_the_model(call, model_folder, test_file):
    status, out, err = call("evaluate", model_folder, test_file, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert (told["texts"], told["accuracy"], told["macro_f1"]) == (3, 1.0, 1.0)
    assert told["labels"] == [
        {"label": label, "texts": 1, "precision": 1.0, "recall": 1.0, "f1": 1.0} for label in ("food", "sport", "tech")
    ]
    texts = [line.split(",")[1] for line in test_file.read_text(encoding="utf-8").splitlines()[1:]]
    sure = SetFitModel.from_pretrained(model_folder).predict_proba(texts, as_numpy=True).max(axis=1)
    assert told["log_loss"] == pytest.approx(-np.log(sure).mean(), abs=1e-5)

    _, out, _ = call("evaluate", model_folder, test_file)
    assert f"log loss           {told['log_loss']:.3f}\n" in out
    assert "sport  1      1.000      1.000   1.000\n" in out
    assert "micro" not in out  # it is the accuracy


def test_labels_that_the_model_does_not_know_are_mistakes(call, model_folder, tmp_path, write_csv):
    data = write_csv(tmp_path / "a.csv", ("text", "label"), [("The team won the cup", "sport"), ("Rain", "weather")])
    status, out, _ = call("evaluate", model_folder, data, "--json")
    told = json.loads(out)
    assert (status, told["accuracy"]) == (0, 0.5)
    assert told["log_loss"] > 5  # the label that was impossible


def test_integers_and_booleans_of_csv_are_those_of_the_model(call, body_folder, tmp_path, write_csv):
    rows = [("goal and ball", 1), ("soup and salt", 20), ("a goal", 1), ("a soup", 20)]
    data = write_csv(tmp_path / "numbers.csv", ("text", "label"), rows)
    assert call("train", data, "--out", tmp_path / "model", "--body", body_folder, "--freeze-body")[0] == 0
    assert SetFitModel.from_pretrained(tmp_path / "model").labels == [1, 20]
    for column in ("1", '"1"'):
        (tmp_path / "one.jsonl").write_text(f'{{"text": "goal", "label": {column}}}\n')
        _, out, err = call("evaluate", tmp_path / "model", tmp_path / "one.jsonl", "--json")
        assert json.loads(out)["accuracy"] == 1.0, err


def test_the_reliability_plot(call, model_folder, test_file, tmp_path):
    file = tmp_path / "reliability.png"
    assert call("evaluate", model_folder, test_file, "--reliability-plot", file)[0] == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    status, _, err = call("evaluate", model_folder, test_file, "--reliability-plot", file)
    assert (status, "--overwrite" in err) == (1, True)
    status, _, err = call("evaluate", model_folder, test_file, "--reliability-plot", tmp_path / "plot.txt")
    assert (status, "Name a .png" in err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["reliability.png"]


def test_a_head_without_probabilities(call, body_folder, train_file, test_file, tmp_path):
    options = ("--body", body_folder, "--freeze-body", "--head", "sklearn.svm:LinearSVC")
    assert call("train", train_file, "--out", tmp_path / "model", *options)[0] == 0
    told = json.loads(call("evaluate", tmp_path / "model", test_file, "--json")[1])
    assert (told["accuracy"], told["log_loss"], told["calibration_error"]) == (1.0, None, None)
    assert "log loss           -\n" in call("evaluate", tmp_path / "model", test_file)[1]
    for command in [
        ("evaluate", tmp_path / "model", test_file, "--reliability-plot", tmp_path / "plot.png"),
        ("predict", tmp_path / "model", test_file, "--probabilities"),
    ]:
        status, out, err = call(*command)
        assert (status, out) == (1, "")
        assert "predict_proba" in err
    assert not (tmp_path / "plot.png").exists()


@pytest.mark.parametrize("labels", [["sport"], ["sport", "short"]])
def test_several_labels_a_text(call, body_folder, tmp_path, write_csv, labels):
    rows = [("goal and ball", "sport"), ("soup and salt", ""), ("a goal", "sport|short"), ("a soup", "short")]
    rows = [(text, "|".join(label for label in given.split("|") if label in labels)) for text, given in rows]
    data = write_csv(tmp_path / "several.csv", ("text", "label"), rows)
    texts, given = [text for text, _ in rows], [[label for label in row.split("|") if label] for _, row in rows]
    model = SetFitModel.from_pretrained(body_folder, multi_target_strategy="one-vs-rest", labels=labels, device="cpu")
    model.fit(texts, given)
    of_sport = model.predict_proba(texts, as_numpy=True)[:, 0]
    assert of_sport.argmax() in (0, 2)
    model.thresholds = {"sport": float(np.sort(of_sport)[-2])}  # the likeliest text alone
    folder = model.save_pretrained(tmp_path / "model")
    told = json.loads(call("evaluate", folder, data, "--json")[1])
    assert told["labels"][0] == {"label": "sport", "texts": 2, "precision": 1.0, "recall": 0.5, "f1": 2 / 3}
    predicted = model.predict(texts, use_labels=False, as_numpy=True)
    expected = model.label_columns(given)
    f1 = 2 * (expected & predicted).sum() / (expected.sum() + predicted.sum())
    assert told["micro_f1"] == pytest.approx(f1)
    assert f"micro F1           {f1:.3f}\n" in call("evaluate", folder, data)[1]


def test_a_body_alone_can_not_be_evaluated(call, body_folder, test_file):
    status, _, err = call("evaluate", body_folder, test_file)
    assert status == 1
    assert f"setfit-core train DATA --body {body_folder} --out DIR" in err
