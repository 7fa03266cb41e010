"""Reading texts and labels out of the data sets that people have, and drawing few-shot samples from them.

A data set is a `datasets.Dataset`, a pandas frame, a mapping of columns, or a pair `(texts, labels)`. None of
these libraries is imported here: they are told apart by what they offer.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from setfit_core.errors import ArgumentError, InputError, LabelError
from setfit_core.labels import is_column, label_rows, plain_label
from setfit_core.texts import lone_surrogate

DatasetT = TypeVar("DatasetT")

TEXT = "text"
LABEL = "label"


@dataclass(frozen=True)
class Examples:
    """Texts and their labels, row by row."""

    texts: list[str]
    labels: list[Any]


def check_texts(texts: Any) -> list[str]:
    """Return texts as a list of plain strings.

    Args:
        texts: An iterable of strings, NumPy strings included.

    Raises:
        InputError: If it is a single string, a mapping or frame of columns, not iterable, or holds anything but
            texts; the message names the first such row.
    """
    check_text_column(texts)
    return [checked_text(text, row) for row, text in enumerate(list(texts))]


def check_text_column(texts: Any) -> None:
    """Raise `InputError` if this can't be a list or stream of texts, without reading any of them."""
    if isinstance(texts, Mapping) or _is_frame(texts):
        msg = f"Expected a list of texts, but got a {type(texts).__name__}. Pass its text column, such as data['text']."
        raise InputError(msg)
    if not is_column(texts):
        msg = f"Expected a list of texts, but got {type(texts).__name__}. Put the text into a list."
        raise InputError(msg)


def checked_text(text: Any, row: int) -> str:
    """Return a text as a plain string, or raise `InputError` that names its row."""
    if not isinstance(text, str):
        what = "missing" if _is_missing(text) else f"a {type(text).__name__}"
        way = (
            "Decode it: text.decode('utf-8')" if isinstance(text, bytes) else "Remove the row or convert it with str()"
        )
        msg = f"The text in row {row} is {what} ({reprlib.repr(text)}), not a string. {way}."
        raise InputError(msg)
    surrogate = lone_surrogate(text)
    if surrogate is not None:
        msg = (
            f"The text in row {row} holds {surrogate!r}, half of a surrogate pair, which no tokenizer takes. Bytes "
            "were decoded wrongly, or a text was cut inside a character. Replace such halves by question marks: "
            "text.encode('utf-8', 'replace').decode('utf-8')."
        )
        raise InputError(msg)
    return str.__str__(text)  # a str Enum's own __str__ gives its name


def _is_missing(text: Any) -> bool:
    return text is None or (isinstance(text, float) and text != text) or type(text).__name__ == "NAType"  # pandas.NA


def read_examples(dataset: Any, column_mapping: Mapping[str, str] | None = None, *, what: str = "data set") -> Examples:
    """Read texts and labels from any supported kind of data set.

    Args:
        dataset: A `datasets.Dataset`, a pandas frame, a mapping of columns, or a pair `(texts, labels)`.
        column_mapping: From the data set's column names to `"text"` and `"label"`; None if it uses these names.
        what: How errors name the data set.

    Raises:
        InputError: If it is none of these, columns are missing, lengths differ, there are no rows, a text is not a
            string, or `column_mapping` has other targets or one of them twice.
    """
    if _is_pair(dataset):
        texts, labels = dataset
    else:
        columns = _column_names(dataset, what)
        text_column, label_column = _mapped_columns(columns, column_mapping, what)
        texts, labels = dataset[text_column], dataset[label_column]
    checked = check_texts(texts)
    rows = label_rows(labels, f"The labels of the {what}")
    if len(checked) != len(rows):
        msg = f"The {what} has {len(checked)} texts but {len(rows)} labels. Every text needs one label (or label row)."
        raise InputError(msg)
    if not checked:
        msg = f"The {what} has no rows. Give at least one text and its label."
        raise InputError(msg)
    return Examples(checked, rows)


def _is_pair(dataset: Any) -> bool:
    """Tell a pair `(texts, labels)` from rows or frames; what a pair holds is checked when it is read."""
    if not isinstance(dataset, tuple | list) or len(dataset) != 2:
        return False
    return not isinstance(dataset[0], str | Mapping) and not _is_frame(dataset[0])


def _is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "iloc")


def _column_names(dataset: Any, what: str) -> list[str]:
    names = getattr(dataset, "column_names", None)
    if isinstance(names, Mapping):  # a datasets.DatasetDict: columns by split
        splits = ", ".join(repr(split) for split in names)
        msg = f"The {what} has several splits ({splits}). Pass one of them, for instance dataset['train']."
        raise InputError(msg)
    if names is None and isinstance(dataset, Mapping):
        names = list(dataset)
    if names is None and _is_frame(dataset):
        names = list(dataset.columns)
    if isinstance(dataset, list | tuple) and dataset and isinstance(dataset[0], Mapping):
        msg = (
            f"The {what} is a {type(dataset).__name__} of rows. Pass columns, such as {{'text': [...], 'label': "
            "[...]}, or datasets.Dataset.from_list(rows)."
        )
        raise InputError(msg)
    if isinstance(dataset, Iterable) and not hasattr(dataset, "__len__"):
        msg = (
            f"The {what} is a {type(dataset).__name__}, which has no length: it can only be read in a stream. Load it "
            "without streaming, or pass datasets.Dataset.from_list(list(rows))."
        )
        raise InputError(msg)
    if names is None:
        msg = (
            f"The {what} is a {type(dataset).__name__}. Pass a datasets.Dataset, a pandas DataFrame, a dict of "
            "columns, or a pair (texts, labels)."
        )
        raise InputError(msg)
    return [str(name) for name in names]


def _mapped_columns(columns: list[str], mapping: Mapping[str, str] | None, what: str) -> tuple[str, str]:
    if mapping is not None and not isinstance(mapping, Mapping):
        msg = (
            f"column_mapping is {mapping!r}, not a dict. Write it as "
            '{"<your text column>": "text", "<your label column>": "label"}.'
        )
        raise InputError(msg)
    mapping = dict(mapping or {})
    absent = [source for source in mapping if source not in columns]
    if absent:
        msg = f"column_mapping names {absent}, but the {what} has the columns {columns}. Correct the mapping's keys."
        raise InputError(msg)
    unknown = [target for target in mapping.values() if target not in (TEXT, LABEL)]
    if unknown:
        msg = f"column_mapping maps to {unknown}. Only 'text' and 'label' are read: leave other columns out of it."
        raise InputError(msg)
    found: dict[str, str] = {}
    for source, target in mapping.items():
        if target in found:
            msg = f"column_mapping maps both {found[target]!r} and {source!r} to {target!r}. Keep one of them."
            raise InputError(msg)
        found[target] = source
    for target in (TEXT, LABEL):
        if target not in found and target in columns and target not in mapping:
            found[target] = target
    missing = [target for target in (TEXT, LABEL) if target not in found]
    if missing:
        msg = (
            f"The {what} has the columns {columns}; nothing says which holds the {' and the '.join(missing)}. Rename "
            'them, or pass column_mapping={"<your text column>": "text", "<your label column>": "label"}.'
        )
        raise InputError(msg)
    return found[TEXT], found[LABEL]


def sample_dataset(dataset: DatasetT, label_column: str = LABEL, num_samples: int = 8, seed: int = 42) -> DatasetT:
    """Draw a few-shot sample: at most `num_samples` rows of every class.

    The draw depends on the seed and on the labels alone, and the rows keep their order. Where rows carry several
    labels, each label gets up to `num_samples` rows that have it.

    Args:
        dataset: A `datasets.Dataset`, a pandas frame, a mapping of columns, or a pair `(texts, labels)`.
        label_column: The column with the labels; ignored for a pair.
        num_samples: How many rows a class.
        seed: The seed of the draw.

    Returns:
        A data set of the same kind.

    Raises:
        ArgumentError: If `num_samples` is not a positive integer or `seed` a negative one.
        InputError: If there is no such column, or columns differ in length.
        LabelError: If a label is missing.
    """
    if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 1:
        msg = f"num_samples is {num_samples!r}. It says how many rows a class to draw: give an integer of 1 or more."
        raise ArgumentError(msg)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        msg = f"seed is {seed!r}. Give an integer of 0 or more; the same seed draws the same rows."
        raise ArgumentError(msg)
    pair = _is_pair(dataset)
    source: Any = dataset
    if not pair:
        columns = _column_names(source, "data set")
        if label_column not in columns:
            msg = f"There is no column {label_column!r}; the data set has {columns}. Pass label_column."
            raise InputError(msg)
    labels = label_rows(source[1] if pair else source[label_column])
    rows = _draw(labels, num_samples, seed)
    picked: Any
    if pair:
        picked = type(source)([_picked("texts", source[0], rows, len(labels)), [labels[row] for row in rows]])
    elif hasattr(source, "iloc"):
        picked = source.iloc[rows].reset_index(drop=True)
    elif hasattr(source, "select"):
        picked = source.select(rows)
    else:
        picked = {name: _picked(name, column, rows, len(labels)) for name, column in source.items()}
    return picked  # type: ignore[no-any-return]  # the kind of the data set is only known at run time


def _picked(name: str, column: Any, rows: list[int], length: int) -> list[Any]:
    if not is_column(column):
        msg = f"The column {name!r} is a {type(column).__name__}, not a list. Give one entry a row."
        raise InputError(msg)
    cells = list(column)  # a pandas series counts by its index, a list by rows
    if len(cells) != length:
        msg = f"The column {name!r} has {len(cells)} rows, but there are {length} labels. Every row needs both."
        raise InputError(msg)
    return [cells[row] for row in rows]


def _draw(labels: Sequence[Any], num_samples: int, seed: int) -> list[int]:
    rows_of: dict[Any, list[int]] = {}
    for row, value in enumerate(labels):
        for member in _members(value, row):
            rows_of.setdefault(member, []).append(row)
    generator = np.random.default_rng(seed)
    drawn: set[int] = set()
    # Sorted, so that the draw doesn't depend on which class happens to come first.
    for member in sorted(rows_of, key=lambda label: (str(type(label)), label)):
        rows = rows_of[member]
        picks = generator.permutation(len(rows))[:num_samples]
        drawn.update(rows[pick] for pick in picks)
    return sorted(drawn)


def _members(value: Any, row: int) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return [plain_label(value, f"row {row}")]
    members = [plain_label(member, f"row {row}") for member in value]
    if members and all(isinstance(member, int | float) and member in (0, 1) for member in members):
        return [column for column, member in enumerate(members) if member]
    if not all(isinstance(member, str) for member in members):
        msg = f"The label in row {row} is neither one label, nor 0/1 indicators, nor a list of label names."
        raise LabelError(msg)
    return members
