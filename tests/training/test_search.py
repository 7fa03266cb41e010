"""`Trainer.hyperparameter_search`: heads and parameters, on bodies that haven't seen what they are tested on."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import ArgumentError, HeadParameterError
from setfit_core.training import search as tuned_search

pytestmark = pytest.mark.slow

TEXTS = [
    "The goalkeeper saved a penalty",
    "Our striker scored twice",
    "The final went to five sets",
    "A fast lap on the track",
    "Add garlic and butter",
    "Stir the soup slowly",
    "Bake the bread for an hour",
    "This cake needs more sugar",
]
TOPICS = ["sport"] * 4 + ["food"] * 4
HEADS = ["logistic", "linear"]


@pytest.fixture
def trainer(static_body_factory):
    args = TrainingArguments(num_epochs=(1, 4), show_progress_bar=False)
    model = SetFitModel(static_body_factory(), "logistic")
    return Trainer(model, args, train_dataset=(TEXTS, TOPICS))


@pytest.fixture
def tunings(monkeypatch):
    """The texts that a body was tuned on, and the learning rate, for each time that one was."""
    seen = []
    train_body = tuned_search.train_body

    def counted(body, args, objective, train, *rest):
        seen.append((tuple(train.texts), objective.learning_rate))
        return train_body(body, args, objective, train, *rest)

    monkeypatch.setattr(tuned_search, "train_body", counted)
    return seen


def test_the_body_is_tuned_once_for_each_fold_without_its_test_texts(trainer, tunings):
    before = {name: value.clone() for name, value in trainer.model.model_body.state_dict().items()}
    found = trainer.hyperparameter_search(8, HEADS, folds=2)
    assert len(found.trials) == 8
    assert {trial.head for trial in found.trials} == set(HEADS)
    assert not [trial.error for trial in found.trials if trial.error]
    (first, _), (second, _) = tunings
    assert sorted([*first, *second]) == sorted(TEXTS)  # each fold's training texts are what the other one is tested on
    after = trainer.model.model_body.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert trainer.hyperparameter_search(8, HEADS, folds=2).best.recipe.params == found.best.recipe.params


def test_arguments_of_the_bodys_training_are_searched_for_when_asked(trainer, tunings):
    space = {"body_learning_rate": {"choices": [1e-5, 1e-3]}}
    found = trainer.hyperparameter_search(5, ["logistic"], spaces={"logistic": {}}, arguments=space, folds=2)
    assert {trial.arguments.get("body_learning_rate") for trial in found.trials} == {None, 1e-5, 1e-3}
    assert len(tunings) == 2 * 3  # for the trainer's own rate and the two that were drawn, whatever the trials were
    assert len({rate for _, rate in tunings}) == 3
    assert "body_learning_rate=" in str(found)
    trial = next(trial for trial in found.trials if trial.arguments)
    trainer.apply_hyperparameters(trial)
    assert trainer.args.body_learning_rate == (
        trial.arguments["body_learning_rate"],
        None,
    )  # the head phase keeps its own
    assert trial.to_json()["arguments"] == dict(trial.arguments)


def test_a_search_holds_on_to_few_bodies(trainer):
    alive = weakref.WeakSet()
    embed = tuned_search.FrozenInputs.of_texts

    class Watched(tuned_search.FrozenInputs):
        @classmethod
        def of_texts(cls, body, *arguments, **options):
            alive.add(body)
            gc.collect()
            assert len(alive) <= 3 * 2  # the given folds', the last ones' and those being made
            return embed(body, *arguments, **options)

    space = {"body_learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuned_search, "FrozenInputs", Watched)
        trainer.hyperparameter_search(6, ["logistic"], spaces={"logistic": {}}, arguments=space, folds=2)
    assert len(alive) >= 2


def test_differentiable_heads_are_trained_as_the_head_phase_would(trainer):
    def score(epochs):
        trainer.args = trainer.args.update({"num_epochs": (0, epochs)})
        return trainer.hyperparameter_search(1, ["linear"], folds=2).trials[0].score.mean

    assert score(1) > score(20)


def test_embeddings_are_scaled_as_the_model_has_it(trainer):
    def score(normalize):
        trainer.model.normalize_embeddings = normalize
        return trainer.hyperparameter_search(1, ["logistic"], folds=2).trials[0].score.mean

    assert score(True) != score(False)


def test_the_best_trial_is_applied_and_trained(trainer):
    found = trainer.hyperparameter_search(6, ["logistic"], spaces={"logistic": {"C": {"low": 0.1, "high": 10.0}}})
    trainer.apply_hyperparameters(found.best)
    assert trainer.model.model_head.get_params()["C"] == found.best.recipe.params.get("C", 1.0)
    trainer.train()
    assert trainer.model.predict(TEXTS) == TOPICS


def test_a_frozen_body_is_never_tuned(trainer, tunings):
    trainer.model.freeze("body")
    assert trainer.hyperparameter_search(2, HEADS, folds=2).best.score is not None
    assert tunings == []
    with pytest.raises(ArgumentError, match="the body is frozen"):
        trainer.hyperparameter_search(2, HEADS, arguments={"max_steps": {"low": 1, "high": 2}})


def test_weights_of_classes_count(trainer):
    def losses(**weights):
        trainer.args = trainer.args.update({"num_epochs": (0, 4), **weights})
        return [trial.score.mean for trial in trainer.hyperparameter_search(1, ["logistic"], folds=2).trials]

    assert not np.allclose(losses(), losses(class_weight={"sport": 20.0}))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"arguments": {"body_lr": {"low": 0.1, "high": 1}}},
            ArgumentError,
            "arguments has 'body_lr', which the",
        ),
        ({"arguments": {"body_learning_rate": {"low": -1, "high": 1}}}, ArgumentError, "body_learning_rate is -1"),
        ({"arguments": {"num_epochs": 3}}, ArgumentError, "search space of the training arguments has 3"),
        ({"arguments": {"head_learning_rate": {"low": 0.1, "high": 1}}}, ArgumentError, "the embedding phase alone"),
        ({"n_trials": 1}, ArgumentError, "n_trials is 1, but there are 2 heads"),
        ({"spaces": {"logistic": {"D": {"low": 1, "high": 2}}}}, HeadParameterError, "doesn't accept 'D'"),
    ],
)
def test_what_makes_no_sense_is_found_before_anything_is_tuned(options, error, message, trainer, tunings):
    with pytest.raises(error, match=message):
        trainer.hyperparameter_search(**{"n_trials": 4, "heads": HEADS, **options})
    assert tunings == []


def test_a_head_that_was_not_found_cannot_be_applied(trainer):
    found = trainer.hyperparameter_search(2, ["logistic", "no-such-head"], folds=2)
    with pytest.raises(ArgumentError, match="the trial of 'no-such-head' failed: No installed"):
        trainer.apply_hyperparameters(found.trials[1])
