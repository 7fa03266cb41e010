"""Weights of classes and of texts: which heads they reach, and what is said of the others."""

import logging

import numpy as np
import pytest
import torch
from setfit_head_linear import SetFitHead
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import ArgumentError, HeadError, LabelError

pytestmark = pytest.mark.slow

QUIET = {"show_progress_bar": False}


@pytest.fixture
def poisoned(texts, topics):
    """Each text twice, the second time under a wrong label; and weights that leave these out."""
    wrong = [{"sport": "food", "food": "tech", "tech": "sport"}[topic] for topic in topics]
    return texts * 3, topics + wrong + wrong, [1.0] * len(texts) + [0.0] * 2 * len(texts)


@pytest.mark.parametrize(
    ("head", "params"), [("logistic", {}), ("linear", {}), (RandomForestClassifier, {"n_estimators": 20})]
)
def test_a_text_of_weight_0_counts_for_nothing(head, params, body, texts, topics, poisoned):
    twice, labels, weights = poisoned
    model = SetFitModel(body, head, head_params=params, random_state=0)
    model.fit(twice, labels, sample_weight=weights, num_epochs=40, **QUIET)
    assert model.predict(texts) == topics
    model.fit(twice, labels, num_epochs=40, **QUIET)
    assert model.predict(texts) != topics


@pytest.mark.parametrize("strategy", ["one-vs-rest", "multi-output", "classifier-chain"])
@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_weights_reach_heads_for_several_labels_a_text(strategy, head, body, texts, topics, tmp_path):
    rows = [[int(topic == name) for name in ("sport", "food", "tech")] for topic in topics]
    wrong = [row[1:] + row[:1] for row in rows]
    weights = [1.0] * len(texts) + [0.0] * 2 * len(texts)
    model = SetFitModel(body, head, strategy)
    model.fit(texts * 3, rows + wrong + wrong, sample_weight=weights, num_epochs=60, **QUIET)
    probabilities = model.predict_proba(texts, as_numpy=True)
    assert (probabilities.argmax(axis=1) == np.argmax(rows, axis=1)).all()
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"))
    np.testing.assert_allclose(loaded.predict_proba(texts, as_numpy=True), probabilities, atol=1e-6)
    assert "_metadata_request" not in repr([vars(part) for part in getattr(model.model_head, "estimators_", ())])


@pytest.mark.parametrize("head", ["logistic", "linear"])
def test_balanced_is_the_same_as_weights_by_hand(head, body, texts, topics):
    few = [row for row, topic in enumerate(topics) if topic != "food"] + [topics.index("food")]
    texts, topics = [texts[row] for row in few], [topics[row] for row in few]
    counts = {topic: topics.count(topic) for topic in topics}

    def trained(**weights):
        model = SetFitModel(body, head, random_state=0)
        model.fit(texts, topics, **weights, **QUIET)
        return model.predict_proba(texts, as_numpy=True)

    balanced = trained(class_weight="balanced")
    by_label = trained(class_weight={topic: 10 / count for topic, count in counts.items()})
    by_text = trained(sample_weight=[1 / counts[topic] for topic in topics])
    both = trained(class_weight={"food": 4}, sample_weight=np.ones(len(texts)))
    for same in (by_label, by_text, both):
        np.testing.assert_allclose(same, balanced, atol=1e-5)
    food = balanced.argmax(axis=1).size and balanced[-1, 0] - trained()[-1, 0]
    assert food > 0.01  # "food" is the first column, and its one text counts for more


class OwnLoss(nn.Module):
    def forward(self, logits, targets):
        return nn.functional.cross_entropy(logits, targets)


class Averaging(SetFitHead):
    """A head whose loss gives nothing but a mean."""

    def get_loss_fn(self):
        return OwnLoss()


@pytest.mark.parametrize("head", [KNeighborsClassifier(1), Averaging(256, 3, device="cpu")], ids=["array", "module"])
def test_a_head_that_cannot_use_weights_is_trained_and_said_to_ignore_them(head, body, texts, topics, caplog):
    model = SetFitModel(body, head)
    with caplog.at_level(logging.WARNING, logger="setfit_core"):
        model.fit(texts, topics, class_weight="balanced", **QUIET)
    (record,) = caplog.records
    assert record.message.startswith(f"The head {type(head).__name__} ignores class_weight and sample_weight")
    assert model.predict(texts) == topics
    caplog.clear()
    model.fit(texts, topics, **QUIET)
    assert not caplog.records


def test_the_trainer_passes_them_on_and_the_card_says_so(body, poisoned, texts, topics):
    twice, labels, weights = poisoned
    args = TrainingArguments(sample_weight=weights, class_weight="balanced", num_epochs=(0, 16), **QUIET)
    model = SetFitModel(body)
    Trainer(model, args, train_dataset=(twice, labels)).train()
    assert model.predict(texts) == topics
    assert model.card_facts.training.head_phase["class_weight"] == "balanced"
    assert model.card_facts.training.head_phase["sample_weight"] == "by text"


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({"class_weight": "even"}, ArgumentError, "class_weight is 'even'. Give 'balanced', a mapping"),
        ({"class_weight": {"food": 0}}, ArgumentError, "class_weight has 0 for 'food'. Give a number above 0"),
        ({"class_weight": {"fod": 2}}, LabelError, "class_weight names 'fod', but the labels are 'food', 'sport'"),
        ({"sample_weight": [1.0]}, ArgumentError, "sample_weight has 1 weights, but there are 12 training texts"),
        ({"sample_weight": [-1.0] * 12}, ArgumentError, "sample_weight is no list of weights"),
        ({"sample_weight": [0.0] * 12}, ArgumentError, "not all of them 0"),
        ({"sample_weight": [float("nan")] * 12}, ArgumentError, "sample_weight is no list of weights"),
        ({"sample_weight": dict.fromkeys(range(12), 1.0)}, ArgumentError, "sample_weight is no list of weights"),
        ({"sample_weight": [1e300] * 12}, ArgumentError, "sample_weight is no list of weights"),
        ({"class_weight": {"food": 10**400}}, ArgumentError, "class_weight has 1000"),
        ({"sample_weight": "weight"}, ArgumentError, "sample_weight is no list of weights"),
    ],
)
def test_weights_without_meaning_are_found_before_training(weights, error, message, body, texts, topics):
    before = body.state_dict()["0.embedding.weight"].clone()
    with pytest.raises(error, match="^" + message.replace(".", r"\.") if message.startswith("class") else message):
        Trainer(SetFitModel(body), TrainingArguments(**weights, **QUIET), train_dataset=(texts, topics)).train()
    assert torch.equal(body.state_dict()["0.embedding.weight"], before)


def test_a_text_with_several_labels_has_the_mean_weight_of_them(body):
    texts = ["a goal", "a soup", "a soup again", "soup and goals", "nothing", "more soup"]
    rows = [[1, 0], [0, 1], [0, 1], [1, 1], [0, 0], [0, 1]]

    def trained(**weights):
        model = SetFitModel(body, "logistic", "multi-output")
        model.fit(texts, rows, **weights)
        return model.predict_proba(texts, as_numpy=True)

    # Two texts with the first label and four with the second: 6 / (2 * 2) and 6 / (2 * 4) of six labels.
    balanced = [1.5, 0.75, 0.75, (1.5 + 0.75) / 2, 1.0, 0.75]
    np.testing.assert_allclose(trained(class_weight="balanced"), trained(sample_weight=balanced), atol=1e-6)
    named = [3.0, 1.0, 1.0, 2.0, 1.0, 1.0]
    np.testing.assert_allclose(trained(class_weight={0: 3.0}), trained(sample_weight=named), atol=1e-6)
    assert not np.allclose(trained(), trained(sample_weight=named), atol=1e-3)


@pytest.mark.parametrize("strategy", ["one-vs-rest", "classifier-chain"])
@pytest.mark.parametrize("estimator", [CalibratedClassifierCV(LogisticRegression(), cv=2), AdaBoostClassifier()])
def test_an_estimator_that_would_have_to_pass_weights_on_ignores_them(estimator, strategy, body, texts, topics, caplog):
    rows = [[int(topic == name) for name in ("sport", "food")] for topic in topics]
    model = SetFitModel(body, lambda: clone(estimator), strategy)
    with caplog.at_level(logging.WARNING, logger="setfit_core"):
        model.fit(texts, rows, sample_weight=[1.0] * 6 + [2.0] * 6)
    assert [record.message for record in caplog.records if "ignores class_weight" in record.message]
    assert model.predict(texts).shape == (12, 2)


class Keeping(SetFitHead):
    """A head that gives the same loss each time."""

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self.loss = nn.CrossEntropyLoss()

    def get_loss_fn(self):
        return self.loss


def test_the_loss_of_a_head_is_left_as_it_was(body, texts, topics):
    head = Keeping(in_features=256, out_features=3, device="cpu")
    model = SetFitModel(body, head)
    model.fit(texts, topics, class_weight="balanced", **QUIET)
    assert head.loss.reduction == "mean"
    model.fit(texts, topics, **QUIET)
    assert model.predict(texts) == topics


class Lying(SetFitHead):
    """A head whose loss has a reduction and always takes the mean."""

    def get_loss_fn(self):
        loss = OwnLoss()
        loss.reduction = "mean"
        return loss


def test_weights_are_tried_before_the_body_is_trained(body, texts, topics):
    model = SetFitModel(body, Lying(256, 3, device="cpu"))
    model.validate(texts, topics)
    with pytest.raises(HeadError, match="can't be trained on these labels: the loss of get_loss_fn failed"):
        model.validate(texts, topics, class_weight="balanced")
