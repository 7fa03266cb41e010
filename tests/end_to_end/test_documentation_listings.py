"""The listings of the SetFit documentation's page on classification heads.

They run unchanged but for the import name, the body's id, and the data, which is the real SST-2 from a folder instead
of the hub. On the embedded body (384 dimensions, as the page's) the printed heads are those of the page, with the
device of a machine without a GPU; which sentences come out as positive depends on the body. On static vectors, which
say little about sentiment, the training listings take seconds.
"""

from __future__ import annotations

import re

import pytest
import torch
from datasets import Dataset

from setfit_core import sample_dataset as draw


@pytest.fixture(scope="module")
def body_id(minilm_path):
    return str(minilm_path)


@pytest.fixture(scope="module")
def static_body_id(static_body_factory, tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    static_body_factory().save_pretrained(str(folder), create_model_card=False)
    return str(folder)


@pytest.fixture(scope="module", params=["static", pytest.param("transformer", marks=pytest.mark.slow)])
def trained_body_id(request, body_id, static_body_id):
    return body_id if request.param == "transformer" else static_body_id


@pytest.fixture(scope="module")
def sst2(read_split):
    """SST-2 with a test set of 60 sentences a class, so that the listings take seconds."""
    splits = {split: Dataset.from_pandas(read_split("sst2", split)) for split in ("train", "test")}
    return {"train": splits["train"], "test": draw(splits["test"], num_samples=60)}


def test_the_default_head_is_logistic_regression(body_id):
    from setfit_core import SetFitModel

    model = SetFitModel.from_pretrained(body_id, device="cpu")
    assert repr(model.model_head) == "LogisticRegression()"

    model = SetFitModel.from_pretrained(body_id, head_params={"solver": "liblinear", "max_iter": 300}, device="cpu")
    assert repr(model.model_head) == "LogisticRegression(max_iter=300, solver='liblinear')"


def test_the_differentiable_head(body_id):
    from setfit_core import SetFitModel

    model = SetFitModel.from_pretrained(body_id, use_differentiable_head=True, device="cpu")
    assert repr(model.model_head) == (
        "SetFitHead({'in_features': 384, 'out_features': 2, 'temperature': 1.0, 'bias': True, 'device': 'cpu'})"
    )

    model = SetFitModel.from_pretrained(
        body_id, use_differentiable_head=True, head_params={"out_features": 5}, device="cpu"
    )
    assert repr(model.model_head) == (
        "SetFitHead({'in_features': 384, 'out_features': 5, 'temperature': 1.0, 'bias': True, 'device': 'cpu'})"
    )


def test_the_embedded_model_is_the_default_body():
    from setfit_core import SetFitModel

    assert SetFitModel.from_pretrained(device="cpu").encode(["a text"]).shape == (1, 384)


@pytest.mark.data
def test_training_with_a_differentiable_head(trained_body_id, body_id, sst2, capsys):
    from setfit_core import SetFitModel, Trainer, TrainingArguments, sample_dataset

    # Initializing a new SetFit model
    model = SetFitModel.from_pretrained(trained_body_id, use_differentiable_head=True, head_params={"out_features": 2})

    # Preparing the dataset
    dataset = sst2
    train_dataset = sample_dataset(dataset["train"], label_column="label", num_samples=32)
    test_dataset = dataset["test"]

    # Preparing the training arguments
    args = TrainingArguments(
        batch_size=(32, 16),
        num_epochs=(3, 8),
        end_to_end=True,
        body_learning_rate=(2e-5, 5e-6),
        head_learning_rate=2e-3,
        l2_weight=0.01,
    )

    # Preparing the trainer
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=train_dataset,
    )
    trainer.train()

    # Evaluating
    metrics = trainer.evaluate(test_dataset)
    assert list(metrics) == ["accuracy"]

    # Performing inference
    preds = model.predict(
        [
            "It's a charming and often affecting journey.",
            "It's slow -- very, very slow.",
            "A sometimes tedious film.",
        ]
    )
    assert re.fullmatch(r"tensor\(\[[01], [01], [01]\]\)", repr(preds))
    if trained_body_id == body_id:
        # 32 sentences a class give this body 0.75 with a spread of 0.03, over the test sets of benchmarks/samples.py.
        assert metrics["accuracy"] > 0.62

    printed = capsys.readouterr()
    assert "'embedding_loss'" in printed.out
    assert "'learning_rate'" in printed.out
    assert "'epoch'" in printed.out
    assert "8/8" in printed.err  # the head phase's progress bar
    assert "48/48" in printed.err  # the embedding phase's: 3 epochs of 8 passes over 64 texts in batches of 32


@pytest.mark.data
def test_training_with_a_linear_svc(static_body_id, sst2):
    from sentence_transformers import SentenceTransformer
    from sklearn.svm import LinearSVC

    from setfit_core import SetFitModel, Trainer, TrainingArguments, sample_dataset

    # Initializing a new SetFit model
    model_body = SentenceTransformer(static_body_id)
    model_head = LinearSVC()
    model = SetFitModel(model_body, model_head)

    # Preparing the dataset
    dataset = sst2
    train_dataset = sample_dataset(dataset["train"], label_column="label", num_samples=32)
    test_dataset = dataset["test"]

    # Preparing the training arguments
    args = TrainingArguments(
        batch_size=32,
        num_epochs=3,
    )

    # Preparing the trainer
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=train_dataset,
    )
    trainer.train()

    # Evaluating
    metrics = trainer.evaluate(test_dataset)
    assert list(metrics) == ["accuracy"]

    # Performing inference
    preds = model.predict(
        [
            "It's a charming and often affecting journey.",
            "It's slow -- very, very slow.",
            "A sometimes tedious film.",
        ]
    )
    assert preds.dtype == torch.int64
    assert set(preds.tolist()) <= {0, 1}
