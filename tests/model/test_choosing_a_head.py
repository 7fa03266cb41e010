"""`head="auto"` and `choose_head`: the training texts choose the head."""

import numpy as np
import pytest

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import ArgumentError, HeadError, InputError, UnfittedHeadError

HEADS = ["linear", "logistic", ("logistic", {"C": 1e-9}), "no.such:Head"]
QUIET = TrainingArguments(num_epochs=(1, 4), show_progress_bar=False)


@pytest.fixture
def model(body):
    return SetFitModel(body, "auto", head_params={"heads": HEADS, "metric": "log_loss"}, random_state=0)


def test_training_chooses_before_the_body_is_tuned_and_says_why(model, texts, topics, capsys, body):
    untuned = model.encode(texts)
    trainer = Trainer(model, TrainingArguments(num_epochs=(1, 4)), train_dataset=(texts, topics))
    trainer.train()
    choice = model.head_choice
    assert choice.best.recipe.factory is type(model.model_head)
    assert choice.why in capsys.readouterr().err
    assert [row.name for row in choice.rows if row.error] == ["no.such:Head"]
    assert choice.rows[-2].name == "logistic (C=1e-09)"
    assert not np.allclose(model.encode(texts), untuned)  # and yet the choice was made on the untuned embeddings:
    again = SetFitModel(body, "auto", head_params={"heads": HEADS, "metric": "log_loss"}, random_state=0)
    assert str(again.choose_head(texts, topics).rows[0].log_loss) != str(choice.rows[0].log_loss)
    assert model.predict(texts) == topics


def test_the_chosen_head_stays_until_another_takes_its_place(model, texts, topics, tmp_path):
    model.fit(texts, topics, show_progress_bar=False)
    chosen, choice = model.model_head, model.head_choice
    model.fit(texts[:8], topics[:8], show_progress_bar=False)
    assert type(model.model_head) is type(chosen)
    assert model.head_choice is choice
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"))
    assert type(loaded.model_head) is type(chosen)
    assert loaded.head_choice is None
    model.model_head = "logistic"
    assert model.head_choice is None


def test_any_model_can_choose_another_head(body, texts, topics):
    model = SetFitModel(body, "linear")
    model.fit(texts, topics, num_epochs=1, show_progress_bar=False)
    comparison = model.choose_head(texts, topics, [("logistic", {"C": 10.0}), ("logistic", {"C": 1e-9})])
    assert comparison is model.head_choice
    assert model.model_head.C == 10.0
    with pytest.raises(UnfittedHeadError):
        model.predict(texts)


def test_several_labels_a_text(body, texts, topics):
    rows = [[int(topic == name) for name in ("sport", "food")] for topic in topics]
    model = SetFitModel(body, "auto", "one-vs-rest", head_params={"heads": ["linear", "logistic"]})
    model.fit(texts, rows, show_progress_bar=False)
    assert model.predict_proba(texts).shape == (12, 2)
    assert model.head_choice.best.name in ("linear", "logistic")


def test_before_it_has_chosen_it_says_so(model, texts, topics, tmp_path):
    assert model.validate(texts, topics)[1].tolist() == [1] * 4 + [0] * 4 + [2] * 4
    with pytest.raises(UnfittedHeadError, match="has not been trained"):
        model.predict(texts)
    assert model.head_choice is None


@pytest.mark.parametrize(
    ("params", "labels", "error", "message"),
    [
        ({"heads": ["no-such-head"]}, None, HeadError, "No head could be tested on these texts"),
        ({"metric": "speed"}, None, ArgumentError, "metric is 'speed'"),
        ({"heads": []}, None, ArgumentError, "heads is empty"),
        ({"heads": ["logistic"]}, ["a"] * 12, InputError, "."),
    ],
)
def test_what_makes_a_choice_impossible_is_found_before_training(params, labels, error, message, body, texts, topics):
    before = body.state_dict()["0.embedding.weight"].clone()
    model = SetFitModel(body, "auto", head_params=params)
    with pytest.raises(error, match=message):
        Trainer(model, QUIET, train_dataset=(texts, labels or topics)).train()
    assert (body.state_dict()["0.embedding.weight"] == before).all()
    with pytest.raises(HeadError, match="doesn't accept 'head'"):
        SetFitModel(body, "auto", head_params={"head": "logistic"})
