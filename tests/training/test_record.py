"""What the trainer notes for the model's card: what it did, on what, and what it measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetInfo, NamedSplit, load_dataset
from datasets.splits import SplitDict, SplitInfo

from setfit_core import SetFitModel, Trainer
from setfit_core.errors import HeadError, InputError
from setfit_core.model_card import DataSource, LabelTexts, Measurement, TrainingRecord

pytestmark = pytest.mark.slow

CALIBRATED = {"max_length": None, "seed": 42}


def named(columns, *, repository="owner/topics", split="test", rows=None):
    """A data set as `load_dataset` returns it for a repository on the hub."""
    info = DatasetInfo(
        builder_name="parquet",
        dataset_name="topics",
        config_name="plain",
        splits=None if rows is None else SplitDict({split: SplitInfo(split, num_examples=rows)}),
        download_checksums={
            f"hf://datasets/{repository}@{'c0ffee' * 6}/data/{part}.parquet": {"num_bytes": 1} for part in "ab"
        },
    )
    return Dataset.from_dict(columns, info=info, split=NamedSplit(split))


def test_training_notes_texts_arguments_and_versions(trainer, texts):
    run = trainer(max_steps=2, num_epochs=(3, 4), body_learning_rate=1e-3)
    run.train()
    record = run.model.card_facts.training
    assert record.texts == 8
    assert record.labels == (LabelTexts(4, tuple(texts[4:7])), LabelTexts(4, tuple(texts[:3])))
    assert record.source is None
    assert record.measurements == ()
    assert record.embedding_phase["max_steps"] == 2
    assert record.embedding_phase["num_epochs"] == 3
    assert record.embedding_phase["body_learning_rate"] == 1e-3
    assert record.embedding_phase["loss"] == "AllPairsLoss"
    assert "head_learning_rate" not in record.embedding_phase
    # Logistic regression has no epochs, so none are told.
    assert record.head_phase == CALIBRATED
    assert record.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"setfit-core", "sentence-transformers", "transformers", "torch", "scikit-learn"} <= set(record.versions)
    assert TrainingRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert "checkpoints" not in json.dumps(record.to_json())


@pytest.mark.parametrize(
    ("labels", "arguments", "loss"),
    [
        ([row % 10 for row in range(22)], {}, "AllPairsLoss"),
        ([row % 11 for row in range(22)], {}, "SupConLoss"),
        ([[int(row % 11 == label) for label in range(11)] for row in range(22)], {}, "SupConLoss"),
        ([row % 11 for row in range(22)], {"sampling_strategy": "unique"}, "CosineSimilarityLoss"),
        ([row % 2 for row in range(22)], {"num_iterations": 1}, "CosineSimilarityLoss"),
    ],
)
def test_the_number_of_labels_and_the_pairs_asked_for_decide_the_loss(body, quiet, labels, arguments, loss):
    strategy = "one-vs-rest" if isinstance(labels[0], list) else None
    run = Trainer(
        model=SetFitModel(body, multi_target_strategy=strategy),
        args=quiet(max_steps=1, **arguments),
        train_dataset=([f"text {row}" for row in range(22)], labels),
    )
    run.train()
    phase = run.model.card_facts.training.embedding_phase
    assert phase["loss"] == loss
    assert phase["samples_per_label"] == (None if arguments else 2)
    assert phase["sampling_strategy"] == arguments.get("sampling_strategy")
    assert run.embedding_work.texts == (22 if not arguments else 32)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({"max_steps": 2}, 2),
        ({"max_steps": 20}, 20),
        ({"max_steps": 32}, 32),
        ({"batch_size": 4, "num_epochs": 2}, 2 * 8 * 2),
        ({"batch_size": 4, "num_epochs": 5, "gradient_accumulation_steps": 4}, 5 * 4),
        ({"max_steps": 100}, 100),
    ],
)
def test_the_learning_rate_falls_with_the_number_of_steps(trainer, arguments, steps):
    run = trainer(**arguments)
    run.train()
    assert run.embedding_work.steps == steps
    record = run.model.card_facts.training
    assert record.embedding_phase["body_learning_rate"] == pytest.approx(max(1e-4, min(2e-4, 3.2e-3 / steps)))


def test_a_differentiable_head_has_more_arguments(trainer):
    run = trainer("linear", max_steps=1, num_epochs=(1, 5), head_learning_rate=0.02)
    run.train()
    assert run.model.card_facts.training.head_phase == {
        **CALIBRATED,
        "batch_size": 2,
        "num_epochs": 5,
        "head_learning_rate": 0.02,
        "end_to_end": False,
        "l2_weight": 0.01,
    }
    whole = trainer("linear", max_steps=1, num_epochs=1, end_to_end=True, body_learning_rate=(1e-5, 1e-6))
    whole.train()
    assert whole.model.card_facts.training.head_phase["body_learning_rate"] == 1e-6


def test_a_phase_that_did_not_run_is_not_told(trainer):
    alone = trainer(max_steps=1)
    alone.train_classifier(["ball", "bread", "goal"], ["a", "b", "a"])
    record = alone.model.card_facts.training
    assert (record.embedding_phase, record.texts, record.labels[0].count) == (None, 3, 2)
    alone.train_embeddings()
    alone.train_classifier()
    assert alone.model.card_facts.training.embedding_phase["max_steps"] == 1
    frozen = trainer()
    frozen.model.freeze("body")
    frozen.train()
    assert frozen.model.card_facts.training.embedding_phase is None


def test_several_labels_a_text_are_counted_each(body, texts, quiet):
    model = SetFitModel(body, multi_target_strategy="one-vs-rest")
    rows = [["sport"]] * 3 + [["sport", "food"]] + [["food"]] * 3 + [[]]
    Trainer(model=model, args=quiet(max_steps=1), train_dataset=(texts, rows)).train()
    record = model.card_facts.training
    assert model.labels == ["food", "sport"]
    assert [label.count for label in record.labels] == [4, 4]
    assert record.labels[0].examples[0] == texts[3]
    assert record.texts == 8


def test_what_was_measured_is_noted(trainer):
    run = trainer(max_steps=1, eval_dataset=(["A goal", "A pie"], ["sport", "food"]))
    run.train()
    value = run.evaluate()["accuracy"]
    assert run.evaluate(metric_key_prefix="test") == {"test_accuracy": value}
    assert run.model.card_facts.training.measurements == (Measurement("accuracy", value, 2),)


def test_the_last_value_counts_and_training_anew_forgets_them(trainer, texts, topics):
    run = trainer(max_steps=1)
    run.train()
    run.evaluate((["A goal"], ["sport"]))
    run.evaluate((["A goal", "A pie", "Our striker"], ["sport"] * 3))
    (measured,) = run.model.card_facts.training.measurements
    assert measured.texts == 3
    run.evaluate((texts, topics))
    assert [each.on_training_data for each in run.model.card_facts.training.measurements] == [False, True]
    run.train()
    assert run.model.card_facts.training.measurements == ()


def test_figures_for_another_body_are_forgotten(trainer):
    run = trainer(max_steps=1, eval_dataset=(["A goal", "A pie"], ["sport", "food"]))
    run.train()
    run.evaluate()
    run.train_embeddings()
    record = run.model.card_facts.training
    assert record.measurements == ()
    assert record.texts == 8


def test_a_failed_training_leaves_the_old_record(trainer, body, texts, quiet):
    run = trainer(max_steps=1, eval_dataset=(["A goal", "A pie"], ["sport", "food"]))
    run.train()
    run.evaluate()
    before = run.model.card_facts.training
    with pytest.raises(InputError):
        Trainer(model=run.model, args=quiet(), train_dataset=(texts, ["one"] * 8)).train()
    with pytest.raises((HeadError, InputError)):
        run.train_classifier(["a"], [None])
    assert run.model.card_facts.training is before


def test_names_come_from_the_data_set(trainer, body, texts, topics, quiet):
    data = {"text": texts, "label": topics}
    model = SetFitModel(body)
    run = Trainer(
        model=model,
        args=quiet(max_steps=1),
        train_dataset=named(data, split="train", rows=8),
        eval_dataset=named({"text": ["A goal", "A pie"], "label": ["sport", "food"]}, rows=200),
    )
    run.train()
    run.evaluate()
    source = DataSource("owner/topics", "topics", "plain", "test", "c0ffee" * 6, 200)
    record = model.card_facts.training
    assert record.source == replace(source, split="train", rows=8)
    assert record.measurements[0].source == source
    run.evaluate(named(data).select([0, 1]))
    assert [each.source.rows for each in record.measurements] == [200]
    assert model.card_facts.training.measurements[1].source == replace(source, rows=None)


def test_names_are_not_invented(trainer, texts, topics, tmp_path):
    data = {"text": texts, "label": topics}
    file = tmp_path / "private.csv"
    pd.DataFrame(data).to_csv(file, index=False)
    read = load_dataset("csv", data_files=str(file), cache_dir=str(tmp_path / "cache"))["train"]
    mixed = Dataset.from_dict(
        data, info=DatasetInfo(download_checksums={"hf://datasets/a/b@1/x": {}, "hf://datasets/a/c@1/x": {}})
    )
    for dataset in (Dataset.from_dict(data), pd.DataFrame(data), data, (texts, topics), read, mixed):
        run = trainer(max_steps=1)
        run.train()
        run.evaluate(dataset)
        assert run.model.card_facts.training.measurements[0].source is None
        assert run.model.card_facts.training.measurements[0].on_training_data


def test_metrics_have_their_names_and_options(trainer, texts, topics):
    def share_of_food(predicted, expected):
        return np.mean(predicted == 0)

    def several(predicted, expected):
        return {"good": np.float32(0.5), "count": 3, "rows": [1, 2], "bad": float("nan"), "flag": True}

    def noted(metric, **options):
        run = Trainer(model=model, metric=metric, metric_kwargs=options)
        run.evaluate((["A goal", "A pie"], ["sport", "food"]))
        return {each.metric: (each.value, dict(each.options)) for each in model.card_facts.training.measurements}

    first = trainer(max_steps=1)
    first.train()
    model = first.model
    assert noted("f1", average="macro", zero_division=0.0)["f1"][1] == {"average": "macro", "zero_division": 0.0}
    assert noted(share_of_food)["share_of_food"][0] == 0.5
    assert noted(lambda predicted, expected: 0.25)["metric"] == (0.25, {})
    found = noted(several)
    assert (found["good"][0], found["count"][0]) == (0.5, 3)
    assert {"rows", "bad", "flag"}.isdisjoint(found)
    noted("f1", average="macro", labels=[0, 1])
    text = json.dumps(model.card_facts.training.to_json())
    assert TrainingRecord.from_json(json.loads(text)) == model.card_facts.training
    assert "0x" not in text
