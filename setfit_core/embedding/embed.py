"""Embeddings of texts: each distinct text once, in batches that waste little, in the precision asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from tqdm.auto import tqdm

from setfit_core.embedding.batching import Batch, halves, tokenised
from setfit_core.embedding.body import EMBEDDING, default_prompt, on_device, truncated
from setfit_core.embedding.cache import EmbeddingCache, conditions_of
from setfit_core.embedding.memory import is_out_of_memory, release_cached_memory
from setfit_core.embedding.precision import Precision, resolved_precision
from setfit_core.errors import InputError, OutOfMemoryError
from setfit_core.forking import compute_alone_in_forks

logger = logging.getLogger(__name__)

compute_alone_in_forks()

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
    bits of an embedding depend on which texts come with it. If the memory doesn't suffice for a batch, it is divided,
    with a warning in the log, and so are all later ones of its size.

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
        OutOfMemoryError: If the memory doesn't suffice for a single text, or for the embeddings.
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
    except (IndexError, RuntimeError, MemoryError) as error:
        if isinstance(error, OutOfMemoryError):
            raise
        if is_out_of_memory(error):
            msg = f"The memory doesn't suffice for {len(places)} texts and their embeddings. Give fewer at a time."
            raise OutOfMemoryError(msg) from error
        msg = (
            f"The body fails on the texts with {type(error).__name__}: {error}. If its tokenizer gives tokens that its "
            "weights don't have, they don't belong together: download or save the model again."
        )
        raise InputError(msg) from error
    if len(places) < len(texts):
        embeddings = embeddings[torch.tensor(rows, device=embeddings.device)]
    # The greatest number of a row is NaN or infinity if any is, and takes no copy of them all.
    finite = torch.linalg.vector_norm(embeddings, ord=math.inf, dim=1).isfinite()
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
    prompt = default_prompt(body)
    chunks = tokenised(body, texts, prompt=prompt, batch_size=batch_size)
    first = next(chunks)
    dtype = resolved_precision(precision, body.device)
    if precision == "auto" and first.tokens < FEW_TOKENS:  # a first chunk of so few is the only one
        dtype = torch.float32
    if show_progress_bar is None:
        level = logging.getLogger("sentence_transformers").getEffectiveLevel()
        show_progress_bar = level in (logging.INFO, logging.DEBUG)
    result = torch.zeros(0)
    # One autocast for all batches: it keeps the weights that it has cast until it ends, and no longer. So they are cast
    # once a call, and never stale.
    with (
        torch.no_grad(),
        # Where it is off, a caller's own is off, too.
        torch.autocast(body.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16),
        tqdm(total=len(texts), desc="Texts", disable=not show_progress_bar) as bar,
    ):
        batches = chain.from_iterable(chunk.batches for chunk in chain([first], chunks))
        for rows, embeddings in _computed(body, texts, batches, prompt=prompt):
            if not len(result):
                result = embeddings.new_empty((len(texts), embeddings.shape[1]))
            result[torch.tensor(rows, device=result.device)] = embeddings
            bar.update(len(rows))
    if normalize:
        nn.functional.normalize(result, p=2, dim=1, out=result)
    return result, dtype


def _computed(
    body: SentenceTransformer, texts: Sequence[str], batches: Iterable[Batch], *, prompt: str | None
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield the rows and the embeddings of batches; one that the memory doesn't suffice for goes in halves.

    From then on no batch is larger than these halves.
    """
    most: float = math.inf
    for whole in batches:
        waiting = [whole]
        while waiting:
            batch = waiting.pop()
            embeddings = None
            if batch.size <= most or len(batch.rows) == 1:
                embeddings = _of_batch(body, batch)
            if embeddings is not None:
                yield batch.rows, embeddings
                continue
            parts = halves(body, texts, batch, prompt=prompt)
            if batch.size <= most:
                most = max(part.size for part in parts)
                logger.warning(
                    "The memory of %s doesn't suffice for a batch of %d texts. They are divided, and from here on no "
                    "batch has more than %d tokens.",
                    body.device,
                    len(batch.rows),
                    most,
                )
            waiting += reversed(parts)


def _of_batch(body: SentenceTransformer, batch: Batch) -> Tensor | None:
    """Return the embeddings of a batch; None if the memory doesn't suffice for its texts, of which there are several.

    What is held by the failed attempt is free when this returns, and not before.

    Raises:
        OutOfMemoryError: If the memory doesn't suffice for a single text.
    """
    try:
        embeddings = truncated(body, body(on_device(body.device, batch.features))[EMBEDDING])
        return embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(batch.rows) == 1:
            msg = (
                f"The memory of {body.device} doesn't suffice for a single text of {batch.size} tokens: {error} Lower "
                "the longest text (model.model_body.max_seq_length), take a smaller body or another device, or free "
                "memory."
            )
            raise OutOfMemoryError(msg) from error
    release_cached_memory(body.device)
    return None
