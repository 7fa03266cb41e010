"""`setfit-core train`: from a table of labelled texts to a model folder."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import (
    BodyOption,
    DebugOption,
    LabelColumnOption,
    MultiLabelOption,
    OverwriteOption,
    SeedOption,
    TextColumnOption,
    complete_head_or_auto,
    pairs,
    value_of,
)
from setfit_core.cli.screen import is_terminal

if TYPE_CHECKING:
    from setfit_core.model import SetFitModel
    from setfit_core.tables import LabelledTexts

_SHOWN = 5


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled texts: .csv, .jsonl or .parquet.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the model.")],
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="NAME",
            help="The head, logistic if left out; auto compares all and takes the best.",
            autocompletion=complete_head_or_auto,
        ),
    ] = None,
    head_param: Annotated[
        list[str] | None, typer.Option("--head-param", metavar="NAME=VALUE", help="A parameter of it; may be repeated.")
    ] = None,
    body: BodyOption = None,
    evaluation: Annotated[
        Path | None, typer.Option("--eval", metavar="DATA", help="Other labelled texts to evaluate the model on.")
    ] = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    multi_label: MultiLabelOption = False,
    samples_per_class: Annotated[
        int | None, typer.Option("--samples-per-class", metavar="N", min=1, help="Draw so many texts of each label.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", min=0, help="Epochs of the embedding phase; 1 if left out.")
    ] = None,
    seed: SeedOption = 42,
    class_weight: Annotated[
        Literal["balanced"] | None,
        typer.Option("--class-weight", help="Let the labels count the same, however many texts each has."),
    ] = None,
    freeze_body: Annotated[bool, typer.Option("--freeze-body", help="Train the head alone.")] = False,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="NAME=VALUE", help="Any other of TrainingArguments; may be repeated."),
    ] = None,
    overwrite: OverwriteOption = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Train a model on labelled texts, and save it.

    All that can be wrong with files, options, labels and the head is looked for before the training starts.
    """
    head_params = {name: value_of(text) for name, text in pairs(head_param or (), "--head-param", "NAME=VALUE").items()}
    given = pairs(arg or (), "--arg", "NAME=VALUE")
    _check_out(out, overwrite=overwrite)
    from setfit_core.tables import labels_known_as, read_labelled

    columns: dict[str, Any] = {"text_column": text_column, "label_column": label_column, "multi_label": multi_label}
    texts = read_labelled(data, **columns)
    tests = None if evaluation is None else read_labelled(evaluation, **columns)
    if samples_per_class is not None:
        texts = _sampled(texts, samples_per_class, seed)

    from setfit_core.cli.arguments import training_arguments
    from setfit_core.cli.models import new_model
    from setfit_core.training.trainer import Trainer

    arguments = training_arguments(
        given,
        {"seed": seed, "num_epochs": None if epochs is None else (epochs, 16), "class_weight": class_weight}
        | {name: value for name, value in _quiet().items() if name not in given},
    )
    model = new_model(body, head=head, head_params=head_params, multi_label=multi_label, seed=seed)
    if freeze_body:
        model.freeze("body")
    held_out = None if tests is None else (tests.texts, labels_known_as(tests.labels, texts.labels))
    trainer = Trainer(
        model, arguments, train_dataset=(texts.texts, texts.labels), eval_dataset=held_out, metric=_accuracy_and_f1
    )
    with contextlib.redirect_stdout(sys.stderr):  # where transformers prints what it logs
        model.check_savable(texts.texts, texts.labels)
        trainer.train()
    _tell(model, texts)
    if tests is not None:
        found = trainer.evaluate()
        typer.echo(
            f"Evaluated on {len(tests.texts)} texts of {evaluation}: accuracy {found['accuracy']:.3f}, "
            f"macro F1 {found['macro_f1']:.3f}."
        )
    model.save_pretrained(out)
    typer.echo(f"Wrote {out}.")


def _check_out(out: Path, *, overwrite: bool) -> None:
    from setfit_core.cli.models import MODEL_FILES
    from setfit_core.errors import PersistenceError

    place = out.expanduser().absolute()
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise PersistenceError(f"{out} can't be written: {nearest} is no folder that may be written to. Name another.")
    if place.is_dir() and any(place.iterdir()):
        if not any((place / name).is_file() for name in MODEL_FILES):
            raise PersistenceError(f"{out} holds files but no model, and nothing replaces them. Name another folder.")
        if not overwrite:
            raise PersistenceError(f"{out} holds a model already. Name another folder, or replace it: --overwrite.")


def _sampled(texts: LabelledTexts, number: int, seed: int) -> LabelledTexts:
    from setfit_core.data import sample_dataset
    from setfit_core.tables import LabelledTexts

    return LabelledTexts(*sample_dataset((texts.texts, texts.labels), num_samples=number, seed=seed))


def _quiet() -> dict[str, Any]:
    return {
        "show_progress_bar": is_terminal(sys.stderr),
        "logging_strategy": "no",
        "logging_first_step": False,
    }


def _accuracy_and_f1(predicted: Any, expected: Any) -> dict[str, float]:
    from setfit_core.evaluation.scores import score

    scores = score(expected, predicted, None)
    return {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1}


def _tell(model: SetFitModel, texts: LabelledTexts) -> None:
    if model.head_choice is not None:
        typer.echo(model.head_choice.why)
    labels = model.labels or []
    named = ", ".join(map(repr, labels[:_SHOWN])) + (", …" if len(labels) > _SHOWN else "")
    head = type(model.model_head).__name__
    typer.echo(f"Trained {head} on {len(texts.texts)} texts with {len(labels)} labels: {named}.")
