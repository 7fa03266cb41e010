"""Labels of any kind, one a text or a row of zeros and ones, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["check_labels", "class_array", "encode", "is_rows", "label_rows", "plain"]

MOST_CHARACTERS: Final = 2**22


def plain(labels: Iterable[Any]) -> list[Any]:
    """Return labels as Python's own values."""
    return [label.item() if isinstance(label, np.generic) else label for label in labels]


def is_rows(labels: Sequence[Any]) -> bool:
    """Return whether each label is a row, one entry for each of several labels."""
    return len(labels) > 0 and isinstance(labels[0], (list, tuple, np.ndarray))


def label_rows(labels: Sequence[Any]) -> npt.NDArray[np.uint8]:
    """Return rows of zeros and ones as an array `[num_inputs, num_labels]`.

    Raises:
        ValueError: They are of several lengths, or hold something else.
    """
    try:
        rows = np.asarray(labels)
    except ValueError as error:
        raise ValueError("The rows of labels are not of one length. Give each text an entry for each label.") from error
    if rows.ndim != 2 or not rows.shape[1] or rows.dtype.kind not in "biuf" or not np.isin(rows, (0, 1)).all():
        raise ValueError("Rows of labels hold a 1 for each label that a text has, and 0 for the others; these don't.")
    return rows.astype(np.uint8)


def check_labels(labels: Sequence[Any]) -> None:
    """Refuse labels that are not of one kind, or of a kind that is no class.

    Args:
        labels: As `plain` returns them.

    Raises:
        ValueError: They aren't all strings, all integers, all booleans or all whole floats.
    """
    kinds = {type(label) for label in labels}
    if len(kinds) != 1 or not kinds <= {str, int, bool, float}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
        raise ValueError(
            f"The labels hold {found}. Give one label for each embedding, all strings, all integers, all booleans or "
            "all whole floats; or rows of zeros and ones for several labels a text."
        )
    if float in kinds and not all(label.is_integer() for label in labels):
        raise ValueError("The labels hold fractions or NaN, which are no classes. Give each text a class name or id.")


def encode(labels: Sequence[Any], classes: Sequence[Any]) -> npt.NDArray[np.int64]:
    """Return the position of each label among the classes, `[num_inputs]`."""
    ids = {label: number for number, label in enumerate(classes)}
    return np.array([ids[label] for label in labels], dtype=np.int64)


def class_array(classes: Sequence[Any]) -> npt.NDArray[Any]:
    """Return classes as an array, of Python objects where NumPy's types would change one or take much memory."""
    # NumPy gives every string, also in the array of predictions, the room of the longest.
    longest = max(map(len, classes)) if isinstance(classes[0], str) else 0
    if longest * max(len(classes), 1000) <= MOST_CHARACTERS:
        array = np.array(classes)
        if [*map(repr, array.tolist())] == [*map(repr, classes)]:
            return array
    array = np.empty(len(classes), dtype=object)
    array[:] = classes
    return array
