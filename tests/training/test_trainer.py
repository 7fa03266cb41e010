"""The trainer: both phases, their logs, evaluation, and what is refused before the first step."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from sentence_transformers.sentence_transformer import losses
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from transformers import TrainerCallback

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import (
    ArgumentError,
    HeadError,
    HeadOutputError,
    InputError,
    LabelError,
    TooFewOutputsError,
)


def weights(body):
    return body[0].embedding.weight.detach().clone()


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_training_fine_tunes_the_body_and_fits_the_head(body, texts, topics, trainer, head):
    before = weights(body)
    run = trainer(head, num_epochs=(2, 16), body_learning_rate=1e-2)
    run.train()
    assert not torch.equal(weights(body), before)
    assert run.evaluate((texts, topics)) == {"accuracy": 1.0}
    losses = [entry["embedding_loss"] for entry in run.log_history if "embedding_loss" in entry]
    assert losses
    assert {"embedding_loss", "learning_rate", "epoch"} <= set(run.log_history[0])


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_each_phase_runs_alone(body, texts, topics, trainer, head):
    run = trainer(head)
    before = weights(body)
    run.train_classifier()
    assert torch.equal(weights(body), before)
    assert run.model.predict(texts[0]) == "sport"
    run.train_embeddings(args=TrainingArguments(max_steps=2, body_learning_rate=1e-2, save_strategy="no"))
    assert not torch.equal(weights(body), before)
    run.train_classifier(["ball", "bread"], ["a", "b"])
    assert run.model.labels == ["a", "b"]
    with pytest.raises(InputError, match="give both, or neither"):
        run.train_classifier(["ball"])


def test_a_frozen_body_skips_the_embedding_phase(body, texts, trainer):
    run = trainer()
    run.model.freeze("body")
    before = weights(body)
    run.train()
    assert torch.equal(weights(body), before)
    assert run.log_history == []
    assert run.model.predict(texts[0]) == "sport"


def test_zero_epochs_leave_a_phase_out(body, trainer):
    before = weights(body)
    trainer(num_epochs=(0, 4)).train()
    assert torch.equal(weights(body), before)


def test_the_same_seed_gives_the_same_model(static_body_factory, texts, topics, quiet):
    results = []
    for seed in (3, 3, 4):
        random.seed(seed * 7 + len(results))  # the caller's state must not matter
        np.random.seed(len(results))
        torch.manual_seed(len(results))
        model = SetFitModel(static_body_factory(), "linear")
        Trainer(model=model, args=quiet(seed=seed, max_steps=3), train_dataset=(texts, topics)).train()
        results.append((weights(model.model_body), model.predict_proba(texts)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])


def test_training_leaves_the_callers_random_state_alone(trainer):
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = draw()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    trainer("linear", max_steps=1).train()
    assert draw() == expected


class Recorder(TrainerCallback):
    """Records what the embedding phase tells callbacks."""

    def __init__(self):
        self.steps, self.logs, self.metrics = 0, [], []

    def on_step_end(self, args, state, control, **kwargs):
        self.steps += 1

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append(dict(logs))

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        self.metrics.append(dict(metrics))


def test_callbacks_hear_of_steps_logs_and_evaluations(trainer, texts, topics):
    recorder, added = Recorder(), Recorder()
    run = trainer(
        callbacks=[recorder],
        eval_dataset=(texts, topics),
        max_steps=4,
        logging_steps=2,
        eval_strategy="steps",
        eval_steps=2,
    )
    run.add_callback(added)
    run.train()
    assert recorder.steps == added.steps == 4
    assert "embedding_loss" in recorder.logs[0]
    assert [set(m) & {"eval_embedding_loss"} for m in recorder.metrics] == [{"eval_embedding_loss"}] * 2


def test_callbacks_are_added_by_class_and_taken_out_again(trainer):
    kept = Recorder()
    run = trainer(callbacks=[Recorder, kept], max_steps=1)
    taken = run.pop_callback(Recorder)
    assert isinstance(taken, Recorder)
    assert taken is not kept
    run.train()
    assert (taken.steps, kept.steps) == (0, 1)
    run.remove_callback(kept)
    assert run.pop_callback(Recorder) is None


def test_nothing_is_written_unless_asked_for(trainer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer(max_steps=1, output_dir="checkpoints").train()
    assert list(tmp_path.iterdir()) == []
    trainer(max_steps=2, output_dir="checkpoints", save_strategy="steps").train()
    assert (tmp_path / "checkpoints" / "checkpoint-2").is_dir()


def test_the_best_body_is_taken_and_checkpoints_are_kept(trainer, texts, topics, tmp_path):
    run = trainer(
        eval_dataset=(texts, topics),
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
    )
    run.train()
    assert list((tmp_path / "checkpoints").glob("checkpoint-*"))


def test_a_short_evaluation_is_a_fair_sample(body, trainer):
    evaluated = []

    class Count(TrainerCallback):
        def on_evaluate(self, args, state, control, metrics=None, **kwargs):
            evaluated.append(metrics["eval_embedding_loss"])

    # Sorted by label, as evaluation data often are: the first batches would be of one label, and of no loss at all.
    sport, food = ["a goal"] * 64, [f"soup {row}" for row in range(64)]
    for limit in (-1, 2):
        trainer(
            callbacks=[Count()],
            eval_dataset=(sport + food, ["sport"] * 64 + ["food"] * 64),
            max_steps=1,
            eval_strategy="steps",
            eval_steps=1,
            eval_max_steps=limit,
            body_learning_rate=1e-9,
        ).train_embeddings()
    whole, short = evaluated
    assert short == pytest.approx(whole, rel=0.3)


@pytest.mark.parametrize("labels", [["sport"] * 8, ["sport", "food"] * 4])
def test_evaluation_data_without_triplets_are_refused_before_training(trainer, texts, labels):
    run = trainer(eval_dataset=(texts, labels), eval_strategy="epoch", loss=losses.TripletLoss, max_steps=1, seed=3)
    if len(set(labels)) == 2:
        run.train_embeddings()
        return
    with pytest.raises(InputError, match="the evaluation texts have no such"):
        run.train_embeddings()
    assert run.embedding_work is None or run.embedding_work.steps == 0


@pytest.mark.parametrize("end_to_end", [False, True])
def test_end_to_end_trains_the_body_in_the_head_phase_and_only_then(body, trainer, end_to_end):
    run = trainer("linear", end_to_end=end_to_end, num_epochs=(0, 2), body_learning_rate=1e-2)
    before = weights(body)
    run.train()
    assert torch.equal(weights(body), before) is not end_to_end
    assert all(p.requires_grad for p in body.parameters())
    assert not body.training


def test_max_length_shortens_texts_in_training_only(body, minilm_path, texts, topics, quiet):
    from sentence_transformers import SentenceTransformer

    lengths = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(384, 2)

        def forward(self, features):
            lengths.append(features["input_ids"].shape[1])
            return {"logits": self.layer(features["sentence_embedding"])}

        def predict_proba(self, embeddings):
            return self.layer(embeddings).softmax(-1)

        def predict(self, embeddings):
            return self.layer(embeddings).argmax(-1)

        def get_loss_fn(self):
            return nn.CrossEntropyLoss()

    transformer = SentenceTransformer(str(minilm_path), device="cpu")
    limit = transformer.max_seq_length
    model = SetFitModel(transformer, Spy())
    args = quiet(max_length=4, num_epochs=(0, 1), batch_size=8)
    Trainer(model=model, args=args, train_dataset=(texts, topics)).train()
    assert lengths[-1] == 4
    assert transformer.max_seq_length == limit
    with pytest.raises(ArgumentError, match="reads at most 256"):
        Trainer(model=model, args=quiet(max_length=9999), train_dataset=(texts, topics)).train()


# Evaluation


@pytest.mark.parametrize(
    ("metric", "kwargs", "key"),
    [
        ("accuracy", {}, "accuracy"),
        ("f1", {"average": "macro"}, "f1"),
        ("matthews_correlation", {}, "matthews_correlation"),
        (lambda y_pred, y_test: {"same": float((y_pred == y_test).mean())}, {}, "same"),
        (lambda y_pred, y_test: float((y_pred == y_test).mean()), {}, "metric"),
    ],
)
def test_metrics_need_no_download(trainer, texts, topics, metric, kwargs, key):
    run = trainer(metric=metric, num_epochs=(0, 1))
    run.metric_kwargs = kwargs
    run.train()
    assert run.evaluate((texts, topics)) == {key: 1.0}
    assert run.evaluate((texts, topics), metric_key_prefix="test") == {f"test_{key}": 1.0}


def test_evaluation_takes_frames_data_sets_and_the_trainers_own_data(body, texts, topics, quiet):
    columns = {"sentence": texts, "topic": topics}
    run = Trainer(
        model=SetFitModel(body),
        args=quiet(num_epochs=(0, 1)),
        train_dataset=Dataset.from_dict(columns),
        eval_dataset=pd.DataFrame(columns),
        column_mapping={"sentence": "text", "topic": "label"},
    )
    run.train()
    assert run.evaluate() == {"accuracy": 1.0}
    assert run.evaluate(pd.DataFrame(columns)) == {"accuracy": 1.0}


def test_labels_that_training_did_not_have_count_as_mistakes(trainer, texts, topics, caplog):
    run = trainer(num_epochs=(0, 1))
    run.train()
    assert run.evaluate(([*texts, "a", "b"], [*topics, "politics", "law"])) == {"accuracy": 0.8}
    assert "'law', 'politics'" in caplog.text
    with pytest.raises(LabelError, match="row 0 is 'law'"):
        run.evaluate((["a"], ["law"]))


def test_wrong_metrics_are_refused(trainer, texts, topics):
    with pytest.raises(ArgumentError, match="Known are accuracy"):
        trainer(metric="acc")
    with pytest.raises(ArgumentError, match="metric is a int"):
        trainer(metric=3)
    run = trainer(metric="f1")
    run.train_classifier(texts, [*topics[:-1], "other"])
    with pytest.raises(ArgumentError, match="metric_kwargs={'average': 'macro'}"):
        run.evaluate((texts, [*topics[:-1], "other"]))
    with pytest.raises(InputError, match="nothing to evaluate on"):
        run.evaluate()


# What is wrong is found before the first step


class Unlearnable(LogisticRegression):
    """Refuses every fit."""

    def fit(self, X, y):
        raise RuntimeError("the moon is full")


class NoLogits(nn.Linear):
    """A torch head whose forward returns the wrong key."""

    def __init__(self, outputs=2):
        super().__init__(256, outputs)

    def forward(self, features):
        return {"scores": super().forward(features["sentence_embedding"])}

    def predict(self, embeddings):
        return super().forward(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        return super().forward(embeddings).softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


class BadLoss(NoLogits):
    """A torch head whose loss does not take class ids."""

    def forward(self, features):
        return {"logits": nn.Linear.forward(self, features["sentence_embedding"])}

    def get_loss_fn(self):
        return nn.BCEWithLogitsLoss()


class Wide(BadLoss):
    """A torch head that is right, and as wide as asked."""

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


@pytest.mark.parametrize(
    ("head", "labels", "error", "words"),
    [
        (LogisticRegression(C=-1), None, HeadError, "can't be trained on these labels, 8 texts .4, 4 a class.*'C'"),
        (KNeighborsClassifier(n_neighbors=50), None, HeadError, "n_neighbors"),
        (Unlearnable(), None, HeadError, "the moon is full"),
        (NoLogits(), None, HeadOutputError, "key 'logits'"),
        (BadLoss(), None, HeadError, r"BadLoss can't be trained.*get_loss_fn failed.*nn.CrossEntropyLoss"),
        (Wide(1), None, TooFewOutputsError, "1 outputs, but the training data has 2 classes"),
        (None, ["sport"] * 8, LabelError, "at least two classes"),
        (None, ["sport"] * 7 + [None], LabelError, "row 7 is None"),
        (None, ["sport"] * 7 + [3], LabelError, "mix types"),
    ],
)
def test_wrong_heads_and_labels_cost_no_training(body, texts, topics, quiet, head, labels, error, words):
    run = Trainer(model=SetFitModel(body, head), args=quiet(), train_dataset=(texts, labels or topics))
    before = weights(body)
    with pytest.raises(error, match=words):
        run.train()
    assert torch.equal(weights(body), before)


def test_out_features_follow_the_labels_unless_the_user_set_them(body, texts, quiet):
    # Upstream fails with an IndexError (#478: on CUDA, with a device assert).
    three = ["a"] * 3 + ["b"] * 3 + ["c"] * 2
    model = SetFitModel(body, "linear")
    assert model.model_head.out_features == 2
    Trainer(model=model, args=quiet(max_steps=1), train_dataset=(texts, three)).train()
    assert model.model_head.out_features == 3
    fixed = SetFitModel(body, "linear", head_params={"out_features": 2})
    before = weights(body)
    with pytest.raises(TooFewOutputsError, match="leave out_features out"):
        Trainer(model=fixed, args=quiet(max_steps=1), train_dataset=(texts, three)).train()
    assert torch.equal(weights(body), before)
    named = SetFitModel(body, "linear", labels=["a", "b", "c", "d"])
    assert named.model_head.out_features == 4


def test_a_diverging_head_says_so(texts, topics, trainer):
    class Exploding(Wide):
        def forward(self, features):
            return {"logits": super().forward(features)["logits"] * torch.tensor(float("inf"))}

    with pytest.raises(HeadOutputError, match="Lower head_learning_rate"):
        trainer(Exploding(2), num_epochs=(0, 3)).train()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": None}, ArgumentError, "needs a model or a model_init"),
        ({"model_init": lambda: None, "model": None}, ArgumentError, "must return a SetFitModel"),
        ({"args": {"batch_size": 1}}, ArgumentError, "args is a dict"),
        ({"train_dataset": (["a"], [])}, InputError, "1 texts but 0 labels"),
        ({"train_dataset": ([], [])}, InputError, "training data set has no rows"),
        ({"eval_dataset": (["a", None], [0, 1])}, InputError, "text in row 1 is missing"),
    ],
)
def test_wrong_arguments_are_refused_when_the_trainer_is_made(body, texts, topics, options, error, words):
    defaults = {"model": SetFitModel(body), "train_dataset": (texts, topics)}
    with pytest.raises(error, match=words):
        Trainer(**{**defaults, **options})


def test_training_without_data_or_evaluation_without_eval_data_says_so(body, texts, topics, quiet):
    with pytest.raises(InputError, match="nothing to train on"):
        Trainer(model=SetFitModel(body), args=quiet()).train()
    run = Trainer(model=SetFitModel(body), args=quiet(eval_strategy="steps"), train_dataset=(texts, topics))
    before = weights(body)
    with pytest.raises(ArgumentError, match="no eval_dataset"):
        run.train()
    assert torch.equal(weights(body), before)


@pytest.mark.parametrize("takes_argument", [False, True])
def test_model_init_makes_the_model(static_body_factory, texts, topics, quiet, takes_argument):
    def plain():
        return SetFitModel(static_body_factory())

    def with_params(params):
        return SetFitModel(static_body_factory())

    run = Trainer(
        model_init=with_params if takes_argument else plain,
        args=quiet(num_epochs=(0, 1)),
        train_dataset=(texts, topics),
    )
    run.train()
    assert run.model.predict(texts[0]) == "sport"


def test_warmup_may_take_all_steps(trainer):
    run = trainer(max_steps=4, warmup_proportion=1.0, logging_steps=1, body_learning_rate=1e-3)
    run.train()
    rates = [entry["learning_rate"] for entry in run.log_history if "learning_rate" in entry]
    assert rates == pytest.approx([0, 0.25e-3, 0.5e-3, 0.75e-3])


def test_without_a_progress_bar_nothing_is_printed(trainer, capsys):
    trainer("linear", max_steps=1).train()
    assert capsys.readouterr() == ("", "")
