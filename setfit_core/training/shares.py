"""Embedding a batch in several processes, each its share, as if one process embedded it all.

Each process goes through the same batches and computes the loss of the whole batch, which costs little. Only the body
works on a share. So every loss sees what it would see in one process, whatever it compares with what, and a training
step is the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from setfit_core import processes
from setfit_core.embedding.body import EMBEDDING


@contextmanager
def shared_batches(body: nn.Module) -> Iterator[None]:
    """Let a body that is wrapped for distributed training embed its share of each batch alone, for a while.

    Args:
        body: `DistributedDataParallel` around the body. It averages gradients over processes.
    """
    batch = _Batch()
    handles = [body.register_forward_pre_hook(batch.divided), body.register_forward_hook(batch.joined)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Batch:
    """A batch between the two hooks around the body."""

    def __init__(self) -> None:
        self._whole: Mapping[str, Any] = {}
        self._bounds: list[tuple[int, int]] | None = None

    def divided(self, _body: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return this process's share of the body's input."""
        self._whole, *others = inputs
        texts = _texts(self._whole)
        if texts is None:  # every process embeds all of it
            self._bounds = None
            return inputs
        workers = processes.count()
        self._bounds = [(texts * number // workers, texts * (number + 1) // workers) for number in range(workers)]
        start, stop = self._bounds[processes.rank()]
        # With fewer texts than processes some have none. They embed one that isn't theirs, for all have to take part.
        return (_share(self._whole, texts, start, max(stop, start + 1)), *others)

    def joined(self, _body: nn.Module, _inputs: tuple[Any, ...], output: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the embeddings of the whole batch, of which this process's share has gradients."""
        if self._bounds is None:
            return output
        mine = output[EMBEDDING]
        start, stop = self._bounds[processes.rank()]
        largest = max(1, *(stop - start for start, stop in self._bounds))
        padded = mine.new_zeros((largest, *mine.shape[1:]))
        padded[: len(mine)] = mine.detach()
        everyones = [torch.empty_like(padded) for _ in self._bounds]
        distributed.all_gather(everyones, padded)
        parts = [part[: stop - start] for part, (start, stop) in zip(everyones, self._bounds, strict=True)]
        if mine.requires_grad:
            # All processes compute the same loss, and their gradients are averaged: each has to count in full.
            workers = len(parts)
            own = mine[: stop - start]  # not mine itself: a loss such as MatryoshkaLoss goes on from that
            own.register_hook(lambda gradient: gradient * workers)
            parts[processes.rank()] = own
        return {**self._whole, EMBEDDING: torch.cat(parts) + 0 * mine.sum()}


def _texts(features: Mapping[str, Any]) -> int | None:
    """Return how many texts features are of; None if they can't be divided by texts."""
    mask, offsets = features.get("attention_mask"), features.get("offsets")
    if isinstance(mask, Tensor) and mask.ndim == 2:
        return len(mask)
    return len(offsets) if isinstance(offsets, Tensor) and offsets.ndim == 1 else None


def _share(features: Mapping[str, Any], texts: int, start: int, stop: int) -> dict[str, Any]:
    share = dict(features)
    if "attention_mask" not in features:  # static word vectors: the tokens of all texts, and where each text starts
        ids, offsets = features["input_ids"], features["offsets"]
        bounds = [*offsets.tolist(), len(ids)]
        share["input_ids"] = ids[bounds[start] : bounds[stop]]
        share["offsets"] = offsets[start:stop] - bounds[start]
        return share
    for key, value in features.items():
        if isinstance(value, Tensor) and value.ndim and len(value) == texts:
            share[key] = value[start:stop]
    return share
