"""Heads for several labels a text."""

from __future__ import annotations

from typing import Any, Final

import numpy.typing as npt
from torch import nn

from setfit_core.conformance import declared_capabilities
from setfit_core.errors import ArgumentError
from setfit_core.heads.outputs import head_name
from setfit_core.heads.weights import FloatArray, takes_sample_weight

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


def weighs(head: Any) -> bool:
    """Tell whether a head can be trained with weights; a wrapper of scikit-learn can if what it wraps can."""
    if isinstance(head, nn.Module):
        return takes_sample_weight(head)
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

    if isinstance(head, MultiOutputClassifier):
        return takes_sample_weight(head.estimator)
    if isinstance(head, OneVsRestClassifier | ClassifierChain):
        return takes_sample_weight(_wrapped(head)) and _can_be_asked_for_weights(_wrapped(head))
    return takes_sample_weight(head)


def fit_weighted(head: Any, embeddings: npt.NDArray[Any], labels: Any, weights: FloatArray, **keywords: Any) -> None:
    """Fit a non-differentiable head that weighs.

    Two of scikit-learn's wrappers pass weights on under a setting of the whole library and a request on the wrapped
    head. Both last for this call alone: a request that stayed would be one more thing in the saved head.

    Args:
        head: The head.
        embeddings: Floats `[n, embedding_size]`.
        labels: As its `fit` takes them.
        weights: How much each text counts, floats `[n]`.
        keywords: What else its `fit` takes.
    """
    if takes_sample_weight(head):
        head.fit(embeddings, labels, sample_weight=weights, **keywords)
        return
    from sklearn import config_context

    wrapped = _wrapped(head)
    with config_context(enable_metadata_routing=True):
        wrapped.set_fit_request(sample_weight=True)
        try:
            head.fit(embeddings, labels, sample_weight=weights, **keywords)
        finally:
            for estimator in (wrapped, *getattr(head, "estimators_", ())):
                vars(estimator).pop("_metadata_request", None)


def _can_be_asked_for_weights(estimator: Any) -> bool:
    """Tell whether a request for weights can be put on an estimator; those that pass them on themselves take none."""
    from sklearn.utils.metadata_routing import MetadataRequest

    try:
        return isinstance(estimator.get_metadata_routing(), MetadataRequest)
    except (AttributeError, NotImplementedError):
        return False


def _wrapped(wrapper: Any) -> Any:
    # ClassifierChain called it base_estimator before scikit-learn 1.7.
    estimator = getattr(wrapper, "estimator", None)
    return wrapper.base_estimator if estimator is None else estimator
