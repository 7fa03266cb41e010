"""Checkpoints, and the choice of the best body."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer import losses
from sklearn.linear_model import LogisticRegression
from transformers import EarlyStoppingCallback, TrainerCallback

from setfit_core import SetFitModel
from setfit_core.errors import ArgumentError, UnsavableHeadError

pytestmark = pytest.mark.slow

SAVING = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": None, "max_steps": 6, "batch_size": 4}


class Steps(TrainerCallback):
    """The steps that were done."""

    def __init__(self):
        self.done = []

    def on_step_end(self, args, state, control, **_):
        self.done.append(state.global_step)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def weights(model):
    return next(model.model_body.parameters()).detach().clone()


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_a_checkpoint_is_a_model_and_the_last_one_the_model_itself(trainer, texts, topics, tmp_path, head):
    made = trainer(head, **SAVING)
    made.train()
    folder = tmp_path / "checkpoints"
    assert names(folder) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    expected = made.model.predict_proba(texts, as_numpy=True)
    last, first = (SetFitModel.from_pretrained(folder / f"checkpoint-{step}") for step in (6, 2))
    assert np.array_equal(last.predict_proba(texts, as_numpy=True), expected)
    assert not np.array_equal(first.predict_proba(texts, as_numpy=True), expected)
    assert first.labels == ["food", "sport"]
    assert first.predict(texts) == topics
    assert "| `max_steps` | `6` |" in (folder / "checkpoint-2" / "README.md").read_text()


def test_a_checkpoint_leaves_the_models_own_head_alone(trainer):
    head = LogisticRegression()
    made = trainer(head, **SAVING)
    made.train_embeddings()
    assert not hasattr(head, "coef_")
    assert made.model.labels is None


def test_training_goes_on_after_the_last_checkpoint(trainer, static_body_factory, tmp_path):
    undisturbed = trainer(**SAVING)
    undisturbed.train()
    for step in (4, 6):
        (tmp_path / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json").unlink()
    steps = Steps()
    resumed = trainer(model=SetFitModel(static_body_factory()), callbacks=[steps], **SAVING)
    resumed.train(resume_from_checkpoint=True)
    assert steps.done == [3, 4, 5, 6]
    assert resumed.embedding_work.steps == 4
    assert torch.equal(weights(resumed.model), weights(undisturbed.model))
    assert [log["step"] for log in resumed.log_history if "embedding_loss" in log] == [1]


def test_after_the_last_step_only_the_head_is_left_to_train(trainer, static_body_factory, texts, tmp_path):
    undisturbed = trainer(**SAVING)
    undisturbed.train()
    steps = Steps()
    resumed = trainer(model=SetFitModel(static_body_factory()), callbacks=[steps], **SAVING)
    resumed.train(resume_from_checkpoint=tmp_path / "checkpoints" / "checkpoint-6")
    assert steps.done == []
    expected = undisturbed.model.predict_proba(texts, as_numpy=True)
    assert np.array_equal(resumed.model.predict_proba(texts, as_numpy=True), expected)


def test_without_a_checkpoint_training_begins_at_the_beginning(trainer, caplog):
    steps = Steps()
    with caplog.at_level(logging.INFO, logger="setfit_core"):
        trainer(callbacks=[steps], **SAVING).train(resume_from_checkpoint=True)
    assert steps.done == [1, 2, 3, 4, 5, 6]
    assert "There is no checkpoint in" in caplog.text


def test_a_checkpoint_of_another_training_is_refused_before_the_first_step(trainer, texts, topics, tmp_path):
    trainer(**SAVING).train()
    steps = Steps()
    other = trainer(callbacks=[steps], **{**SAVING, "batch_size": 6})
    with pytest.raises(
        ArgumentError, match=r"checkpoint-6 belongs to another training: batch_size was 4 and is 6\. Go"
    ):
        other.train(resume_from_checkpoint=True)
    same = trainer(callbacks=[steps], **SAVING)
    with pytest.raises(ArgumentError, match="the texts or labels differ"):
        same.train_embeddings(texts, topics[::-1], resume_from_checkpoint=True)
    with pytest.raises(ArgumentError, match="which is no checkpoint: there is no trainer_state.json"):
        same.train(resume_from_checkpoint=tmp_path)
    assert steps.done == []


def test_checkpoints_of_another_training_are_neither_taken_nor_removed(trainer, tmp_path):
    trainer(**SAVING).train()
    other = trainer(**{**SAVING, "save_steps": 3, "save_total_limit": 1, "seed": 1, "max_steps": 3})
    other.train()
    assert names(tmp_path / "checkpoints") == [f"checkpoint-{step}" for step in (2, 3, 4, 6)]
    steps = Steps()
    again = trainer(callbacks=[steps], **SAVING)
    again.train(resume_from_checkpoint=True)
    assert steps.done == []


def test_a_head_that_cant_be_saved_or_copied_is_refused_before_the_first_step(trainer):
    class Unsavable(LogisticRegression):
        """Of no module that could be found again."""

    class Uncopyable(LogisticRegression):
        def __deepcopy__(self, memo):
            raise TypeError("not this one")

    steps = Steps()
    with pytest.raises(UnsavableHeadError):
        trainer(Unsavable(), callbacks=[steps], **SAVING).train()
    with pytest.raises(ArgumentError, match=r"can't be copied .*leave out save_strategy"):
        trainer(Uncopyable(), callbacks=[steps], **SAVING).train()
    assert steps.done == []


class Script:
    """A metric whose values are written down beforehand; the first call is the look at its names."""

    def __init__(self, *values):
        self.values = [0.0, *values]

    def __call__(self, predicted, expected):
        assert predicted.shape == expected.shape
        return {"score": self.values.pop(0), "other": 0.5}


BEST = {
    **SAVING,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "max_steps": 12,
    "metric_for_best_model": "score",
    "load_best_model_at_end": True,
}


def test_the_best_body_is_the_one_with_the_best_metric(trainer, texts, topics, tmp_path):
    made = trainer(eval_dataset=(texts, topics), metric=Script(0.5, 0.7, 0.9, 0.8, 0.9, 0.1), **BEST)
    made.train()
    best = SetFitModel.from_pretrained(tmp_path / "checkpoints" / "checkpoint-6")
    assert torch.equal(weights(made.model), weights(best))
    expected = best.predict_proba(texts, as_numpy=True)
    assert np.array_equal(made.model.predict_proba(texts, as_numpy=True), expected)
    scores = [log["eval_score"] for log in made.log_history if "eval_score" in log]
    assert scores == [0.5, 0.7, 0.9, 0.8, 0.9, 0.1]


def test_the_best_body_is_saved_wherever_the_next_checkpoint_would_be(trainer, texts, topics, tmp_path):
    settings = {**BEST, "eval_steps": 1, "save_steps": 4, "max_steps": 4}
    made = trainer(eval_dataset=(texts, topics), metric=Script(0.5, 0.6, 0.9, 0.8), **settings)
    made.train()
    assert names(tmp_path / "checkpoints") == [f"checkpoint-{step}" for step in (1, 2, 3, 4)]
    best = SetFitModel.from_pretrained(tmp_path / "checkpoints" / "checkpoint-3")
    assert torch.equal(weights(made.model), weights(best))


def test_the_best_body_is_found_from_another_working_directory(
    trainer, static_body_factory, texts, topics, tmp_path, monkeypatch
):
    settings = {**BEST, "metric_for_best_model": "accuracy", "save_total_limit": 1, "max_steps": 6}
    monkeypatch.chdir(tmp_path)
    undisturbed = trainer(eval_dataset=(texts, topics), output_dir="out", **settings)
    undisturbed.train()
    assert names(tmp_path / "out") == ["checkpoint-2", "checkpoint-6"]  # the first one is as good as any
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    resumed = trainer(
        model=SetFitModel(static_body_factory()),
        eval_dataset=(texts, topics),
        output_dir=str(tmp_path / "out"),
        **settings,
    )
    resumed.train(resume_from_checkpoint=True)
    assert names(tmp_path / "out") == ["checkpoint-2", "checkpoint-6"]
    assert torch.equal(weights(resumed.model), weights(undisturbed.model))


def test_a_loss_goes_on_with_its_own_weights(trainer, static_body_factory, tmp_path):
    settings = {**SAVING, "loss": lambda body: losses.SoftmaxLoss(body, 256, 2)}
    undisturbed = trainer(**settings)
    undisturbed.train()
    for step in (4, 6):
        (tmp_path / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json").unlink()
    resumed = trainer(model=SetFitModel(static_body_factory()), **settings)
    resumed.train(resume_from_checkpoint=True)
    assert torch.equal(weights(resumed.model), weights(undisturbed.model))


def test_a_checkpoint_of_another_kind_of_body_is_refused(trainer, minilm_path):
    trainer(**SAVING).train()
    steps = Steps()
    other = trainer(model=SetFitModel.from_pretrained(minilm_path), callbacks=[steps], **SAVING)
    with pytest.raises(ArgumentError, match="it trains a body of another size or kind"):
        other.train(resume_from_checkpoint=True)
    assert steps.done == []


def test_a_trainer_that_was_interrupted_goes_on_itself(trainer, static_body_factory, tmp_path):
    class Interrupt(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 5:
                raise KeyboardInterrupt

    undisturbed = trainer(model=SetFitModel(static_body_factory()), output_dir=str(tmp_path / "other"), **SAVING)
    undisturbed.train()
    made = trainer(callbacks=[Interrupt()], **SAVING)
    with pytest.raises(KeyboardInterrupt):
        made.train()
    made.remove_callback(Interrupt)
    made.train(resume_from_checkpoint=True)
    assert torch.equal(weights(made.model), weights(undisturbed.model))


def test_going_on_from_elsewhere_removes_no_checkpoint(trainer, static_body_factory, tmp_path):
    trainer(**SAVING).train()
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "checkpoint-2", tmp_path / "copy")
    seen = []

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            seen.extend(names(folder))

    settings = {**SAVING, "save_total_limit": 3}
    made = trainer(model=SetFitModel(static_body_factory()), callbacks=[Look()], **settings)
    made.train(resume_from_checkpoint=tmp_path / "copy")
    assert seen == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


def test_a_smaller_value_can_be_better(trainer, texts, topics, tmp_path):
    metric = Script(0.5, 0.2, 0.9, 0.8, 0.9, 0.6)
    made = trainer(eval_dataset=(texts, topics), metric=metric, greater_is_better=False, **BEST)
    made.train()
    best = SetFitModel.from_pretrained(tmp_path / "checkpoints" / "checkpoint-4")
    assert torch.equal(weights(made.model), weights(best))


def test_training_stops_early_when_the_metric_does_not_rise(trainer, texts, topics):
    steps = Steps()
    callbacks = [EarlyStoppingCallback(early_stopping_patience=2), steps]
    metric = Script(0.5, 0.7, 0.6, 0.7, 0.9, 0.9)
    made = trainer(eval_dataset=(texts, topics), metric=metric, callbacks=callbacks, **BEST)
    made.train()
    assert steps.done[-1] == 8


def test_where_training_stops_early_there_is_a_checkpoint(trainer, texts, topics, tmp_path):
    callbacks = [EarlyStoppingCallback(early_stopping_patience=1)]
    settings = {**BEST, "save_steps": 12, "eval_steps": 1, "load_best_model_at_end": False}
    made = trainer(eval_dataset=(texts, topics), metric=Script(0.5, 0.7, 0.6), callbacks=callbacks, **settings)
    made.train()
    assert names(tmp_path / "checkpoints") == ["checkpoint-3"]


def test_numpys_numbers_are_numbers(trainer, texts, topics):
    def score(predicted, expected):
        return {"score": np.float32((predicted == expected).mean())}

    made = trainer(eval_dataset=(texts, topics), metric=score, **{**BEST, "max_steps": 2})
    made.train()
    assert [log["eval_score"] for log in made.log_history if "eval_score" in log] == [1.0]


def test_what_a_callback_asks_for_in_vain_is_said(trainer, caplog):
    class Asking(TrainerCallback):
        def __init__(self, what):
            self.what = what

        def on_step_end(self, args, state, control, **_):
            setattr(control, self.what, True)

    trainer(callbacks=[Asking("should_save")], max_steps=1).train()
    assert "save_strategy is 'no': none is written" in caplog.text
    with pytest.raises(ArgumentError, match="there is no data for it: give eval_dataset"):
        trainer(callbacks=[Asking("should_evaluate")], max_steps=1).train()


def test_what_the_metric_measures_is_that_of_the_checkpoints_head(trainer, texts, topics, tmp_path):
    held_out = (
        ["A striker and a goalkeeper", "Garlic soup", "The final penalty", "Bake with sugar"],
        ["sport", "food"] * 2,
    )
    made = trainer(eval_dataset=held_out, **{**BEST, "metric_for_best_model": "accuracy"})
    made.train()
    for log in made.log_history:
        if "eval_accuracy" in log:
            model = SetFitModel.from_pretrained(tmp_path / "checkpoints" / f"checkpoint-{log['step']}")
            assert log["eval_accuracy"] == np.mean(np.array(model.predict(held_out[0])) == held_out[1])
            assert log["eval_embedding_loss"] > 0


@pytest.mark.parametrize(
    ("metric", "name", "message"),
    [
        ("accuracy", "f1", r"'f1', which is missing .*\(accuracy\)\. Pass Trainer\(metric='f1'\)"),
        (lambda *_: {"score": [0.5]}, "score", "'score', which is a list among"),
    ],
)
def test_a_metric_that_is_not_measured_is_refused_before_the_first_step(trainer, texts, topics, metric, name, message):
    steps = Steps()
    settings = {**BEST, "metric_for_best_model": name}
    made = trainer(eval_dataset=(texts, topics), metric=metric, callbacks=[steps], **settings)
    with pytest.raises(ArgumentError, match=message):
        made.train()
    assert steps.done == []
