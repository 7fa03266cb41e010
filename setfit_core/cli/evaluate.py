"""`setfit-core evaluate`: how good a model is on labelled texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption, JsonOption, LabelColumnOption, OverwriteOption, TextColumnOption
from setfit_core.cli.screen import print_table, progress
from setfit_core.errors import InputError, NoProbabilitiesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from setfit_core.model import SetFitModel

_CHUNK = 1024
_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A trained model: a folder, or an id on the hub.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled texts: .csv, .jsonl or .parquet.")],
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    as_json: JsonOption = False,
    reliability_plot: Annotated[
        Path | None,
        typer.Option("--reliability-plot", metavar="FILE.png", help="Draw how far probabilities can be relied on."),
    ] = None,
    overwrite: OverwriteOption = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Evaluate a model on labelled texts.

    Prints accuracy, macro F1 (where a text may have several labels, micro F1, too), log loss (nats) and expected
    calibration error, and precision, recall and F1 of each label.
    """
    from setfit_core.cli.plots import check_plot
    from setfit_core.tables import labelled_columns, labels_known_as, open_table, read_labelled

    if reliability_plot is not None:
        check_plot(reliability_plot, overwrite=overwrite)
    with open_table(data) as table:  # before the model is loaded, which says whether a text may have several labels
        labelled_columns(table, text_column, label_column)
    from setfit_core.cli.models import trained_model
    from setfit_core.evaluation.evaluate import with_unknown_labels
    from setfit_core.evaluation.plots import save_reliability_plot
    from setfit_core.evaluation.reliability import reliability
    from setfit_core.evaluation.scores import score

    loaded = trained_model(model)
    if reliability_plot is not None:
        loaded.predict_proba(["A text."])  # raises if the head gives none
    several = loaded.multi_target_strategy is not None
    tests = read_labelled(data, text_column=text_column, label_column=label_column, multi_label=several)
    names = loaded.labels or []
    expected = (
        _indicators(tests.labels, names) if several else loaded.label_columns(labels_known_as(tests.labels, names))
    )
    predicted, probabilities = _predictions(loaded, tests.texts)
    if probabilities is not None and not several:
        probabilities = with_unknown_labels(expected, probabilities)
    scores = asdict(score(expected, predicted, probabilities))
    by_label = _by_label(expected, predicted, names)
    if reliability_plot is not None:
        save_reliability_plot(reliability_plot, {Path(model).name: reliability(expected, probabilities)})
    if as_json:
        typer.echo(json.dumps({"texts": len(tests.texts), **scores, "labels": by_label}, indent=2, ensure_ascii=False))
        return
    if not several:
        del scores["micro_f1"]  # it is the accuracy
    figures = [(_NAMES[name], "-" if value is None else f"{value:.3f}") for name, value in scores.items()]
    typer.echo(f"{len(tests.texts)} texts of {data}")
    print_table(("score", "value"), figures)
    typer.echo()
    print_table(
        ("label", "texts", "precision", "recall", "F1"),
        [
            (str(row["label"]), str(row["texts"]), *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")))
            for row in by_label
        ],
    )


def _predictions(model: SetFitModel, texts: Sequence[str]) -> tuple[Any, Any]:
    """Return columns of the predicted labels, and probabilities or None."""
    import numpy as np

    from setfit_core.embedding.cache import embedded_once

    predicted, probabilities = [], []
    with progress("texts") as bar:
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            with embedded_once(model):
                predicted.append(model.predict(chunk, use_labels=False, as_numpy=True, show_progress_bar=False))
                try:
                    probabilities.append(model.predict_proba(chunk, as_numpy=True, show_progress_bar=False))
                except NoProbabilitiesError:
                    probabilities = []
            bar.update(len(chunk))
    return np.concatenate(predicted), np.concatenate(probabilities) if probabilities else None


def _indicators(rows: Sequence[Sequence[str]], names: Sequence[Any]) -> Any:
    import numpy as np

    place = {str(name): column for column, name in enumerate(names)}
    indicators = np.zeros((len(rows), len(names)), dtype=np.int64)
    for number, row in enumerate(rows, start=1):
        for label in row:
            if label not in place:
                raise InputError(
                    f"The label {label!r} in row {number} is none of the model's ({', '.join(place)}). Correct the row."
                )
            indicators[number - 1, place[label]] = 1
    return indicators


def _by_label(expected: Any, predicted: Any, names: Sequence[Any]) -> list[dict[str, Any]]:
    from sklearn.metrics import precision_recall_fscore_support

    from setfit_core.evaluation.scores import as_indicators

    columns, expected, predicted = list(range(len(names))), as_indicators(expected), as_indicators(predicted)
    figures = precision_recall_fscore_support(expected, predicted, labels=columns, zero_division=0)
    rows = zip(names, *(values.tolist() for values in figures), strict=True)
    return [
        {"label": name, "texts": int(texts), "precision": precision, "recall": recall, "f1": f1}
        for name, precision, recall, f1, texts in rows
    ]
