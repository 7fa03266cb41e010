"""The head `catboost`: gradient-boosted trees over embeddings, saved as arrays.

The entry point leads to this module, whose hooks say what builds the head, which of its parameters are worth trying,
and how it is written and read. CatBoost is imported only when one of them needs it, or `CatBoostHead` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from setfit_head_catboost.head import CatBoostHead

__all__ = ["CatBoostHead", "setfit_head_factory", "setfit_load_head", "setfit_save_head", "setfit_search_space"]

FORMAT = "catboost-trees"

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl
def setfit_head_factory() -> type[CatBoostHead]:
    """Return the class of the head."""
    from setfit_head_catboost.head import CatBoostHead

    return CatBoostHead


@hookimpl
def setfit_search_space() -> dict[str, dict[str, Any]]:
    """Return the parameters worth trying."""
    return {
        "iterations": {"low": 100, "high": 400, "log": True},
        "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
        "depth": {"low": 1, "high": 4},
        "l2_leaf_reg": {"low": 0.5, "high": 30.0, "log": True},
        "rsm": {"low": 0.02, "high": 0.3, "log": True},
    }


@hookimpl
def setfit_save_head(head: Any, directory: Path) -> dict[str, Any] | None:
    """Write a head into an empty directory; None for a head of another class.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter of the head can't be written as JSON, or its trees are too large.
    """
    from setfit_head_catboost.files import write
    from setfit_head_catboost.head import CatBoostHead

    if type(head) is not CatBoostHead:  # a subclass would come back as this class
        return None
    return {"format": FORMAT, **write(head, directory)}


@hookimpl
def setfit_load_head(directory: Path, metadata: Mapping[str, Any]) -> CatBoostHead | None:
    """Rebuild a head from what `setfit_save_head` wrote; None for another format.

    Raises:
        ValueError: The file or the metadata is damaged, or made to do harm.
    """
    if metadata.get("format") != FORMAT:
        return None
    from setfit_head_catboost.files import read

    return read(directory, metadata)


def __getattr__(name: str) -> Any:
    if name == "CatBoostHead":
        return setfit_head_factory()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
