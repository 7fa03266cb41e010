"""`head="auto"` and `choose_head`: the training texts choose the head."""

import numpy as np
import pytest

from setfit_core import SetFitModel, Trainer, TrainingArguments, compare_heads
from setfit_core.errors import (
    ArgumentError,
    HeadError,
    InputError,
    LabelError,
    UnfittedHeadError,
    UnsavableHeadError,
)

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


def test_what_keeps_training_from_starting_leaves_the_choice_open(model, texts, topics):
    with pytest.raises(ArgumentError, match="sample_weight has 1 weights"):
        model.fit(texts, topics, sample_weight=[1.0])
    args = QUIET.update({"class_weight": {"sprot": 2.0}})
    with pytest.raises(LabelError, match="'sprot'"):
        Trainer(model, args, train_dataset=(texts, topics)).train()
    assert repr(model.model_head).startswith("AutoHead")


def test_logistic_stays_unless_another_is_clearly_better(body, texts, topics):
    heads = ["logistic", "linear", "prototype"]
    model = SetFitModel(body, "auto", head_params={"heads": heads})
    plain = compare_heads(model, texts, topics, heads)
    assert plain.best.name == "prototype"
    assert model.choose_head(texts, topics).best.name == "logistic"
    assert "is the incumbent" in model.head_choice.why
    assert model.choose_head(texts, topics, heads[1:]).best.name != "logistic"


def test_labels_that_were_learnt_do_not_bind_the_next_choice(body, texts, topics):
    model = SetFitModel(body, "logistic")
    model.fit(texts[:8], topics[:8])
    assert model.choose_head(texts, topics, ["logistic"]).texts == 12  # with a third label


def test_a_frozen_head_stays_frozen(body, texts, topics):
    model = SetFitModel(body, "linear")
    model.freeze("head")
    model.choose_head(texts, topics, ["linear"])
    assert not any(parameter.requires_grad for parameter in model.model_head.parameters())


def test_before_it_has_chosen_it_says_so(model, texts, topics, tmp_path):
    with pytest.raises(UnsavableHeadError, match="No head has been chosen yet"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert model.validate(texts, topics)[1].tolist() == [1] * 4 + [0] * 4 + [2] * 4
    with pytest.raises(UnfittedHeadError, match="has not been trained"):
        model.predict(texts)
    assert model.head_choice is None


@pytest.mark.parametrize(
    ("params", "labels", "error", "message"),
    [
        ({"heads": ["no-such-head"]}, None, HeadError, "No head could be tested on these texts"),
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


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"head": "logistic"}, "doesn't accept 'head'"),
        ({"metric": "speed"}, "metric is 'speed'"),
        ({"heads": "logistic"}, r"Give a list of heads, such as \['logistic'\]"),
    ],
)
def test_what_makes_no_sense_is_found_at_once(params, message, body):
    with pytest.raises(HeadError, match=message):
        SetFitModel(body, "auto", head_params=params)
