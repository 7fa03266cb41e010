"""Which column holds the texts, and which the labels: found by name, or named."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from setfit_core.errors import InputError
from setfit_core.texts import lone_surrogate

TEXT_NAMES: Final = ("text", "sentence", "content", "review", "message", "utterance", "question", "title")
LABEL_NAMES: Final = ("label", "labels", "category", "class", "intent", "target")


def probability_columns(labels: Iterable[Any]) -> list[str]:
    """Return what the columns of the labels' probabilities are called."""
    return [f"probability {label}" for label in labels]


def find_column(
    columns: Sequence[str], named: str | None, usual: Sequence[str], *, what: str, table: str, option: str
) -> str:
    """Return the one column that is meant.

    Args:
        columns: The columns of the table.
        named: The column that the user named; None to find it by its usual names, whatever their case.
        usual: These names.
        what: What is in the column, for errors, such as `"texts"`.
        table: The table, for errors.
        option: How the user can name the column, for errors.

    Raises:
        InputError: If there is no such column, or several may be meant.
    """
    listed = ", ".join(repr(column) for column in columns)
    if named is not None:
        if named in columns:
            return named
        close = difflib.get_close_matches(named, columns, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise InputError(f"{table} has no column {named!r}.{meant} Its columns are {listed}.")
    found = [column for column in columns if column.strip().lower() in usual]
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(repr(column) for column in found)
        raise InputError(f"{table} has {several}, each of which may hold the {what}. Say which: {option} NAME.")
    raise InputError(
        f"{table} has no column named {', '.join(usual[:-1])} or {usual[-1]}, so nothing says which holds the {what}. "
        f"Name it: {option} NAME. The columns are {listed}."
    )


def text_problem(value: Any) -> str | None:
    """Return what keeps a cell from being a text, such as `"is missing"`; None if nothing does."""
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return "is missing"
    if not isinstance(value, str):
        return f"is {reprlib.repr(value)}, not a string"
    surrogate = lone_surrogate(value)
    return None if surrogate is None else f"holds {surrogate!r}, half of a surrogate pair"
