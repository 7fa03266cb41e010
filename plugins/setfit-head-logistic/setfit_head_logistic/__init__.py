"""The head `logistic`: scikit-learn's `LogisticRegression`, unchanged.

The entry point leads to this module and not to the class, because a class of another library can't carry
hooks.
"""

from __future__ import annotations

from typing import Any

import pluggy

__all__ = ["setfit_head_factory", "setfit_search_space"]

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl
def setfit_head_factory() -> type[Any]:
    """Return scikit-learn's class, imported only now so that loading the plugin stays cheap."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression  # type: ignore[no-any-return]  # scikit-learn has no annotations


@hookimpl
def setfit_search_space() -> dict[str, Any]:
    """Return how strongly a search regularises, and whether it weighs classes by their rarity."""
    return {
        "C": {"low": 1e-3, "high": 1e3, "log": True},
        "class_weight": {"choices": [None, "balanced"]},
    }
