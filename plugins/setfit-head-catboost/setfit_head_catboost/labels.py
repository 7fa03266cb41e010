"""Labels of any kind, and the classes that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["class_array"]


def class_array(labels: Sequence[Any]) -> npt.NDArray[Any]:
    """Return the different labels, sorted, as an array that holds exactly them.

    Raises:
        ValueError: There are fewer than two, they are not of one kind, or of a kind that is no class; or NumPy would
            change them, as it does strings that end in NUL and integers beyond 64 bits.
    """
    kinds = {type(label) for label in labels}
    whole = kinds != {float} or all(label.is_integer() for label in labels)
    if len(kinds) != 1 or not kinds <= {str, int, bool, float} or not whole:
        found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
        raise ValueError(
            "The labels must be all strings, all integers, all booleans or all whole floats, one for each row, but "
            f"they hold {found}{'' if whole else ' with fractions or NaN'}. Convert them to one of these kinds."
        )
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise ValueError(f"All labels are {classes[0]!r}. Add examples of another class: two are the least.")
    array = np.array(classes)
    if array.dtype.hasobject or [*map(repr, array.tolist())] != [*map(repr, classes)]:
        raise ValueError("A label ends in NUL, or is an integer beyond 64 bits. Give the classes other names.")
    return array
