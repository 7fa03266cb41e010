"""The head `xgboost`: gradient-boosted trees over embeddings, saved in XGBoost's own file format.

The entry point leads to this module, whose hooks say what builds the head, which of its parameters a search tries, and
how it is written and read. XGBoost is imported only when it is needed for that, or `XGBoostHead` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from setfit_head_xgboost.head import XGBoostHead

__all__ = ["XGBoostHead", "setfit_head_factory", "setfit_load_head", "setfit_save_head", "setfit_search_space"]

FORMAT = "xgboost"

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl
def setfit_head_factory() -> type[XGBoostHead]:
    """Return the class of the head."""
    from setfit_head_xgboost.head import XGBoostHead

    return XGBoostHead


@hookimpl
def setfit_search_space() -> dict[str, Any]:
    """Return what matters most for few examples and many columns: how many trees, how large, and how much each sees."""
    return {
        "n_estimators": {"low": 50, "high": 400, "log": True},
        "learning_rate": {"low": 0.03, "high": 0.3, "log": True},
        "max_depth": {"low": 2, "high": 8},
        "min_child_weight": {"low": 0.25, "high": 4.0, "log": True},
        "colsample_bynode": {"low": 0.05, "high": 1.0, "log": True},
    }


@hookimpl
def setfit_save_head(head: Any, directory: Path) -> dict[str, str] | None:
    """Write a head into an empty directory; None for a head of another class.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter of the head can't be written as JSON.
    """
    from setfit_head_xgboost.files import write
    from setfit_head_xgboost.head import XGBoostHead

    if type(head) is not XGBoostHead:  # a subclass would come back as this class
        return None
    write(head, directory)
    return {"format": FORMAT}


@hookimpl
def setfit_load_head(directory: Path, metadata: Mapping[str, Any]) -> XGBoostHead | None:
    """Rebuild a head from what `setfit_save_head` wrote; None for another format.

    Raises:
        ValueError: The files are missing, damaged, or don't fit each other or the installed XGBoost.
    """
    if metadata.get("format") != FORMAT:
        return None
    from setfit_head_xgboost.files import read

    return read(directory)


def __getattr__(name: str) -> Any:
    if name == "XGBoostHead":
        return setfit_head_factory()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
