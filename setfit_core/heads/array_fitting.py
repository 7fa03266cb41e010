"""Training a head that takes arrays, and rehearsing it, so that one that can't be trained is found out first."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from setfit_core.conformance import declared_capabilities
from setfit_core.errors import HeadError, SetFitError
from setfit_core.heads.adapters import adapter_for
from setfit_core.heads.multilabel import fit_weighted, weighs
from setfit_core.heads.outputs import head_name
from setfit_core.heads.weights import FloatArray
from setfit_core.labels import IntArray, LabelCodec
from setfit_core.randomness import isolated_random_state

logger = logging.getLogger(__name__)


def fit_array_head(
    head: Any,
    embeddings: npt.NDArray[Any],
    targets: IntArray,
    *,
    seed: int,
    weights: FloatArray | None = None,
    texts: Sequence[str] | None = None,
) -> None:
    """Fit a non-differentiable head on embeddings and class ids.

    Args:
        head: The head.
        embeddings: Floats `[n, embedding_size]`.
        targets: Class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
        seed: Seed of what the head draws from the global random state.
        weights: How much each text counts, floats `[n]`; a head that can't use them is fitted without.
        texts: The texts, for a head that declares that it explains by them.

    Raises:
        HeadError: If the head refuses them; it is then as it was before.
    """
    labels = targets if targets.ndim == 2 else targets.tolist()
    keywords = _texts_for(head, texts)
    with _unharmed(head, targets), isolated_random_state(seed):
        if weights is not None and weighs(head):
            fit_weighted(head, embeddings, labels, weights, **keywords)
        else:
            head.fit(embeddings, labels, **keywords)


def extend_array_head(
    head: Any, embeddings: Any, targets: IntArray, *, seed: int, texts: Sequence[str] | None = None
) -> None:
    """Train a fitted head further, through its `partial_fit`.

    Args:
        head: The head.
        embeddings: Floats `[n, embedding_size]` of further texts.
        targets: Their class ids `[n]`, new ones among them perhaps; or 0/1 indicators `[n, num_classes]`.
        seed: Seed of what the head draws from the global random state.
        texts: The texts, for a head that declares that it explains by them.

    Raises:
        HeadError: If the head has no `partial_fit` or refuses them; it is then as it was before.
    """
    if not callable(getattr(head, "partial_fit", None)):
        msg = (
            f"The head {head_name(head)} can't be trained further: it has no partial_fit. Train it on all texts, or "
            "use one that has it, such as head='prototype' or head='knn'."
        )
        raise HeadError(msg)
    labels = targets if targets.ndim == 2 else targets.tolist()
    with _unharmed(head, targets), isolated_random_state(seed):
        head.partial_fit(embeddings, labels, **_texts_for(head, texts))


def _texts_for(head: Any, texts: Sequence[str] | None) -> dict[str, list[str]]:
    if texts is None or not declared_capabilities(head).get("explain"):
        return {}
    return {"texts": list(texts)}


@contextmanager
def _unharmed(head: Any, targets: IntArray) -> Iterator[None]:
    """Put a head back as it was if training it fails, and say what it was trained on."""
    before = copied(vars(head)) if hasattr(head, "__dict__") else None
    try:
        yield
    except BaseException as error:
        if before is not None:
            vars(head).clear()
            vars(head).update(before)
        if isinstance(error, SetFitError) or not isinstance(error, Exception):
            raise
        each = np.unique(targets, return_counts=True)[1] if targets.ndim == 1 else targets.sum(axis=0)
        msg = (
            f"The head {head_name(head)} can't be trained on these labels, {len(targets)} texts "
            f"({', '.join(map(str, each[:10]))}{', …' if len(each) > 10 else ''} a class): "
            f"{type(error).__name__}: {error} Change the head's parameters or the data."
        )
        raise HeadError(msg) from error


def rehearse_array_head(
    head: Any,
    codec: LabelCodec,
    embeddings: npt.NDArray[Any],
    targets: IntArray,
    *,
    seed: int,
    weights: FloatArray | None = None,
    texts: Sequence[str] | None = None,
) -> None:
    """Fit a copy of a head and predict with it, before the body is trained for minutes.

    A parameter out of range, more neighbours than texts or a class too small for cross-validation show here. A
    head that can't be copied is not rehearsed.

    Raises:
        HeadError: If the head refuses the labels, or predicts against its contract.
    """
    twin = copied(head)
    if twin is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters will be said again after the body is trained
        fit_array_head(twin, embeddings, targets, seed=seed, weights=weights, texts=texts)
        adapter_for(twin).class_ids(embeddings, codec)


def copied(thing: Any) -> Any:
    """Return a deep copy; None if the thing can't be copied."""
    try:
        return copy.deepcopy(thing)
    except Exception:  # a foreign object may refuse in any way
        logger.debug("%s can't be copied.", type(thing).__name__)
        return None
