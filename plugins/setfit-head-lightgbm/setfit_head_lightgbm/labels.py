"""Labels of any kind, and the classes that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["class_array"]

#: In an array of strings; a file of a few megabytes could ask for gigabytes.
MAX_CHARACTERS: Final = 2**22


def class_array(labels: Sequence[Any]) -> npt.NDArray[Any]:
    """Return the different labels, sorted, as an array that holds exactly them.

    Very long strings stay Python objects: an array gives each string, in predictions too, the room of the longest.

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
    longest = max((len(label) for label in classes if isinstance(label, str)), default=0)
    if longest * max(len(classes), 1000) > MAX_CHARACTERS:
        return np.array(classes, dtype=object)
    array = np.array(classes)
    if array.dtype.hasobject or [*map(repr, array.tolist())] != [*map(repr, classes)]:
        raise ValueError("A label ends in NUL, or is an integer beyond 64 bits. Give the classes other names.")
    return array
