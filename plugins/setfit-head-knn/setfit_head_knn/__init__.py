"""The head `knn`: the nearest training examples vote, and are the explanation of the prediction.

The entry point leads to this module, whose three hooks say what builds the head and how it is written and read.
NumPy, scikit-learn and the index library are imported only when one of them is called, or `KNNHead` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from setfit_head_knn.head import KNNHead

__all__ = ["KNNHead", "setfit_head_factory", "setfit_load_head", "setfit_save_head"]

FORMAT = "knn"

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl
def setfit_head_factory() -> type[KNNHead]:
    """Return the class of the head."""
    from setfit_head_knn.head import KNNHead

    return KNNHead


@hookimpl
def setfit_save_head(head: Any, directory: Path) -> dict[str, str] | None:
    """Write a head into an empty directory; None for a head of another class.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter of the head can't be written as JSON, or there are too many classes.
    """
    from setfit_head_knn.files import write
    from setfit_head_knn.head import KNNHead

    if type(head) is not KNNHead:  # a subclass would come back as this class
        return None
    write(head, directory)
    return {"format": FORMAT}


@hookimpl
def setfit_load_head(directory: Path, metadata: Mapping[str, Any]) -> KNNHead | None:
    """Rebuild a head from what `setfit_save_head` wrote; None for another format.

    Raises:
        ValueError: The files are missing, damaged, or don't fit each other.
    """
    if metadata.get("format") != FORMAT:
        return None
    from setfit_head_knn.files import read

    return read(directory)


def __getattr__(name: str) -> Any:
    if name == "KNNHead":
        return setfit_head_factory()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
