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
from setfit_core.heads.outputs import head_name

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
        label: The class id, or a list of 0/1 indicators `[num_classes]`, as the head was trained on.
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


def votes(head: Any, embeddings: Any, limit: int) -> list[list[Vote]]:
    """Return the training texts that a head's predictions rest on, the weightiest first, at most `limit` for each.

    Args:
        head: A trained head that declares `explain`.
        embeddings: `[n, embedding_size]`, as its `predict` takes them.
        limit: The most texts for each embedding.

    Raises:
        HeadError: If the head declares no such thing, or fails.
        HeadOutputError: If it returns something else.
    """
    require_ability(head, "explain")
    explained = _ask(head, "explain", embeddings, limit)
    try:
        found = [[Vote(**vote) for vote in row] for row in explained]
    except TypeError as error:
        raise HeadOutputError(_no_votes(head)) from error
    if len(found) != len(embeddings) or not all(len(row) <= limit and all(map(_is_sound, row)) for row in found):
        raise HeadOutputError(_no_votes(head))
    return found


def _ask(head: Any, method: str, *arguments: Any) -> Any:
    try:
        return getattr(head, method)(*arguments)
    except Exception as error:
        msg = f"{head_name(head)}.{method} failed on the embeddings with {type(error).__name__}: {error}"
        raise HeadError(msg) from error


def _is_sound(vote: Vote) -> bool:
    return (vote.text is None or isinstance(vote.text, str)) and all(
        isinstance(number, float) and math.isfinite(number) for number in (vote.similarity, vote.weight)
    )


def _no_votes(head: Any) -> str:
    return (
        f"{head_name(head)}.explain must return, for each embedding, a list of at most `limit` mappings with the keys "
        "'text' (a string or None), 'label', 'similarity' and 'weight' (floats); it returned something else."
    )
