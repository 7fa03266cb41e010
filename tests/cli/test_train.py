"""`setfit-core train`: a table becomes a model folder, or everything that is wrong is said before."""

import json

import pytest

from setfit_core import SetFitModel, refresh_heads

pytestmark = pytest.mark.slow


@pytest.fixture
def train(call, body_folder, tmp_path):
    """A function that trains on the static body, and returns the exit status, stdout and stderr."""

    def train(data, *options, out=tmp_path / "model", body=body_folder):
        return call("train", data, "--out", out, "--body", body, *options)

    return train


def test_a_model_is_trained_and_saved(train, train_file, test_file, tmp_path, write_csv):
    tests = write_csv(tmp_path / "eval.csv", ("text", "label"), [("The server lost its log", "tech"), ("Salt!", "new")])
    status, out, err = train(
        train_file, "--epochs", "1", "--seed", "7", "--arg", "batch_size=[4,4]", "--arg", "max_length=32",
        "--eval", tests, "--class-weight", "balanced", "--head-param", "C=2.5",
    )  # fmt: skip
    assert status == 0, err
    trained, evaluated, wrote = out.splitlines()
    assert trained == "Trained LogisticRegression on 12 texts with 3 labels: 'food', 'sport', 'tech'."
    assert evaluated == f"Evaluated on 2 texts of {tests}: accuracy 0.500, macro F1 0.333."
    assert wrote == f"Wrote {tmp_path / 'model'}."
    model = SetFitModel.from_pretrained(tmp_path / "model")
    assert model.model_head.get_params()["C"] == 2.5
    record = model.card_facts.training
    assert record.embedding_phase["seed"] == 7
    assert record.embedding_phase["batch_size"] == 4
    assert record.embedding_phase["num_epochs"] == 1
    assert record.embedding_phase["max_length"] == 32
    assert record.head_phase["class_weight"] == "balanced"
    assert model.predict(["The goalkeeper won the match"]) == ["sport"]


def test_a_sample_a_class_on_a_frozen_body(train, train_file, body_folder, tmp_path):
    status, out, err = train(train_file, "--samples-per-class", "2", "--freeze-body", "--head", "linear")
    assert status == 0, err
    assert "on 6 texts" in out
    model = SetFitModel.from_pretrained(tmp_path / "model")
    assert model.has_differentiable_head
    assert model.card_facts.training.embedding_phase is None


def test_several_labels_a_text(train, tmp_path, write_csv, call):
    rows = [("ball and goal", "sport"), ("soup and salt", "food"), ("soup at the goal", "sport|food"), ("server", "")]
    data = write_csv(tmp_path / "several.csv", ("text", "labels"), rows)
    assert train(data, "--multi-label", "--freeze-body")[0] == 0
    model = SetFitModel.from_pretrained(tmp_path / "model")
    assert model.multi_target_strategy == "one-vs-rest"
    assert model.labels == ["food", "sport"]
    # Evaluation and prediction know it from the model.
    status, out, _ = call("evaluate", tmp_path / "model", data, "--json")
    assert status == 0
    assert [row["texts"] for row in json.loads(out)["labels"]] == [2, 2]
    _, out, _ = call("predict", tmp_path / "model", data, "--to", "jsonl", "--label-column", "found", "--probabilities")
    found = [json.loads(line) for line in out.splitlines()]
    assert found[0]["labels"] == "sport"
    for row in found:
        assert row["found"] == [name for name in ("food", "sport") if row[f"probability {name}"] > 0.5]


def test_a_trained_model_lends_its_body(train, train_file, model_folder, tmp_path):
    status, _, err = train(train_file, "--freeze-body", "--head", "linear", body=model_folder)
    assert status == 0, err
    assert SetFitModel.from_pretrained(tmp_path / "model").has_differentiable_head


def test_nothing_is_replaced_unless_asked_for(train, train_file, tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    for options in ((), ("--overwrite",)):
        status, _, err = train(train_file, *options)
        assert (status, "holds files but no model" in err) == (1, True)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    (out / "notes.txt").rename(out / "modules.json")
    status, _, err = train(train_file)
    assert status == 1
    assert err == f"Error: {out} holds a model already. Name another folder, or replace it: --overwrite.\n"
    assert train(train_file, "--overwrite", "--freeze-body")[0] == 0
    assert SetFitModel.from_pretrained(out).labels == ["food", "sport", "tech"]
    for place in (train_file, train_file / "below" / "it"):
        status, _, err = train(train_file, out=place)
        assert (status, f"{train_file} is no folder" in err) == (1, True)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--head", "logistics"), 1, "Did you mean 'logistic'"),
        (("--head-param", "Cc=1"), 1, "doesn't accept 'Cc'"),
        (("--head-param", "C"), 2, "'C' is not of the form NAME=VALUE"),
        (("--arg", "num_epoch=3"), 2, "'num_epoch' is no training argument. Did you mean 'num_epochs'"),
        (("--arg", "end_to_end=maybe"), 2, "end_to_end is 'maybe'. It is true or false."),
        (("--arg", "num_epochs=[1,2,3]"), 2, "It is an integer or a pair such as [1, 2]."),
        (("--arg", "loss=CosineSimilarityLoss"), 2, "'loss' is an object of Python"),
        (("--arg", "seed=3"), 2, "'seed' is given by an option of its own"),
        (("--arg", "sampling_strategy=over"), 1, "It is one of 'oversampling'"),
        (("--arg", "l2_weight=-1"), 1, "l2_weight is -1"),
        (("--class-weight", "even"), 2, "'even'"),
        (("--text-column", "txt"), 1, "no column 'txt'. Did you mean 'text'"),
        (("--eval", "nowhere.csv"), 1, "nowhere.csv can't be read"),
        (("--body", "./nowhere"), 1, "There is no folder nowhere"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(train, train_file, tmp_path, options, status, said):
    found, out, err = train(train_file, *options)
    assert (found, out) == (status, "")
    assert said in err
    assert err.splitlines()[-1].startswith("Error: ")
    assert list(tmp_path.iterdir()) == []


def test_the_texts_choose_the_head(train, train_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SETFIT_HEADS_ALLOW", "logistic,linear")
    refresh_heads()
    try:
        status, out, err = train(train_file, "--head", "auto", "--freeze-body")
    finally:
        monkeypatch.undo()
        refresh_heads()
    assert status == 0, err
    why, _, _ = out.splitlines()
    assert " was chosen: it " in why
    assert SetFitModel.from_pretrained(tmp_path / "model").labels == ["food", "sport", "tech"]


BROKEN = """
class Head:
    def __init__(self):
        raise RuntimeError("unwell\\n  since today")
    def fit(self, embeddings, labels): ...
    def predict(self, embeddings): ...
    def predict_proba(self, embeddings): ...
"""


def test_a_bug_of_a_plugin_is_one_line(train, train_file, tmp_path, monkeypatch):
    (tmp_path / "unwell_head.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, err = train(train_file, "--head", "unwell_head:Head")
    assert (status, out) == (1, "")
    assert err == (
        "Error: RuntimeError: unwell since today. That is a bug, here or in a plugin: run again with --debug for the "
        "traceback.\n"
    )
    with pytest.raises(RuntimeError, match="unwell"):
        train(train_file, "--head", "unwell_head:Head", "--debug")
    assert not (tmp_path / "model").exists()


def test_one_label_is_not_enough(train, tmp_path, write_csv):
    data = write_csv(tmp_path / "one.csv", ("text", "label"), [("a", "x"), ("b", "x")])
    status, _, err = train(data)
    assert (status, len(err.splitlines())) == (1, 1)
    assert "All 2 training texts have the label 'x'" in err


UNSAVABLE = """
import pathlib, numpy
class Head:
    def fit(self, embeddings, labels):
        self.classes_ = numpy.unique(labels)
        self.learned = (row for row in embeddings)
        with pathlib.Path(__file__).with_name("fits.txt").open("a") as log:
            log.write("fit\\n")
    def predict(self, embeddings):
        return numpy.zeros(len(embeddings), dtype=int)
    def predict_proba(self, embeddings):
        return numpy.tile([1.0, 0.0, 0.0], (len(embeddings), 1))
"""


def test_a_head_that_could_not_be_saved_is_found_before_training(train, train_file, tmp_path, monkeypatch):
    (tmp_path / "unsavable_head.py").write_text(UNSAVABLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    status, out, err = train(train_file, "--head", "unsavable_head:Head")
    assert (status, out) == (1, "")
    assert "The head unsavable_head.Head can't be saved" in err
    assert (tmp_path / "fits.txt").read_text() == "fit\n"  # a copy alone; neither the body nor the head was trained
    assert not (tmp_path / "model").exists()
