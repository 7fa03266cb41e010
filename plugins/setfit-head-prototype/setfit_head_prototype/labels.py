"""Labels of any kind as positions in the sorted classes, and rows of 0 and 1 for several labels a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Targets", "check_classes", "class_array", "encoded"]

#: Of an array of strings: 16 MiB.
MOST_CHARACTERS: Final = 2**22

#: Positions of classes, int64 `[num_inputs]`, or which labels each text has, bool `[num_inputs, num_labels]`.
Targets: TypeAlias = "npt.NDArray[np.int64] | npt.NDArray[np.bool_]"


def encoded(labels: Any, named: Iterable[Any] | None = None) -> tuple[list[Any], Targets]:
    """Return the sorted classes, and what each text has of them.

    Args:
        labels: A label for each text (strings, integers, booleans or whole floats), or rows of 0 and 1.
        named: Classes that there are besides those among the labels.

    Raises:
        ValueError: The labels are of several kinds or of none of these, or rows hold something else than 0 and 1.
    """
    # Of a list of strings NumPy would make an array, which may cut them; so only rows become one.
    values = labels if isinstance(labels, np.ndarray) else list(labels)
    classes = _plain([] if named is None else named)
    if len(values) and np.ndim(values[0]):
        return _encoded_rows(values, classes)
    plain = _plain(values)
    classes = sorted(check_classes([*plain, *classes]))
    positions = {label: position for position, label in enumerate(classes)}
    return classes, np.array([positions[label] for label in plain], dtype=np.int64)


def check_classes(labels: Sequence[Any]) -> set[Any]:
    """Return the different labels; refuse those that are not of one kind, or of a kind that is no class.

    Raises:
        ValueError: They aren't all strings, all integers, all booleans or all whole floats.
    """
    kinds = {type(label) for label in labels}
    if len(kinds) != 1 or not kinds <= {str, int, bool, float}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
        raise ValueError(
            "Labels must be all strings, all integers, all booleans or all whole floats, one for each text, but they "
            f"hold {found}. Convert them to one of these kinds."
        )
    if float in kinds and not all(label.is_integer() for label in labels):
        raise ValueError("The labels hold fractions or NaN, which are no classes. Give each text a class name or id.")
    return set(labels)


def class_array(classes: Sequence[Any]) -> npt.NDArray[Any]:
    """Return classes as an array that holds exactly them: of objects where a type of NumPy would change or bloat them.

    NumPy cuts NULs off the end of strings, makes floats of some sets of large integers, and gives each string, also
    among predictions, the room of the longest.
    """
    longest = max(map(len, classes)) if isinstance(classes[0], str) else 0
    if longest * max(len(classes), 1000) <= MOST_CHARACTERS:
        array = np.array(classes)
        if [*map(repr, array.tolist())] == [*map(repr, classes)]:
            return array
    return np.array(classes, dtype=object)


def _plain(labels: Iterable[Any]) -> list[Any]:
    return [label.item() if isinstance(label, np.generic) else label for label in labels]


def _encoded_rows(values: Any, named: Sequence[Any]) -> tuple[list[Any], npt.NDArray[np.bool_]]:
    try:
        rows = np.asarray(values)
    except ValueError:  # of different lengths
        rows = np.empty(0)
    if rows.ndim != 2 or not rows.shape[1] or rows.dtype.kind not in "biuf" or not np.isin(rows, (0, 1)).all():
        raise ValueError("Several labels a text are rows of 0 and 1 [num_inputs, num_labels], all of the same length.")
    classes = [*range(rows.shape[1])]
    if named and sorted(named) != classes:
        raise ValueError(f"The rows have {len(classes)} labels, so `classes` is {classes} or left out.")
    return classes, rows.astype(bool)
