"""Embeddings of texts: each distinct text once, in batches that waste little, in the precision asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from tqdm.auto import tqdm

from setfit_core.embedding.batching import tokenised
from setfit_core.embedding.body import EMBEDDING, default_prompt, on_device, truncated
from setfit_core.embedding.cache import EmbeddingCache, conditions_of
from setfit_core.embedding.precision import Precision, resolved_precision
from setfit_core.errors import InputError

logger = logging.getLogger(__name__)

#: Below so many tokens "auto" computes in float32. Casting a weight then takes about as long as multiplying with it
#: spares, whatever the number of weights is: with all-MiniLM-L6-v2, bfloat16 took 10 ms instead of 11 at 6 tokens, 15
#: instead of 18 at 32, and 27 instead of 42 at 128. That is too little to give up exact embeddings for.
FEW_TOKENS: Final = 32


def embedding_size(body: SentenceTransformer) -> int:
    """Return how many dimensions the body's embeddings have."""
    size = body.get_embedding_dimension()
    return int(size) if size is not None else int(embed(body, ["size"]).shape[1])


def embed(
    body: SentenceTransformer,
    texts: Sequence[str],
    *,
    batch_size: int | None = None,
    normalize: bool = False,
    precision: Precision = "float32",
    cache: EmbeddingCache | None = None,
    open_rows: Callable[[Tensor], Sequence[int]] | None = None,
    show_progress_bar: bool | None = None,
) -> Tensor:
    """Return the embeddings of texts, computed in evaluation mode without gradients.

    They are what `body.encode` returns: with the body's default prompt, its longest text and its `truncate_dim`.
    A text that comes more than once is computed once, and texts of like length are computed together, so the last
    bits of an embedding depend on which texts come with it.

    Args:
        body: The body.
        texts: The texts.
        batch_size: Texts a forward pass; None for batches of about `batching.BATCH_TOKENS` tokens.
        normalize: Whether embeddings are scaled to length 1.
        precision: What the body computes in. `"auto"` is float32 for calls of fewer than `FEW_TOKENS` tokens.
        cache: Where embeddings of earlier calls are. With it, `"auto"` doesn't depend on the number of tokens.
        open_rows: Tells the rows of such embeddings that have to be computed in float32; asked once, if the body
            computed in bfloat16 because of `"auto"`.
        show_progress_bar: Whether to show progress; None leaves it to the logging level of sentence_transformers.

    Returns:
        A float tensor `[n, embedding_size]` on the body's device, float32 whatever it was computed in (float64 for a
        body of float64); an ordinary tensor, fit for training a head.

    Raises:
        InputError: If the body fails on a text, or returns NaN or infinity for one.
    """
    if not texts:
        return torch.zeros((0, embedding_size(body)), device=body.device)
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    try:
        embeddings = _decided(
            body,
            list(places),
            batch_size=batch_size,
            normalize=normalize,
            precision=precision,
            cache=cache,
            open_rows=open_rows,
            show_progress_bar=show_progress_bar,
        )
    except torch.OutOfMemoryError:
        raise
    except (IndexError, RuntimeError) as error:
        msg = (
            f"The body fails on the texts with {type(error).__name__}: {error}. If its tokenizer gives tokens that its "
            "weights don't have, they don't belong together: download or save the model again."
        )
        raise InputError(msg) from error
    if len(places) < len(texts):
        embeddings = embeddings[torch.tensor(rows, device=embeddings.device)]
    finite = torch.isfinite(embeddings).all(dim=1)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        msg = (
            f"The body's embedding of the text in row {row} ({texts[row][:60]!r}) holds NaN or infinity. Its weights "
            "may have diverged (lower body_learning_rate) or be damaged (load the body again)."
        )
        raise InputError(msg)
    return embeddings


def _decided(
    body: SentenceTransformer,
    texts: Sequence[str],
    *,
    batch_size: int | None,
    normalize: bool,
    precision: Precision,
    cache: EmbeddingCache | None,
    open_rows: Callable[[Tensor], Sequence[int]] | None,
    show_progress_bar: bool | None,
) -> Tensor:
    """Return the embeddings of distinct texts, at least one; those of open rows in float32."""

    def compute(part: Sequence[str], asked: Precision) -> tuple[Tensor, torch.dtype]:
        return _encoded(
            body,
            part,
            batch_size=batch_size,
            normalize=normalize,
            precision=asked,
            show_progress_bar=show_progress_bar,
        )

    dtype = resolved_precision(precision, body.device)
    conditions = None
    if cache is not None:
        conditions = conditions_of(body, prompt=default_prompt(body), normalize=normalize, dtype=dtype)
        if conditions is None:
            logger.warning("The embeddings of this body aren't cached: not all that they depend on can be told.")
    if cache is None or conditions is None:
        embeddings, dtype = compute(texts, precision)
    else:
        whole: Precision = "bfloat16" if dtype == torch.bfloat16 else "float32"
        embeddings = cache.completed(texts, conditions, lambda part: compute(part, whole)[0]).to(body.device)
    if open_rows is not None and precision == "auto" and dtype == torch.bfloat16:
        rows = list(open_rows(embeddings))
        if rows:
            embeddings[torch.tensor(rows, device=embeddings.device)] = embed(
                body,
                [texts[row] for row in rows],
                batch_size=batch_size,
                normalize=normalize,
                cache=cache,
                show_progress_bar=False,
            )
    return embeddings


def _encoded(
    body: SentenceTransformer,
    texts: Sequence[str],
    *,
    batch_size: int | None,
    normalize: bool,
    precision: Precision,
    show_progress_bar: bool | None,
) -> tuple[Tensor, torch.dtype]:
    """Return the embeddings of distinct texts, at least one, and what the body computed in."""
    body.eval()
    device = body.device
    chunks = tokenised(body, texts, prompt=default_prompt(body), batch_size=batch_size)
    first = next(chunks)
    dtype = resolved_precision(precision, device)
    if precision == "auto" and first.tokens < FEW_TOKENS:  # a first chunk of so few is the only one
        dtype = torch.float32
    if show_progress_bar is None:
        level = logging.getLogger("sentence_transformers").getEffectiveLevel()
        show_progress_bar = level in (logging.INFO, logging.DEBUG)
    rows: list[int] = []
    parts: list[Tensor] = []
    # One autocast for all batches: it keeps the weights that it has cast until it ends, and no longer. So they are cast
    # once a call, and never stale.
    with (
        torch.no_grad(),
        # Where it is off, a caller's own is off, too.
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16),
        tqdm(total=len(texts), desc="Texts", disable=not show_progress_bar) as bar,
    ):
        for chunk in chain([first], chunks):
            for batch in chunk.batches:
                embeddings = truncated(body, body(on_device(device, batch.features))[EMBEDDING])
                parts.append(embeddings if embeddings.dtype == torch.float64 else embeddings.float())
                rows += batch.rows
                bar.update(len(batch.rows))
        joined = torch.cat(parts)
        ordered = torch.empty_like(joined)
        ordered[torch.tensor(rows, device=device)] = joined
        if normalize:
            ordered = nn.functional.normalize(ordered, p=2, dim=1)
    return ordered, dtype
