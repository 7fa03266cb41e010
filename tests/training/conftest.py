"""The texts and bodies of the training tests."""

from __future__ import annotations

import pytest

from setfit_core import SetFitModel, Trainer, TrainingArguments

SPORT = ["The goalkeeper saved a penalty", "Our striker scored twice", "The final went to five sets", "A fast lap"]
FOOD = ["Bake the bread for an hour", "Add garlic and butter", "Stir the soup", "This cake needs sugar"]


@pytest.fixture(scope="session")
def texts():
    return SPORT + FOOD


@pytest.fixture(scope="session")
def topics():
    return ["sport"] * 4 + ["food"] * 4


@pytest.fixture
def body(static_body_factory):
    return static_body_factory()


@pytest.fixture
def quiet(tmp_path):
    """A function that makes arguments without progress bars, whose checkpoints go to a temporary folder."""

    def make(**arguments):
        defaults = {"output_dir": str(tmp_path / "checkpoints"), "show_progress_bar": False, "save_strategy": "no"}
        return TrainingArguments(**{**defaults, **arguments})

    return make


@pytest.fixture
def trainer(body, texts, topics, quiet):
    """A function that makes a trainer of a new model on the static body."""

    def make(head=None, *, model=None, callbacks=None, eval_dataset=None, metric="accuracy", **arguments):
        return Trainer(
            model=model or SetFitModel(body, head),
            args=quiet(**arguments),
            train_dataset=(texts, topics),
            eval_dataset=eval_dataset,
            callbacks=callbacks,
            metric=metric,
        )

    return make
