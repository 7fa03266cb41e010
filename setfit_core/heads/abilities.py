"""What some heads can do beyond predicting: tell what belongs to none of the classes, and explain by training texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from setfit_core.conformance import declared_capabilities
from setfit_core.errors import HeadError, HeadOutputError
from setfit_core.heads.adapters import failed
from setfit_core.heads.outputs import head_name
from setfit_core.labels import LabelCodec

_INSTEAD: Final[Mapping[str, str]] = {
    "open_set": "can't tell what belongs to none of the classes. Use one that declares 'open_set', such as "
    "head='prototype' (pip install setfit-head-prototype).",
    "explain": "can't say on which training texts it rests. Use one that declares 'explain', such as head='knn' "
    "(pip install setfit-head-knn).",
}


@dataclass(frozen=True)
class Vote:
    """A training text that spoke for a label.

    Attributes:
        text: The text; None if the head doesn't keep texts.
        label: Its label, as the training data have it; a list of names or of 0/1 indicators for several labels a text.
        similarity: How near it is, by the head's own measure.
        weight: Its share of all votes, 0 to 1.
    """

    text: str | None
    label: Any
    similarity: float
    weight: float


def require_ability(head: Any, ability: Literal["open_set", "explain"]) -> None:
    """Raise unless a head declares that it can do this.

    Raises:
        HeadError: If it doesn't.
    """
    if not declared_capabilities(head).get(ability):
        raise HeadError(f"The head {head_name(head)} {_INSTEAD[ability]}")


def known_rows(head: Any, embeddings: Any) -> npt.NDArray[np.bool_]:
    """Return which embeddings belong to one of the classes, booleans `[n]`.

    Args:
        head: A trained head that declares `open_set`.
        embeddings: `[n, embedding_size]`, as its `predict` takes them.

    Raises:
        HeadError: If the head declares no such thing, or fails.
        HeadOutputError: If it returns something else.
    """
    require_ability(head, "open_set")
    known = np.asarray(_ask(head, "is_known", embeddings))
    if known.shape != (len(embeddings),) or known.dtype.kind != "b":
        msg = (
            f"{head_name(head)}.is_known returned {known.dtype} of shape {list(known.shape)}; expected booleans of "
            f"shape [{len(embeddings)}]."
        )
        raise HeadOutputError(msg)
    return known


def votes(head: Any, embeddings: Any, codec: LabelCodec, limit: int) -> list[list[Vote]]:
    """Return the training texts that a head's predictions rest on, the weightiest first, at most `limit` for each.

    Args:
        head: A trained head that declares `explain`.
        embeddings: `[n, embedding_size]`, as its `predict` takes them.
        codec: The labels that it was trained on.
        limit: The most texts for each embedding.

    Raises:
        HeadError: If the head declares no such thing, or fails.
        HeadOutputError: If it returns something else.
    """
    require_ability(head, "explain")
    explained = _ask(head, "explain", embeddings, limit)
    try:
        found = [[_vote(codec, **vote) for vote in row] for row in explained]
    except (TypeError, ValueError, IndexError) as error:
        raise HeadOutputError(_no_votes(head)) from error
    if len(found) != len(embeddings) or any(len(row) > limit for row in found):
        raise HeadOutputError(_no_votes(head))
    return found


def _vote(codec: LabelCodec, *, text: Any, label: Any, similarity: Any, weight: Any) -> Vote:
    if not (text is None or isinstance(text, str)) or not (_is_finite(similarity) and _is_finite(weight)):
        raise TypeError
    class_id = np.asarray(label)
    in_range = (class_id >= 0) & (class_id < (2 if codec.multi_label else codec.num_classes))
    if class_id.dtype.kind not in "iu" or not in_range.all():
        raise ValueError
    decoded = codec.decode(codec.expand_class_ids(class_id[np.newaxis]))[0]
    return Vote(text, decoded.tolist() if isinstance(decoded, np.generic | np.ndarray) else decoded, similarity, weight)


def _ask(head: Any, method: str, *arguments: Any) -> Any:
    try:
        return getattr(head, method)(*arguments)
    except Exception as error:
        raise HeadError(failed(head, method, error)) from error


def _is_finite(number: Any) -> bool:
    return isinstance(number, float) and math.isfinite(number)


def _no_votes(head: Any) -> str:
    return (
        f"{head_name(head)}.explain must return, for each embedding, a list of at most `limit` mappings with the keys "
        "'text' (a string or None), 'label', 'similarity' and 'weight' (floats); it returned something else."
    )
