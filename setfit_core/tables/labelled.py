"""Reading texts with their labels, for training and for evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from setfit_core.errors import InputError
from setfit_core.tables.columns import LABEL_NAMES, TEXT_NAMES, find_column, text_problem
from setfit_core.tables.formats import Format
from setfit_core.tables.reading import Table, open_table

SEPARATOR: Final = "|"
#: Integers as they are usually written, so that nothing is lost; "007" is a name.
_INTEGER: Final = re.compile(r"0|-?[1-9]\d{0,17}")


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels, row by row; with several labels a text, a list of strings each."""

    texts: list[str]
    labels: list[Any]


def labelled_columns(table: Table, text_column: str | None, label_column: str | None) -> tuple[str, str]:
    """Return the columns of the texts and of the labels; None for one that is to be found by its name.

    Raises:
        InputError: If one isn't there, or several may be meant.
    """
    name = table.name
    return (
        find_column(table.columns, text_column, TEXT_NAMES, what="texts", table=name, option="--text-column"),
        find_column(table.columns, label_column, LABEL_NAMES, what="labels", table=name, option="--label-column"),
    )


def read_labelled(
    source: Path | None,
    *,
    format: Format | None = None,  # noqa: A002
    text_column: str | None = None,
    label_column: str | None = None,
    multi_label: bool = False,
) -> LabelledTexts:
    """Read texts and labels from a table.

    Labels of CSV that are integers, all of them, become integers. With several labels a text, a label is a list of
    strings, or a string with the labels separated by `|`; an empty one is a text without a label.

    Args:
        source: The file; None for standard input.
        format: See `open_table`.
        text_column: The column of the texts; None to find it by its name.
        label_column: The column of the labels; None to find it by its name.
        multi_label: Whether a text may have several labels.

    Raises:
        InputError: If the table can't be read, has no rows, or a text or a label is missing; the message names its
            row, counted from 1.
    """
    texts: list[str] = []
    labels: list[Any] = []
    with open_table(source, format) as table:
        name = table.name
        text_column, label_column = labelled_columns(table, text_column, label_column)
        for number, row in enumerate(table.rows, start=1):
            text = row.get(text_column)
            if problem := text_problem(text):
                raise InputError(f"{name}: the text in row {number} {problem}. Correct the row, or leave it out.")
            label = row.get(label_column)
            if multi_label:
                label = _several(label, f"{name}: the label in row {number}")
            elif problem := _label_problem(label):
                raise InputError(f"{name}: the label in row {number} {problem}")
            texts.append(str(text))
            labels.append(label)
    if not texts:
        raise InputError(f"{name} has no rows. Give at least one text and its label.")
    if not multi_label and all(isinstance(label, str) and _INTEGER.fullmatch(label) for label in labels):
        labels = [int(label) for label in labels]
    return LabelledTexts(texts, labels)


def labels_known_as(labels: Sequence[Any], known: Iterable[Any]) -> list[Any]:
    """Return labels in the type in which they are known: a file may write the label 1 as `"1"`, or True as `"True"`."""
    by_text = {str(label): label for label in known}
    return [by_text.get(str(label), label) if not isinstance(label, list) else label for label in labels]


def _label_problem(label: Any) -> str | None:
    if label is None or label != label or (isinstance(label, str) and not label.strip()):
        return "is missing. Give the text a label, or leave the row out."
    if isinstance(label, list):
        return f"is the list {label!r}. Say that a text may have several labels: --multi-label."
    if not isinstance(label, str | int | float | bool):
        return f"is {label!r}, a {type(label).__name__}. Give a string or a number."
    return None


def _several(label: Any, where: str) -> list[str]:
    if label is None or label != label:
        return []
    if isinstance(label, str):
        return [part for piece in label.split(SEPARATOR) if (part := piece.strip())]
    if isinstance(label, list) and all(isinstance(part, str) for part in label):
        return label
    raise InputError(f'{where} is {label!r}. With several labels a text, write "a{SEPARATOR}b", or a list of strings.')
