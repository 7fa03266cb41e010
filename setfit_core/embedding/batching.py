"""Batches that waste little: texts tokenised once, near in length, about as many tokens in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sentence_transformers import SentenceTransformer
from torch import Tensor

from setfit_core.embedding.body import preprocessed

#: Texts that are tokenised together: their padded tokens are in memory at once.
CHUNK_TEXTS: Final = 1024

#: Characters that are tokenised together, at least one text: a tokenizer takes some 60 bytes for each, also for those
#: that it then cuts off.
CHUNK_CHARACTERS: Final = 2**20

#: Tokens a forward pass, padding included, unless a number of texts is given. What a layer computes for that many
#: stays in a processor's cache; the weights are then read seldom enough.
BATCH_TOKENS: Final = 1024

#: From how many tokens on a batch ends where the length changes. A batch of one length needs no padding and no mask.
EVEN_TOKENS: Final = 512


@dataclass(frozen=True)
class Batch:
    """What the body gets in one forward pass.

    Attributes:
        rows: The places of its texts in the list of all.
        features: The output of the body's `preprocess` for them, on the CPU.
    """

    rows: list[int]
    features: dict[str, Any]

    @property
    def size(self) -> int:
        """Tokens, padding included; the number of texts if that can't be told."""
        ids = self.features.get("input_ids")
        return ids.numel() if isinstance(ids, Tensor) else len(self.rows)


@dataclass(frozen=True)
class Chunk:
    """Tokenised texts.

    Attributes:
        batches: The texts in batches.
        tokens: How many tokens they have; 0 if that can't be told.
    """

    batches: list[Batch]
    tokens: int


def tokenised(
    body: SentenceTransformer, texts: Sequence[str], *, prompt: str | None, batch_size: int | None
) -> Iterator[Chunk]:
    """Tokenise texts as the body does it, and divide them into batches, the longest first.

    Args:
        body: The body; what it makes of a text is what its `preprocess` says.
        texts: The texts.
        prompt: What is put before every text.
        batch_size: Texts a forward pass; None for batches of about `BATCH_TOKENS` tokens.
    """
    # Characters are a fair guess at tokens: a chunk holds texts of like length, and little of it is padding.
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    for rows in _parts(texts, order):
        features = preprocessed(body, [texts[row] for row in rows], prompt=prompt)
        if _padded(features, len(rows)):
            yield _divided(rows, features, batch_size)
        else:
            yield _undivided(body, texts, rows, features, prompt=prompt, batch_size=batch_size)


def _parts(texts: Sequence[str], order: Sequence[int]) -> Iterator[list[int]]:
    part: list[int] = []
    characters = 0
    for row in order:
        if part and (len(part) == CHUNK_TEXTS or characters + len(texts[row]) > CHUNK_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(row)
        characters += len(texts[row])
    yield part


def _padded(features: Mapping[str, Any], texts: int) -> bool:
    """Tell whether features are tokens `[n, num_tokens]` with a mask, which can be divided by rows and columns."""
    ids, mask = features.get("input_ids"), features.get("attention_mask")
    return (
        isinstance(ids, Tensor)
        and isinstance(mask, Tensor)
        and mask.ndim == 2
        and ids.shape == mask.shape
        and len(mask) == texts
    )


def _divided(rows: list[int], features: Mapping[str, Any], batch_size: int | None) -> Chunk:
    mask: Tensor = features["attention_mask"]
    lengths: Tensor = mask.sum(dim=1)
    order = lengths.argsort(descending=True, stable=True)
    batches = []
    for start, stop in _cuts(lengths[order].tolist(), batch_size):
        places = order[start:stop]
        # Wherever the tokenizer pads, left or right: the columns that some text of the batch uses.
        used = mask[places].any(dim=0).nonzero().flatten()
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        part = {key: _selected(value, places, columns, mask.shape) for key, value in features.items()}
        batches.append(Batch([rows[place] for place in places.tolist()], part))
    return Chunk(batches, int(lengths.sum()))


def _selected(value: Any, places: Tensor, columns: slice, shape: Sequence[int]) -> Any:
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != shape[0]:
        return value
    return value[places][:, columns] if value.shape[:2] == tuple(shape) else value[places]


def _cuts(lengths: Sequence[int], batch_size: int | None) -> Iterator[tuple[int, int]]:
    """Yield where batches start and stop, for texts with the longest first."""
    start = 0
    while start < len(lengths):
        if batch_size is not None:
            stop = min(start + batch_size, len(lengths))
        else:
            longest = max(lengths[start], 1)
            stop = min(start + max(BATCH_TOKENS // longest, 1), len(lengths))
            for place in range(start + -(-EVEN_TOKENS // longest), stop):
                if lengths[place] != lengths[place - 1]:
                    stop = place
                    break
        yield start, stop
        start = stop


def _undivided(
    body: SentenceTransformer,
    texts: Sequence[str],
    rows: list[int],
    features: dict[str, Any],
    *,
    prompt: str | None,
    batch_size: int | None,
) -> Chunk:
    """Leave features as they are that only the body understands, such as the offsets of static word vectors."""
    ids = features.get("input_ids")
    tokens = ids.numel() if isinstance(ids, Tensor) else 0
    if batch_size is None or batch_size >= len(rows):
        return Chunk([Batch(rows, features)], tokens)
    return Chunk(_tokenised_anew(body, texts, rows, prompt=prompt, batch_size=batch_size), tokens)


def halves(body: SentenceTransformer, texts: Sequence[str], batch: Batch, *, prompt: str | None) -> list[Batch]:
    """Divide a batch of two texts or more into two, whatever its features are."""
    return _tokenised_anew(body, texts, batch.rows, prompt=prompt, batch_size=-(-len(batch.rows) // 2))


def _tokenised_anew(
    body: SentenceTransformer, texts: Sequence[str], rows: list[int], *, prompt: str | None, batch_size: int
) -> list[Batch]:
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [Batch(part, preprocessed(body, [texts[row] for row in part], prompt=prompt)) for part in parts]
