"""The main job on real text: train, evaluate, save, load, predict, with every kind of head and data set."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from sklearn.ensemble import RandomForestClassifier

from setfit_core import SetFitModel, Trainer, TrainingArguments, sample_dataset

# Chance is 0.25 on this sample of AG News and 0.20 on that of TREC. What lies below these figures is broken; a forest
# on eight texts a class is just weak.
FLOORS = {"ag_news": 0.60, "trec": 0.40}
FOREST_FLOORS = {"ag_news": 0.40, "trec": 0.28}


def trainer_for(model, train, **arguments):
    args = TrainingArguments(save_strategy="no", show_progress_bar=False, **arguments)
    return Trainer(model=model, args=args, train_dataset=train)


@pytest.mark.data
@pytest.mark.parametrize("name", FLOORS)
@pytest.mark.parametrize("head", ["logistic", "linear", RandomForestClassifier(random_state=0)], ids=str)
def test_eight_a_class_on_a_static_body(static_body_factory, read_split, tmp_path, name, head):
    columns = ["text", "label_name"]
    train = sample_dataset(read_split(name, "train")[columns], label_column="label_name", num_samples=8, seed=0)
    test = sample_dataset(read_split(name, "test")[columns], label_column="label_name", num_samples=80, seed=0)
    train, test = (frame.rename(columns={"label_name": "label"}) for frame in (train, test))
    model = SetFitModel(static_body_factory(), head)
    trainer = trainer_for(model, train, body_learning_rate=1e-3)
    trainer.train()
    accuracy = trainer.evaluate(test)["accuracy"]
    assert accuracy > (FLOORS if isinstance(head, str) else FOREST_FLOORS)[name]
    texts = list(test["text"])
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    assert loaded.predict(texts) == model.predict(texts)
    assert np.array_equal(loaded.predict_proba(texts, as_numpy=True), model.predict_proba(texts, as_numpy=True))
    assert set(model.labels) == set(train["label"])


@pytest.mark.slow
@pytest.mark.data
def test_fine_tuning_a_transformer_beats_its_untuned_embeddings(minilm_path, read_split, tmp_path):
    train = sample_dataset(Dataset.from_pandas(read_split("trec", "train")), num_samples=8, seed=1)
    test = sample_dataset(Dataset.from_pandas(read_split("trec", "test")), num_samples=40, seed=1)
    model = SetFitModel.from_pretrained(minilm_path, device="cpu")
    trainer = trainer_for(model, train, max_steps=30)
    trainer.train_classifier()
    untuned = trainer.evaluate(test)["accuracy"]
    trainer.train()
    tuned = trainer.evaluate(test)["accuracy"]
    assert tuned > untuned
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    texts = test["text"][:20]
    assert np.array_equal(loaded.predict_proba(texts, as_numpy=True), model.predict_proba(texts, as_numpy=True))
