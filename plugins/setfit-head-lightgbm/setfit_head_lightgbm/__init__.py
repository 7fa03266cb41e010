"""The head `lightgbm`: gradient-boosted trees over embeddings, saved as arrays.

The entry point leads to this module, whose hooks say what builds the head, which of its parameters are worth trying,
and how it is written and read. LightGBM is imported only when one of them needs it, or `LightGBMHead` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from setfit_head_lightgbm.head import LightGBMHead

__all__ = ["LightGBMHead", "setfit_head_factory", "setfit_load_head", "setfit_save_head", "setfit_search_space"]

FORMAT = "lightgbm-trees"

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl
def setfit_head_factory() -> type[LightGBMHead]:
    """Return the class of the head."""
    from setfit_head_lightgbm.head import LightGBMHead

    return LightGBMHead


@hookimpl
def setfit_search_space() -> dict[str, dict[str, Any]]:
    """Return the parameters worth trying."""
    return {
        "n_estimators": {"low": 50, "high": 400, "log": True},
        "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
        "num_leaves": {"low": 2, "high": 31, "log": True},
        "colsample_bytree": {"low": 0.02, "high": 1.0, "log": True},
        "reg_lambda": {"low": 0.001, "high": 10.0, "log": True},
        "min_child_samples": {"low": 1, "high": 8},
    }


@hookimpl
def setfit_save_head(head: Any, directory: Path) -> dict[str, Any] | None:
    """Write a head into an empty directory; None for a head of another class.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter of the head can't be written as JSON, or its trees are too large.
    """
    from setfit_head_lightgbm.files import write
    from setfit_head_lightgbm.head import LightGBMHead

    if type(head) is not LightGBMHead:  # a subclass would come back as this class
        return None
    return {"format": FORMAT, **write(head, directory)}


@hookimpl
def setfit_load_head(directory: Path, metadata: Mapping[str, Any]) -> LightGBMHead | None:
    """Rebuild a head from what `setfit_save_head` wrote; None for another format.

    Raises:
        ValueError: The file or the metadata is damaged, or made to do harm.
    """
    if metadata.get("format") != FORMAT:
        return None
    from setfit_head_lightgbm.files import read

    return read(directory, metadata)


def __getattr__(name: str) -> Any:
    if name == "LightGBMHead":
        return setfit_head_factory()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
