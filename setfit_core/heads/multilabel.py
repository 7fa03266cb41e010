"""Heads for several labels a text."""

from __future__ import annotations

from typing import Any, Final

from torch import nn

from setfit_core.conformance import declared_capabilities
from setfit_core.errors import ArgumentError
from setfit_core.heads.outputs import head_name

STRATEGIES: Final = ("one-vs-rest", "multi-output", "classifier-chain")


def multi_label_head(head: Any, strategy: str) -> Any:
    """Return a head that predicts 0/1 indicators, `[n, num_labels]`.

    A head that declares `setfit_head = {"multi_label": True}` is returned as it is; a scikit-learn classifier is
    wrapped in scikit-learn's own meta-estimator of that name.

    Args:
        head: The head as it was built for one label a text.
        strategy: One of `STRATEGIES`.

    Raises:
        ArgumentError: If the head is neither.
    """
    if declared_capabilities(head).get("multi_label"):
        return head
    # These two imports take a second, which single-label models spare.
    from sklearn.base import BaseEstimator

    if isinstance(head, nn.Module) or not isinstance(head, BaseEstimator):
        msg = (
            f"The head {head_name(head)} does not declare that it handles several labels a text, so "
            f"multi_target_strategy={strategy!r} can't be used. Choose another head, or have its author declare "
            'setfit_head = {"multi_label": True}.'
        )
        raise ArgumentError(msg)
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

    wrappers = {
        "one-vs-rest": OneVsRestClassifier,
        "multi-output": MultiOutputClassifier,
        "classifier-chain": ClassifierChain,
    }
    return wrappers[strategy](head)
